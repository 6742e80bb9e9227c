/*
 * Server side of a websocket, driven by the loop thread. Frames are read and made by lib/tls/ws_frame.h; a message is copied once, on its
 * way into the queue.
 *
 * What anybody asks for (messages, pause, close) is noted under the socket's lock and carried out by
 * ws_kick() on the loop thread, which alone touches the frames and the descriptor. That holds for requests made
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
#include <sys/uio.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/tls/ws_frame.h"
#include "lxmd/core/loop.h"

#define PING_MS		10000
#define STALL_MS	600000 /* a detached client that takes nothing for so long is cut off */
#define LINGER_MS	2000   /* after our Close frame, for the client to hang up */
#define READ_BYTES	65536
#define READ_ROUNDS	2
#define SEND_FRAMES	16  /* in one system call */
#define PINGS_UNANSWERED 256 /* pongs queued for a client that does not read */

enum { CODE_NORMAL = 1000, CODE_PROTOCOL = 1002, CODE_ABNORMAL = 1006, CODE_BAD_TEXT = 1007, CODE_TOO_BIG = 1009 };

/* One frame as it goes out, head and payload. */
struct out_msg {
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
	atomic_size_t out_bytes; /* in the next queue */

	/* loop thread only, from here on */
	struct out_msg *out, **out_last_at; /* what is being sent; out_at bytes of the first are gone */
	size_t out_at;
	struct lxm_ws_reader reader;
	struct loop_watch *watch;
	uint32_t watched;
	const struct ws_handler *handler;
	void *arg;
	bool started, in_io, paused, detached, close_queued, gone;
	bool peer_eof, hung_up, io_error, sent_any;
	int pings_since_write;
	unsigned char *extra; /* came with the request; NULL once it is used */
	size_t extra_len;
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

static void free_frames(struct out_msg *m)
{
	struct out_msg *next;

	for (; m; m = next) {
		next = m->next;
		free(m);
	}
}

void ws_unref(struct ws *ws)
{
	if (!ws || atomic_fetch_sub(&ws->refs, 1) > 1)
		return;
	free_frames(ws->first);
	free_frames(ws->out);
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

/* ---- frames out */

/* NULL when memory is out. */
static struct out_msg *new_frame(enum lxm_ws_opcode opcode, const void *data, size_t len)
{
	struct out_msg *m = malloc(sizeof(*m) + LXM_WSF_HEAD_MAX + len);

	if (!m)
		return NULL;
	m->next = NULL;
	m->len = lxm_ws_head((unsigned char *)m->data, opcode, len, NULL);
	if (len)
		memcpy(m->data + m->len, data, len);
	m->len += len;
	return m;
}

static void add_control(struct ws *ws, enum lxm_ws_opcode opcode, const void *data, size_t len)
{
	struct out_msg *m = ws->close_queued ? NULL : new_frame(opcode, data, len);

	if (!m)
		return;
	*ws->out_last_at = m;
	ws->out_last_at = &m->next;
	atomic_fetch_add(&ws->out_bytes, m->len);
}

/* The last frame: it overtakes what is queued, but for a frame that is partly out. */
static void add_close(struct ws *ws, int code)
{
	struct out_msg **keep = ws->out && ws->out_at ? &ws->out->next : &ws->out;
	unsigned char data[2] = { (unsigned char)(code >> 8), (unsigned char)code };

	if (ws->close_queued)
		return;
	free_frames(LXM_TAKE(*keep, NULL));
	ws->out_last_at = keep;
	atomic_store(&ws->out_bytes, ws->out ? ws->out->len - ws->out_at : 0);
	add_control(ws, LXM_WSF_CLOSE, data, code == LXM_WS_CODE_NONE ? 0 : sizeof(data));
	ws->close_queued = true;
}

/* Forgets what the kernel has taken. */
static void frames_sent(struct ws *ws, size_t n)
{
	struct out_msg *m;

	atomic_fetch_sub(&ws->out_bytes, n);
	for (n += ws->out_at; (m = ws->out) && n >= m->len; n -= m->len, free(m)) {
		ws->out = m->next;
		if (!ws->out)
			ws->out_last_at = &ws->out;
	}
	ws->out_at = n;
}

static void send_frames(struct ws *ws)
{
	while (ws->out) {
		struct iovec iov[SEND_FRAMES];
		struct msghdr msg = { .msg_iov = iov };
		struct out_msg *m = ws->out;
		size_t at = ws->out_at;
		ssize_t n;

		for (; m && msg.msg_iovlen < SEND_FRAMES; m = m->next, at = 0)
			iov[msg.msg_iovlen++] = (struct iovec){ m->data + at, m->len - at };
		n = sendmsg(ws->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ws->io_error = ws->io_error || errno != EAGAIN;
			return;
		}
		ws->sent_any = true;
		ws->pings_since_write = 0;
		frames_sent(ws, (size_t)n);
	}
}

/* ---- frames in */

static void refuse_client(struct ws *ws, int say, int tell)
{
	add_close(ws, say);
	ws_detach(ws, tell);
}

static void take_text(struct ws *ws, const struct lxm_ws_part *p)
{
	if (ws->text.len + p->n > WS_TEXT_MAX) {
		refuse_client(ws, CODE_TOO_BIG, CODE_TOO_BIG);
		return;
	}
	lxm_buf_add(&ws->text, p->data, p->n);
	if (!p->last)
		return;
	if (!lxm_utf8_ok(ws->text.data, ws->text.len)) {
		refuse_client(ws, CODE_BAD_TEXT, CODE_PROTOCOL);
		return;
	}
	if (ws->handler && ws->handler->on_message)
		ws->handler->on_message(ws, WS_TEXT, ws->text.data, ws->text.len, true, ws->arg);
	ws->text.len = 0;
}

static void take_part(struct ws *ws, const struct lxm_ws_part *p)
{
	int code;

	switch (p->opcode) {
	case LXM_WSF_CLOSE:
		code = lxm_ws_close_code(p->data, p->n);
		refuse_client(ws, code < 0 ? CODE_PROTOCOL : code, code < 0 ? CODE_PROTOCOL : code);
		return;
	case LXM_WSF_PING:
		ws->pings_since_write++;
		add_control(ws, LXM_WSF_PONG, p->data, p->n);
		return;
	case LXM_WSF_TEXT:
		take_text(ws, p);
		return;
	case LXM_WSF_BINARY:
		if (p->n && ws->handler && ws->handler->on_message)
			ws->handler->on_message(ws, WS_BINARY, p->data, p->n, false, ws->arg);
		if (p->last && ws->handler && ws->handler->on_message)
			ws->handler->on_message(ws, WS_BINARY, "", 0, true, ws->arg);
		return;
	default:
		return;
	}
}

static void take_bytes(struct ws *ws, unsigned char *data, size_t n)
{
	struct lxm_ws_part part;
	int r = 1;

	while (!ws->detached && (r = lxm_ws_read_part(&ws->reader, &data, &n, &part)) > 0)
		take_part(ws, &part);
	if (r < 0)
		refuse_client(ws, CODE_PROTOCOL, CODE_PROTOCOL);
}

/* ---- carrying out, on the loop thread */

/* Moves what other threads left into our own queue and state. */
static void take_requests(struct ws *ws)
{
	struct out_msg *m, **last_at;
	bool close_it, abort_it;

	pthread_mutex_lock(&ws->lock);
	m = ws->first;
	last_at = ws->last_at;
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
	if (!ws->close_queued)
		atomic_fetch_add(&ws->out_bytes, ws->pending_bytes);
	ws->pending_bytes = 0;
	pthread_mutex_unlock(&ws->lock);

	if (ws->close_queued) {
		free_frames(m);
	} else if (m) {
		*ws->out_last_at = m;
		ws->out_last_at = last_at;
	}
	if (abort_it) {
		ws_detach(ws, CODE_ABNORMAL);
		ws->io_error = true;
	} else if (close_it) {
		ws_detach(ws, CODE_NORMAL);
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

/* Reads some; afterwards a dead or refused connection has been detached. */
static void ws_read(struct ws *ws)
{
	unsigned char buf[READ_BYTES];
	int round;
	ssize_t n;

	if (ws->detached) {
		discard_input(ws);
		return;
	}
	if (ws->extra) {
		unsigned char *extra = LXM_TAKE(ws->extra, NULL);

		take_bytes(ws, extra, ws->extra_len);
		free(extra);
	}
	for (round = 0; round < READ_ROUNDS && !ws->detached; round++) {
		do
			n = recv(ws->fd, buf, sizeof(buf), MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n == 0)
			ws->peer_eof = true;
		else if (n < 0 && errno != EAGAIN)
			ws->io_error = true;
		if (n <= 0)
			break;
		take_bytes(ws, buf, (size_t)n);
		if ((size_t)n < sizeof(buf))
			break;
	}
	if (ws->peer_eof || ws->io_error || ws->pings_since_write > PINGS_UNANSWERED) {
		ws->io_error = true;
		ws_detach(ws, CODE_ABNORMAL);
	}
}

static void ws_write(struct ws *ws)
{
	send_frames(ws);
	if (ws->io_error) {
		ws_detach(ws, CODE_ABNORMAL);
		return;
	}
	if (ws->out || !ws->detached)
		return;
	if (!ws->close_queued) { /* only now: it overtakes what is queued */
		add_close(ws, CODE_NORMAL);
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
	uint32_t want = (read ? EPOLLIN : 0u) | (ws->out ? EPOLLOUT : 0u);

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
		bool had = ws->out || has_requests(ws);

		take_requests(ws);
		if (ws->extra && !ws->paused && !ws->detached)
			ws_read(ws); /* bytes that came with the request raise no event */
		ws_write(ws);
		if (had && !ws->detached && !ws->out && ws->handler &&
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

	ws->timer = loop_timer(ws->loop, PING_MS, on_ping_time, ws);
	if (ws->out) /* it does not take what it has: no need to add to it */
		return;
	add_control(ws, LXM_WSF_PING, NULL, 0);
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
	struct ws *ws = arg; /* the loop's reference */

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
	ws->out_last_at = &ws->out;
	ws->reader.masked = true;
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
	struct out_msg *m = new_frame(opcode == WS_TEXT ? LXM_WSF_TEXT : LXM_WSF_BINARY, data, len);

	if (!m)
		return -ENOMEM;
	pthread_mutex_lock(&ws->lock);
	if (ws->refuse || ws->want_close || ws->want_abort) {
		pthread_mutex_unlock(&ws->lock);
		free(m);
		return -EPIPE;
	}
	*ws->last_at = m;
	ws->last_at = &m->next;
	ws->pending_bytes += m->len;
	post_kick(ws);
	pthread_mutex_unlock(&ws->lock);
	return 0;
}

size_t ws_queued(struct ws *ws)
{
	size_t n;

	pthread_mutex_lock(&ws->lock);
	n = ws->pending_bytes + atomic_load(&ws->out_bytes);
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
