/* lxmd/monitor/device_bpf with lib/wire/cgroup_devices: device rules on cgroup v2. Needs root; passes as skipped without. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/wire/cgroup.h"
#include "lxmd/monitor/device_bpf.h"

static struct cgroup_layout v2; /* as if the host had nothing else */
static char parent[48], path[64];

static bool set_up(void)
{
	struct cgroup_layout l;
	const struct cgroup_hier *h;
	lxm_auto(fd_close) int dir = -1;

	if (geteuid() != 0 || cgroup_layout_read(&l, NULL) < 0 || !(h = cgroup_unified(&l))) {
		printf(" (skipped) ");
		return false;
	}
	memset(&v2, 0, sizeof(v2));
	v2.h[v2.n++] = *h;
	v2.pure_v2 = true;
	snprintf(parent, sizeof(parent), "lxm.unit%d", (int)getpid());
	snprintf(path, sizeof(path), "%s/1", parent);
	CU_ASSERT_FATAL(cgroup_parent_make(&v2, parent, NULL) == 0);
	dir = cgroup_open(&v2, "unified", parent, ".", O_RDONLY | O_DIRECTORY);
	CU_ASSERT_FATAL(dir >= 0 && mkdirat(dir, "1", 0755) == 0);
	return true;
}

static int group(void)
{
	return cgroup_open(&v2, "unified", path, ".", O_RDONLY | O_DIRECTORY);
}

/* Can a process of the group open that for reading? -1: it could not even join. */
static int can_open(const char *node, int how)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char text[16];
		int fd = group();

		snprintf(text, sizeof(text), "%d", (int)getpid());
		if (fd < 0 || lxm_write_str_at(fd, "cgroup.procs", text) < 0)
			_exit(2);
		_exit(open(node, how | O_CLOEXEC) < 0);
	}
	CU_ASSERT_FATAL(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status) == 2 ? -1 : !WEXITSTATUS(status);
}

static struct plan *rules(const struct plan_cgroup_dev *v, size_t n)
{
	struct plan *p = plan_new();
	size_t i;

	CU_ASSERT(plan_add(p, &(struct plan_step){ PLAN_IDENTITY, .u.identity = { "x", "p/x", "x" } }, NULL) == 0);
	CU_ASSERT(plan_add(p, &(struct plan_step){ PLAN_OPTIONS, .u.options = { PLAN_PRIVILEGED, 0, 0 } }, NULL) == 0);
	CU_ASSERT(plan_add(p, &(struct plan_step){ PLAN_ROOT, .u.root = { PLAN_ROOT_BIND, 0, "/nowhere" } }, NULL) == 0);
	CU_ASSERT(plan_arg(p, "/sbin/init", NULL) == 0);
	for (i = 0; i < n; i++)
		CU_ASSERT(plan_add(p, &(struct plan_step){ PLAN_CGROUP_DEV, .u.cgroup_dev = v[i] }, NULL) == 0);
	return p;
}

static void attach(const struct plan_cgroup_dev *v, size_t n)
{
	lxm_auto(plan_free) struct plan *p = rules(v, n);
	lxm_auto(fd_close) int fd = -1, dir = group();
	struct plan_view view = { 0 };
	struct lxm_err e = { 0 };

	CU_ASSERT(plan_seal(p, &fd, &e) == 0 && plan_open(fd, &view, &e) == 0);
	CU_ASSERT(device_bpf_attach(&view, dir, &e) == 0);
	if (e.code)
		printf("%s\n", e.msg);
	plan_close(&view);
}

static void tear_down(void)
{
	CU_ASSERT(cgroup_remove(&v2, path, 2000, NULL) == 0);
	cgroup_parent_remove(&v2, parent);
}

static void rules_hold(void)
{
	static const struct plan_cgroup_dev v[] = { { 1, 'c', 1, -1, "r" }, { 1, 'c', 1, 3, "rwm" }, { 0, 'c', 1, 7, "r" } };

	if (!set_up())
		return;
	CU_ASSERT(can_open("/dev/full", O_RDONLY) == 1);
	attach(v, LXM_ARRAY_LEN(v));
	CU_ASSERT(can_open("/dev/null", O_RDWR) == 1);
	CU_ASSERT(can_open("/dev/zero", O_RDONLY) == 1);
	CU_ASSERT(can_open("/dev/zero", O_WRONLY) == 0);
	CU_ASSERT(can_open("/dev/full", O_RDONLY) == 0);
	CU_ASSERT(can_open("/dev/ptmx", O_RDONLY) == 0);
	tear_down();
}

static void devices_come_and_go(void)
{
	static const struct plan_cgroup_dev v[] = { { 1, 'c', 1, 3, "rwm" }, { 1, 'c', 1, 5, "rwm" } };
	struct lxm_err e = { 0 };

	if (!set_up())
		return;
	attach(v, LXM_ARRAY_LEN(v));
	CU_ASSERT(can_open("/dev/full", O_RDWR) == 0);
	CU_ASSERT(cgroup_device_rule(&v2, path, 'c', 1, 7, true, &e) == 0);
	CU_ASSERT(can_open("/dev/full", O_RDWR) == 1);
	CU_ASSERT(cgroup_device_rule(&v2, path, 'b', 1, 7, false, &e) == 0);
	CU_ASSERT(can_open("/dev/full", O_RDWR) == 1);
	CU_ASSERT(cgroup_device_rule(&v2, path, 'c', 1, 7, false, &e) == 0);
	CU_ASSERT(can_open("/dev/full", O_RDONLY) == 0);
	/* one that the rules of the start allow */
	CU_ASSERT(cgroup_device_rule(&v2, path, 'c', 1, 5, false, &e) == 0);
	CU_ASSERT(can_open("/dev/zero", O_RDONLY) == 0 && can_open("/dev/null", O_RDWR) == 1);
	CU_ASSERT(cgroup_device_rule(&v2, path, 'c', 1, 5, true, &e) == 0);
	CU_ASSERT(can_open("/dev/zero", O_RDWR) == 1);
	CU_ASSERT(e.code == 0);
	tear_down();
}

static void without_a_program_nothing_can_change(void)
{
	struct lxm_err e = { 0 };

	if (!set_up())
		return;
	CU_ASSERT(cgroup_device_rule(&v2, path, 'c', 1, 7, true, &e) == -EOPNOTSUPP);
	tear_down();
}

UNIT_MAIN("monitor device_bpf", { "rules hold", rules_hold }, { "devices come and go", devices_come_and_go },
	  { "without a program nothing can change", without_a_program_nothing_can_change })
