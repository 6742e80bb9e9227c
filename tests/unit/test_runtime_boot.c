/* The runtime as a whole: spawn, monitor and helper boot a busybox instance. Needs root; passes as skipped without. */
#include "tests/unit/unit.h"

#include "tests/unit/boot.h"

#define NEED_ROOT()                                    \
	do {                                           \
		if (!boot_possible()) {                \
			printf(" (skipped) ");         \
			return;                        \
		}                                      \
	} while (0)

#define OK(expr)                                                      \
	do {                                                          \
		int ok_r = (expr);                                    \
		if (ok_r != 0)                                        \
			printf("\n    %s: %d %s\n", #expr, ok_r, e.msg); \
		CU_ASSERT_EQUAL(ok_r, 0);                             \
	} while (0)

static void boots_execs_and_is_killed(void)
{
	static const char *const yes[] = { "true", NULL };
	struct lxm_err e = { 0 };
	struct mon_msg m;
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "kill", &e));
	OK(boot_start(&b, &e));
	CU_ASSERT(b.hello.pid > 0 && b.hello.pidfd >= 0 && b.hello.netlink >= 0);
	OK(boot_exec(&b, yes, NULL, NULL, &e));
	OK(boot_ask(&b, MON_KILL, 0, &e));
	CU_ASSERT(boot_expect(&b, MON_STOPPED, 5000, &m));
	CU_ASSERT(m.reason == MON_REASON_SIGNAL && m.status == SIGKILL);
	CU_ASSERT_EQUAL(boot_reap(&b), 0);
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	boot_teardown(&b);
}

UNIT_MAIN("runtime/boot", { "boots, runs a program, is killed", boots_execs_and_is_killed })
