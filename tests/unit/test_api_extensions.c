/*
 * The table of API extensions against doc/api-extensions.md: what the page names is advertised, and nothing twice. Against the names of LXD
 * and Incus: what neither of them has is described on the page as lxm's own, so that no name is a misspelt one of theirs.
 */
#include "lxmd/api/api.h"

#include <string.h>

#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "tests/unit/unit.h"

static bool advertised(const char *name, size_t n)
{
	const char *const *x;

	for (x = api_extensions(); *x; x++)
		if (strlen(*x) == n && strncmp(*x, name, n) == 0)
			return true;
	return false;
}

static bool word_in(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (; *text; text += strcspn(text, " \n"), text += strspn(text, " \n"))
		if (strncmp(text, word, n) == 0 && strchr(" \n", text[n]))
			return true;
	return false;
}

static void no_name_twice(void)
{
	const char *const *x, *const *y;

	for (x = api_extensions(); *x; x++) {
		CU_ASSERT_EQUAL((*x)[strspn(*x, "abcdefghijklmnopqrstuvwxyz0123456789_")], 0);
		for (y = x + 1; *y; y++)
			CU_ASSERT_STRING_NOT_EQUAL(*x, *y);
	}
}

/* Rows of the page's table begin with "| `name`", sections with "## name". */
static void what_the_page_names_is_there(void)
{
	lxm_auto(buf) struct lxm_buf page = { 0 };
	const char *line;
	size_t found = 0;

	CU_ASSERT_EQUAL_FATAL(lxm_read_file("doc/api-extensions.md", 1 << 20, &page), 0);
	for (line = page.data; line; line = strchr(line, '\n')) {
		const char *name;
		size_t n;

		line += *line == '\n';
		name = lxm_starts(line, "| `") || lxm_starts(line, "## ") ? line + 3 : NULL;
		if (!name)
			continue;
		n = strcspn(name, "`\n");
		found++;
		CU_ASSERT(advertised(name, n));
		if (!advertised(name, n))
			printf("not advertised: %.*s\n", (int)n, name);
	}
	CU_ASSERT(found >= 3);
}

static void names_are_known_or_our_own(void)
{
	lxm_auto(buf) struct lxm_buf known = { 0 }, page = { 0 };
	const char *const *x;

	CU_ASSERT_EQUAL_FATAL(lxm_read_file("tests/unit/known_extensions.txt", 1 << 20, &known), 0);
	CU_ASSERT_EQUAL_FATAL(lxm_read_file("doc/api-extensions.md", 1 << 20, &page), 0);
	for (x = api_extensions(); *x; x++) {
		lxm_auto(buf) struct lxm_buf row = { 0 };

		lxm_buf_fmt(&row, "| `%s` |", *x);
		if (word_in(known.data, *x) || strstr(page.data, row.data))
			continue;
		printf("neither LXD nor Incus has it, nor does the page describe it: %s\n", *x);
		CU_FAIL("name");
	}
}

UNIT_MAIN("api/extensions", { "no name twice", no_name_twice },
	  { "what the page names is there", what_the_page_names_is_there },
	  { "names are known or our own", names_are_known_or_our_own })
