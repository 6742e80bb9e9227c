/*
 * The walls around lxm-fetch: no new rights, no file system but what is read to resolve names and check certificates
 * (Landlock), no way to start, trace or signal another process, and of sockets only those of the internet and of the
 * kernel's address lists (seccomp). What a hostile server gains by a bug in TLS, HTTP or JSON is a process that can talk
 * to the net and write into files that lxmd checks afterwards. lxm-fetch, before its first thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lxmd/fetch/verbs.h"

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define ALL_RIGHTS  ((1ull << 13) - 1) /* what the first version of Landlock knows */

/* Name resolution loads libraries; authorities are links into /usr/share. /run: resolv.conf is often a link there. */
static const char *const readable[] = { "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf", "/dev/urandom" };

static int allow(int ruleset, const char *path)
{
	lxm_auto(fd_close) int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = READ_RIGHTS, .parent_fd = fd };

	if (fd < 0)
		return 0;
	if (lxm_starts(path, "/dev/"))
		rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

static int close_files(struct lxm_err *e)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_RIGHTS };
	lxm_auto(fd_close) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	size_t i;

	if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return 0;
	if (ruleset < 0)
		return lxm_err_sys(e, "make the Landlock rules");
	for (i = 0; i < LXM_ARRAY_LEN(readable); i++)
		if (allow(ruleset, readable[i]) < 0)
			return lxm_err_sys(e, "allow '%s'", readable[i]);
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? lxm_err_sys(e, "enter Landlock") : 0;
}

static const int denied[] = {
	SCMP_SYS(execve),	    SCMP_SYS(execveat),		 SCMP_SYS(fork),	    SCMP_SYS(vfork),
	SCMP_SYS(ptrace),	    SCMP_SYS(process_vm_readv),	 SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_open),	    SCMP_SYS(pidfd_getfd),	 SCMP_SYS(pidfd_send_signal), SCMP_SYS(kill),
	SCMP_SYS(mount),	    SCMP_SYS(umount2),		 SCMP_SYS(pivot_root),	    SCMP_SYS(chroot),
	SCMP_SYS(fsopen),	    SCMP_SYS(fsmount),		 SCMP_SYS(open_tree),	    SCMP_SYS(move_mount),
	SCMP_SYS(mount_setattr),    SCMP_SYS(unshare),		 SCMP_SYS(setns),	    SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),  SCMP_SYS(keyctl),		 SCMP_SYS(add_key),	    SCMP_SYS(request_key),
	SCMP_SYS(userfaultfd),	    SCMP_SYS(io_uring_setup),	 SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
	SCMP_SYS(personality),	    SCMP_SYS(shmget),		 SCMP_SYS(msgget),	    SCMP_SYS(semget),
	SCMP_SYS(mq_open),	    SCMP_SYS(inotify_init1),	 SCMP_SYS(fanotify_init),   SCMP_SYS(listen),
	SCMP_SYS(accept),	    SCMP_SYS(accept4),
};

/* Of families up to AF_NETLINK three stay, beyond it none. */
static int deny_sockets(scmp_filter_ctx ctx)
{
	unsigned int family;
	int r = 0;

	for (family = 0; r == 0 && family < AF_NETLINK; family++)
		if (family != AF_INET && family != AF_INET6)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family));
	return r < 0 ? r : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
}

static int deny_calls(struct lxm_err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	size_t i;
	int r = ctx ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(denied); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	if (r == 0)
		r = deny_sockets(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? lxm_err_set(e, -r, "load the system call filter: %s", strerror(-r)) : 0;
}

int sandbox_enter(struct lxm_err *e)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return lxm_err_sys(e, "give up gaining rights");
	r = close_files(e);
	return r < 0 ? r : deny_calls(e);
}
