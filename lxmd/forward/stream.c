/*
 * Connections: what comes from one side goes to the other through a pipe by splice(2), without being copied through this process. A
 * direction borrows a pipe only while bytes are under way. The end of one direction is passed on as a half-close and the other one goes
 * on; an error ends both, with a reset. Where the far side is UDP each read becomes a datagram and each datagram bytes of the stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lxmd/forward/forward.h"

#define ROUNDS	   8		  /* of one event, so that nobody has to wait for a fast one */
#define PIPE_SIZE  (256 << 10)	  /* wanted; the kernel may give less */
#define PIPES_KEPT 16
#define CHUNK	   (1 << 20)	  /* most that one splice moves */
#define DATAGRAM   65507

struct conn;

struct side {
	struct source src;
	struct conn *conn;
	bool dgram;
};

/* From one side to the other. */
struct flow {
	int pipe[2]; /* -1: none is needed now */
	size_t fill; /* bytes in it */
	bool eof;    /* nothing more comes */
	bool done;   /* and the other side knows */
};

struct conn {
	struct side a, b; /* who came, and where it goes */
	struct flow ab, ba;
	bool connecting;
	char header[HEADER_MAX];
	size_t header_len;
	struct conn *next; /* of the dead */
};

static int spare[PIPES_KEPT][2];
static size_t nspare, nconns;
static struct conn *dead;
static char datagram[DATAGRAM];

/* ---- pipes */

static int pipe_take(struct flow *f)
{
	if (f->pipe[0] >= 0)
		return 0;
	if (nspare) {
		memcpy(f->pipe, spare[--nspare], sizeof(f->pipe));
		return 0;
	}
	if (pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
		f->pipe[0] = f->pipe[1] = -1;
		return -errno;
	}
	(void)fcntl(f->pipe[0], F_SETPIPE_SZ, PIPE_SIZE);
	return 0;
}

static void pipe_give(struct flow *f)
{
	if (f->pipe[0] < 0)
		return;
	if (f->fill || nspare == PIPES_KEPT) {
		(void)close(f->pipe[0]);
		(void)close(f->pipe[1]);
	} else {
		memcpy(spare[nspare++], f->pipe, sizeof(f->pipe));
	}
	f->pipe[0] = f->pipe[1] = -1;
	f->fill = 0;
}

/* ---- the life of a connection */

static void conn_end(struct conn *c, bool reset)
{
	const struct linger now = { .l_onoff = 1 };

	if (c->a.src.fd < 0)
		return;
	if (reset) {
		(void)setsockopt(c->a.src.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		if (c->b.src.fd >= 0)
			(void)setsockopt(c->b.src.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	source_close(&c->a.src);
	source_close(&c->b.src);
	pipe_give(&c->ab);
	pipe_give(&c->ba);
	/* events of this round may still point here */
	c->next = dead;
	dead = c;
}

void stream_reap(void)
{
	bool any = dead != NULL;

	while (dead) {
		struct conn *c = dead;

		dead = c->next;
		free(c);
		nconns--;
	}
	if (any)
		loop_resume();
}

/* ---- moving bytes: each returns what it moved, 0 when it has to wait, or -errno */

static ssize_t again(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* One datagram into the pipe, which is empty. */
static ssize_t fill_from_dgram(struct flow *f, int from)
{
	ssize_t n = recv(from, datagram, sizeof(datagram), 0);

	/* refused: nobody is at that port, which is no business of a stream */
	if (n <= 0)
		return n < 0 && errno == ECONNREFUSED ? 0 : again(n);
	n = write(f->pipe[1], datagram, (size_t)n);
	return again(n);
}

static ssize_t fill(struct flow *f, const struct side *from)
{
	ssize_t n;
	int r = pipe_take(f);

	if (r < 0)
		return r;
	if (from->dgram) {
		n = fill_from_dgram(f, from->src.fd);
	} else {
		n = splice(from->src.fd, NULL, f->pipe[1], NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n == 0)
			f->eof = true;
		n = again(n);
	}
	if (n > 0)
		f->fill += (size_t)n;
	return n;
}

static ssize_t drain(struct flow *f, const struct side *to)
{
	ssize_t n = again(splice(f->pipe[0], NULL, to->src.fd, NULL, f->fill, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));

	if (n > 0)
		f->fill -= (size_t)n;
	return n;
}

/* A datagram that finds no room is lost, as on any wire. */
static ssize_t stream_to_dgram(struct flow *f, const struct side *from, const struct side *to)
{
	ssize_t n = recv(from->src.fd, datagram, sizeof(datagram), 0);

	if (n == 0)
		f->eof = true;
	if (n > 0 && send(to->src.fd, datagram, (size_t)n, 0) < 0 && errno == ECONNREFUSED)
		(void)send(to->src.fd, datagram, (size_t)n, 0); /* that was the answer to an earlier one */
	return again(n);
}

static int pump(struct flow *f, struct side *from, struct side *to)
{
	int round;

	for (round = 0; round < ROUNDS && !f->done; round++) {
		ssize_t got = 0, put = 0;

		if (!f->eof && !f->fill)
			got = to->dgram ? stream_to_dgram(f, from, to) : fill(f, from);
		if (got >= 0 && f->fill)
			put = drain(f, to);
		if (got < 0 || put < 0)
			return (int)(got < 0 ? got : put);
		if (f->eof && !f->fill) {
			(void)shutdown(to->src.fd, SHUT_WR);
			f->done = true;
		}
		if (!got && !put)
			break;
	}
	if (!f->fill)
		pipe_give(f);
	return 0;
}

/* ---- events */

static uint32_t wants(const struct flow *out_of, const struct flow *into)
{
	return (out_of->eof || out_of->fill ? 0 : EPOLLIN) | (into->fill ? EPOLLOUT : 0);
}

static void conn_go_on(struct conn *c)
{
	int r = pump(&c->ab, &c->a, &c->b);

	if (r == 0)
		r = pump(&c->ba, &c->b, &c->a);
	/* a stream has an end, what answers by UDP has none */
	if (r == 0 && c->ab.done && (c->ba.done || c->b.dgram)) {
		conn_end(c, false);
		return;
	}
	if (r == 0)
		r = source_want(&c->a.src, wants(&c->ab, &c->ba));
	if (r == 0)
		r = source_want(&c->b.src, wants(&c->ba, &c->ab));
	if (r < 0)
		conn_end(c, true);
}

static int connected(struct conn *c)
{
	socklen_t len = sizeof(int);
	int failed = 0;

	if (getsockopt(c->b.src.fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0 || failed)
		return failed ? -failed : -errno;
	c->connecting = false;
	/* the first bytes of a connection: there is room for them */
	if (c->header_len && send(c->b.src.fd, c->header, c->header_len, MSG_NOSIGNAL) != (ssize_t)c->header_len)
		return -EIO;
	return 0;
}

static void on_side(struct source *s, uint32_t events)
{
	struct conn *c = ((struct side *)s)->conn;

	if (c->connecting && (s != &c->b.src || connected(c) < 0))
		conn_end(c, true);
	else
		conn_go_on(c);
}

static void conn_new(int fd, const struct listener *l, const struct sockaddr_storage *peer)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct sockaddr_storage local = { 0 };
	socklen_t len = sizeof(local);
	int one = 1;

	if (!c) {
		(void)close(fd);
		return;
	}
	nconns++;
	c->a = (struct side){ .src = { on_side, fd, 0 }, .conn = c };
	c->b = (struct side){ .src = { on_side, dial(l->index), 0 }, .conn = c, .dgram = fwd.job->connect.type == FORWARD_UDP };
	c->ab.pipe[0] = c->ab.pipe[1] = c->ba.pipe[0] = c->ba.pipe[1] = -1;
	c->connecting = true;
	if (fwd.job->listen.type == FORWARD_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fwd.job->flags & FORWARD_HEADER) {
		(void)getsockname(fd, (struct sockaddr *)&local, &len);
		c->header_len = header_v1(peer, &local, c->header);
	}
	if (c->b.src.fd < 0 || source_want(&c->b.src, EPOLLOUT) < 0)
		conn_end(c, true);
}

void stream_accept(struct source *s, uint32_t events)
{
	struct listener *l = (struct listener *)s;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = nconns < CONNECTIONS_MAX ? accept4(s->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;

		if (fd >= 0) {
			conn_new(fd, l, &peer);
			continue;
		}
		if (nconns >= CONNECTIONS_MAX || errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			listener_pause(l);
		return;
	}
}
