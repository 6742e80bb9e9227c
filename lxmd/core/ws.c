/*
 * Server side of a websocket, driven by the loop thread with wslay's event API.
 *
 * What anybody asks for (messages, pause, close) is noted under the socket's lock and carried out by
 * ws_kick() on the loop thread, which alone touches wslay and the descriptor. That holds for requests made
 * on the loop thread too: no ws_* function calls a handler before it returns, so callers may hold locks.
 *
 * The end has two steps. ws_detach() tells the handler (on_close) and stops delivering; the socket then
 * lives on without a handler until what was queued and the Close frame are out and the client has hung up,
 * or until time is up. Reading and dropping until then matters: closing a Unix socket that holds unread
 * bytes would show the client ECONNRESET instead of our last words.
 */
#include "lxmd/core/ws.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/core/loop.h"

#define PING_MS		10000
#define STALL_MS	600000 /* a detached client that takes nothing for so long is cut off */
#define LINGER_MS	2000   /* after our Close frame, for the client to hang up */
#define READ_PER_ROUND	(128 * 1024)
#define PINGS_UNANSWERED 256 /* pongs queued for a client that does not read */
#define CODE_NONE	1005
#define CODE_ABNORMAL	1006

struct out_msg {
	int opcode;
	size_t len;
	struct out_msg *next;
	char data[];
};

struct ws {
	atomic_int refs;
	struct loop *loop;
	int fd;

	pthread_mutex_t lock;
	struct out_msg *first, **last_at; /* guarded by lock, and the next six */
	size_t pending_bytes;
	const struct ws_handler *next_handler;
	void *next_arg;
	bool kick_posted, want_start, want_pause, want_close, want_abort, refuse;
	atomic_size_t wslay_bytes;

	/* loop thread only, from here on */
	wslay_event_context_ptr ctx;
	struct loop_watch *watch;
	uint32_t watched;
	const struct ws_handler *handler;
	void *arg;
	bool started, in_io, paused, detached, close_queued, gone;
	bool peer_eof, hung_up, io_error, sent_any;
	int pings_since_write;
	size_t read_budget;
	char *extra;
	size_t extra_len, extra_at;
	int msg_opcode;
	bool ctrl_frame;
	struct lxm_buf text;
	loop_timer_id timer;
	struct loop_hook at_end;
	void (*at_free)(void *arg); /* set by the maker, called by the last who leaves */
	void *at_free_arg;
};

static void ws_io(struct ws *ws);
static void on_event(int fd, uint32_t revents, void *arg);
static void post_kick(struct ws *ws);

/* ---- reference counting */

struct ws *ws_ref(struct ws *ws)
{
	atomic_fetch_add(&ws->refs, 1);
	return ws;
}

void ws_at_free(struct ws *ws, void (*fn)(void *arg), void *arg)
{
	ws->at_free = fn;
	ws->at_free_arg = arg;
}

void ws_unref(struct ws *ws)
{
	struct out_msg *m;

	if (!ws || atomic_fetch_sub(&ws->refs, 1) > 1)
		return;
	while ((m = ws->first)) {
		ws->first = m->next;
		free(m);
	}
	if (ws->ctx)
		wslay_event_context_free(ws->ctx);
	if (ws->at_free)
		ws->at_free(ws->at_free_arg);
	auto_fd_close(&ws->fd);
	lxm_buf_deinit(&ws->text);
	free(ws->extra);
	pthread_mutex_destroy(&ws->lock);
	free(ws);
}

/* ---- the end */

static void ws_gone(struct ws *ws)
{
	if (ws->gone)
		return;
	ws->gone = true;
	(void)loop_timer_cancel(ws->loop, ws->timer);
	ws->timer = 0;
	loop_del(ws->watch);
	ws->watch = NULL;
	loop_hook_del(ws->loop, &ws->at_end);
	(void)shutdown(ws->fd, SHUT_RDWR);
	ws_unref(ws); /* the loop's */
}

static void on_linger_end(void *arg)
{
	struct ws *ws = arg;

	ws->timer = 0;
	ws_gone(ws);
}

/* Detached and still something to send: as long as the client takes bytes now and then, wait for it. */
static void on_stall_check(void *arg)
{
	struct ws *ws = arg;

	ws->timer = 0;
	if (!ws->sent_any) {
		ws_gone(ws);
		return;
	}
	ws->sent_any = false;
	ws->timer = loop_timer(ws->loop, STALL_MS, on_stall_check, ws);
}

/* Tells the handler that it is over, once. */
static void ws_detach(struct ws *ws, int code)
{
	if (ws->detached)
		return;
	ws->detached = true;
	pthread_mutex_lock(&ws->lock);
	ws->refuse = true;
	pthread_mutex_unlock(&ws->lock);
	(void)loop_timer_cancel(ws->loop, ws->timer);
	ws->sent_any = false;
	ws->timer = loop_timer(ws->loop, STALL_MS, on_stall_check, ws);
	if (ws->handler && ws->handler->on_close)
		ws->handler->on_close(ws, code, ws->arg);
	ws->handler = NULL;
}

/* ---- wslay's callbacks */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *arg)
{
	struct ws *ws = arg;
	ssize_t n;

	if (ws->paused || ws->read_budget == 0 || ws->detached)
		goto block;
	if (ws->extra_at < ws->extra_len) {
		n = (ssize_t)(ws->extra_len - ws->extra_at);
		if ((size_t)n > len)
			n = (ssize_t)len;
		memcpy(buf, ws->extra + ws->extra_at, (size_t)n);
		ws->extra_at += (size_t)n;
		return n;
	}
	do
		n = recv(ws->fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		ws->read_budget -= (size_t)n < ws->read_budget ? (size_t)n : ws->read_budget;
		return n;
	}
	if (n == 0)
		ws->peer_eof = true;
	else if (errno != EAGAIN)
		ws->io_error = true;
block:
	wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
	return -1;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct ws *ws = arg;
	ssize_t n;

	do
		n = send(ws->fd, data, len,
			 MSG_DONTWAIT | MSG_NOSIGNAL | (flags & WSLAY_MSG_MORE ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		ws->sent_any = true;
		ws->pings_since_write = 0;
		return n;
	}
	if (errno != EAGAIN)
		ws->io_error = true;
	wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
	return -1;
}

static void on_frame_start(wslay_event_context_ptr ctx,
			   const struct wslay_event_on_frame_recv_start_arg *f, void *arg)
{
	struct ws *ws = arg;

	ws->ctrl_frame = wslay_is_ctrl_frame(f->opcode);
	if (f->opcode == WSLAY_TEXT_FRAME || f->opcode == WSLAY_BINARY_FRAME) {
		ws->msg_opcode = f->opcode;
		ws->text.len = 0;
	}
}

static void on_frame_chunk(wslay_event_context_ptr ctx,
			   const struct wslay_event_on_frame_recv_chunk_arg *c, void *arg)
{
	struct ws *ws = arg;

	if (ws->ctrl_frame || c->data_length == 0 || ws->detached)
		return;
	if (ws->msg_opcode == WSLAY_TEXT_FRAME) {
		if (ws->text.len + c->data_length > WS_TEXT_MAX) {
			(void)wslay_event_queue_close(ctx, WSLAY_CODE_MESSAGE_TOO_BIG, NULL, 0);
			ws->close_queued = true;
			ws_detach(ws, WSLAY_CODE_MESSAGE_TOO_BIG);
			return;
		}
		lxm_buf_add(&ws->text, c->data, c->data_length);
	} else if (ws->handler && ws->handler->on_message) {
		ws->handler->on_message(ws, WS_BINARY, c->data, c->data_length, false, ws->arg);
	}
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
		       void *arg)
{
	struct ws *ws = arg;

	switch (m->opcode) {
	case WSLAY_CONNECTION_CLOSE: /* wslay has queued the answer */
		ws->close_queued = true;
		ws_detach(ws, m->status_code ? m->status_code : CODE_NONE);
		return;
	case WSLAY_PING: /* likewise */
		ws->pings_since_write++;
		return;
	case WSLAY_TEXT_FRAME:
		if (ws->handler && ws->handler->on_message)
			ws->handler->on_message(ws, WS_TEXT, ws->text.len ? ws->text.data : "",
						ws->text.len, true, ws->arg);
		ws->text.len = 0;
		return;
	case WSLAY_BINARY_FRAME:
		if (ws->handler && ws->handler->on_message)
			ws->handler->on_message(ws, WS_BINARY, "", 0, true, ws->arg);
		return;
	}
}

/* ---- carrying out, on the loop thread */

/* Moves what other threads left into wslay and into our own state. */
static void take_requests(struct ws *ws)
{
	struct out_msg *m, *next;
	bool close_it, abort_it;

	pthread_mutex_lock(&ws->lock);
	m = ws->first;
	ws->first = NULL;
	ws->last_at = &ws->first;
	ws->paused = ws->want_pause;
	if (ws->want_start) {
		ws->handler = ws->next_handler;
		ws->arg = ws->next_arg;
		ws->want_start = false;
	}
	close_it = ws->want_close;
	abort_it = ws->want_abort;
	atomic_fetch_add(&ws->wslay_bytes, ws->pending_bytes);
	ws->pending_bytes = 0;
	pthread_mutex_unlock(&ws->lock);

	for (; m; m = next) {
		struct wslay_event_msg wm = { (uint8_t)m->opcode, (const uint8_t *)m->data, m->len };

		next = m->next;
		if (!ws->close_queued)
			(void)wslay_event_queue_msg(ws->ctx, &wm);
		free(m);
	}
	if (abort_it) {
		ws_detach(ws, CODE_ABNORMAL);
		ws->io_error = true;
	} else if (close_it) {
		ws_detach(ws, WSLAY_CODE_NORMAL_CLOSURE);
	}
}

static void discard_input(struct ws *ws)
{
	char junk[16384];
	ssize_t n;

	while ((n = recv(ws->fd, junk, sizeof(junk), MSG_DONTWAIT)) > 0)
		if ((size_t)n < sizeof(junk))
			return;
	if (n == 0)
		ws->peer_eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		ws->io_error = true;
}

/* Reads once; afterwards a dead or refused connection has been detached. */
static void ws_read(struct ws *ws)
{
	int r;

	if (ws->detached) {
		discard_input(ws);
		return;
	}
	ws->read_budget = READ_PER_ROUND;
	r = wslay_event_recv(ws->ctx);
	if (ws->peer_eof || ws->io_error || ws->pings_since_write > PINGS_UNANSWERED) {
		ws->io_error = true;
		ws_detach(ws, CODE_ABNORMAL);
	} else if (r != 0 || (!ws->detached && !wslay_event_get_read_enabled(ws->ctx))) {
		/* broken framing: wslay has queued a Close with its reason */
		ws->close_queued = true;
		ws_detach(ws, WSLAY_CODE_PROTOCOL_ERROR);
	}
}

static void ws_write(struct ws *ws)
{
	if (wslay_event_send(ws->ctx) != 0)
		ws->io_error = true;
	atomic_store(&ws->wslay_bytes, wslay_event_get_queued_msg_length(ws->ctx));
	if (ws->io_error) {
		ws_detach(ws, CODE_ABNORMAL);
		return;
	}
	if (wslay_event_want_write(ws->ctx) || !ws->detached)
		return;
	if (!ws->close_queued) { /* only now: a Close overtakes data in wslay's queues */
		ws->close_queued = true;
		(void)wslay_event_queue_close(ws->ctx, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
		ws_write(ws);
		return;
	}
	(void)shutdown(ws->fd, SHUT_WR);
	if (ws->peer_eof) {
		ws->io_error = true; /* both sides are done */
		return;
	}
	(void)loop_timer_cancel(ws->loop, ws->timer);
	ws->timer = loop_timer(ws->loop, LINGER_MS, on_linger_end, ws);
}

/*
 * What epoll shall report from now on. A paused socket whose peer has hung up is taken out altogether:
 * epoll would report the hangup for ever, and what the peer sent before must still be read later.
 */
static void ws_watch(struct ws *ws)
{
	bool read = !ws->paused || ws->detached;
	uint32_t want = (read ? EPOLLIN : 0u) | (wslay_event_want_write(ws->ctx) ? EPOLLOUT : 0u);

	if (ws->hung_up && !read) {
		loop_del(ws->watch);
		ws->watch = NULL;
		return;
	}
	if (!ws->watch) {
		if (loop_add(ws->loop, ws->fd, want, on_event, ws, &ws->watch, NULL) < 0)
			ws_gone(ws);
	} else if (want != ws->watched) {
		(void)loop_mod(ws->watch, want);
	}
	ws->watched = want;
}

static bool has_requests(struct ws *ws)
{
	bool any;

	pthread_mutex_lock(&ws->lock);
	any = ws->first || ws->paused != ws->want_pause ||
	      (!ws->detached && (ws->want_close || ws->want_abort));
	pthread_mutex_unlock(&ws->lock);
	return any;
}

/* Does all there is to do now. Callbacks run in here, so it is never entered twice for one socket. */
static void ws_io(struct ws *ws)
{
	int round = 0;

	if (ws->in_io || ws->gone || !ws->started)
		return;
	ws->in_io = true;
	do {
		bool had = wslay_event_want_write(ws->ctx) || has_requests(ws);

		take_requests(ws);
		if (ws->extra_at < ws->extra_len && !ws->paused && !ws->detached)
			ws_read(ws); /* bytes that came with the request raise no event */
		ws_write(ws);
		if (had && !ws->detached && !wslay_event_want_write(ws->ctx) && ws->handler &&
		    ws->handler->on_writable)
			ws->handler->on_writable(ws, ws->arg);
	} while (has_requests(ws) && ++round < 16);
	ws->in_io = false;
	if (ws->io_error) {
		ws_gone(ws);
		return;
	}
	ws_watch(ws);
	if (round == 16) { /* others on the loop want their turn */
		pthread_mutex_lock(&ws->lock);
		post_kick(ws);
		pthread_mutex_unlock(&ws->lock);
	}
}

static void ws_kick(void *arg)
{
	struct ws *ws = arg;

	pthread_mutex_lock(&ws->lock);
	ws->kick_posted = false;
	pthread_mutex_unlock(&ws->lock);
	ws_io(ws);
	ws_unref(ws);
}

static void on_event(int fd, uint32_t revents, void *arg)
{
	struct ws *ws = ws_ref(arg);

	ws->in_io = true;
	if (revents & (EPOLLHUP | EPOLLERR))
		ws->hung_up = true;
	if ((!ws->paused || ws->detached) && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		ws_read(ws);
	if (ws->peer_eof && ws->detached)
		ws->io_error = true; /* nobody is left to send to */
	ws->in_io = false;
	ws_io(ws);
	ws_unref(ws);
}

static void on_ping_time(void *arg)
{
	struct ws *ws = arg;
	struct wslay_event_msg ping = { WSLAY_PING, NULL, 0 };

	ws->timer = loop_timer(ws->loop, PING_MS, on_ping_time, ws);
	if (wslay_event_want_write(ws->ctx)) /* it does not take what it has: no need to add to it */
		return;
	(void)wslay_event_queue_msg(ws->ctx, &ping);
	ws_io(ws);
}

static void on_loop_end(void *arg)
{
	struct ws *ws = ws_ref(arg);

	ws_detach(ws, CODE_ABNORMAL);
	ws_gone(ws);
	ws_unref(ws);
}

static void ws_begin(void *arg)
{
	static const struct wslay_event_callbacks cbs = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame_start,
		.on_frame_recv_chunk_callback = on_frame_chunk,
		.on_msg_recv_callback = on_message,
	};
	struct ws *ws = arg; /* the loop's reference */

	if (wslay_event_context_server_init(&ws->ctx, &cbs, ws) != 0)
		abort(); /* out of memory, and nothing else */
	wslay_event_config_set_no_buffering(ws->ctx, 1);
	wslay_event_config_set_max_recv_msg_length(ws->ctx, (uint64_t)1 << 62);
	take_requests(ws);
	ws->watched = EPOLLIN;
	if (loop_add(ws->loop, ws->fd, ws->watched, on_event, ws, &ws->watch, NULL) < 0)
		ws->io_error = true;
	ws->started = true;
	ws->at_end = (struct loop_hook){ .fn = on_loop_end, .arg = ws };
	loop_hook_add(ws->loop, &ws->at_end);
	if (!ws->detached)
		ws->timer = loop_timer(ws->loop, PING_MS, on_ping_time, ws);
	ws_io(ws);
}

/* ---- for every thread */

struct ws *ws_new(struct loop *loop, int fd, const void *extra, size_t extra_len)
{
	struct ws *ws = lxm_alloc(sizeof(*ws));

	atomic_init(&ws->refs, 1);
	ws->loop = loop;
	ws->fd = fd;
	ws->last_at = &ws->first;
	pthread_mutex_init(&ws->lock, NULL);
	if (extra_len) {
		ws->extra = lxm_alloc(extra_len);
		memcpy(ws->extra, extra, extra_len);
		ws->extra_len = extra_len;
	}
	return ws;
}

/* Has ws_kick() run soon; with the lock held. */
static void post_kick(struct ws *ws)
{
	if (ws->kick_posted)
		return;
	ws->kick_posted = true;
	loop_post(ws->loop, ws_kick, ws_ref(ws));
}

void ws_start(struct ws *ws, const struct ws_handler *h, void *arg)
{
	pthread_mutex_lock(&ws->lock);
	ws->next_handler = h;
	ws->next_arg = arg;
	ws->want_start = true;
	loop_post(ws->loop, ws_begin, ws_ref(ws));
	pthread_mutex_unlock(&ws->lock);
}

int ws_send(struct ws *ws, int opcode, const void *data, size_t len)
{
	struct out_msg *m = malloc(sizeof(*m) + len);

	if (!m)
		return -ENOMEM;
	m->opcode = opcode;
	m->len = len;
	m->next = NULL;
	if (len)
		memcpy(m->data, data, len);
	pthread_mutex_lock(&ws->lock);
	if (ws->refuse || ws->want_close || ws->want_abort) {
		pthread_mutex_unlock(&ws->lock);
		free(m);
		return -EPIPE;
	}
	*ws->last_at = m;
	ws->last_at = &m->next;
	ws->pending_bytes += len;
	post_kick(ws);
	pthread_mutex_unlock(&ws->lock);
	return 0;
}

size_t ws_queued(struct ws *ws)
{
	size_t n;

	pthread_mutex_lock(&ws->lock);
	n = ws->pending_bytes + atomic_load(&ws->wslay_bytes);
	pthread_mutex_unlock(&ws->lock);
	return n;
}

static void ws_request(struct ws *ws, bool *what, bool value)
{
	pthread_mutex_lock(&ws->lock);
	*what = value;
	post_kick(ws);
	pthread_mutex_unlock(&ws->lock);
}

void ws_pause_reading(struct ws *ws, bool pause)
{
	ws_request(ws, &ws->want_pause, pause);
}

void ws_close(struct ws *ws)
{
	ws_request(ws, &ws->want_close, true);
}

void ws_abort(struct ws *ws)
{
	ws_request(ws, &ws->want_abort, true);
}

int ws_accept_key(const char *key, char out[32])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[SHA_DIGEST_LENGTH], raw[24];
	char text[64];

	if (!key || strlen(key) != 24 || EVP_DecodeBlock(raw, (const unsigned char *)key, 24) < 16)
		return -EINVAL;
	(void)snprintf(text, sizeof(text), "%s%s", key, guid);
	SHA1((const unsigned char *)text, strlen(text), digest);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
	return 0;
}
