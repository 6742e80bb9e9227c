/*
 * Longer looks at the runtime, each on demand:
 *	LXM_TEST_ROOTFS=DIR	boot a Debian tree with systemd until it says `running`, reboot it, power it off
 *	LXM_TEST_BENCH=N	times of N starts, program runs and kills of busybox, with a bridge port
 *	LXM_TEST_MANY=N		N instances at once; memory of their monitors
 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "lxmd/instance/seccomp.h"
#include "tests/unit/boot.h"

#define OK(expr)                                                         \
	do {                                                             \
		int ok_r = (expr);                                       \
		if (ok_r != 0)                                           \
			printf("\n    %s: %d %s\n", #expr, ok_r, e.msg); \
		CU_ASSERT_EQUAL(ok_r, 0);                                \
	} while (0)

static const char *wanted(const char *name)
{
	const char *v = getenv(name);

	if (!v || !boot_possible()) {
		printf(" (skipped) ");
		return NULL;
	}
	return v;
}

static void use_filter(struct boot *b, struct seccomp_cache **c)
{
	static const struct seccomp_want usual;
	struct lxm_err e = { 0 };

	OK(seccomp_cache_new("profiles", c, &e));
	OK(seccomp_get(*c, &usual, &b->seccomp, &e));
}

/* Asks systemd until it has settled. */
static void expect_running(struct boot *b, int64_t since)
{
	static const char *const ask[] = { "systemctl", "is-system-running", "--wait", NULL };
	static const char *const failed[] = { "systemctl", "--failed", "--no-legend", "--plain", NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 }, list = { 0 };
	struct lxm_err e = { 0 };
	int i, r = -1;

	for (i = 0; i < 300; i++) {
		out.len = 0;
		r = boot_exec(b, ask, NULL, &out, &e);
		if (r == 0 || (out.len && strncmp(out.data, "degraded", 8) == 0))
			break;
		usleep(20000);
	}
	printf("\n    systemd: %d %.*s after %lld ms", r, (int)strcspn(out.data, "\n"), out.data, (long long)(lxm_mono_ms() - since));
	CU_ASSERT_EQUAL(r, 0);
	(void)boot_exec(b, failed, NULL, &list, &e);
	CU_ASSERT_STRING_EQUAL(list.data, "");
}

static void systemd_reaches_running(void)
{
	static const char *const script[] = { "/bin/sh", "-c", "cat /proc/1/comm; hostname; cat /proc/self/uid_map; mount | grep -c cgroup", NULL };
	static const char *const reboot[] = { "systemctl", "reboot", NULL };
	const char *image = wanted("LXM_TEST_ROOTFS");
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct seccomp_cache *c = NULL;
	struct lxm_err e = { 0 };
	struct mon_msg m = { 0 };
	struct boot b;
	int64_t t;

	if (!image)
		return;
	OK(boot_setup(&b, "systemd", &e));
	use_filter(&b, &c);
	b.image = image;
	b.veth = boot_veth();
	t = lxm_mono_ms();
	OK(boot_start(&b, &e));
	expect_running(&b, t);
	(void)boot_exec(&b, script, NULL, &out, &e);
	printf("\n%s", out.data);
	(void)boot_exec(&b, reboot, NULL, NULL, &e);
	CU_ASSERT(boot_expect(&b, MON_REBOOTED, 30000, &m));
	t = lxm_mono_ms();
	expect_running(&b, t);
	t = lxm_mono_ms();
	OK(boot_ask(&b, MON_STOP, 0, &e));
	CU_ASSERT(boot_expect(&b, MON_STOPPED, 30000, &m));
	printf("\n    stopped (%s) after %lld ms ", mon_reason_name(m.reason), (long long)(lxm_mono_ms() - t));
	CU_ASSERT_EQUAL(m.reason, MON_REASON_POWEROFF);
	CU_ASSERT_EQUAL(boot_reap(&b), 0);
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	boot_teardown(&b);
	seccomp_cache_free(c);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void show(const char *what, int64_t *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	printf("\n    %-22s median %6lld us, best tenth %6lld, worst tenth %6lld", what, (long long)v[n / 2], (long long)v[n / 10], (long long)v[n * 9 / 10]);
}

static void times_of_a_life(void)
{
	static const char *const yes[] = { "true", NULL };
	const char *text = wanted("LXM_TEST_BENCH");
	int64_t start[1000], run[1000], stop[1000], gone[1000], t;
	struct seccomp_cache *c = NULL;
	struct lxm_err e = { 0 };
	struct mon_msg m;
	struct boot b;
	int i, n;

	if (!text)
		return;
	n = atoi(text) < 1000 ? atoi(text) : 1000;
	OK(boot_setup(&b, "bench", &e));
	use_filter(&b, &c);
	b.veth = boot_veth();
	b.bridge = getenv("LXM_TEST_BRIDGE");
	for (i = 0; i < n; i++) {
		usleep(20000);
		t = lxm_mono_us();
		OK(boot_start(&b, &e));
		start[i] = lxm_mono_us() - t;
		t = lxm_mono_us();
		OK(boot_exec(&b, yes, NULL, NULL, &e));
		run[i] = lxm_mono_us() - t;
		t = lxm_mono_us();
		OK(boot_ask(&b, MON_KILL, 0, &e));
		CU_ASSERT(boot_expect(&b, MON_STOPPED, 5000, &m));
		stop[i] = lxm_mono_us() - t;
		CU_ASSERT_EQUAL(boot_reap(&b), 0);
		gone[i] = lxm_mono_us() - t;
	}
	show("start", start, n);
	show("run true", run, n);
	show("kill until STOPPED", stop, n);
	show("kill until gone", gone, n);
	printf("\n");
	boot_teardown(&b);
	seccomp_cache_free(c);
}

static long pss_kb(pid_t pid)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	char path[64];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if (lxm_read_file(path, 1 << 16, &text) < 0 || !(p = strstr(text.data, "\nPss:")))
		return -1;
	return strtol(p + 5, NULL, 10);
}

static void many_at_once(void)
{
	const char *text = wanted("LXM_TEST_MANY");
	struct lxm_err e = { 0 };
	struct boot *b;
	long sum = 0;
	int i, n;

	if (!text)
		return;
	n = atoi(text);
	b = calloc((size_t)n, sizeof(*b));
	for (i = 0; i < n; i++) {
		char name[16];
		struct mon_hello own = MON_HELLO_EMPTY;
		int sock = -1;

		snprintf(name, sizeof(name), "many%d", i);
		OK(boot_setup(&b[i], name, &e));
		if (i) { /* one spawner for all, as in lxmd: text pages are shared */
			spawner_free(b[i].spawner);
			b[i].spawner = b[0].spawner;
		}
		OK(boot_start(&b[i], &e));
		OK(mon_connect(b[i].rundir, 1000, &sock, &own, &e));
		mon_hello_deinit(&own);
		auto_fd_close(&sock);
	}
	for (i = 0; i < n; i++) {
		struct ucred peer;
		socklen_t len = sizeof(peer);
		int sock = lxm_unix_connect(b[i].rundir, MON_SOCKET, SOCK_SEQPACKET);

		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
			sum += pss_kb(peer.pid);
		auto_fd_close(&sock);
	}
	printf("\n    monitor's PSS with %d of them: %ld KB each", n, sum / (n ? n : 1));
	for (i = n - 1; i >= 0; i--) {
		struct mon_msg m;

		(void)boot_ask(&b[i], MON_KILL, 0, &e);
		CU_ASSERT(boot_expect(&b[i], MON_STOPPED, 5000, &m));
		CU_ASSERT_EQUAL(boot_reap(&b[i]), 0);
		if (i)
			b[i].spawner = NULL;
		boot_teardown(&b[i]);
	}
	free(b);
}

UNIT_MAIN("runtime/system", { "systemd reaches running", systemd_reaches_running }, { "times of a life", times_of_a_life },
	  { "many at once", many_at_once })
