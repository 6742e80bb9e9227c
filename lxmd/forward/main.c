/*
 * lxm-forward: the process of one proxy device. lxmd starts it with a sealed job and the descriptors of lib/wire/forward.h; it
 * outlives lxmd and ends with the instance's init. Single-threaded, without any right while it serves.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "lib/base/sys.h"
#include "lib/wire/file.h"
#include "lxmd/forward/forward.h"

#define FILES (4 * CONNECTIONS_MAX + 2 * FORWARD_PORTS_MAX) /* two sockets for each connection, and pipes for those that move */

#ifdef LXM_SAN
/* leak checking needs ptrace, which a process between namespaces has not */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

struct forwarder fwd = { .root = -1, .self_fds = -1, .epoll = -1 };

/* Whoever asks for the holder of the lock learns who we are; it ends with us. */
static int take_lock(struct lxm_err *e)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(FORWARD_FD_LOCK, F_SETLK, &l) < 0 ? lxm_err_sys(e, "take the lock of the device") : 0;
}

static int start(struct lxm_err *e)
{
	size_t i;
	int r;

	fwd.n = forward_ports(&fwd.job->listen);
	fwd.listeners = calloc(fwd.n, sizeof(*fwd.listeners));
	fwd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!fwd.listeners || fwd.epoll < 0)
		return lxm_err_sys(e, "make room for listeners");
	for (i = 0; i < fwd.n; i++) {
		fwd.listeners[i].src.fd = -1;
		fwd.listeners[i].index = i;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ FILES, FILES });
	r = take_lock(e);
	if (r == 0)
		r = enter(e);
	return r < 0 ? r : sandbox_enter(e);
}

int main(int argc, char **argv)
{
	static unsigned char buf[FORWARD_JOB_MAX];
	struct file_report done = { .kind = FILE_DONE };
	struct forward_job job = { 0 };
	struct lxm_err e = { 0 };
	int r;

	/* no process of the container may trace us or read our /proc entries while we are half inside (CVE-2016-9962) */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "lxm-forward");
	if (argc != 2) {
		fprintf(stderr, "lxm-forward is started by lxmd\n");
		return 2;
	}
	(void)sys_close_range(FORWARD_FD_END, ~0U, 0);
	fwd.job = &job;
	r = forward_job_read(FORWARD_FD_JOB, buf, &job, &e);
	(void)close(FORWARD_FD_JOB);
	if (r == 0)
		r = job.flags & FORWARD_UNLISTEN ? enter_unlisten(&e) : start(&e);
	if (r < 0) {
		done = (struct file_report){ .kind = FILE_FAILED, .code = -r };
		snprintf(done.text, sizeof(done.text), "%s", e.msg);
	}
	(void)file_report_send(FORWARD_FD_REPORT, &done, NULL, 0);
	(void)close(FORWARD_FD_REPORT);
	return r < 0 || job.flags & FORWARD_UNLISTEN ? r < 0 : loop_run();
}
