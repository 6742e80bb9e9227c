/*
 * One connection of a guest: bytes come in until a request is whole, it waits for its turn, a worker answers, the
 * answer goes out, and the next request may follow. Loop thread; nothing here blocks. The bytes are a guest's: bounded
 * by the buffer in the struct and by a timer, decoded by http.c.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/ws.h"
#include "lxmd/guest/guest_priv.h"

static void advance(struct guest_conn *c);

static struct loop *loop_of(const struct guest_conn *c)
{
	return c->g->all->d->loop;
}

static void answer_reset(struct guest_answer *a)
{
	lxm_buf_deinit(&a->body);
	free(a->image);
	free(a->project);
	*a = (struct guest_answer){ 0 };
}

static void conn_free(struct guest_conn *c)
{
	struct guest *g = c->g;

	if (c->prev)
		c->prev->next = c->next;
	else
		g->list = c->next;
	if (c->next)
		c->next->prev = c->prev;
	loop_del(c->watch);
	(void)loop_timer_cancel(loop_of(c), c->timer);
	auto_fd_close(&c->fd);
	answer_reset(&c->ans);
	lxm_buf_deinit(&c->out);
	guest_conn_gone(c);
	free(c);
	guest_unref(g);
}

static void leave_queue(struct guest_conn *c)
{
	struct guest_fifo *q = &c->g->waiting;
	struct guest_conn *p, *before = NULL;

	for (p = q->first; p && p != c; p = p->next_waiting)
		before = p;
	if (!p)
		return;
	if (before)
		before->next_waiting = c->next_waiting;
	else
		q->first = c->next_waiting;
	if (q->last == c)
		q->last = before;
}

void conn_end(struct guest_conn *c)
{
	if (c->state == CONN_WORK) {
		c->dead = true;
		return;
	}
	if (c->state == CONN_WAIT)
		leave_queue(c);
	conn_free(c);
}

static void on_timeout(void *arg)
{
	struct guest_conn *c = arg;

	c->timer = 0;
	conn_end(c);
}

static void arm(struct guest_conn *c, uint32_t events)
{
	(void)loop_timer_cancel(loop_of(c), c->timer);
	c->timer = loop_timer(loop_of(c), c->other ? GUEST_OTHER_MS : GUEST_IDLE_MS, on_timeout, c);
	/* one shot: while a worker has it, a hang-up must not wake the loop again and again */
	(void)loop_mod(c->watch, events | EPOLLONESHOT);
}

static void disarm(struct guest_conn *c)
{
	(void)loop_timer_cancel(loop_of(c), c->timer);
	c->timer = 0;
}

/* ---- answers */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 503:
		return "Service Unavailable";
	default:
		return status < 500 ? "Refused" : "Internal Server Error";
	}
}

static void write_head(struct guest_conn *c)
{
	struct guest_answer *a = &c->ans;

	lxm_buf_fmt(&c->out, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", a->status, reason(a->status), a->body.len);
	if (a->type)
		lxm_buf_fmt(&c->out, "Content-Type: %s\r\n", a->type);
	if (c->rq.close)
		lxm_buf_str(&c->out, "Connection: close\r\n");
	lxm_buf_str(&c->out, "\r\n");
	if (strcmp(c->rq.method, "HEAD") != 0)
		lxm_buf_add(&c->out, a->body.data, a->body.len);
	answer_reset(a);
}

/* A request that is not one: say so and close. */
static void refuse(struct guest_conn *c, int status)
{
	c->ans.status = status;
	c->ans.type = "text/plain; charset=utf-8";
	lxm_buf_str(&c->ans.body, "bad request\n");
	c->rq.close = true;
	write_head(c);
	c->state = CONN_WRITE;
}

/* A 101, and the connection becomes a websocket. */
static void become_listener(struct guest_conn *c)
{
	int types = c->ans.events;
	struct guest *g;
	char key[32];
	struct lxm_buf head = { 0 };
	bool sent;
	int fd;

	if (ws_accept_key(c->rq.ws_key, key) < 0) {
		answer_reset(&c->ans);
		refuse(c, 400);
		advance(c);
		return;
	}
	lxm_buf_fmt(&head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		    key);
	/* the first bytes on this socket, or the first after all else was taken: they fit */
	sent = send(c->fd, head.data, head.len, MSG_NOSIGNAL) == (ssize_t)head.len;
	lxm_buf_deinit(&head);
	c->state = CONN_READ;
	if (!sent) {
		conn_end(c);
		return;
	}
	g = guest_ref(c->g);
	loop_del(c->watch);
	c->watch = NULL;
	fd = LXM_TAKE(c->fd, -1);
	(void)guest_listen(g, ws_new(loop_of(c), fd, c->in + c->rq.head, c->len - c->rq.head), types);
	conn_end(c);
	guest_unref(g);
}

static void export_done(struct guest_conn *c)
{
	c->g->all->exports--;
	c->state = CONN_READ;
	conn_end(c);
}

static void begin_export(struct guest_conn *c)
{
	struct guests *all = c->g->all;

	if (all->exports >= GUESTS_EXPORTS) {
		answer_reset(&c->ans);
		refuse(c, 503);
		advance(c);
		return;
	}
	all->exports++;
	guest_job(c, export_image, export_done);
}

void conn_answer(struct guest_conn *c)
{
	c->state = CONN_READ;
	if (c->dead) {
		conn_end(c);
	} else if (c->ans.events) {
		become_listener(c);
	} else if (c->ans.image) {
		c->state = CONN_WORK;
		begin_export(c);
	} else {
		write_head(c);
		c->state = CONN_WRITE;
		advance(c);
	}
}

/* ---- bytes */

/* Returns 1 when all is out, 0 when the guest takes no more for now, -1 when it is gone. */
static int write_out(struct guest_conn *c)
{
	while (c->out_off < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_off, c->out.len - c->out_off, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return -1;
		c->out_off += (size_t)n;
	}
	lxm_buf_deinit(&c->out);
	c->out_off = 0;
	return 1;
}

/* Returns 1 when something came, 0 when nothing is there for now, -1 at the end. */
static int read_in(struct guest_conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, GUEST_REQUEST_MAX - c->len, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	c->len += (size_t)n;
	return 1;
}

/* Forget the request that was answered; what stands behind it may be the next one. */
static void next_request(struct guest_conn *c)
{
	size_t used = c->rq.head + c->rq.body;

	memmove(c->in, c->in + used, c->len - used);
	c->len -= used;
	c->state = CONN_READ;
}

static void advance_write(struct guest_conn *c)
{
	int r = write_out(c);

	if (r == 0) {
		arm(c, EPOLLOUT);
	} else if (r < 0 || c->rq.close) {
		conn_end(c);
	} else {
		next_request(c);
		advance(c);
	}
}

static void advance_read(struct guest_conn *c)
{
	int r = guest_http_parse(c->in, c->len, &c->rq);

	if (r == 0) {
		r = read_in(c);
		if (r == 0)
			arm(c, EPOLLIN);
		else if (r < 0)
			conn_end(c);
		else
			advance(c);
		return;
	}
	disarm(c);
	if (r < 0) {
		refuse(c, -r);
		advance(c);
	} else {
		guest_wants_turn(c);
	}
}

/* One step on; each goes as far as it can. A guest's pipeline is bounded by its buffer, and so is this recursion. */
static void advance(struct guest_conn *c)
{
	if (c->state == CONN_WRITE)
		advance_write(c);
	else if (c->state == CONN_READ)
		advance_read(c);
}

static void on_ready(int fd, uint32_t revents, void *arg)
{
	struct guest_conn *c = arg;

	/* only a hang-up comes unasked; the job finds out by itself */
	advance(c);
}

void conn_new(struct guest *g, int fd)
{
	struct guest_conn *c = lxm_alloc(sizeof(*c));
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	c->g = guest_ref(g);
	c->fd = fd;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	c->pid = peer.pid;
	c->uid = peer.uid;
	/* they must not keep root out */
	c->other = c->uid != g->base.root;
	if (c->other)
		g->others++;
	else
		g->conns++;
	c->next = g->list;
	if (g->list)
		g->list->prev = c;
	g->list = c;
	if (g->others > GUEST_OTHERS || loop_add(g->all->d->loop, fd, 0, on_ready, c, &c->watch, NULL) < 0)
		conn_end(c);
	else
		arm(c, EPOLLIN);
}
