/* lxmd/http/filter: the filter= language. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/api/json.h"
#include "lxmd/http/filter.h"

static json_t *object(void)
{
	return json_pack("{s:s,s:s,s:i,s:b,s:{s:s,s:s},s:n}", "name", "web1", "status", "Running", "n", 7,
			 "ephemeral", 0, "config", "user.x", "a b", "limits.cpu", "2", "gone");
}

/* 1 passes, 0 does not, -1 malformed */
static int try(const char *text)
{
	lxm_auto(filter_free) struct filter *f = NULL;
	lxm_auto(json) json_t *o = object();

	if (filter_parse(text, &f, NULL) < 0)
		return -1;
	return filter_match(f, o);
}

static void empty_passes_all(void)
{
	CU_ASSERT(try("") == 1);
	CU_ASSERT(try("  \t") == 1);
	CU_ASSERT(filter_match(NULL, NULL));
}

static void strings_are_anchored_regexes_in_any_case(void)
{
	CU_ASSERT(try("name eq web1") == 1);
	CU_ASSERT(try("name eq WEB.") == 1);
	CU_ASSERT(try("name eq web") == 0);
	CU_ASSERT(try("name eq ^web") == 1);
	CU_ASSERT(try("name eq a|web1") == 1);
	CU_ASSERT(try("status ne running") == 0);
	CU_ASSERT(try("name eq (((") == 0); /* no regex: equality */
	CU_ASSERT(try("name eq \"\"") == 0);
	CU_ASSERT(try("gone eq \"\"") == 1);
}

static void other_kinds_compare_as_text(void)
{
	CU_ASSERT(try("n eq 7") == 1);
	CU_ASSERT(try("n eq .") == 0);
	CU_ASSERT(try("ephemeral eq false") == 1);
	CU_ASSERT(try("ephemeral eq true") == 0);
	CU_ASSERT(try("nothing eq x") == 0);
	CU_ASSERT(try("nothing ne x") == 1);
	CU_ASSERT(try("config eq x") == 0);
}

static void fields_are_dotted_paths(void)
{
	CU_ASSERT(try("config.user.x eq \"a b\"") == 1);
	CU_ASSERT(try("config.limits.cpu eq 2") == 1);
	CU_ASSERT(try("config.limits eq 2") == 0);
	CU_ASSERT(try("name.x eq 2") == 0);
}

static void clauses_join_from_the_left(void)
{
	CU_ASSERT(try("name eq x and n eq 7 or status eq running") == 1);
	CU_ASSERT(try("status eq running or n eq 7 and name eq x") == 0);
	CU_ASSERT(try("not name eq x AND not n eq 8") == 1);
	CU_ASSERT(try("not name ne web1") == 1);
}

static void malformed_is_refused(void)
{
	static const char *const bad[] = { "name", "name eq", "name is x", "eq eq", "name eq x name eq y",
					   "name eq x and", "not", "name eq \"x", "name \"eq\" x", "\"\" eq x" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT(try(bad[i]) == -1);
}

static void greedy_clients_are_bounded(void)
{
	char text[8000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT(try(text) == -1);
	/* these would cost gigabytes or minutes as regular expressions */
	CU_ASSERT(try("name eq ((a{1,255}){1,255}){1,255}") == 0);
	CU_ASSERT(try("name eq a{1,30000}") == 0);
	CU_ASSERT(try("name eq x++++++++++++++++++++++++++++++++++++++++++++++++++++++++++") == 0);
	CU_ASSERT(try("name eq (.*)\\1") == 0);
}

UNIT_MAIN("http/filter", { "empty passes all", empty_passes_all },
	  { "strings are anchored regexes in any case", strings_are_anchored_regexes_in_any_case },
	  { "other kinds compare as text", other_kinds_compare_as_text },
	  { "fields are dotted paths", fields_are_dotted_paths },
	  { "clauses join from the left", clauses_join_from_the_left },
	  { "malformed is refused", malformed_is_refused },
	  { "greedy clients are bounded", greedy_clients_are_bounded })
