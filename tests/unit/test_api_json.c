/* lib/api/json: reading what clients send, building what they read. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/api/json.h"

static json_t *parse(const char *text)
{
	json_t *o = NULL;

	CU_ASSERT_FATAL(js_parse(text, strlen(text), &o, NULL) == 0);
	return o;
}

static void keys_match_in_any_case_exact_ones_first(void)
{
	lxm_auto(json) json_t *o = parse("{\"NAME\":\"b\",\"name\":\"a\",\"Config\":{\"x\":\"y\"},\"z\":null}");

	CU_ASSERT_STRING_EQUAL(js_str(o, "name"), "a");
	CU_ASSERT_STRING_EQUAL(js_str(o, "NAME"), "b");
	CU_ASSERT_PTR_NOT_NULL(js_get(o, "config"));
	CU_ASSERT_PTR_NULL(js_get(o, "z"));
	CU_ASSERT_PTR_NULL(js_get(NULL, "z"));
	CU_ASSERT_PTR_NULL(js_get(js_get(o, "name"), "z"));
}

static void absent_and_null_leave_defaults(void)
{
	lxm_auto(json) json_t *o = parse("{\"s\":null,\"b\":null,\"kv\":null,\"a\":null}");
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	lxm_auto(strv) struct lxm_strv sv = { 0 };
	const char *s = "dflt";
	bool b = true, present = true;
	int64_t n = 3;

	CU_ASSERT(js_get_str(o, "s", &s, NULL) == 0 && strcmp(s, "dflt") == 0);
	CU_ASSERT(js_get_bool(o, "b", &b, NULL) == 0 && b);
	CU_ASSERT(js_get_int(o, "n", &n, NULL) == 0 && n == 3);
	CU_ASSERT(js_get_kv(o, "kv", &kv, &present, NULL) == 0 && !present);
	CU_ASSERT(js_get_strv(o, "a", &sv, &present, NULL) == 0 && !present);
}

static void wrong_types_name_the_key(void)
{
	lxm_auto(json) json_t *o = parse("{\"s\":1,\"b\":\"x\",\"n\":1.5,\"config\":{\"limits.cpu\":2},"
					 "\"devices\":{\"eth0\":{\"mtu\":1500}},\"profiles\":[\"a\",2],\"t\":\"soon\"}");
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	lxm_auto(devs) struct lxm_devs devs = { 0 };
	lxm_auto(strv) struct lxm_strv sv = { 0 };
	struct lxm_err e = { 0 };
	const char *s;
	lxm_time t;
	int64_t n;
	bool b;

	CU_ASSERT(js_get_str(o, "s", &s, &e) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.msg, "key 's' must be a string, not a number");
	CU_ASSERT(js_get_bool(o, "b", &b, &e) == -EINVAL);
	CU_ASSERT(js_get_int(o, "n", &n, &e) == -EINVAL);
	CU_ASSERT(js_get_time(o, "t", &t, &e) == -EINVAL);
	CU_ASSERT(js_get_kv(o, "config", &kv, NULL, &e) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.msg, "key 'config.limits.cpu' must be a string, not a number");
	CU_ASSERT(js_get_devs(o, "devices", &devs, NULL, &e) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.msg, "key 'devices.eth0.mtu' must be a string, not a number");
	CU_ASSERT(js_get_strv(o, "profiles", &sv, NULL, &e) == -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.msg, "key 'profiles[1]' must be a string, not a number");
	CU_ASSERT(kv.n == 0 && devs.n == 0 && sv.n == 0);
	CU_ASSERT(js_need_str(o, "name", &s, &e) == -EINVAL);
}

static void nul_bytes_are_refused(void)
{
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	const char *s;

	/* jansson itself refuses \u0000 unless told otherwise; ours is the second line */
	CU_ASSERT(js_parse("{\"s\":\"a\\u0000b\"}", 16, &o, NULL) == -EINVAL);
	o = json_pack("{s:o,s:{s:o}}", "s", json_stringn("a\0b", 3), "c", "k", json_stringn("a\0b", 3));
	CU_ASSERT(js_get_str(o, "s", &s, NULL) == -EINVAL);
	CU_ASSERT(js_get_kv(o, "c", &kv, NULL, NULL) == -EINVAL);
}

static void maps_and_devices_come_back(void)
{
	lxm_auto(json) json_t *o = parse("{\"config\":{\"b\":\"2\",\"a\":null},\"devices\":{\"r\":{\"type\":\"disk\"}}}");
	lxm_auto(json) json_t *c = NULL;
	lxm_auto(json) json_t *d = NULL;
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	lxm_auto(devs) struct lxm_devs devs = { 0 };

	CU_ASSERT(js_get_kv(o, "config", &kv, NULL, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&kv, "a"), "");
	CU_ASSERT(js_get_devs(o, "devices", &devs, NULL, NULL) == 0);
	c = js_from_kv(&kv);
	d = js_from_devs(&devs);
	CU_ASSERT_STRING_EQUAL(js_str(c, "b"), "2");
	CU_ASSERT(json_equal(d, js_get(o, "devices")));
}

static void malformed_text_says_where(void)
{
	struct lxm_err e = { 0 };
	json_t *o = NULL;

	CU_ASSERT(js_parse("{\"a\":", 5, &o, &e) == -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "line 1"));
	CU_ASSERT(js_parse("", 0, &o, &e) == -EINVAL);
	CU_ASSERT_PTR_NULL(o);
}

static void foreign_bytes_become_valid_strings(void)
{
	lxm_auto(json) json_t *a = js_string("ok\xff\xc3\xa9\xe2\x82");
	lxm_auto(json) json_t *b = js_string(NULL);

	CU_ASSERT_STRING_EQUAL(json_string_value(a), "ok\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
	CU_ASSERT_STRING_EQUAL(json_string_value(b), "");
}

static void urls_encode_each_segment(void)
{
	lxm_auto(json) json_t *u = js_url("/1.0/instances/%s/snapshots/%s?x=100%%", "c/1", "s 1");

	CU_ASSERT_STRING_EQUAL(json_string_value(u), "/1.0/instances/c%2F1/snapshots/s%201?x=100%");
}

static void envelopes_have_the_keys_that_clients_decode(void)
{
	lxm_auto(json) json_t *s = api_sync(NULL);
	lxm_auto(json) json_t *a = api_async("/1.0/operations/x", json_object());
	lxm_auto(json) json_t *x = api_error(404, "gone");
	lxm_auto(free) char *text = js_text(s);

	CU_ASSERT_STRING_EQUAL(text, "{\"type\":\"sync\",\"status\":\"Success\",\"status_code\":200,\"operation\":\"\","
				     "\"error_code\":0,\"error\":\"\",\"metadata\":null}");
	CU_ASSERT(js_int(a, "status_code", 0) == 100);
	CU_ASSERT_STRING_EQUAL(js_str(a, "operation"), "/1.0/operations/x");
	CU_ASSERT(js_int(x, "error_code", 0) == 404);
	CU_ASSERT_STRING_EQUAL(js_str(x, "type"), "error");
}

UNIT_MAIN("api/json", { "keys match in any case, exact ones first", keys_match_in_any_case_exact_ones_first },
	  { "absent and null leave defaults", absent_and_null_leave_defaults },
	  { "wrong types name the key", wrong_types_name_the_key },
	  { "NUL bytes are refused", nul_bytes_are_refused },
	  { "maps and devices come back", maps_and_devices_come_back },
	  { "malformed text says where", malformed_text_says_where },
	  { "foreign bytes become valid strings", foreign_bytes_become_valid_strings },
	  { "urls encode each segment", urls_encode_each_segment },
	  { "envelopes have the keys that clients decode", envelopes_have_the_keys_that_clients_decode })
