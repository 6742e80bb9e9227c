/*
 * Reading and building the API's JSON. No state, any thread.
 *
 * Go's decoder, which defined this API, matches keys in any case and takes null for "absent"; clients
 * rely on both, so every reader here does the same.
 */
#include "lib/api/json.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"

const char *api_status_name(int code)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {
		{ API_CREATED, "Operation created" },
		{ API_STARTED, "Started" },
		{ API_STOPPED, "Stopped" },
		{ API_RUNNING, "Running" },
		{ API_CANCELLING, "Cancelling" },
		{ API_PENDING, "Pending" },
		{ API_STARTING, "Starting" },
		{ API_STOPPING, "Stopping" },
		{ API_ABORTING, "Aborting" },
		{ API_FREEZING, "Freezing" },
		{ API_FROZEN, "Frozen" },
		{ API_THAWED, "Thawed" },
		{ API_ERROR, "Error" },
		{ API_READY, "Ready" },
		{ API_SUCCESS, "Success" },
		{ API_FAILURE, "Failure" },
		{ API_CANCELLED, "Cancelled" },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "Unknown";
}

int js_parse(const char *data, size_t len, json_t **out, struct lxm_err *e)
{
	json_error_t je;
	json_t *o = json_loadb(data, len, JSON_DECODE_ANY, &je);

	if (!o)
		return lxm_err_set(e, EINVAL, "malformed JSON: line %d, column %d: %s", je.line, je.column,
				   je.text);
	*out = o;
	return 0;
}

/* ---- lenient */

json_t *js_get(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	const char *k;

	if (!v && json_is_object(o)) {
		json_t *x;

		json_object_foreach((json_t *)o, k, x) {
			if (strcasecmp(k, key) == 0) {
				v = x;
				break;
			}
		}
	}
	return json_is_null(v) ? NULL : v;
}

const char *js_str(const json_t *o, const char *key)
{
	return json_string_value(js_get(o, key));
}

const char *js_str_or(const json_t *o, const char *key, const char *dflt)
{
	const char *s = js_str(o, key);

	return s ? s : dflt;
}

int64_t js_int(const json_t *o, const char *key, int64_t dflt)
{
	const json_t *v = js_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

bool js_bool(const json_t *o, const char *key, bool dflt)
{
	const json_t *v = js_get(o, key);

	return json_is_boolean(v) ? json_is_true(v) : dflt;
}

/* ---- strict */

static const char *type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

static int wrong(struct lxm_err *e, const char *key, const char *want, const json_t *got)
{
	return lxm_err_set(e, EINVAL, "key '%s' must be %s, not %s", key, want, type_name(got));
}

int js_get_str(const json_t *o, const char *key, const char **out, struct lxm_err *e)
{
	const json_t *v = js_get(o, key);

	if (v && !json_is_string(v))
		return wrong(e, key, "a string", v);
	if (v && strlen(json_string_value(v)) != json_string_length(v))
		return lxm_err_set(e, EINVAL, "key '%s' must not hold a NUL", key);
	if (v)
		*out = json_string_value(v);
	return 0;
}

int js_get_bool(const json_t *o, const char *key, bool *out, struct lxm_err *e)
{
	const json_t *v = js_get(o, key);

	if (v && !json_is_boolean(v))
		return wrong(e, key, "a boolean", v);
	if (v)
		*out = json_is_true(v);
	return 0;
}

int js_get_int(const json_t *o, const char *key, int64_t *out, struct lxm_err *e)
{
	const json_t *v = js_get(o, key);
	double d;

	if (!v)
		return 0;
	if (json_is_integer(v)) {
		*out = json_integer_value(v);
		return 0;
	}
	if (!json_is_real(v))
		return wrong(e, key, "a number", v);
	d = json_real_value(v);
	if (d != trunc(d) || d < -9e18 || d > 9e18)
		return lxm_err_set(e, EINVAL, "key '%s' must be a whole number", key);
	*out = (int64_t)d;
	return 0;
}

int js_get_time(const json_t *o, const char *key, lxm_time *out, struct lxm_err *e)
{
	const char *s = NULL;
	int r = js_get_str(o, key, &s, e);

	if (r == 0 && s && lxm_time_parse(s, out) < 0)
		return lxm_err_set(e, EINVAL, "key '%s' must be a time such as 2026-01-02T03:04:05Z, not '%s'",
				   key, s);
	return r;
}

int js_get_obj(const json_t *o, const char *key, json_t **out, struct lxm_err *e)
{
	json_t *v = js_get(o, key);

	if (v && !json_is_object(v))
		return wrong(e, key, "an object", v);
	if (v)
		*out = v;
	return 0;
}

int js_get_arr(const json_t *o, const char *key, json_t **out, struct lxm_err *e)
{
	json_t *v = js_get(o, key);

	if (v && !json_is_array(v))
		return wrong(e, key, "an array", v);
	if (v)
		*out = v;
	return 0;
}

/* Maps and lists take longer the longer they are: what nobody needs is refused before it costs anything. */
static int check_count(const char *where, size_t n, size_t max, struct lxm_err *e)
{
	return n <= max ? 0 : lxm_err_set(e, EINVAL, "key '%s' holds %zu entries, %zu at most are accepted", where, n, max);
}

/* Adds the pairs of an object; `where` is its name in messages. */
static int kv_from(const json_t *o, const char *where, struct lxm_kv *out, struct lxm_err *e)
{
	const char *k;
	json_t *v;
	int r = check_count(where, json_object_size(o), JS_KEYS_MAX, e);

	if (r < 0)
		return r;
	json_object_foreach((json_t *)o, k, v) {
		if (json_is_null(v)) {
			lxm_kv_set(out, k, "");
			continue;
		}
		if (!json_is_string(v))
			return lxm_err_set(e, EINVAL, "key '%s.%s' must be a string, not %s", where, k,
					   type_name(v));
		if (strlen(json_string_value(v)) != json_string_length(v))
			return lxm_err_set(e, EINVAL, "key '%s.%s' must not hold a NUL", where, k);
		lxm_kv_set(out, k, json_string_value(v));
	}
	return 0;
}

int js_get_kv(const json_t *o, const char *key, struct lxm_kv *out, bool *present, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	json_t *v = NULL;
	int r = js_get_obj(o, key, &v, e);

	if (present)
		*present = v != NULL;
	if (r < 0 || !v)
		return r;
	r = kv_from(v, key, &kv, e);
	if (r < 0)
		return r;
	lxm_kv_deinit(out);
	*out = kv;
	memset(&kv, 0, sizeof(kv));
	return 0;
}

int js_get_devs(const json_t *o, const char *key, struct lxm_devs *out, bool *present,
		struct lxm_err *e)
{
	lxm_auto(devs) struct lxm_devs devs = { 0 };
	json_t *all = NULL, *v;
	const char *name;
	char where[256];
	int r = js_get_obj(o, key, &all, e);

	if (present)
		*present = all != NULL;
	if (r < 0 || !all)
		return r;
	r = check_count(key, json_object_size(all), JS_DEVICES_MAX, e);
	if (r < 0)
		return r;
	json_object_foreach(all, name, v) {
		struct lxm_dev *dev;

		(void)snprintf(where, sizeof(where), "%s.%s", key, name);
		if (!json_is_object(v))
			return wrong(e, where, "an object", v);
		dev = lxm_devs_at(&devs, name);
		r = kv_from(v, where, &dev->kv, e);
		if (r < 0)
			return r;
	}
	lxm_devs_deinit(out);
	*out = devs;
	memset(&devs, 0, sizeof(devs));
	return 0;
}

int js_get_strv(const json_t *o, const char *key, struct lxm_strv *out, bool *present,
		struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv sv = { 0 };
	json_t *a = NULL, *v;
	size_t i;
	int r = js_get_arr(o, key, &a, e);

	if (present)
		*present = a != NULL;
	if (r < 0 || !a)
		return r;
	r = check_count(key, json_array_size(a), JS_STRINGS_MAX, e);
	if (r < 0)
		return r;
	json_array_foreach(a, i, v) {
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
			return lxm_err_set(e, EINVAL, "key '%s[%zu]' must be a string, not %s", key, i,
					   json_is_string(v) ? "one with a NUL" : type_name(v));
		lxm_strv_add(&sv, json_string_value(v));
	}
	lxm_strv_deinit(out);
	*out = sv;
	memset(&sv, 0, sizeof(sv));
	return 0;
}

int js_need_str(const json_t *o, const char *key, const char **out, struct lxm_err *e)
{
	const char *s = NULL;
	int r = js_get_str(o, key, &s, e);

	if (r < 0)
		return r;
	if (lxm_empty(s))
		return lxm_err_set(e, EINVAL, "key '%s' is required", key);
	*out = s;
	return 0;
}

/* ---- building */

json_t *js_string(const char *s)
{
	json_t *o = json_string(s ? s : "");
	lxm_auto(free) char *clean = o ? NULL : lxm_utf8_clean(s);

	return o ? o : json_string(clean);
}

json_t *js_from_kv(const struct lxm_kv *kv)
{
	json_t *o = json_object();

	lxm_kv_each(p, kv)
		json_object_set_new(o, p->key, js_string(p->value));
	return o;
}

json_t *js_from_devs(const struct lxm_devs *d)
{
	json_t *o = json_object();

	lxm_devs_each(dev, d)
		json_object_set_new(o, dev->name, js_from_kv(&dev->kv));
	return o;
}

json_t *js_from_strv(const struct lxm_strv *v)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < v->n; i++)
		json_array_append_new(a, js_string(v->v[i]));
	return a;
}

json_t *js_time(lxm_time t)
{
	char s[32];

	return json_string(lxm_time_str(t, s));
}

json_t *js_time_unset(lxm_time t)
{
	return t ? js_time(t) : json_string("0001-01-01T00:00:00Z");
}

json_t *js_url(const char *fmt, ...)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (fmt[0] == '%' && fmt[1] == 's') {
			lxm_auto(free) char *enc = lxm_url_encode(va_arg(ap, const char *), NULL);

			lxm_buf_str(&b, enc);
			fmt++;
		} else {
			if (fmt[0] == '%' && fmt[1] == '%')
				fmt++;
			lxm_buf_chr(&b, *fmt);
		}
	}
	va_end(ap);
	return json_string(b.data ? b.data : "");
}

char *js_text(const json_t *o)
{
	return json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- envelopes */

static json_t *envelope(const char *type, const char *status, int code, const char *op_url, int error_code,
			const char *error, json_t *metadata)
{
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string(type));
	json_object_set_new(o, "status", json_string(status));
	json_object_set_new(o, "status_code", json_integer(code));
	json_object_set_new(o, "operation", json_string(op_url));
	json_object_set_new(o, "error_code", json_integer(error_code));
	json_object_set_new(o, "error", js_string(error));
	json_object_set_new(o, "metadata", metadata ? metadata : json_null());
	return o;
}

json_t *api_sync(json_t *metadata)
{
	return envelope("sync", "Success", API_SUCCESS, "", 0, "", metadata);
}

json_t *api_async(const char *op_url, json_t *operation)
{
	return envelope("async", "Operation created", API_CREATED, op_url, 0, "", operation);
}

json_t *api_error(int http_status, const char *text)
{
	return envelope("error", "", 0, "", http_status, text, NULL);
}
