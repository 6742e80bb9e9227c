/*
 * Streams over websockets. A socket that the peer opened is driven by the loop thread (core/ws.h): what comes in is put into a
 * bounded buffer under the link's lock, and the worker waits on its condition. A socket that we dialled (tls/ws_client.h) is driven by
 * the worker itself while it waits: no thread more, and the peer is slowed down by what we do not read.
 */
#include "lxmd/instance/migrate_link.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lib/tls/ws_client.h"
#include "lxmd/core/ws.h"

#define IN_MAX	  (2u << 20) /* bytes held before reading stops */
#define WANT_MAX  (256u << 10)
#define OUT_MAX	  (4u << 20) /* bytes queued to the loop thread before the sender waits */
#define DIAL_MAX  (1u << 20) /* bytes queued to a socket that the sender itself drives */
#define MESSAGE	  (256u << 10)
#define CLOSE_MS  3000
#define HELLO_MS  10000
#define TURN_MS	  1000

struct sock {
	struct mig_link *l;
	struct ws *ws;		/* the peer opened it; a reference */
	struct lxm_ws *client;	/* we dialled it; worker only */
	/* guarded by the link's lock when ws is set: */
	struct lxm_buf in;
	size_t in_at, want;
	bool paused, ended;
};

struct mig_link {
	atomic_int refs;
	atomic_bool stopped;
	int wake_fd; /* eventfd: stops a worker that waits in poll */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct sock socks[2];
};

struct mig_link *mig_link_new(void)
{
	struct mig_link *l = lxm_alloc(sizeof(*l));
	pthread_condattr_t attr;

	atomic_init(&l->refs, 1);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	l->socks[MIG_CONTROL].l = l->socks[MIG_FS].l = l;
	return l;
}

struct mig_link *mig_link_ref(struct mig_link *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void mig_link_unref(struct mig_link *l)
{
	int i;

	if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
		return;
	for (i = 0; i < 2; i++) {
		ws_unref(l->socks[i].ws);
		lxm_ws_free(l->socks[i].client);
		lxm_buf_deinit(&l->socks[i].in);
	}
	auto_fd_close(&l->wake_fd);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

int mig_link_socket(const char *name)
{
	return lxm_streq(name, "control") ? MIG_CONTROL : lxm_streq(name, "fs") ? MIG_FS : -EINVAL;
}

static size_t held(const struct sock *s)
{
	return s->in.len - s->in_at;
}

static void keep(struct sock *s, const void *data, size_t n)
{
	if (s->in_at == s->in.len) {
		s->in.len = s->in_at = 0;
	} else if (s->in_at > IN_MAX) {
		memmove(s->in.data, s->in.data + s->in_at, held(s));
		s->in.len -= s->in_at;
		s->in_at = 0;
	}
	if (n)
		lxm_buf_add(&s->in, data, n);
}

/* Up to n bytes of what is held. */
static size_t use(struct sock *s, void *data, size_t n)
{
	if (n > held(s))
		n = held(s);
	if (n)
		memcpy(data, s->in.data + s->in_at, n);
	s->in_at += n;
	return n;
}

/* ---- sockets that the peer opened */

static void on_message(struct ws *ws, int opcode, const void *data, size_t len, bool fin, void *arg)
{
	struct sock *s = arg;

	if (opcode != WS_BINARY || !len)
		return; /* TEXT ends a stream for other peers; ours says so itself */
	pthread_mutex_lock(&s->l->lock);
	keep(s, data, len);
	if (!s->paused && held(s) > IN_MAX) {
		s->paused = true;
		ws_pause_reading(ws, true);
	}
	if (held(s) >= s->want)
		pthread_cond_broadcast(&s->l->changed);
	pthread_mutex_unlock(&s->l->lock);
}

static void on_close(struct ws *ws, int code, void *arg)
{
	struct sock *s = arg;

	pthread_mutex_lock(&s->l->lock);
	s->ended = true;
	pthread_cond_broadcast(&s->l->changed);
	pthread_mutex_unlock(&s->l->lock);
	mig_link_unref(s->l);
}

static void on_writable(struct ws *ws, void *arg)
{
	struct sock *s = arg;

	pthread_mutex_lock(&s->l->lock);
	pthread_cond_broadcast(&s->l->changed);
	pthread_mutex_unlock(&s->l->lock);
}

int mig_link_accept(struct mig_link *l, enum mig_socket which, struct ws *ws)
{
	static const struct ws_handler handler = { .on_message = on_message, .on_close = on_close, .on_writable = on_writable };
	struct sock *s = &l->socks[which];

	if (s->ws || s->client)
		return -EEXIST;
	s->ws = ws_ref(ws);
	ws_start(ws, &handler, &mig_link_ref(l)->socks[which]);
	return 0;
}

/* Wait for the loop thread, with the lock held. */
static void wait_changed(struct mig_link *l)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += TURN_MS / 1000;
	pthread_cond_timedwait(&l->changed, &l->lock, &ts);
}

static int why_not(const struct mig_link *l, bool ended, int64_t since_ms, struct lxm_err *e)
{
	if (atomic_load(&l->stopped))
		return lxm_err_set(e, ECANCELED, "cancelled");
	if (ended)
		return lxm_err_set(e, EPIPE, "the other side ended the connection");
	if (lxm_mono_ms() - since_ms > MIG_SILENCE_MS)
		return lxm_err_set(e, ETIMEDOUT, "the other side has been silent for %d minutes", MIG_SILENCE_MS / 60000);
	return 0;
}

static int put_accepted(struct sock *s, const void *data, size_t n, struct lxm_err *e)
{
	int64_t since = lxm_mono_ms();
	size_t queued = 0, now;
	int r;

	pthread_mutex_lock(&s->l->lock);
	while ((r = why_not(s->l, s->ended, since, e)) == 0 && (now = ws_queued(s->ws)) > OUT_MAX) {
		if (now < queued)
			since = lxm_mono_ms();
		queued = now;
		wait_changed(s->l);
	}
	pthread_mutex_unlock(&s->l->lock);
	if (r == 0 && ws_send(s->ws, WS_BINARY, data, n) < 0)
		r = why_not(s->l, true, since, e);
	return r;
}

static int get_accepted(struct sock *s, unsigned char *data, size_t n, struct lxm_err *e)
{
	int64_t since = lxm_mono_ms();
	int r = 0;

	pthread_mutex_lock(&s->l->lock);
	while (n) {
		size_t got = use(s, data, n);

		data += got;
		n -= got;
		if (got)
			since = lxm_mono_ms();
		if (s->paused && held(s) < IN_MAX / 2) {
			s->paused = false;
			ws_pause_reading(s->ws, false);
		}
		if (!n)
			break;
		r = got ? 0 : why_not(s->l, s->ended, since, e);
		if (r < 0)
			break;
		s->want = n < WANT_MAX ? n : WANT_MAX;
		if (!got)
			wait_changed(s->l);
	}
	s->want = 0;
	pthread_mutex_unlock(&s->l->lock);
	return r;
}

/* ---- sockets that we dialled */

static void on_client_message(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n, bool last, void *arg)
{
	if (kind == LXM_WS_BINARY)
		keep(arg, data, n);
}

/* One turn of both sockets. */
static int pump(struct mig_link *l, int timeout_ms, struct lxm_err *e)
{
	struct pollfd p[3] = { [2] = { l->wake_fd, POLLIN, 0 } };
	int i, r;

	for (i = 0; i < 2; i++) {
		struct sock *s = &l->socks[i];

		if (!s->client || s->ended) {
			p[i] = (struct pollfd){ .fd = -1 };
			continue;
		}
		lxm_ws_pause(s->client, held(s) > IN_MAX);
		p[i] = (struct pollfd){ .fd = lxm_ws_fd(s->client), .events = lxm_ws_events(s->client) };
	}
	r = poll(p, 3, timeout_ms);
	if (r < 0 && errno != EINTR)
		return lxm_err_sys(e, "poll");
	for (i = 0; r > 0 && i < 2; i++) {
		struct sock *s = &l->socks[i];

		if (p[i].fd < 0 || !p[i].revents)
			continue;
		if (lxm_ws_pump(s->client, p[i].revents, NULL))
			s->ended = true;
	}
	return 0;
}

static int put_dialled(struct sock *s, const void *data, size_t n, struct lxm_err *e)
{
	int64_t since = lxm_mono_ms();
	size_t before;
	int r = why_not(s->l, s->ended, since, e);

	if (r == 0 && lxm_ws_send(s->client, LXM_WS_BINARY, data, n) < 0)
		r = why_not(s->l, true, since, e);
	/* the first turn only offers it to the kernel */
	if (r == 0)
		r = pump(s->l, 0, e);
	while (r == 0 && lxm_ws_queued(s->client) > DIAL_MAX) {
		before = lxm_ws_queued(s->client);
		r = pump(s->l, TURN_MS, e);
		if (lxm_ws_queued(s->client) < before)
			since = lxm_mono_ms();
		if (r == 0)
			r = why_not(s->l, s->ended, since, e);
	}
	return r;
}

static int get_dialled(struct sock *s, unsigned char *data, size_t n, struct lxm_err *e)
{
	int64_t since = lxm_mono_ms();
	int r = 0;

	while (r == 0) {
		size_t got = use(s, data, n);

		data += got;
		n -= got;
		if (!n)
			return 0;
		if (got)
			since = lxm_mono_ms();
		r = why_not(s->l, s->ended, since, e);
		if (r == 0)
			r = pump(s->l, TURN_MS, e);
	}
	return r;
}

int mig_link_dial(struct mig_link *l, const struct mig_dial *how, struct lxm_err *e)
{
	int64_t since = lxm_mono_ms();
	int i, r = 0;

	for (i = 0; r == 0 && i < 2; i++) {
		lxm_auto(free) char *target = lxm_asprintf("%s/websocket?secret=%s", how->path, how->secrets[i]);

		r = lxm_ws_open(how->dial, how->dial_arg, target, on_client_message, &l->socks[i], &l->socks[i].client, e);
	}
	while (r == 0 && !(lxm_ws_is_open(l->socks[0].client) && lxm_ws_is_open(l->socks[1].client))) {
		r = pump(l, TURN_MS, e);
		if (r == 0 && (l->socks[0].ended || l->socks[1].ended))
			r = lxm_err_set(e, ECONNREFUSED, "the other side refused the connection");
		if (r == 0 && lxm_mono_ms() - since > HELLO_MS)
			r = lxm_err_set(e, ETIMEDOUT, "the other side does not answer");
		if (r == 0)
			r = why_not(l, false, since, e);
	}
	return r;
}

/* ---- both */

int mig_link_put(struct mig_link *l, enum mig_socket which, const void *data, size_t n, struct lxm_err *e)
{
	struct sock *s = &l->socks[which];
	const unsigned char *p = data;
	int r = s->ws || s->client ? 0 : lxm_err_set(e, ENOTCONN, "not connected");

	while (r == 0 && n) {
		size_t part = n < MESSAGE ? n : MESSAGE;

		r = s->ws ? put_accepted(s, p, part, e) : put_dialled(s, p, part, e);
		p += part;
		n -= part;
	}
	return r;
}

int mig_link_get(struct mig_link *l, enum mig_socket which, void *data, size_t n, struct lxm_err *e)
{
	struct sock *s = &l->socks[which];

	if (!s->ws && !s->client)
		return lxm_err_set(e, ENOTCONN, "not connected");
	return s->ws ? get_accepted(s, data, n, e) : get_dialled(s, data, n, e);
}

void mig_link_stop(struct mig_link *l)
{
	const uint64_t one = 1;

	atomic_store(&l->stopped, true);
	(void)!write(l->wake_fd, &one, sizeof(one));
	pthread_mutex_lock(&l->lock);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

void mig_link_unstop(struct mig_link *l)
{
	uint64_t n;

	(void)!read(l->wake_fd, &n, sizeof(n));
	atomic_store(&l->stopped, false);
}

void mig_link_close(struct mig_link *l)
{
	int64_t until = lxm_mono_ms() + CLOSE_MS;
	int i;

	for (i = 0; i < 2; i++) {
		if (l->socks[i].ws)
			ws_close(l->socks[i].ws);
		if (l->socks[i].client)
			lxm_ws_close(l->socks[i].client);
	}
	mig_link_unstop(l);
	while (lxm_mono_ms() < until) {
		bool open = false;

		for (i = 0; i < 2; i++) {
			if (!l->socks[i].client || l->socks[i].ended)
				continue;
			l->socks[i].in.len = l->socks[i].in_at = 0; /* nobody reads it any more */
			open = true;
		}
		if (!open || pump(l, 100, NULL) < 0)
			break;
	}
}
