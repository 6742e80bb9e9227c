/* lxmd/http/regex: what matches, what is refused, and that nothing takes long. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/base/time.h"
#include "lxmd/http/regex.h"

/* 1 matches, 0 does not, -1 is no expression */
static int try(const char *re, const char *s)
{
	lxm_auto(regex_free) struct regex *r = regex_new(re);

	return r ? regex_search(r, s) : -1;
}

struct row {
	const char *re, *yes, *no; /* NULL: nothing to try */
};

static void the_common_subset_matches(void)
{
	static const struct row rows[] = {
		{ "", "", NULL },
		{ "abc", "xxABCxx", "ab" },
		{ "^abc$", "abc", "abcd" },
		{ "a.c", "abc", "ac" },
		{ "ab*c", "ac", "adc" },
		{ "^ab+c$", "abbbc", "ac" },
		{ "^ab?c$", "abc", "abbc" },
		{ "^(a|bc|d)$", "bc", "b" },
		{ "^(a|b|c|)x$", "x", "dx" },
		{ "a|b|c", "xxc", "xyz" },
		{ "^x*(a|b)$", "xxb", "xx" },
		{ "^(a*)*$", "aaa", "aab" },
		{ "^((a|b)*c)+$", "abcc", "abca" },
		{ "^[a-c1]+$", "aBc1", "abd" },
		{ "^[^a-c]$", "d", "B" },
		{ "^[]x]$", "]", "y" },
		{ "^[x-]+$", "-x", "y" },
		{ "^[\\d\\-]+$", "1-2", "1a" },
		{ "^\\w\\s\\S\\D$", "a bc", "a b1" },
		{ "^\\.\\*$", ".*", "ab" },
		{ "^a{3}$", "aaa", "aa" },
		{ "^a{2,}$", "aaaa", "a" },
		{ "^a{1,3}$", "aaa", "aaaa" },
		{ "^(ab){0,2}c$", "ababc", "abababc" },
		{ "^a{0}b$", "b", "ab" },
		{ "^a{x$", "a{x", "ax" },
		{ "^(?:ab)+?c$", "ababc", "c" },
		{ "a$|^b", "ca", "cb" },
		{ "^(web|db)-[0-9]{1,2}$", "WEB-07", "web-007" },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(rows); i++) {
		CU_ASSERT(!rows[i].yes || try(rows[i].re, rows[i].yes) == 1);
		CU_ASSERT(!rows[i].no || try(rows[i].re, rows[i].no) == 0);
	}
}

static void what_is_no_expression_is_refused(void)
{
	static const char *const bad[] = { "*a", "a**", "a+*", "a+{2}", "(", ")", "a)", "(a", "[", "[a", "[z-a]", "\\", "\\q",
					   "a{2,1}", "a{1001}", "(?i)a", "[[:alpha:]]", "+", "|*", "(+)" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT(try(bad[i], "a") == -1);
}

static void nothing_takes_long_or_much(void)
{
	int64_t began = lxm_mono_ms();
	char text[5000], deep[600];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT(try("^(a+)+$", text) == 1);
	CU_ASSERT(try("^(a|a)*b$", text) == 0);
	CU_ASSERT(try("(a*)*(a*)*(a*)*b", text) == 0);
	CU_ASSERT(try("((a{1,255}){1,255}){1,255}", text) == -1);
	CU_ASSERT(try("^a{900}a{900}", text) == 1);
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	CU_ASSERT(try(deep, text) == -1);
	CU_ASSERT(lxm_mono_ms() - began < 2000);
}

UNIT_MAIN("http/regex", { "the common subset matches", the_common_subset_matches },
	  { "what is no expression is refused", what_is_no_expression_is_refused },
	  { "nothing takes long or much", nothing_takes_long_or_much })
