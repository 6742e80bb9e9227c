/* Libraries loaded on demand: found, missing, of another version. */
#include "lxmd/core/lazy.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

struct math {
	double (*floor)(double);
	double (*fabs)(double);
};

static const char *const math_names[] = { "floor", "fabs" };
static const char *const other_names[] = { "floor", "no_such_function" };

static void test_functions_are_found_in_their_order(void)
{
	struct math m = { 0 };
	struct lazy_lib lib = { "libm.so.6", "libc6", math_names, &m, 2, false };

	CU_ASSERT_EQUAL(lazy_load(&lib, NULL), 0);
	CU_ASSERT_TRUE(lib.loaded);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m.floor);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m.fabs);
	CU_ASSERT_EQUAL(m.floor(2.5), 2.0);
	CU_ASSERT_EQUAL(m.fabs(-2.5), 2.5);
	CU_ASSERT_EQUAL(lazy_load(&lib, NULL), 0);
}

static void test_a_missing_library_names_its_package(void)
{
	struct math m = { 0 };
	struct lazy_lib lib = { "libnot-there.so.7", "libnot-there7", math_names, &m, 2, false };
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(lazy_load(&lib, &e), -ELIBACC);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "library 'libnot-there.so.7' is missing (package libnot-there7)"));
	CU_ASSERT_FALSE(lib.loaded);
	CU_ASSERT_PTR_NULL(m.floor);
	CU_ASSERT_EQUAL(lazy_load(&lib, NULL), -ELIBACC);
	/* installed meanwhile: no new daemon is needed */
	lib.soname = "libm.so.6";
	CU_ASSERT_EQUAL(lazy_load(&lib, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL(m.floor);
}

static void test_a_library_that_lacks_a_function_fills_in_none(void)
{
	struct math m = { 0 };
	struct lazy_lib lib = { "libm.so.6", "libc6", other_names, &m, 2, false };
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL(lazy_load(&lib, &e), -ELIBACC);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "has no 'no_such_function'"));
	CU_ASSERT_PTR_NULL(m.floor);
}

UNIT_MAIN("core/lazy", { "functions are found in their order", test_functions_are_found_in_their_order },
	  { "a missing library names its package", test_a_missing_library_names_its_package },
	  { "a library that lacks a function fills in none", test_a_library_that_lacks_a_function_fills_in_none })
