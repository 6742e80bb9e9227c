/* lxmd/http/route: the table's shape, finding rows, queries. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lxmd/http/routes.h"

static void table_has_no_twins_and_known_methods(void)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
	size_t n, i, k;
	const struct route *t = route_table(&n);

	for (i = 0; i < n; i++) {
		bool known = false;

		for (k = 0; k < LXM_ARRAY_LEN(methods); k++)
			known |= strcmp(t[i].method, methods[k]) == 0;
		CU_ASSERT(known);
		CU_ASSERT(t[i].pattern[0] == '/');
		CU_ASSERT(t[i].handler != NULL && !lxm_empty(t[i].help));
		for (k = 0; k < i; k++)
			CU_ASSERT(strcmp(t[i].method, t[k].method) != 0 ||
				  strcmp(t[i].pattern, t[k].pattern) != 0);
	}
}

static void every_row_is_found_by_its_own_path(void)
{
	size_t n, i;
	const struct route *t = route_table(&n);

	for (i = 0; i < n; i++) {
		struct route_match m;

		/* "{name}" is a fine value for {name} */
		CU_ASSERT(route_find(t[i].method, t[i].pattern, &m, NULL) == 0);
		CU_ASSERT_PTR_EQUAL(m.route, &t[i]);
		route_match_deinit(&m);
	}
}

static void nobody_but_public_rows_may_be_called_without_trust(void)
{
	size_t n, i;
	const struct route *t = route_table(&n);

	for (i = 0; i < n; i++)
		if (t[i].access == MAY_ALL)
			CU_ASSERT(strcmp(t[i].method, "GET") == 0 || strstr(t[i].pattern, "/certificates") ||
				  strstr(t[i].pattern, "/images"));
}

/* What lives where features.* says is changed only with a look at that home. */
static void changes_of_shared_kinds_say_so(void)
{
	static const struct {
		const char *prefix;
		unsigned int flag;
	} kinds[] = { { "/1.0/images", RT_OF_IMAGES }, { "/1.0/profiles", RT_OF_PROFILES }, { "/1.0/storage-pools/{pool}/volumes", RT_OF_VOLUMES } };
	size_t n, i, k;
	const struct route *t = route_table(&n);

	for (i = 0; i < n; i++)
		for (k = 0; k < LXM_ARRAY_LEN(kinds); k++)
			if (strcmp(t[i].method, "GET") != 0 && strncmp(t[i].pattern, kinds[k].prefix, strlen(kinds[k].prefix)) == 0 &&
			    !strstr(t[i].pattern, "/export")) /* sends a copy of what one may read */
				CU_ASSERT(t[i].flags & kinds[k].flag);
}

static void rows_of_projects_are_checked(void)
{
	size_t n, i;
	const struct route *t = route_table(&n);

	for (i = 0; i < n; i++)
		if (t[i].access == MAY_PROJECT && !strstr(t[i].pattern, "/operations"))
			CU_ASSERT(t[i].flags & (RT_PROJECT | RT_ALLPROJECTS | RT_NAMED));
}

static void unknown_paths_and_methods_differ(void)
{
	struct route_match m;

	CU_ASSERT(route_find("GET", "/1.0/nope", &m, NULL) == ROUTE_NO_PATH);
	CU_ASSERT(route_find("GET", "/1.0/", &m, NULL) == ROUTE_NO_PATH);
	CU_ASSERT(route_find("GET", "//1.0", &m, NULL) == ROUTE_NO_PATH);
	CU_ASSERT(route_find("GET", "1.0", &m, NULL) == ROUTE_NO_PATH);
	CU_ASSERT(route_find("GET", "", &m, NULL) == ROUTE_NO_PATH);
	CU_ASSERT(route_find("DELETE", "/1.0", &m, NULL) == ROUTE_NO_METHOD);
	CU_ASSERT(route_find("BREW", "/1.0/operations/x", &m, NULL) == ROUTE_NO_METHOD);
	CU_ASSERT(route_find("HEAD", "/1.0", &m, NULL) == 0);
}

static void segments_are_decoded_one_by_one(void)
{
	struct route_match m;

	CU_ASSERT(route_find("GET", "/1.0/operations/a%2Fb%20c", &m, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(m.args[0], "a/b c");
	route_match_deinit(&m);
	CU_ASSERT(route_find("GET", "/1.0/operations/a+b/wait", &m, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(m.args[0], "a+b");
	route_match_deinit(&m);
	CU_ASSERT(route_find("GET", "/1.0/operations/%", &m, NULL) == -EINVAL);
	CU_ASSERT(route_find("GET", "/1.0/operations/%00", &m, NULL) == -EINVAL);
	CU_ASSERT(route_find("GET", "/1.0/operations/%ff", &m, NULL) == -EINVAL);
}

static void queries_are_split_and_decoded(void)
{
	lxm_auto(kv) struct lxm_kv q = { 0 };

	CU_ASSERT(route_parse_query("a=1&b=x%3Dy+z&&c&a=2&=v", &q, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&q, "a"), "2");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&q, "b"), "x=y z");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&q, "c"), "");
	CU_ASSERT(q.n == 3);
	CU_ASSERT(route_parse_query(NULL, &q, NULL) == 0);
	CU_ASSERT(route_parse_query("", &q, NULL) == 0);
	CU_ASSERT(route_parse_query("a=%zz", &q, NULL) == -EINVAL);
	CU_ASSERT(route_parse_query("a=%00", &q, NULL) == -EINVAL);
	CU_ASSERT(route_parse_query("a=%c0%80", &q, NULL) == -EINVAL);
}

UNIT_MAIN("http/route", { "table has no twins and known methods", table_has_no_twins_and_known_methods },
	  { "every row is found by its own path", every_row_is_found_by_its_own_path },
	  { "nobody but public rows may be called without trust",
	    nobody_but_public_rows_may_be_called_without_trust },
	  { "changes of shared kinds say so", changes_of_shared_kinds_say_so }, { "rows of projects are checked", rows_of_projects_are_checked },
	  { "unknown paths and methods differ", unknown_paths_and_methods_differ },
	  { "segments are decoded one by one", segments_are_decoded_one_by_one },
	  { "queries are split and decoded", queries_are_split_and_decoded })
