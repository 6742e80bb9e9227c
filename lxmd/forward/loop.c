/*
 * The loop of lxm-forward: epoll, level-triggered. A source that wants nothing is not in the epoll set at all, so that a peer that has
 * gone while its bytes wait for the other side does not wake us for ever. The program ends with the instance's init.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/time.h"
#include "lxmd/forward/forward.h"

#define EVENTS	 64
#define RETRY_MS 200 /* out of descriptors or memory: then listeners are tried again */

static int64_t now_ms;
static bool ended;
static size_t npaused;

int64_t loop_now(void)
{
	return now_ms;
}

int source_want(struct source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int how = !events ? EPOLL_CTL_DEL : s->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == s->wanted || s->fd < 0)
		return 0;
	if (epoll_ctl(fwd.epoll, how, s->fd, &ev) < 0)
		return -errno;
	s->wanted = events;
	return 0;
}

void source_close(struct source *s)
{
	(void)source_want(s, 0);
	auto_fd_close(&s->fd);
}

void listener_pause(struct listener *l)
{
	if (l->paused)
		return;
	l->paused = true;
	npaused++;
	(void)source_want(&l->src, 0);
}

void loop_resume(void)
{
	size_t i;

	for (i = 0; npaused && i < fwd.n; i++) {
		if (!fwd.listeners[i].paused)
			continue;
		fwd.listeners[i].paused = false;
		npaused--;
		(void)source_want(&fwd.listeners[i].src, EPOLLIN);
	}
}

static void on_init(struct source *s, uint32_t events)
{
	ended = true;
}

static int start(struct source *init)
{
	size_t i;
	int r;

	init->ready = on_init;
	init->fd = FORWARD_FD_INIT;
	r = source_want(init, EPOLLIN);
	for (i = 0; r == 0 && i < fwd.n; i++) {
		fwd.listeners[i].src.ready = fwd.job->listen.type == FORWARD_UDP ? dgram_receive : stream_accept;
		r = source_want(&fwd.listeners[i].src, EPOLLIN);
	}
	return r;
}

int loop_run(void)
{
	struct epoll_event ev[EVENTS];
	struct source init = { .fd = -1 };
	int i, n;

	now_ms = lxm_mono_ms();
	if (start(&init) < 0)
		return 1;
	while (!ended) {
		int wait = dgram_expire();

		if (npaused && (wait < 0 || wait > RETRY_MS))
			wait = RETRY_MS;
		n = epoll_wait(fwd.epoll, ev, EVENTS, wait);
		if (n < 0 && errno != EINTR)
			return 1;
		now_ms = lxm_mono_ms();
		for (i = 0; i < n; i++) {
			struct source *s = ev[i].data.ptr;

			/* an earlier event of this round may have ended it */
			if (s->fd >= 0 && s->wanted)
				s->ready(s, ev[i].events);
		}
		stream_reap();
		if (n == 0)
			loop_resume();
	}
	return 0;
}
