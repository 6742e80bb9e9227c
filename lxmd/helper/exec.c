/*
 * The exec session from outside: enter, start the program with vfork, report; keep.c goes on from there. The helper stays in the
 * host's pid namespace and is invisible inside; the program is a child in the container's.
 */
#include "lxmd/helper/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <termios.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

#define DEVPTS_MAGIC 0x1cd1

static void report_failure(int status, const struct lxm_err *e)
{
	const struct exec_report r = { .kind = EXEC_FAILED, .status = status, .code = e->code, .text = e->msg };

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
	/* the child is born into the container's sight, and a change of ids decides anew about this (fs.suid_dumpable) */
	(void)prctl(PR_SET_DUMPABLE, 0);
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
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	*status = failed;
	return 0;
}

/* Only here, with the host's rights, can a hard limit be raised above our own. */
static void raise_limits(const struct exec_job *j)
{
	size_t i;

	for (i = 0; i < j->nrlimits; i++) {
		__rlimit_resource_t what = (__rlimit_resource_t)j->rlimits[i].resource;
		struct rlimit r;

		if (getrlimit(what, &r) == 0 && r.rlim_max < j->rlimits[i].hard) {
			r.rlim_max = j->rlimits[i].hard;
			(void)setrlimit(what, &r);
		}
	}
}

/*
 * Did it fail because init has ended, or is ending? Its namespaces and cgroups go one by one, and a pid namespace that dies lets
 * no process in any more (ENOMEM) while init, already past its last step, waits for the others in it.
 */
static bool stopping(const struct lxm_err *e)
{
	struct pollfd p = { .fd = HELP_FD_INIT, .events = POLLIN };

	/* setns(2) finds no namespaces in one that is past the middle of its exit, which its pidfd tells only at the end */
	return e->code == ESRCH || poll(&p, 1, e->code == ENOMEM ? 2000 : 0) > 0;
}

static int session_start(struct session *s, int *status, struct lxm_err *e)
{
	struct exec_report started = { .kind = EXEC_STARTED };
	int fds[2], r;

	*status = 126;
	raise_limits(s->job);
	r = enter_instance(s->job, e);
	if (r == 0 && s->job->pty)
		r = session_pty(s, e);
	if (r < 0)
		return r;
	s->pid = launch(s, status, e);
	auto_fd_close(&s->slave);
	if (!s->pid)
		return -1;
	/* not reaped yet, so the number is still its own */
	s->pidfd = sys_pidfd_open(s->pid, 0);
	if (s->pidfd < 0)
		return lxm_err_sys(e, "watch the program");
	fds[0] = s->pidfd;
	fds[1] = s->master;
	started.pid = s->pid;
	(void)exec_report_send(HELP_FD_REPORT, &started, fds, s->master >= 0 ? 2 : 1);
	return 0;
}

int exec_run(void)
{
	struct exec_view v;
	struct session s = { .proc = -1, .master = -1, .slave = -1, .notify = -1, .pidfd = -1 };
	struct lxm_err e = { 0 };
	int status = 126, i;

	for (i = HELP_FD_JOB; i < HELP_FD_FIRST_FREE; i++)
		(void)fcntl(i, F_SETFD, FD_CLOEXEC);
	if (exec_job_open(HELP_FD_JOB, &v, &e) < 0) {
		report_failure(126, &e);
		return 1;
	}
	s.job = &v.job;
	s.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* while its name can be seen; when nobody is there, the calls give ENOSYS */
	if (*v.job.notify)
		s.notify = lxm_unix_connect(AT_FDCWD, v.job.notify, SOCK_SEQPACKET);
	if (session_start(&s, &status, &e) < 0) {
		if (status == 126 && stopping(&e))
			(void)lxm_err_set(&e, ESRCH, "the instance is stopping");
		report_failure(status, &e);
		return 1;
	}
	/* these belong to the program alone: lxmd sees their end when it closes them */
	(void)close(0);
	(void)close(1);
	(void)close(2);
	session_keep(&s);
	return 0;
}
