/* Kernel calls that glibc 2.36 does not wrap, each as one thin function. errno as from the kernel. */
#ifndef LXM_BASE_SYS_H
#define LXM_BASE_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x00000200
#endif

/* clone3(2): like fork, in the namespaces that flags name; cgroup_fd >= 0 adds CLONE_INTO_CGROUP. Single-threaded callers only. */
static inline pid_t sys_clone3(uint64_t flags, int *pidfd_out, int cgroup_fd)
{
	struct clone_args a;
	pid_t pid;

	memset(&a, 0, sizeof(a));
	a.flags = flags | CLONE_PIDFD;
	a.pidfd = (uint64_t)(uintptr_t)pidfd_out;
	a.exit_signal = SIGCHLD;
	if (cgroup_fd >= 0) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)cgroup_fd;
	}
	pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		*pidfd_out = -1; /* told before the last checks, and taken back: the number may be another descriptor's by now */
	return pid;
}

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how;

	memset(&how, 0, sizeof(how));
	how.flags = flags | O_CLOEXEC;
	how.mode = mode;
	how.resolve = resolve;
	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

static inline int sys_pidfd_open(pid_t pid, unsigned int flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static inline int sys_pidfd_send_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

/* The process group that the process leads (Linux 6.9); EINVAL before, ESRCH if it leads none. */
static inline int sys_pidfd_signal_group(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 4U);
}

/*
 * Default action for every signal, and none blocked. The raw call reaches 32 and 33 too, which glibc keeps to itself and which a parent may
 * have left ignored (GNU make does). Async-signal-safe.
 */
static inline void sys_signals_reset(void)
{
	const uint64_t dfl[4] = { 0 }; /* struct sigaction of the kernel: handler, flags, restorer, mask */
	sigset_t none;
	int sig;

	for (sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)syscall(SYS_rt_sigaction, sig, dfl, NULL, sizeof(uint64_t));
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static inline int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* Load a filter and return the listener of its notifications. Signals do not interrupt a call that is being answered (Linux 5.19). */
static inline int sys_seccomp_listen(const struct sock_fprog *prog)
{
	unsigned int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, prog);

	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, prog);
	return fd;
}

/* quotactl_fd(2): of the file system that fd lies on. @cmd  QCMD(...) */
static inline int sys_quotactl_fd(int fd, unsigned int cmd, uint32_t id, void *addr)
{
	return (int)syscall(SYS_quotactl_fd, fd, cmd, id, addr);
}

static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(SYS_pivot_root, new_root, put_old);
}

#endif
