/* The table of API extensions against doc/api-extensions.md: what the page names is advertised, and nothing twice. */
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

UNIT_MAIN("api/extensions", { "no name twice", no_name_twice },
	  { "what the page names is there", what_the_page_names_is_there })
