/*
 * How a file job gets into an instance. Running: into the namespaces of its init. Stopped: into a user namespace with the
 * instance's id map, in front of its root filesystem, which is mounted nowhere. In both cases the process then has
 * the instance's root as its own, ids as they are inside, and of all capabilities those that concern files.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/root.h"
#include "lxmd/helper/file.h"

/* In the new user namespace: nothing to do but exist until the pipe ends. */
static void child_wait(const int pipe_fds[2]) __attribute__((noreturn));
static void child_wait(const int pipe_fds[2])
{
	char c;

	(void)close(pipe_fds[1]);
	while (read(pipe_fds[0], &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Maps the child's ids and takes hold of its user namespace. */
static int map_ids(const struct file_job *j, pid_t pid, int *fd_out, struct lxm_err *e)
{
	char path[32];
	lxm_auto(fd_close) int proc = -1;
	int r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return lxm_err_sys(e, "open '%s'", path);
	r = lxm_write_str_at(proc, "uid_map", j->uid_map);
	if (r == 0)
		r = lxm_write_str_at(proc, "gid_map", j->gid_map);
	if (r < 0)
		return lxm_err_set(e, -r, "map the instance's ids: %s", strerror(-r));
	*fd_out = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
	return *fd_out < 0 ? lxm_err_sys(e, "open the user namespace") : 0;
}

/* A user namespace that no process has to stay in. */
static int userns_make(const struct file_job *j, int *fd_out, struct lxm_err *e)
{
	int pipe_fds[2], pidfd = -1, r;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return lxm_err_sys(e, "make a pipe");
	pid = sys_clone3(CLONE_NEWUSER, &pidfd, -1);
	if (pid == 0)
		child_wait(pipe_fds);
	r = pid < 0 ? lxm_err_sys(e, "make a user namespace") : map_ids(j, pid, fd_out, e);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	auto_fd_close(&pidfd);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static int make_root(const struct file_job *j, int *root, int *userns, struct lxm_err *e)
{
	struct root_spec s = {
		.dir = j->root_dir,
		.flags = j->flags & FILE_OVERLAY ? ROOT_OVERLAY | ROOT_NOSYNC : 0,
		.userns = -1,
		.uid0 = j->uid0,
		.gid0 = j->gid0,
		/* nothing is executed here and no device opened, whoever the instance's root is */
		.attrs = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	};
	int r = 0;

	if (j->flags & FILE_OVERLAY)
		s.lower[s.nlower++] = j->root_lower;
	if (!(j->flags & FILE_PRIVILEGED)) {
		r = userns_make(j, userns, e);
		s.userns = j->flags & FILE_UNMAPPED ? -1 : *userns;
	}
	/* ids change while the root is made; capabilities must not go with them */
	if (r == 0 && prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		r = lxm_err_sys(e, "keep capabilities");
	if (r == 0)
		r = root_mount(&s, root, NULL, e);
	(void)prctl(PR_SET_SECUREBITS, 0);
	return r;
}

int enter_become_root(struct lxm_err *e)
{
	if (setgroups(0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return lxm_err_sys(e, "become root of the instance");
	return 0;
}

static int enter_running(const struct file_job *j, struct lxm_err *e)
{
	bool privileged = j->flags & FILE_PRIVILEGED;

	if (setns(HELP_FD_A, CLONE_NEWNS | (privileged ? 0 : CLONE_NEWUSER)) < 0)
		return lxm_err_sys(e, "enter the instance");
	return privileged ? 0 : enter_become_root(e);
}

static int enter_stopped(const struct file_job *j, int root, int userns, struct lxm_err *e)
{
	/* in this order: as root of the user namespace we may no longer change our root in a foreign mount namespace */
	if (fchdir(root) < 0 || chroot(".") < 0)
		return lxm_err_sys(e, "enter the instance's root");
	if (j->flags & FILE_PRIVILEGED)
		return 0;
	if (setns(userns, CLONE_NEWUSER) < 0)
		return lxm_err_sys(e, "enter the instance's user namespace");
	return enter_become_root(e);
}

/* What concerns files; with CAP_SYS_CHROOT, CAP_SYS_ADMIN and CAP_MKNOD go the ways out. */
int enter_drop_caps(struct lxm_err *e)
{
	static const unsigned int keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
					 1u << CAP_FSETID;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = keep, .permitted = keep } };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_capset, &head, data) < 0 ? lxm_err_sys(e, "drop capabilities") : 0;
}

int file_enter(const struct file_job *j, struct tree *t, int made[2], struct lxm_err *e)
{
	int root = HELP_FD_A, userns = HELP_FD_B, r = 0;

	made[0] = made[1] = -1;
	t->fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->fds < 0)
		return lxm_err_sys(e, "open '/proc/self/fd'");
	if (j->flags & FILE_RUNNING) {
		r = enter_running(j, e);
	} else {
		if (!(j->flags & FILE_ROOT_GIVEN)) {
			r = make_root(j, &made[0], &made[1], e);
			root = made[0];
			userns = made[1];
		}
		if (r == 0)
			r = enter_stopped(j, root, userns, e);
	}
	if (r == 0)
		r = enter_drop_caps(e);
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return lxm_err_sys(e, "enter the instance's root");
	t->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)umask(0);
	return t->root < 0 ? lxm_err_sys(e, "open the instance's root") : 0;
}
