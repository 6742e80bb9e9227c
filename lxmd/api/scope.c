/* The one place where handlers ask what of a list a restricted caller may see. Any thread. */
#include "lxmd/api/scope.h"

#include <stdlib.h>
#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lxmd/http/routes.h"

bool scope_sees(const struct request *rq, const char *project)
{
	return caller_may_project(rq_caller(rq), project);
}

bool scope_all(const struct request *rq)
{
	return rq_caller(rq)->trust == CALLER_ADMIN;
}

char *scope_url_project(const char *url)
{
	lxm_auto(kv) struct lxm_kv query = { 0 };
	const char *s = strchr(url, '?');

	if (s && route_parse_query(s + 1, &query, NULL) < 0)
		return lxm_strdup("");
	return lxm_strdup(lxm_kv_or(&query, "project", DB_DEFAULT_PROJECT));
}

json_t *scope_urls(const struct request *rq, const struct lxm_strv *urls)
{
	json_t *out;
	size_t i;

	if (scope_all(rq))
		return js_from_strv(urls);
	out = json_array();
	for (i = 0; i < urls->n; i++) {
		lxm_auto(free) char *project = scope_url_project(urls->v[i]);

		if (scope_sees(rq, project))
			json_array_append_new(out, js_string(urls->v[i]));
	}
	return out;
}
