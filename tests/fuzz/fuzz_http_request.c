/* What a client puts into the request line and the body: path, query, filter, JSON. Lines of the input are these four. */
#include <stdlib.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/kv.h"
#include "lxmd/core/event.h"
#include "lxmd/http/filter.h"
#include "lxmd/http/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every strict reader on every key that exists: none may crash, whatever the types are. */
static void read_all(const json_t *o)
{
	lxm_auto(devs) struct lxm_devs devs = { 0 };
	lxm_auto(strv) struct lxm_strv sv = { 0 };
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	struct lxm_err e = { 0 };
	const char *s = NULL, *key;
	json_t *v;
	int64_t n;
	bool b;

	json_object_foreach((json_t *)o, key, v) {
		(void)js_get_str(o, key, &s, &e);
		(void)js_get_bool(o, key, &b, &e);
		(void)js_get_int(o, key, &n, &e);
		(void)js_get_time(o, key, &n, &e);
		(void)js_get_kv(o, key, &kv, &b, &e);
		(void)js_get_devs(o, key, &devs, &b, &e);
		(void)js_get_strv(o, key, &sv, &b, &e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lxm_auto(filter_free) struct filter *f = NULL;
	lxm_auto(free) char *text = lxm_strndup((const char *)data, size);
	lxm_auto(kv) struct lxm_kv query = { 0 };
	lxm_auto(json) json_t *o = NULL;
	struct lxm_err e = { 0 };
	struct route_match m;
	char *line[4], *at = text;
	size_t i;

	for (i = 0; i < 4; i++) {
		line[i] = at;
		at += strcspn(at, "\n");
		if (*at && i < 3)
			*at++ = '\0';
	}
	if (route_find("GET", line[0], &m, &e) == 0 && !m.route)
		abort();
	route_match_deinit(&m);
	(void)route_parse_query(line[1], &query, &e);
	(void)event_types_parse(lxm_kv_get(&query, "type"), &e);
	(void)js_parse(line[3], strlen(line[3]), &o, &e);
	if (filter_parse(line[2], &f, &e) == 0)
		(void)filter_match(f, o);
	read_all(o);
	return 0;
}
