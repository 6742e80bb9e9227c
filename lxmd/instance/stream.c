/* Moving bytes between a descriptor and a websocket, see stream.h. Loop thread. */
#include "lxmd/instance/stream.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/time.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/ws.h"

#define CHUNK	  65536
#define QUEUE_MAX (1024 * 1024) /* bytes queued to the websocket before the descriptor is left alone */
#define OUT_MAX	  (256 * 1024)	/* bytes of the client held before its websocket is left alone */
#define ROUND_MAX 16		/* chunks in one turn, so that other sessions get theirs */

void stream_init(struct stream *s, struct loop *loop, int fd, struct ws *ws, bool reads, bool writes,
		 void (*on_end)(struct stream *, void *), void *arg)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->fd = fd;
	s->ws = ws;
	s->reads = reads;
	s->writes = writes;
	s->on_end = on_end;
	s->arg = arg;
	s->last_ms = lxm_mono_ms();
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static size_t pending(const struct stream *s)
{
	return s->out.len - s->out_pos;
}

/* Ask the watch for what can make progress now. */
static void want(struct stream *s)
{
	uint32_t ev = (s->reads && !s->stalled ? EPOLLIN : 0) | (s->writes && pending(s) ? EPOLLOUT : 0);

	if (!s->watch || ev == s->events)
		return;
	s->events = ev;
	(void)loop_mod(s->watch, ev);
}

void stream_close(struct stream *s)
{
	loop_del(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	s->reads = s->writes = false;
	lxm_buf_deinit(&s->out);
	s->out_pos = 0;
}

/* Nothing more to read: tell once. The write side of a pty goes with it. */
static void read_end(struct stream *s)
{
	if (!s->reads)
		return;
	s->reads = false;
	stream_close(s);
	if (s->on_end)
		s->on_end(s, s->arg);
}

/* The last byte is written, or nobody takes any more. */
static void write_end(struct stream *s)
{
	stream_close(s);
	if (s->on_end)
		s->on_end(s, s->arg);
}

/* One chunk; returns bytes, 0 at the end, -EAGAIN. */
static ssize_t read_chunk(struct stream *s)
{
	char buf[CHUNK];
	ssize_t n;

	if (s->bounded && s->left == 0)
		return 0;
	do
		n = read(s->fd, buf, sizeof(buf));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (n <= 0) /* EIO: the last slave of a pty was closed */
		return 0;
	s->last_ms = lxm_mono_ms();
	if (s->bounded)
		s->left -= (size_t)n < s->left ? (size_t)n : s->left;
	if (s->ws) {
		(void)ws_send(s->ws, WS_BINARY, buf, (size_t)n);
		s->stalled = ws_queued(s->ws) > QUEUE_MAX;
	}
	return n;
}

static void write_some(struct stream *s)
{
	while (s->writes && pending(s)) {
		ssize_t n = write(s->fd, s->out.data + s->out_pos, pending(s));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { /* EPIPE: the program closed its stdin; what comes is dropped */
			s->writes = false;
			break;
		}
		s->out_pos += (size_t)n;
	}
	if (!s->writes || !pending(s)) {
		s->out.len = s->out_pos = 0;
		if (s->ws)
			ws_pause_reading(s->ws, false);
	}
	if ((s->end_after_write || !s->writes) && !pending(s) && !s->reads)
		write_end(s);
}

static void on_fd(int fd, uint32_t revents, void *arg)
{
	struct stream *s = arg;
	int round;

	if (revents & EPOLLOUT)
		write_some(s);
	if (s->fd >= 0 && !s->reads && (revents & (EPOLLERR | EPOLLHUP))) {
		/* the reader of a pipe is gone */
		s->writes = false;
		write_some(s);
		return;
	}
	for (round = 0; s->reads && !s->stalled && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) && round < ROUND_MAX; round++) {
		ssize_t n = read_chunk(s);

		if (n == -EAGAIN)
			break;
		if (n == 0) {
			read_end(s);
			return;
		}
	}
	/* a hang-up comes again and again while the queue is full: look away until there is room */
	if (s->stalled && (revents & (EPOLLHUP | EPOLLERR)) && s->watch) {
		loop_del(s->watch);
		s->watch = NULL;
		return;
	}
	want(s);
}

int stream_start(struct stream *s, struct lxm_err *e)
{
	if (s->fd < 0)
		return 0;
	s->events = s->reads && !s->stalled ? EPOLLIN : 0;
	return loop_add(s->loop, s->fd, s->events, on_fd, s, &s->watch, e);
}

void stream_write(struct stream *s, const void *data, size_t len)
{
	if (s->fd < 0 || !s->writes || s->end_after_write)
		return;
	if (s->out_pos && s->out_pos == s->out.len)
		s->out.len = s->out_pos = 0;
	lxm_buf_add(&s->out, data, len);
	write_some(s);
	if (s->fd >= 0 && pending(s) > OUT_MAX && s->ws)
		ws_pause_reading(s->ws, true);
	if (s->fd >= 0)
		want(s);
}

void stream_write_end(struct stream *s)
{
	s->end_after_write = true;
	if (s->fd >= 0 && !pending(s) && !s->reads)
		write_end(s);
}

void stream_writable(struct stream *s)
{
	if (!s->stalled)
		return;
	s->stalled = false;
	if (s->fd >= 0 && !s->watch)
		(void)stream_start(s, NULL);
	else
		want(s);
}

void stream_bound(struct stream *s, size_t bytes)
{
	s->bounded = true;
	s->left = bytes;
}

void stream_drain(struct stream *s)
{
	int round;

	for (round = 0; s->reads && round < ROUND_MAX; round++)
		if (read_chunk(s) <= 0)
			break;
	read_end(s);
}

bool stream_busy(const struct stream *s)
{
	return s->stalled || (s->ws && ws_queued(s->ws) > 0);
}
