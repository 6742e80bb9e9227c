/*
 * Signals during the start. The thread owns nothing of the daemon and takes none of its locks: what starts may hang
 * with any of them held. It has a signalfd of its own, for SIGTERM and SIGINT only; SIGHUP waits for who serves.
 */
#include "lxmd/starting.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/auto.h"
#include "lib/base/log.h"

#define PART_END_MS 3000 /* what the part at work has to come to its end */

struct starting {
	pthread_t thread;
	const char *_Atomic part;
	atomic_int signal;
	int sigfd, done_fd;
};

static void *watch(void *arg)
{
	struct starting *s = arg;
	struct pollfd p[2] = { { .fd = s->done_fd, .events = POLLIN }, { .fd = s->sigfd, .events = POLLIN } };
	struct signalfd_siginfo si;

	do {
		if (poll(p, 2, -1) < 0)
			p[0].revents = p[1].revents = 0;
		if (p[0].revents)
			return NULL;
	} while (!p[1].revents || read(s->sigfd, &si, sizeof(si)) != sizeof(si));
	lxm_info("ending on signal %u while %s starts", si.ssi_signo, s->part);
	s->signal = (int)si.ssi_signo;
	if (poll(p, 1, PART_END_MS) == 0) {
		lxm_warn("%s did not start within %d s more; leaving without it", s->part, PART_END_MS / 1000);
		_exit(0);
	}
	return NULL;
}

static void starting_free(struct starting *s)
{
	auto_fd_close(&s->sigfd);
	auto_fd_close(&s->done_fd);
	free(s);
}

struct starting *starting_watch(void)
{
	struct starting *s = lxm_alloc(sizeof(*s));
	sigset_t ends;
	int r = 0;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	s->part = "lxmd";
	s->sigfd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	s->done_fd = eventfd(0, EFD_CLOEXEC);
	if (s->sigfd < 0 || s->done_fd < 0)
		r = errno;
	if (r == 0)
		r = pthread_create(&s->thread, NULL, watch, s);
	if (r) {
		lxm_warn("watch for signals during the start: %s", strerror(r));
		starting_free(s);
		return NULL;
	}
	return s;
}

int starting_next(struct starting *s, const char *part, struct lxm_err *e)
{
	if (!s)
		return 0;
	if (s->signal)
		return lxm_err_set(e, ECANCELED, "ended by signal %d", s->signal);
	s->part = part;
	return 0;
}

int starting_done(struct starting *s)
{
	int signal;

	if (!s)
		return 0;
	(void)eventfd_write(s->done_fd, 1);
	(void)pthread_join(s->thread, NULL);
	signal = s->signal;
	starting_free(s);
	return signal;
}
