/*
 * mount(2) done by a program of the container's, as `PROGRAM SOURCE TARGET [-o OPTIONS]`. Runs in a process of its own for one call, whose child
 * enters everything that the caller is in, becomes root there and takes on what binds every process of the container: its cgroups,
 * bounding set, AppArmor label and filter. Then it executes what the container's PATH has under that name. Nothing of the host is
 * left with it, so it does not matter what the container puts there.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/monitor/intercept.h"

static int join_all(const struct call *c)
{
	struct plan_step p;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && plan_next_of(c->plan, PLAN_CGROUP, &pos, &p))
		r = call_join(c, &p.u.cgroup);
	return r;
}

/* The user namespace is the last of the list: after it no other can be entered. */
static int enter(const struct call *c)
{
	static const struct {
		const char *file;
		int kind;
	} ns[] = { { "ns/ipc", CLONE_NEWIPC }, { "ns/uts", CLONE_NEWUTS }, { "ns/net", CLONE_NEWNET }, { "ns/cgroup", CLONE_NEWCGROUP },
		   { "ns/mnt", CLONE_NEWNS }, { "ns/user", CLONE_NEWUSER } };
	int fds[LXM_ARRAY_LEN(ns)], root = openat(c->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int cwd = openat(c->proc, "cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(ns); i++)
		fds[i] = openat(c->proc, ns[i].file, O_RDONLY | O_CLOEXEC);
	if (root < 0 || cwd < 0 || !call_valid(c))
		return -ESRCH;
	for (i = 0; i < LXM_ARRAY_LEN(ns); i++) {
		/* a root is changed with the host's rights */
		if (ns[i].kind == CLONE_NEWUSER && (fchdir(root) < 0 || chroot(".") < 0 || fchdir(cwd) < 0))
			return -errno;
		if (fds[i] < 0 || setns(fds[i], ns[i].kind) < 0)
			return -errno;
	}
	return 0;
}

/* ---- the child: everything that init of the container has on it */

static int take_label(const struct call *c, int proc)
{
	lxm_auto(fd_close) int fd = -1;
	struct plan_step p;
	char line[1100];
	int n;

	if (!plan_find(c->plan, PLAN_APPARMOR, &p))
		return 0;
	fd = openat(proc, "thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fd = openat(proc, "thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
	n = snprintf(line, sizeof(line), "exec %s", p.u.apparmor.label);
	return fd >= 0 && write(fd, line, (size_t)n) == n ? 0 : -EACCES;
}

static int take_caps(const struct call *c)
{
	struct plan_step p;
	unsigned long cap;

	if (!plan_find(c->plan, PLAN_CAPS, &p))
		return -EPERM;
	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(p.u.caps.keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return prctl(PR_SET_SECUREBITS, 0) < 0 ? -errno : 0;
}

static int take_filter(const struct call *c)
{
	const struct wire_bytes *b = &c->want->inner;
	struct sock_fprog prog = { .len = (unsigned short)(b->len / sizeof(struct sock_filter)) };

	if (!prog.len)
		return 0;
	memcpy(&prog.filter, &b->data, sizeof(prog.filter));
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? -errno : 0;
}

static int become_inner(const struct call *c, int proc)
{
	int r = take_label(c, proc);

	if (r == 0)
		r = enter(c);
	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return -errno;
	(void)prctl(PR_SET_DUMPABLE, 0);
	r = take_caps(c);
	return r < 0 ? r : take_filter(c);
}

/* Stops at the first directory of the PATH that has it. */
static void execute(const struct call *c, const struct call_mount_args *a, const char *options)
{
	static const char *const dirs[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	static char *const env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	char path[256], *argv[] = { path, (char *)a->source, (char *)a->target, (char *)(*options ? "-o" : NULL), (char *)options, NULL };
	int null = open("/dev/null", O_RDWR | O_NONBLOCK);
	size_t i;

	/* ours are the host's, its log among them: where the container has taken /dev/null away there are none */
	for (i = 0; null >= 0 && i < 3; i++)
		if (dup2(null, (int)i) < 0)
			return;
	(void)sys_close_range(null < 0 ? 0 : 3, ~0U, 0);
	(void)umask(c->umask);
	for (i = 0; i < LXM_ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%.*s", dirs[i], (int)a->program_len, a->program);
		(void)execve(path, argv, env);
		if (errno != ENOENT && errno != ENOTDIR)
			return;
	}
}

static void program_main(const struct call *c, const struct call_mount_args *a, int proc) __attribute__((noreturn));
static void program_main(const struct call *c, const struct call_mount_args *a, int proc)
{
	char options[sizeof(a->data) + 32];

	snprintf(options, sizeof(options), "%s%s%s", a->flags & MS_RDONLY ? "ro" : "", a->flags & MS_RDONLY && *a->data ? "," : "", a->data);
	if (become_inner(c, proc) == 0)
		execute(c, a, options);
	_exit(127);
}

int64_t call_mount_fuse(struct call *c, const struct call_mount_args *a)
{
	lxm_auto(fd_close) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), pidns = openat(c->proc, "ns/pid", O_RDONLY | O_CLOEXEC);
	int status, r;
	pid_t pid;

	/* words that begin with a dash would be options of the program */
	if (a->source[0] == '-' || a->target[0] == '-')
		return -EINVAL;
	r = join_all(c);
	if (r < 0)
		return r;
	if (proc < 0 || pidns < 0 || !call_valid(c) || setns(pidns, CLONE_NEWPID) < 0)
		return -ESRCH;
	pid = fork();
	if (pid == 0)
		program_main(c, a, proc);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}
