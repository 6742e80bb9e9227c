/*
 * The exec session from outside: enter, start the program with vfork, report, wait, report. The helper stays in the host's
 * pid namespace and is invisible inside; the program is a child in the container's.
 */
#include "lxmd/helper/helper.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <termios.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

#define DEVPTS_MAGIC 0x1cd1

static void report(uint32_t kind, int status, const struct lxm_err *e)
{
	const struct exec_report r = { .kind = kind, .status = status, .code = e ? e->code : 0, .text = e ? e->msg : "" };

	(void)exec_report_send(HELP_FD_REPORT, &r, NULL, 0);
}

int enter_instance(const struct exec_job *job, struct lxm_err *e)
{
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	char *const *p;

	/* v1 cgroups while their paths can be seen; the program inherits them. The unified one we were born in. */
	for (p = job->cgroup_procs; *p; p++) {
		int r = lxm_write_str_at(AT_FDCWD, *p, "0");

		if (r < 0)
			return lxm_err_set(e, -r, "join '%s': %s", *p, strerror(-r));
	}
	if (job->cgroup_procs[0] || !job->host_net)
		flags |= CLONE_NEWCGROUP;
	if (!job->privileged)
		flags |= CLONE_NEWUSER;
	if (!job->host_net)
		flags |= CLONE_NEWNET;
	if (setns(HELP_FD_INIT, flags) < 0)
		return lxm_err_sys(e, "enter the instance");
	/* host ids mean nothing inside: without this a terminal made here would belong to nobody */
	if (!job->privileged && (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
		return lxm_err_sys(e, "become root of the instance");
	return 0;
}

/*
 * What lies at /dev/pts/ptmx is under the container's control. Opening it can do no harm (not blocking, no
 * controlling terminal), and it is used only if it is the ptmx of a devpts.
 */
int session_pty(struct session *s, struct lxm_err *e)
{
	struct winsize size = { .ws_row = (unsigned short)s->job->rows, .ws_col = (unsigned short)s->job->cols };
	struct statfs fs;
	struct stat st;
	int unlock = 0;

	s->master = sys_openat2(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (s->master < 0)
		return lxm_err_sys(e, "open '/dev/pts/ptmx'");
	if (fstat(s->master, &st) < 0 || fstatfs(s->master, &fs) < 0)
		return lxm_err_sys(e, "look at '/dev/pts/ptmx'");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || fs.f_type != DEVPTS_MAGIC)
		return lxm_err_set(e, ENXIO, "'/dev/pts/ptmx' is no terminal multiplexer");
	if (fcntl(s->master, F_SETFL, 0) < 0 || ioctl(s->master, TIOCSPTLCK, &unlock) < 0)
		return lxm_err_sys(e, "make a terminal");
	s->slave = ioctl(s->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0)
		return lxm_err_sys(e, "open a terminal");
	if (!size.ws_row || !size.ws_col)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	(void)ioctl(s->master, TIOCSWINSZ, &size);
	if (fchown(s->slave, s->job->uid, 5) < 0 && fchown(s->slave, s->job->uid, (gid_t)-1) < 0)
		return lxm_err_sys(e, "own the terminal");
	return fchmod(s->slave, 0620) < 0 ? lxm_err_sys(e, "own the terminal") : 0;
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 137;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs the program; returns its pid, or 0 with the status of the failure. */
static pid_t launch(struct session *s, int *status, struct lxm_err *e)
{
	/* shared with the child until it executes */
	volatile int failed = 0;
	pid_t pid = vfork();

	if (pid < 0) {
		*status = 126;
		(void)lxm_err_sys(e, "make a process");
		return 0;
	}
	if (pid == 0) {
		failed = child_exec(s, e);
		_exit(failed);
	}
	if (!failed)
		return pid;
	(void)wait_status(pid);
	*status = failed;
	return 0;
}

static int session_start(struct session *s, pid_t *pid, int *status, struct lxm_err *e)
{
	struct exec_report started = { .kind = EXEC_STARTED };
	int fds[2], r;

	*status = 126;
	r = enter_instance(s->job, e);
	if (r == 0 && s->job->pty)
		r = session_pty(s, e);
	if (r < 0)
		return r;
	*pid = launch(s, status, e);
	auto_fd_close(&s->slave);
	if (!*pid)
		return -1;
	/* not reaped yet, so the number is still its own */
	fds[0] = sys_pidfd_open(*pid, 0);
	fds[1] = s->master;
	started.pid = *pid;
	if (fds[0] < 0)
		return lxm_err_sys(e, "watch the program");
	(void)exec_report_send(HELP_FD_REPORT, &started, fds, s->master >= 0 ? 2 : 1);
	auto_fd_close(&fds[0]);
	auto_fd_close(&s->master);
	return 0;
}

int exec_run(void)
{
	struct exec_view v;
	struct session s = { .proc = -1, .master = -1, .slave = -1, .notify = -1 };
	struct lxm_err e = { 0 };
	int status = 126, i;
	pid_t pid = 0;

	for (i = HELP_FD_JOB; i < HELP_FD_FIRST_FREE; i++)
		(void)fcntl(i, F_SETFD, FD_CLOEXEC);
	if (exec_job_open(HELP_FD_JOB, &v, &e) < 0) {
		report(EXEC_FAILED, 126, &e);
		return 1;
	}
	s.job = &v.job;
	s.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* while its name can be seen; when nobody is there, the calls give ENOSYS */
	if (*v.job.notify)
		s.notify = lxm_unix_connect(AT_FDCWD, v.job.notify, SOCK_SEQPACKET);
	if (session_start(&s, &pid, &status, &e) < 0) {
		report(EXEC_FAILED, status, &e);
		return 1;
	}
	/* the pipes belong to the program alone: lxmd sees their end when it closes them */
	(void)close(0);
	(void)close(1);
	(void)close(2);
	report(EXEC_EXITED, wait_status(pid), NULL);
	return 0;
}
