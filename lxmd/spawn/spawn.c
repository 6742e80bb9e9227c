/*
 * The only creator of processes in lxmd. A child is made with CLONE_VM | CLONE_VFORK on a stack of its own: nothing is
 * copied however large lxmd is, and the calling thread sleeps until the child has executed or given up. Other threads go
 * on. All signals are blocked meanwhile, so that no handler of lxmd runs in the child; between clone and exec the child only
 * makes system calls, and reports failure through the memory it shares with its parent.
 */
#include "lxmd/spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/spawn/clone.h"

#define STACK_SIZE (64u << 10)
#define FD_BASE	   (SPAWN_FDS + 3) /* where descriptors are parked above every target */

/* What the child needs; lies on the parent's stack. */
struct child {
	const struct spawn_spec *spec;
	const char *path;
	char *const *argv, *const *env;
	int null;
	int exec; /* the child's own copy of exec_fd, above all targets */
	int error; /* set by the child: errno of what failed */
};

static const char *const default_env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/", NULL };

/* ---- in the child: system calls only */

static int child_fds(struct child *c)
{
	const struct spawn_spec *s = c->spec;
	int parked[SPAWN_FDS + 3], target[SPAWN_FDS + 3];
	size_t n = 0, i;
	int std;

	for (std = 0; std < 3; std++) {
		bool named = false;

		for (i = 0; i < s->nfds; i++)
			named |= s->fds[i].to == std;
		if (!named) {
			parked[n] = fcntl(c->null, F_DUPFD_CLOEXEC, 64);
			target[n++] = std;
		}
	}
	for (i = 0; i < s->nfds; i++) {
		parked[n] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, 64);
		target[n++] = s->fds[i].to;
	}
	c->exec = c->path ? -1 : fcntl(s->exec_fd, F_DUPFD_CLOEXEC, 64);
	if (!c->path && c->exec < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (parked[i] < 0)
			return -1;
	for (i = 0; i < n; i++)
		if (syscall(SYS_dup3, parked[i], target[i], 0) < 0)
			return -1;
	return 0;
}

/* Closes at exec all but the targets, whatever others lxmd has open without O_CLOEXEC (libraries do). */
static int child_close_others(const struct spawn_spec *s)
{
	unsigned int keep = 7;
	size_t i;
	unsigned int fd;

	for (i = 0; i < s->nfds; i++)
		keep |= 1u << s->fds[i].to;
	for (fd = 3; fd < FD_BASE; fd++)
		if (!(keep >> fd & 1))
			(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return sys_close_range(FD_BASE, ~0U, CLOSE_RANGE_CLOEXEC);
}

static int child_limits(const struct spawn_spec *s)
{
	struct rlimit r;

	if (s->as_max) {
		r.rlim_cur = r.rlim_max = s->as_max;
		if (setrlimit(RLIMIT_AS, &r) < 0)
			return -1;
	}
	if (s->file_max) {
		r.rlim_cur = r.rlim_max = s->file_max;
		if (setrlimit(RLIMIT_FSIZE, &r) < 0)
			return -1;
	}
	return 0;
}

/* Raw calls: libc's wrappers would signal all threads of lxmd to change along. */
static int child_ids(const struct spawn_spec *s)
{
	if (s->uid == 0)
		return 0;
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
		return -1;
	return syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0 ? -1 : 0;
}

/*
 * lxmd's session keyring is for lxmd alone. A failure is harmless where it is not one of the quota, and root of the host
 * hardly reaches that one.
 */
static void child_keyring(void)
{
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

/*
 * Raw calls again: libc of Debian 13 takes a lock in sigaction(), as the sanitizers do. A child that is born in the cgroup of
 * an instance and killed with it would leave that lock taken in lxmd, and no child could ever start again.
 */
static void child_signals(void)
{
	/* as the kernel has it: handler, flags, restorer, mask of 64 signals; all zero is SIG_DFL and no signal */
	static const unsigned long dfl[8];
	int i;

	for (i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)syscall(SYS_rt_sigaction, i, dfl, NULL, sizeof(uint64_t));
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, dfl, NULL, sizeof(uint64_t));
}

static int child_main(void *arg)
{
	struct child *c = arg;
	const struct spawn_spec *s = c->spec;

	child_signals();
	child_keyring();
	if (s->setsid && setsid() < 0)
		goto fail;
	if (s->die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		goto fail;
	if ((s->cwd_fd > 0 ? fchdir(s->cwd_fd) : chdir("/")) < 0)
		goto fail;
	/* lxmd's umask is shared by its threads only; CLONE_FS is not set, so this one is the child's */
	(void)umask(022);
	if (child_fds(c) < 0 || child_limits(s) < 0 || child_ids(s) < 0 || child_close_others(s) < 0)
		goto fail;
	if (c->path)
		(void)execve(c->path, c->argv, c->env);
	else
		(void)syscall(SYS_execveat, c->exec, "", c->argv, c->env, AT_EMPTY_PATH);
fail:
	c->error = errno ? errno : EIO;
	return 127;
}

/* ---- in the parent */

/* A program name without a slash is looked up in fixed directories, never in a PATH from outside. */
static const char *find_program(const char *name, char out[256])
{
	static const char *const dirs[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	size_t i;

	if (strchr(name, '/'))
		return name;
	for (i = 0; i < LXM_ARRAY_LEN(dirs); i++) {
		snprintf(out, 256, "%s/%s", dirs[i], name);
		if (access(out, X_OK) == 0)
			return out;
	}
	return NULL;
}

static const char *spec_name(const struct spawn_spec *s)
{
	return s->path ? s->path : s->argv[0];
}

static int clone_child(struct child *c, int *pidfd, pid_t *pid, struct lxm_err *e)
{
	void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, old;
	int r;

	if (stack == MAP_FAILED)
		return lxm_err_sys(e, "memory for a process");
#ifdef __SANITIZE_ADDRESS__
	/* a thread's stack may have lain here, and what the child leaves by exec is never marked as left */
	__asan_unpoison_memory_region(stack, STACK_SIZE);
#endif
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = clone_vfork(child_main, c, stack, STACK_SIZE, c->spec->cgroup_fd, pidfd);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)munmap(stack, STACK_SIZE);
	if (r < 0) {
		/*
		 * The kernel tells the number before the last checks (a cgroup that is going away) and takes it back when they
		 * fail: it may be another thread's descriptor by now.
		 */
		*pidfd = -1;
		errno = -r;
		return lxm_err_sys(e, "start a process for '%s'", spec_name(c->spec));
	}
	*pid = r;
	return 0;
}

static int check_spec(const struct spawn_spec *s, struct lxm_err *e)
{
	size_t i;

	if (s->nfds > SPAWN_FDS || !s->argv || !s->argv[0])
		return lxm_err_set(e, EINVAL, "process without arguments or with too many descriptors");
	for (i = 0; i < s->nfds; i++)
		if (s->fds[i].from < 0 || s->fds[i].to < 0 || s->fds[i].to >= FD_BASE)
			return lxm_err_set(e, EINVAL, "bad descriptor %d for '%s'", s->fds[i].from, spec_name(s));
	return 0;
}

int spawn_child(const struct spawn_spec *spec, int *pidfd_out, pid_t *pid_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC), pidfd = -1;
	struct child c = { .spec = spec, .null = null };
	char path[256];
	pid_t pid = 0;
	int r = check_spec(spec, e);

	if (r < 0)
		return r;
	if (null < 0)
		return lxm_err_sys(e, "open '/dev/null'");
	c.argv = (char *const *)(uintptr_t)spec->argv;
	c.env = (char *const *)(uintptr_t)(spec->env ? spec->env : default_env);
	if (spec->path) {
		c.path = find_program(spec->path, path);
		if (!c.path)
			return lxm_err_set(e, ENOENT, "program '%s' is not installed", spec->path);
	}
	r = clone_child(&c, &pidfd, &pid, e);
	if (r < 0)
		return r;
	if (c.error) {
		(void)spawn_wait(pidfd, -1, NULL);
		errno = c.error;
		return lxm_err_sys(e, "execute '%s'", spec_name(spec));
	}
	if (pid_out)
		*pid_out = pid;
	*pidfd_out = LXM_TAKE(pidfd, -1);
	return 0;
}

static int status_of(const siginfo_t *si)
{
	return si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status;
}

int spawn_reap(int pidfd, int *status_out)
{
	siginfo_t si = { 0 };
	int r;

	do
		r = waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (si.si_pid == 0)
		return -EAGAIN;
	if (status_out)
		*status_out = status_of(&si);
	return 0;
}

int spawn_wait(int pidfd, int timeout_ms, int *status_out)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	return r < 0 ? -errno : spawn_reap(pidfd, status_out);
}

void spawn_kill(int *pidfd)
{
	if (*pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(*pidfd, SIGKILL);
	(void)spawn_wait(*pidfd, -1, NULL);
	auto_fd_close(pidfd);
}
