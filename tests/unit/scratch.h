/* Directories of a test's own. tests/unit/run names one in TMPDIR and removes it with all that failed tests have left there. */
#ifndef LXM_TESTS_SCRATCH_H
#define LXM_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

#define SCRATCH_MAX 64

/* Where all of them lie: /tmp for a program that is run by hand. */
static inline const char *scratch_top(void)
{
	const char *top = getenv("TMPDIR");

	return top && *top ? top : "/tmp";
}

/* Make a new one of that name; the test removes it when it is well. */
static inline void scratch(char path[SCRATCH_MAX], const char *name)
{
	int n = snprintf(path, SCRATCH_MAX, "%s/lxm-%s-XXXXXX", scratch_top(), name);

	CU_ASSERT_FATAL(n > 0 && n < SCRATCH_MAX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
}

#endif
