/* lxmd/instance/size: sizes by one word. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/instance/size.h"

static void whole_and_parts(void)
{
	lxm_auto(kv) struct lxm_kv a = { 0 }, b = { 0 };

	CU_ASSERT(instance_size("c2-m4", &a, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&a, "limits.cpu", ""), "2");
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&a, "limits.memory", ""), "4096MiB");
	CU_ASSERT_PTR_NULL(lxm_kv_get(&a, "limits.cpu.allowance"));
	CU_ASSERT(instance_size("m0.25-c1.5", &b, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&b, "limits.cpu", ""), "2");
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&b, "limits.cpu.allowance", ""), "75%");
	CU_ASSERT_STRING_EQUAL(lxm_kv_or(&b, "limits.memory", ""), "256MiB");
}

static void what_is_set_wins(void)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	lxm_kv_set(&kv, "limits.memory", "1GiB");
	CU_ASSERT(instance_size("c1-m4", &kv, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&kv, "limits.memory"), "1GiB");
}

static void everything_else_is_refused(void)
{
	static const char *const bad[] = { "huge", "", "-", "c", "c2-", "c2-m", "c2-c2", "c-1", "c0", "c1.", "c.5", "c1.555",
					   "c2m4",  "m99999999999999999999", "t2.micro", "c1..5", "c 1" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		lxm_auto(kv) struct lxm_kv kv = { 0 };
		struct lxm_err e = { 0 };

		CU_ASSERT(instance_size(bad[i], &kv, &e) == -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "c2-m4"));
		CU_ASSERT(kv.n == 0);
	}
}

UNIT_MAIN("instance/size", { "whole and parts", whole_and_parts }, { "what is set wins", what_is_set_wins },
	  { "everything else is refused", everything_else_is_refused })
