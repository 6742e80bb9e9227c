/*
 * The child: from clone3() to init's execve. It runs in the container's new namespaces, first with the host's root still
 * visible, then pivoted. What needs the host's rights was prepared by the parent and comes as descriptors. Every failure goes up
 * the socket as one struct lxm_err; a successful exec closes it.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

typedef int (*step_fn)(struct start *s, const struct plan_step *p, struct lxm_err *e);

int hear(struct start *s, char want, int *fd_out, struct lxm_err *e)
{
	size_t nfds = 1;
	int fd = -1;
	char c = 0;
	ssize_t n = lxm_recv_fds(s->sock, &c, 1, &fd, &nfds, 0);

	if (n <= 0)
		_exit(1); /* the parent is gone, nobody is left to tell */
	if (c == TELL_NONE && want == TELL_FD)
		return 0;
	if (c != want || (want == TELL_FD) != (nfds == 1))
		return lxm_err_set(e, EPROTO, "start out of step: '%c' instead of '%c'", c, want);
	if (fd_out)
		*fd_out = fd;
	return 0;
}

/* Namespaces exist, ids are mapped: take them. */
static int stage_identity(struct start *s, struct lxm_err *e)
{
	if (setgroups(0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return lxm_err_sys(e, "become root of the container");
	/* after the change of ids, which clears it; see "orphans" in lib/wire/cgroup.h */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return lxm_err_sys(e, "tie init to the monitor");
	/* only now, when all cgroups are joined, so that their directories become the roots that the container sees */
	if (s->ncgroup && unshare(CLONE_NEWCGROUP) < 0)
		return lxm_err_sys(e, "make a cgroup namespace");
	/* lxmd's keys are none of the container's business */
	if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
		return lxm_err_sys(e, "make a session keyring");
	(void)umask(022);
	return 0;
}

static int run(struct start *s, enum plan_kind kind, step_fn fn, struct lxm_err *e)
{
	struct plan_step p;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && plan_next_of(&s->plan, kind, &pos, &p))
		r = fn(s, &p, e);
	return r;
}

/* With the host's /proc and /sys still in sight: make what belongs to the new namespaces. */
static int stage_outer(struct start *s, struct lxm_err *e)
{
	static const struct mount_param pts[] = { { "mode", "0620" }, { "gid", "5" }, { "ptmxmode", "0666" }, { "max", "1024" } };
	int r;

	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return lxm_err_sys(e, "cut mount propagation from the host");
	s->nmount = 0;
	r = run(s, PLAN_MOUNT, mount_step_make, e);
	if (r < 0)
		return r;
	s->pts = mountfd_new("devpts", "devpts", pts, LXM_ARRAY_LEN(pts), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
	if (s->pts < 0)
		return lxm_err_wrap(e, s->pts, "/dev/pts");
	return s->plan.options & PLAN_HOST_NET ? 0 : nic_loopback_up(e);
}

static int attach_at(int mount, int dirfd, const char *name, struct lxm_err *e)
{
	lxm_auto(fd_close) int target = -1;

	(void)mkdirat(dirfd, name, 0755);
	target = lxm_open_beneath(dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (target < 0)
		return lxm_err_sys(e, "open '/%s'", name);
	return mountfd_attach(mount, target, e);
}

/* Puts the root filesystem over the host's /proc of this namespace, a directory that exists everywhere. */
static int stage_root(struct start *s, struct lxm_err *e)
{
	lxm_auto(fd_close) int place = -1;
	int r = hear(s, TELL_FD, &s->root, e);

	if (r < 0)
		return r;
	place = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0)
		return lxm_err_sys(e, "open '/proc'");
	r = mountfd_attach(s->root, place, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "root filesystem");
	r = hear(s, TELL_FD, &s->dev, e);
	if (r == 0)
		r = attach_at(s->dev, s->root, "dev", e);
	if (r == 0)
		r = dev_borrow(s, e);
	if (r == 0)
		r = attach_at(s->pts, s->dev, "pts", e);
	if (r < 0)
		return lxm_err_wrap(e, r, "/dev");
	s->nmount = 0;
	r = run(s, PLAN_MOUNT, mount_step_attach, e);
	return r < 0 ? r : run(s, PLAN_PROTECT, protect_step, e);
}

/*
 * The console: a pty of the container's own devpts, its slave on /dev/console and its master with the monitor. Everything goes
 * by descriptors of mounts that were just made: an image cannot put a link in the way.
 */
static int stage_console(struct start *s, struct lxm_err *e)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct told told = { .what = TOLD_CONSOLE };
	lxm_auto(fd_close) int master = -1, node = -1, target = -1;
	int unlock = 0, r;
	unsigned int n = 0;
	struct plan_step p;
	char name[16];

	master = openat(s->pts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, &n) < 0)
		return lxm_err_sys(e, "make the console");
	s->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0)
		return lxm_err_sys(e, "open the console");
	if (plan_find(&s->plan, PLAN_CONSOLE, &p) && p.u.console.rows && p.u.console.cols)
		size = (struct winsize){ .ws_row = (unsigned short)p.u.console.rows, .ws_col = (unsigned short)p.u.console.cols };
	(void)ioctl(master, TIOCSWINSZ, &size);
	if (fchown(s->slave, 0, 5) < 0 || fchmod(s->slave, 0620) < 0)
		return lxm_err_sys(e, "own the console");
	snprintf(name, sizeof(name), "%u", n);
	node = mountfd_clone(s->pts, name, false, -1, 0, e);
	if (node < 0)
		return lxm_err_wrap(e, node, "console");
	target = openat(s->dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = target < 0 ? lxm_err_sys(e, "open '/dev/console'") : mountfd_attach(node, target, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "console");
	r = (int)lxm_send_fds(s->sock, &told, sizeof(told), &master, 1, 0);
	return r < 0 ? lxm_err_set(e, -r, "hand over the console") : 0;
}

static int stage_pivot(struct start *s, struct lxm_err *e)
{
	struct plan_step p;

	if (fchdir(s->root) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return lxm_err_sys(e, "make the root filesystem '/'");
	(void)plan_find(&s->plan, PLAN_IDENTITY, &p);
	if (sethostname(p.u.identity.hostname, strlen(p.u.identity.hostname)) < 0)
		return lxm_err_sys(e, "set host name '%s'", p.u.identity.hostname);
	return 0;
}

/* ---- the last steps: what init is to live with */

static int rlimit_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	struct rlimit r = { .rlim_cur = p->u.rlimit.soft, .rlim_max = p->u.rlimit.hard };

	if (setrlimit((__rlimit_resource_t)p->u.rlimit.resource, &r) < 0)
		return lxm_err_sys(e, "set limit %u", p->u.rlimit.resource);
	return 0;
}

static int caps_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	unsigned long c;

	for (c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (!(p->u.caps.keep >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return lxm_err_sys(e, "drop capability %lu", c);
	/* permitted and effective follow from the bounding set at exec */
	if (syscall(SYS_capget, &head, data) < 0)
		return lxm_err_sys(e, "read capabilities");
	data[0].inheritable = data[1].inheritable = 0;
	if (syscall(SYS_capset, &head, data) < 0)
		return lxm_err_sys(e, "clear inheritable capabilities");
	return 0;
}

/*
 * The profile is taken now, not at the exec: where an exec changes it the kernel forgets the death signal, and init would outlive
 * a monitor that is killed (security/apparmor/lsm.c, apparmor_bprm_committing_creds()). What is left to do here needs nothing that the
 * profile forbids.
 */
static int apparmor_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	/* thread-self is a link within this proc: by pid, which is 1 here */
	lxm_auto(fd_close) int fd = lxm_open_beneath(s->proc, "1/attr/apparmor/current", O_WRONLY, 0);
	char line[1100];
	int n = snprintf(line, sizeof(line), "changeprofile %s", p->u.apparmor.label);

	if (fd < 0)
		fd = lxm_open_beneath(s->proc, "1/attr/current", O_WRONLY, 0);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		return lxm_err_sys(e, "set AppArmor profile '%s'", p->u.apparmor.label);
	return 0;
}

/* What the filter does not answer by itself goes to a listener; the parent gives it to the one who answers. */
static int filter_with_listener(struct start *s, const struct sock_fprog *prog, struct lxm_err *e)
{
	const struct told told = { .what = TOLD_NOTIFY };
	lxm_auto(fd_close) int fd = sys_seccomp_listen(prog);
	ssize_t n;

	if (fd < 0)
		return lxm_err_sys(e, "load the system call filter");
	n = lxm_send_fds(s->sock, &told, sizeof(told), &fd, 1, 0);
	return n < 0 ? lxm_err_set(e, (int)-n, "hand over the system calls: %s", strerror((int)-n)) : 0;
}

static int seccomp_step(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	struct sock_fprog prog = { .len = (unsigned short)(p->u.seccomp.bpf.len / sizeof(struct sock_filter)) };

	struct plan_step want;

	memcpy(&prog.filter, &p->u.seccomp.bpf.data, sizeof(prog.filter));
	if (plan_find(&s->plan, PLAN_INTERCEPT, &want))
		return filter_with_listener(s, &prog, e);
	/* root inside has CAP_SYS_ADMIN in its namespace: no_new_privs, which would break sudo, is not needed */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return lxm_err_sys(e, "load the system call filter");
	return 0;
}

static int stage_terminal(struct start *s, struct lxm_err *e)
{
	if (setsid() < 0 && errno != EPERM)
		return lxm_err_sys(e, "make a session");
	if (ioctl(s->slave, TIOCSCTTY, 0) < 0)
		return lxm_err_sys(e, "take the console");
	if (dup2(s->slave, 0) < 0 || dup2(s->slave, 1) < 0 || dup2(s->slave, 2) < 0)
		return lxm_err_sys(e, "use the console");
	return 0;
}

static int exec_init(struct start *s, struct lxm_err *e)
{
	static char *argv[1025], *envp[4097];
	const struct told told = { .what = TOLD_EXEC };
	size_t pos = 0, na = 0, ne = 0;
	struct plan_step p;

	while (plan_next_of(&s->plan, PLAN_ARG, &pos, &p))
		argv[na++] = (char *)p.u.text.s;
	for (pos = 0; plan_next_of(&s->plan, PLAN_ENV, &pos, &p);)
		envp[ne++] = (char *)p.u.text.s;
	sys_signals_reset();
	if (lxm_send_fds(s->sock, &told, sizeof(told), NULL, 0, 0) < 0)
		_exit(1);
	/* s->sock is close-on-exec like all others; the range call is the second fence */
	(void)sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	(void)execve(argv[0], argv, envp);
	return lxm_err_sys(e, "execute '%s'", argv[0]);
}

static int stage_last(struct start *s, struct lxm_err *e)
{
	struct pollfd p = { .fd = s->sock };
	int r = run(s, PLAN_RLIMIT, rlimit_step, e);

	if (r == 0)
		r = stage_terminal(s, e);
	if (r == 0)
		r = run(s, PLAN_APPARMOR, apparmor_step, e);
	if (r == 0 && prctl(PR_SET_SECUREBITS, 0) < 0)
		r = lxm_err_sys(e, "reset secure bits");
	if (r == 0)
		r = run(s, PLAN_CAPS, caps_step, e);
	if (r == 0)
		r = run(s, PLAN_SECCOMP, seccomp_step, e);
	if (r < 0)
		return r;
	/* the death signal does not tell of a parent that was gone before it was set */
	if (poll(&p, 1, 0) == 1 && p.revents & POLLHUP)
		_exit(1);
	return exec_init(s, e);
}

static int stage_all(struct start *s, struct lxm_err *e)
{
	int r = hear(s, TELL_MAPPED, NULL, e);

	if (r == 0)
		r = stage_identity(s, e);
	if (r == 0)
		r = stage_outer(s, e);
	if (r == 0)
		r = stage_root(s, e);
	if (r == 0)
		r = stage_console(s, e);
	if (r == 0)
		r = hear(s, TELL_DONE, NULL, e);
	if (r == 0)
		r = run(s, PLAN_NIC, nic_step_up, e);
	if (r == 0)
		r = run(s, PLAN_NIC_ADDR, nic_step_inside, e);
	if (r == 0)
		r = run(s, PLAN_NIC_ROUTE, nic_step_inside, e);
	if (r == 0)
		r = stage_pivot(s, e);
	if (r == 0)
		r = run(s, PLAN_FILE, file_step, e);
	if (r == 0)
		r = run(s, PLAN_SYSCTL, sysctl_step, e);
	return r < 0 ? r : stage_last(s, e);
}

void child_main(struct start *s)
{
	struct told told = { .what = TOLD_ERROR };

	s->proc = s->root = s->dev = s->pts = s->slave = -1;
	(void)stage_all(s, &told.err);
	(void)lxm_send_fds(s->sock, &told, sizeof(told), NULL, 0, 0);
	_exit(1);
}
