/* The runtime as a whole: spawn, monitor and helper boot a busybox instance. Needs root; passes as skipped without. */
#include "tests/unit/unit.h"

#include <sys/mount.h>

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

/* Ends the instance whatever state it is in and checks that nothing is left. */
static void finish(struct boot *b)
{
	struct lxm_err e = { 0 };
	struct mon_msg m;

	if (b->sock >= 0 && boot_ask(b, MON_KILL, 0, &e) == 0)
		CU_ASSERT(boot_expect(b, MON_STOPPED, 5000, &m));
	CU_ASSERT_EQUAL(boot_reap(b), 0);
	CU_ASSERT_EQUAL(boot_leftovers(b), 0);
	boot_teardown(b);
}

static void boots_execs_and_is_killed(void)
{
	static const char *const yes[] = { "true", NULL };
	struct lxm_err e = { 0 };
	struct mon_msg m;
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "kill", &e));
	b.veth = boot_veth();
	OK(boot_start(&b, &e));
	CU_ASSERT(b.hello.pid > 0 && b.hello.pidfd >= 0 && b.hello.netlink >= 0);
	CU_ASSERT(if_nametoindex(boot_veth()) > 0);
	OK(boot_exec(&b, yes, NULL, NULL, &e));
	OK(boot_ask(&b, MON_KILL, 0, &e));
	CU_ASSERT(boot_expect(&b, MON_STOPPED, 5000, &m));
	CU_ASSERT(m.reason == MON_REASON_SIGNAL && m.status == SIGKILL);
	CU_ASSERT_EQUAL(boot_reap(&b), 0);
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	boot_teardown(&b);
}

static void stops_by_inits_own_signal(void)
{
	struct lxm_err e = { 0 };
	struct mon_msg m;
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "stop", &e));
	OK(boot_start(&b, &e));
	OK(boot_ask(&b, MON_STOP, 0, &e)); /* busybox has not set up its signals yet */
	CU_ASSERT(boot_expect(&b, MON_STOPPED, 10000, &m));
	CU_ASSERT_EQUAL(m.reason, MON_REASON_POWEROFF);
	CU_ASSERT_EQUAL(boot_reap(&b), 0);
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	CU_ASSERT_NOT_EQUAL(faccessat(b.rundir, MON_STOPPED_FILE, F_OK, 0), 0);
	boot_teardown(&b);
}

static void an_end_without_lxmd_is_written_down(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "away", &e));
	OK(boot_start(&b, &e));
	auto_fd_close(&b.sock);
	OK(mon_call(b.rundir, MON_STOP, 0, 0, 0, -1, 2000, NULL, NULL, &e));
	CU_ASSERT_EQUAL(boot_reap(&b), 0);
	CU_ASSERT(lxm_read_file_at(b.rundir, MON_STOPPED_FILE, 100, &text) == 0);
	CU_ASSERT_STRING_EQUAL(text.data, "poweroff 0\n");
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	boot_teardown(&b);
}

static void reboots_without_lxmd(void)
{
	static const char *const reboot[] = { "reboot", NULL };
	static const char *const note[] = { "cat", "/etc/deep/er/note", NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };
	struct mon_msg m;
	struct boot b;
	int32_t pid;

	NEED_ROOT();
	OK(boot_setup(&b, "reboot", &e));
	b.veth = boot_veth();
	OK(boot_start(&b, &e));
	pid = b.hello.pid;
	usleep(100000);
	(void)boot_exec(&b, reboot, NULL, NULL, &e); /* may be ended by the reboot itself */
	CU_ASSERT(boot_expect(&b, MON_REBOOTED, 10000, &m));
	CU_ASSERT(b.hello.pid > 0 && b.hello.pid != pid);
	CU_ASSERT_EQUAL(b.hello.reboots, 1);
	CU_ASSERT(if_nametoindex(boot_veth()) > 0);
	OK(boot_exec(&b, note, NULL, &out, &e));
	CU_ASSERT_STRING_EQUAL(out.data, "hello\n");
	finish(&b);
}

static void is_unprivileged_inside(void)
{
	static const char *const map[] = { "sh", "-c", "cat /proc/self/uid_map; id -u; cat /proc/sys/kernel/hostname; cat /proc/1/environ", NULL };
	static const char *const nod[] = { "mknod", "/tmp/x", "b", "8", "0", NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "ids", &e));
	OK(boot_start(&b, &e));
	OK(boot_exec(&b, map, NULL, &out, &e));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "1500000"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "\n0\nboxed\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "container=lxc"));
	CU_ASSERT_NOT_EQUAL(boot_exec(&b, nod, NULL, NULL, &e), 0);
	finish(&b);
}

static void sees_its_own_kernel_views(void)
{
	static const char *const look[] = { "sh", "-c",
					    "cat /proc/self/cgroup; ls -l /dev/null /dev/console /dev/pts/ptmx; cat /proc/kcore | cat; "
					    "echo 1 > /proc/sys/kernel/panic; ls /proc/1/fd; ip link; cat /proc/mounts",
					    NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "views", &e));
	OK(boot_start(&b, &e));
	(void)boot_exec(&b, look, NULL, &out, &e);
	CU_ASSERT_PTR_NULL(strstr(out.data, b.id)); /* cgroup roots are its own, no path of the host shows */
	CU_ASSERT_PTR_NULL(strstr(out.data, "nobody"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "kernel/panic: Permission denied"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "lo: <LOOPBACK,UP,LOWER_UP>"));
	if (getenv("LXM_TEST_VERBOSE"))
		puts(out.data);
	finish(&b);
}

static void exec_reports_failures_and_statuses(void)
{
	static const char *const none[] = { "no-such-program", NULL }, *const dir[] = { "/etc", NULL }, *const seven[] = { "sh", "-c", "exit 7", NULL };
	static const char *const dies[] = { "sh", "-c", "kill -9 $$", NULL }, *const yes[] = { "true", NULL };
	struct exec_job nowhere = { .cwd = "/no/where" }, leak = { .cwd = "/proc/self/fd/4" };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "status", &e));
	OK(boot_start(&b, &e));
	CU_ASSERT_EQUAL(boot_exec(&b, none, NULL, NULL, &e), 127);
	CU_ASSERT_STRING_EQUAL(e.msg, "execute 'no-such-program': No such file or directory");
	CU_ASSERT_EQUAL(boot_exec(&b, dir, NULL, NULL, &e), 126);
	CU_ASSERT_EQUAL(boot_exec(&b, seven, NULL, NULL, &e), 7);
	CU_ASSERT_EQUAL(boot_exec(&b, dies, NULL, NULL, &e), 137);
	CU_ASSERT_EQUAL(boot_exec(&b, yes, &nowhere, NULL, &e), 126);
	CU_ASSERT_EQUAL(boot_exec(&b, yes, &leak, NULL, &e), 126);
	finish(&b);
}

static void exec_takes_identity_and_terminal(void)
{
	static const char *const id[] = { "sh", "-c", "id; cat /proc/self/status | while read l; do case $l in CapEff*) echo $l;; esac; done; touch /x", NULL };
	static const char *const tty[] = { "sh", "-c", "tty; stty size; ls /proc/self/fd", NULL };
	static const uint32_t groups[] = { 44 };
	struct exec_job user = { .uid = 1000, .gid = 100, .groups = groups, .ngroups = 1, .cwd = "/tmp" };
	struct exec_job pty = { .pty = true, .rows = 33, .cols = 99 };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "user", &e));
	OK(boot_start(&b, &e));
	CU_ASSERT_NOT_EQUAL(boot_exec(&b, id, &user, &out, &e), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "uid=1000 gid=100 groups=44"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "0000000000000000"));
	lxm_buf_deinit(&out);
	OK(boot_exec(&b, tty, &pty, &out, &e));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "/dev/pts/"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "33 99"));
	CU_ASSERT_PTR_NULL(strstr(out.data, "4")); /* 0, 1, 2 and the directory itself: nothing leaked */
	finish(&b);
}

static void console_is_kept_and_attached(void)
{
	static const char typed[] = "\nstty size; echo a$((40+2))b\n";
	lxm_auto(fd_close) int log = -1, console = -1, second = -1;
	struct lxm_err e = { 0 };
	char text[4096] = { 0 };
	size_t n = 0;
	struct boot b;
	int i;

	NEED_ROOT();
	OK(boot_setup(&b, "console", &e));
	OK(boot_start(&b, &e));
	usleep(200000);
	OK(mon_call(b.rundir, MON_CONSOLE, 0, 50, 132, -1, 2000, NULL, &console, &e));
	CU_ASSERT_EQUAL(mon_call(b.rundir, MON_CONSOLE, 0, 0, 0, -1, 2000, NULL, &second, &e), -EBUSY);
	CU_ASSERT(console >= 0 && lxm_write_all(console, typed, strlen(typed)) == 0);
	for (i = 0; i < 40 && !strstr(text, "a42b"); i++) {
		struct pollfd p = { .fd = console, .events = POLLIN };

		if (poll(&p, 1, 100) == 1 && n < sizeof(text) - 1) {
			ssize_t got = read(console, text + n, sizeof(text) - 1 - n);

			n += got > 0 ? (size_t)got : 0;
		}
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "a42b"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "50 132"));
	if (getenv("LXM_TEST_VERBOSE"))
		puts(text);
	OK(mon_call(b.rundir, MON_CONSOLE_LOG, 0, 0, 0, -1, 2000, NULL, &log, &e));
	n = (size_t)pread(log, text, sizeof(text) - 1, 0);
	text[n] = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "a42b"));
	finish(&b);
}

static void privileged_ones_boot_too(void)
{
	static const char *const look[] = { "sh", "-c", "cat /proc/self/uid_map; echo 1 > /proc/sys/kernel/panic; mount -o remount,rw /sys; echo w > /sys/kernel/x", NULL };
	lxm_auto(buf) struct lxm_buf out = { 0 };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "priv", &e));
	b.options = PLAN_PRIVILEGED;
	OK(boot_start(&b, &e));
	(void)boot_exec(&b, look, NULL, &out, &e);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "4294967295"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "Read-only file system"));
	finish(&b);
}

static void roots_may_be_bind_mounts(void)
{
	static const char *const touch[] = { "touch", "/tmp/made", NULL };
	char path[128];
	struct lxm_err e = { 0 };
	struct stat st;
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "bind", &e));
	b.bind = true;
	snprintf(path, sizeof(path), "%s/image", b.dir);
	OK(mount(path, path, NULL, MS_BIND, NULL)); /* as systemd leaves every mount of a host */
	OK(mount(NULL, path, NULL, MS_SHARED, NULL));
	OK(boot_start(&b, &e));
	OK(boot_exec(&b, touch, NULL, NULL, &e));
	snprintf(path, sizeof(path), "%s/image/tmp/made", b.dir);
	CU_ASSERT(stat(path, &st) == 0 && st.st_uid == 0); /* unshifted on disk */
	snprintf(path, sizeof(path), "%s/image", b.dir);
	CU_ASSERT_EQUAL(umount2(path, MNT_DETACH), 0);
	finish(&b);
}

static void failures_come_back_as_one_chain(void)
{
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "fail", &e));
	b.init = "/sbin/missing";
	CU_ASSERT_EQUAL(boot_start(&b, &e), -ENOENT);
	CU_ASSERT_STRING_EQUAL(e.msg, "execute '/sbin/missing': No such file or directory");
	(void)boot_reap(&b);
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	b.init = NULL;
	b.veth = boot_veth();
	b.bridge = "no-such-bridge";
	CU_ASSERT_EQUAL(boot_start(&b, &e), -ENODEV);
	CU_ASSERT_STRING_EQUAL(e.msg, "network interface 'eth0': there is no link 'no-such-bridge' on the host");
	(void)boot_reap(&b);
	CU_ASSERT_EQUAL(boot_leftovers(&b), 0);
	boot_teardown(&b);
}

static void a_later_lxmd_adopts(void)
{
	struct mon_hello hello = MON_HELLO_EMPTY;
	struct lxm_err e = { 0 };
	struct boot b;
	int sock = -1;

	NEED_ROOT();
	OK(boot_setup(&b, "adopt", &e));
	OK(boot_start(&b, &e));
	auto_fd_close(&b.sock); /* the first lxmd is gone */
	OK(mon_connect(b.rundir, 2000, &sock, &hello, &e));
	CU_ASSERT(hello.pid == b.hello.pid && hello.state == MON_STATE_RUNNING && hello.pidfd >= 0 && hello.netlink >= 0);
	mon_hello_deinit(&hello);
	b.sock = sock;
	finish(&b);
}

static void killing_the_monitor_ends_the_instance(void)
{
	struct pollfd p = { .events = POLLIN };
	lxm_auto(strv) struct lxm_strv ids = { 0 };
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "orphan", &e));
	OK(boot_start(&b, &e));
	p.fd = b.hello.pidfd;
	spawn_kill(&b.pidfd);
	CU_ASSERT_EQUAL(poll(&p, 1, 3000), 1);
	OK(cgroup_list(&b.layout, boot_parent(), &ids, &e));
	CU_ASSERT(lxm_strv_has(&ids, b.id)); /* this is how lxmd finds what to clean */
	OK(cgroup_kill(&b.layout, b.cgroup, &e));
	OK(cgroup_remove(&b.layout, b.cgroup, 2000, &e));
	/* the stale socket does not stop the next start */
	auto_fd_close(&b.sock);
	mon_hello_deinit(&b.hello);
	OK(boot_start(&b, &e));
	finish(&b);
}

static void freezes_and_goes_on(void)
{
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "freeze", &e));
	OK(boot_start(&b, &e));
	OK(cgroup_freeze(&b.layout, b.cgroup, true, 2000, &e));
	CU_ASSERT_EQUAL(cgroup_frozen(&b.layout, b.cgroup), 1);
	OK(cgroup_freeze(&b.layout, b.cgroup, false, 2000, &e));
	CU_ASSERT_EQUAL(cgroup_frozen(&b.layout, b.cgroup), 0);
	finish(&b);
}

static int only_null_and_terminals(struct plan *p, struct lxm_err *e)
{
	static const struct plan_cgroup_dev rules[] = {
		{ 1, 'c', 1, 3, "rwm" }, { 1, 'c', 1, 7, "rw" }, { 0, 'c', 1, 7, "w" }, { 1, 'c', 5, -1, "rwm" }, { 1, 'c', 136, -1, "rw" },
	};
	size_t i;
	int r = 0;

	for (i = 0; i < LXM_ARRAY_LEN(rules) && r == 0; i++)
		r = plan_add(p, &(struct plan_step){ .kind = PLAN_CGROUP_DEV, .u.cgroup_dev = rules[i] }, e);
	return r;
}

/* The same rules on v1 files and, with the unified hierarchy alone, as a BPF program. */
static void check_device_rules(struct boot *b)
{
	static const char *const zero[] = { "sh", "-c", "cat < /dev/zero", NULL }, *const null[] = { "sh", "-c", "echo x > /dev/null", NULL };
	static const char *const full_read[] = { "sh", "-c", "exec 3</dev/full", NULL }, *const full_write[] = { "sh", "-c", "exec 3>/dev/full", NULL };
	static const char *const disk[] = { "mknod", "/tmp/sda", "b", "8", "0", NULL };
	struct lxm_err e = { 0 };

	b->options = PLAN_PRIVILEGED;
	b->more = only_null_and_terminals;
	OK(boot_start(b, &e));
	OK(boot_exec(b, null, NULL, NULL, &e));
	OK(boot_exec(b, full_read, NULL, NULL, &e));
	CU_ASSERT_NOT_EQUAL(boot_exec(b, full_write, NULL, NULL, &e), 0);
	CU_ASSERT_NOT_EQUAL(boot_exec(b, zero, NULL, NULL, &e), 0);
	CU_ASSERT_NOT_EQUAL(boot_exec(b, disk, NULL, NULL, &e), 0);
}

static void device_rules_hold_on_v1(void)
{
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "devs1", &e));
	check_device_rules(&b);
	finish(&b);
}

/* As on a host without v1: only the unified hierarchy is used. */
static void the_unified_hierarchy_is_enough(void)
{
	const struct cgroup_hier *u;
	struct lxm_err e = { 0 };
	struct boot b;

	NEED_ROOT();
	OK(boot_setup(&b, "v2", &e));
	u = cgroup_unified(&b.layout);
	if (u) {
		cgroup_parent_remove(&b.layout, boot_parent());
		b.layout.h[0] = *u;
		b.layout.n = 1;
		b.layout.pure_v2 = true;
		OK(cgroup_parent_make(&b.layout, boot_parent(), &e));
		check_device_rules(&b);
		OK(cgroup_freeze(&b.layout, b.cgroup, true, 2000, &e));
		CU_ASSERT_EQUAL(cgroup_frozen(&b.layout, b.cgroup), 1);
		OK(cgroup_freeze(&b.layout, b.cgroup, false, 2000, &e));
	}
	finish(&b);
}

UNIT_MAIN("runtime/boot", { "boots, runs a program, is killed", boots_execs_and_is_killed }, { "stops by init's own signal", stops_by_inits_own_signal },
	  { "an end without lxmd is written down", an_end_without_lxmd_is_written_down },
	  { "reboots without lxmd", reboots_without_lxmd }, { "is unprivileged inside", is_unprivileged_inside },
	  { "sees its own kernel views", sees_its_own_kernel_views }, { "exec reports failures and statuses", exec_reports_failures_and_statuses },
	  { "exec takes identity and terminal", exec_takes_identity_and_terminal }, { "console is kept and attached", console_is_kept_and_attached },
	  { "privileged ones boot too", privileged_ones_boot_too }, { "roots may be bind mounts", roots_may_be_bind_mounts },
	  { "failures come back as one chain", failures_come_back_as_one_chain }, { "a later lxmd adopts", a_later_lxmd_adopts },
	  { "killing the monitor ends the instance", killing_the_monitor_ends_the_instance }, { "freezes and goes on", freezes_and_goes_on },
	  { "device rules hold on v1", device_rules_hold_on_v1 }, { "the unified hierarchy is enough", the_unified_hierarchy_is_enough })
