/* Text written at once is the text of the same tree. */
#include "lib/api/json_write.h"

#include <string.h>

#include "lib/api/json.h"
#include "tests/unit/unit.h"

/* Takes the tree. */
static void same(const struct lxm_buf *b, json_t *tree)
{
	lxm_auto(free) char *text = js_text(tree);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_STRING_EQUAL(b->data, text);
	CU_ASSERT_EQUAL(b->len, strlen(text));
	json_decref(tree);
}

static void test_every_byte_of_a_string(void)
{
	int c, d;

	for (c = 1; c < 256; c++) {
		for (d = 0; d < 256; d += c < 0x80 ? 255 : 1) {
			char s[] = { 'a', (char)c, (char)d, 'z', 0 };
			lxm_auto(buf) struct lxm_buf b = { 0 };

			jw_str(&b, NULL, s);
			same(&b, js_string(s));
		}
	}
}

static void test_strings_of_several_bytes(void)
{
	static const char *const all[] = { "", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
					   "\xf0\x9f\x98", "x\"\\/\b\f\n\r\t\x1f\x7f y", "\\u0000", "\xc0\x80" };
	lxm_auto(buf) struct lxm_buf b = { 0 };
	json_t *o = json_object();
	char key[8];
	size_t i;

	jw_object(&b, NULL);
	for (i = 0; i < LXM_ARRAY_LEN(all); i++) {
		(void)snprintf(key, sizeof(key), "\"%zu", i);
		jw_str(&b, key, all[i]);
		json_object_set_new(o, key, js_string(all[i]));
	}
	jw_object_end(&b);
	same(&b, o);
}

static void test_numbers_and_words(void)
{
	static const int64_t all[] = { 0, 1, -1, 9, 10, 1234567890123, INT64_MAX, INT64_MIN };
	lxm_auto(buf) struct lxm_buf b = { 0 };
	json_t *a = json_array();
	size_t i;

	jw_array(&b, NULL);
	for (i = 0; i < LXM_ARRAY_LEN(all); i++) {
		jw_int(&b, NULL, all[i]);
		json_array_append_new(a, json_integer(all[i]));
	}
	jw_bool(&b, NULL, true);
	jw_bool(&b, NULL, false);
	jw_null(&b, NULL);
	jw_time(&b, NULL, 0);
	jw_time(&b, NULL, 1700000000123);
	jw_str(&b, NULL, NULL);
	jw_array_end(&b);
	json_array_append_new(a, json_true());
	json_array_append_new(a, json_false());
	json_array_append_new(a, json_null());
	json_array_append_new(a, js_time(0));
	json_array_append_new(a, js_time(1700000000123));
	json_array_append_new(a, json_string(""));
	same(&b, a);
}

static void test_commas_stand_between_values_only(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	lxm_auto(kv) struct lxm_kv kv = { 0 }, none = { 0 };
	lxm_auto(devs) struct lxm_devs devs = { 0 };
	lxm_auto(strv) struct lxm_strv v = { 0 };

	lxm_kv_set(&kv, "limits.cpu", "[");
	lxm_kv_set(&kv, "user.{", "{");
	lxm_kv_set(&lxm_devs_at(&devs, "eth0")->kv, "type", "nic");
	(void)lxm_devs_at(&devs, "none");
	lxm_strv_add(&v, "default");
	lxm_strv_add(&v, "[");
	jw_object(&b, NULL);
	jw_kv(&b, "empty", &none);
	jw_kv(&b, "config", &kv);
	jw_devs(&b, "devices", &devs);
	jw_strv(&b, "profiles", &v);
	jw_tree(&b, "tree", json_pack("{s:[i,i]}", "x", 1, 2));
	jw_tree(&b, "nothing", NULL);
	jw_array(&b, "list");
	jw_object(&b, NULL);
	jw_object_end(&b);
	jw_array(&b, NULL);
	jw_array_end(&b);
	jw_array_end(&b);
	jw_int(&b, "last", 1);
	jw_object_end(&b);
	same(&b, json_pack("{s:{}, s:o, s:o, s:o, s:{s:[i,i]}, s:n, s:[{},[]], s:i}", "empty", "config", js_from_kv(&kv), "devices",
			   js_from_devs(&devs), "profiles", js_from_strv(&v), "tree", "x", 1, 2, "nothing", "list", "last", 1));
}

static void test_documents_one_after_another(void)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	jw_object(&b, NULL);
	jw_object_end(&b);
	jw_object(&b, NULL);
	jw_str(&b, "k", "v");
	jw_object_end(&b);
	CU_ASSERT_STRING_EQUAL(b.data, "{},{\"k\":\"v\"}"); /* the parts of a list */
}

UNIT_MAIN("api/json_write", { "every byte of a string", test_every_byte_of_a_string },
	  { "strings of several bytes", test_strings_of_several_bytes }, { "numbers and words", test_numbers_and_words },
	  { "commas stand between values only", test_commas_stand_between_values_only },
	  { "documents one after another", test_documents_one_after_another })
