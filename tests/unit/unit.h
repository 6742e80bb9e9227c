/* What every unit test program shares: UNIT_MAIN(suite, { "behaviour", fn }, ...) makes its main(). */
#ifndef LXM_TESTS_UNIT_H
#define LXM_TESTS_UNIT_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#include "lib/base/auto.h"

struct unit_case {
	const char *name;
	void (*fn)(void);
};

static inline int unit_run(const char *suite, const struct unit_case *c, size_t n)
{
	unsigned int failed;
	CU_pSuite s;
	size_t i;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	s = CU_add_suite(suite, NULL, NULL);
	for (i = 0; i < n; i++)
		CU_add_test(s, c[i].name, c[i].fn);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

#define UNIT_MAIN(suite, ...)                                         \
	int main(void)                                                \
	{                                                             \
		static const struct unit_case cases[] = { __VA_ARGS__ }; \
		return unit_run(suite, cases, LXM_ARRAY_LEN(cases));  \
	}

#endif
