/*
 * What lxm-forward gives up before it serves: the file system (its root is an empty directory that is mounted nowhere; a root in which
 * sockets are looked up stays as a descriptor), its user, every capability, and all system calls but those that move bytes. Where it
 * connects into an unprivileged instance it is in that instance's user namespace; no process of the instance sees or traces it, since
 * it has the host's process ids and was executed by the host's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sys.h"
#include "lxmd/forward/forward.h"

#define NOBODY	   65534
#define MEMORY_MAX (256ul << 20)

static int leave_files(struct lxm_err *e)
{
	lxm_auto(fd_close) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), empty = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		empty = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (empty < 0 || fchdir(empty) < 0 || chroot(".") < 0)
		return lxm_err_sys(e, "leave the file system");
	return fwd.self_fds >= 0 && fchdir(fwd.self_fds) < 0 ? lxm_err_sys(e, "go to '/proc/self/fd'") : 0;
}

/* The rights count where a socket has a path; elsewhere nobody has as many as root. */
static int change_user(struct lxm_err *e)
{
	const struct forward_job *j = fwd.job;
	bool inside = !(j->flags & (FORWARD_LISTEN_INSIDE | FORWARD_PRIVILEGED)), any = j->connect.type != FORWARD_UNIX && !inside;
	uid_t uid = j->run_uid || !any ? j->run_uid : NOBODY;
	gid_t gid = j->run_gid || !any ? j->run_gid : NOBODY;

	if (inside && setns(FORWARD_FD_INIT, CLONE_NEWUSER) < 0)
		return lxm_err_sys(e, "enter the instance's user namespace");
	if (setgroups(0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
		return lxm_err_sys(e, "become user %u, group %u", uid, gid);
	return 0;
}

static int drop_caps(struct lxm_err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? lxm_err_sys(e, "drop capabilities") : 0;
}

static void limit(int what, rlim_t most)
{
	(void)setrlimit(what, &(struct rlimit){ most, most });
}

/* ---- system calls */

#ifndef LXM_SAN /* the sanitizers have calls of their own */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "name the architecture of the system call filter"
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(what)   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##what)
#define ALLOW(nr)   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##nr, 0, 1), RET(ALLOW)

static int filter_calls(struct lxm_err *e)
{
	static const struct sock_filter code[] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
		RET(KILL_PROCESS),
		LOAD(nr),
		ALLOW(splice), ALLOW(epoll_pwait), ALLOW(epoll_ctl), ALLOW(recvfrom), ALLOW(sendto), ALLOW(recvmsg), ALLOW(sendmsg),
#ifdef SYS_epoll_wait
		ALLOW(epoll_wait),
#endif
		ALLOW(accept4), ALLOW(connect), ALLOW(close), ALLOW(shutdown), ALLOW(getsockopt), ALLOW(setsockopt), ALLOW(getsockname),
		ALLOW(pipe2), ALLOW(fcntl), ALLOW(write), ALLOW(openat2), ALLOW(clock_gettime), ALLOW(brk), ALLOW(mmap), ALLOW(munmap),
		ALLOW(mremap), ALLOW(madvise), ALLOW(restart_syscall), ALLOW(exit_group),
		/* of sockets the kinds that it speaks */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
		RET(KILL_PROCESS),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1),
		RET(ALLOW),
		RET(KILL_PROCESS),
	};
	const struct sock_fprog prog = { sizeof(code) / sizeof(*code), (struct sock_filter *)code };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0 ? lxm_err_sys(e, "load the system call filter") : 0;
}
#else
static int filter_calls(struct lxm_err *e)
{
	return 0;
}
#endif

int sandbox_enter(struct lxm_err *e)
{
	int r = leave_files(e);

	if (r == 0)
		r = change_user(e);
	if (r == 0)
		r = drop_caps(e);
	/* a change of user makes a process traceable again */
	if (r == 0 && (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		r = lxm_err_sys(e, "give up gaining rights");
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
#ifndef LXM_SAN /* they map terabytes */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	return r < 0 ? r : filter_calls(e);
}
