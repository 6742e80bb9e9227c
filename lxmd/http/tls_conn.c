/*
 * A connection goes through: PROXY header (from configured proxies only), handshake, open, closing. Its inner end, a socket
 * pair with libmicrohttpd at the other side, is made when the first byte of a request has come, so that one that only waits
 * costs little. Bytes that one side does not take at once are kept, and meanwhile nothing is read from the other: no
 * connection holds more than two buffers.
 *
 * Everything here runs on the connection's loop. What a connection needs of others comes in with it.
 */
#include "lxmd/http/tls_conn_priv.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/http/proxy_header.h"

#define ROUNDS	     8	    /* buffers that one connection may move before others have their turn */

void tls_conn_state(struct tls_conn *c, enum tls_state state)
{
	c->state = state;
	c->since_ms = lxm_mono_ms();
}

static void drop_inner(struct tls_conn *c)
{
	if (c->inner < 0)
		return;
	loop_del(LXM_TAKE(c->inner_watch, NULL));
	/* whoever serves the request sees the end both ways */
	(void)shutdown(c->inner, SHUT_RDWR);
	auto_fd_close(&c->inner);
}

void tls_conn_free(struct tls_conn *c)
{
	drop_inner(c);
	loop_del(c->fd_watch);
	auto_fd_close(&c->fd);
	SSL_free(c->ssl);
	ERR_clear_error();
	peer_unref(c->peer);
	free(c->to_client.data);
	free(c->to_inner.data);
	free(c->proxy);
	if (c->prev)
		c->prev->next = c->next;
	else
		c->l->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->l->n--;
	free(c);
}

/* Our goodbye is out; what the client still sends is read and dropped for a moment, or it would see a reset instead. */
static void linger(struct tls_conn *c)
{
	drop_inner(c);
	(void)shutdown(c->fd, SHUT_WR);
	SSL_free(LXM_TAKE(c->ssl, NULL));
	ERR_clear_error();
	free(LXM_TAKE(c->to_client.data, NULL));
	free(LXM_TAKE(c->to_inner.data, NULL));
	tls_conn_state(c, STATE_CLOSING);
}

static void mod(struct loop_watch *w, uint32_t *have, uint32_t want)
{
	if (w && *have != want) {
		*have = want;
		(void)loop_mod(w, want);
	}
}

/* What to wait for, from what is kept and what has ended. */
static void set_events(struct tls_conn *c)
{
	uint32_t out = 0, in = 0;

	if (c->state == STATE_CLOSING) {
		out = EPOLLIN;
	} else if (c->state == STATE_OPEN) {
		if (!c->to_inner.data && !c->in_eof)
			out |= EPOLLIN;
		if (c->to_client.data || c->read_wants_write)
			out |= EPOLLOUT;
		if (!c->to_client.data)
			in |= EPOLLIN;
		if (c->to_inner.data)
			in |= EPOLLOUT;
		mod(c->inner_watch, &c->inner_events, in);
	} else {
		out = c->ssl && SSL_want_write(c->ssl) ? EPOLLOUT : EPOLLIN;
	}
	mod(c->fd_watch, &c->fd_events, out);
}

static void keep(struct kept *k, const void *data, size_t n)
{
	k->data = lxm_alloc(n);
	memcpy(k->data, data, n);
	k->off = 0;
	k->len = n;
}

/* ---- the client's bytes inwards */

static void on_inner(int fd, uint32_t events, void *arg);

static bool open_inner(struct tls_conn *c)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	c->inner_events = EPOLLIN;
	if (loop_add(c->l->loop, pair[0], EPOLLIN, on_inner, c, &c->inner_watch, NULL) < 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return false;
	}
	c->inner = pair[0];
	return c->l->adopt(c->l->adopt_arg, pair[1], c->peer);
}

static void note_head(struct tls_conn *c)
{
	if (c->head_ms || atomic_load(&c->peer->in_request) || atomic_load(&c->peer->upgraded))
		return;
	c->head_ms = c->active_ms;
	c->head_after = atomic_load(&c->peer->requests);
}

/* Returns false when the connection is at its end. */
static bool give_inner(struct tls_conn *c, const char *data, size_t n)
{
	ssize_t sent;

	if (c->inner < 0 && !open_inner(c))
		return false;
	note_head(c);
	sent = send(c->inner, data, n, MSG_NOSIGNAL);
	if (sent < 0 && (c->inner_ended || (errno != EAGAIN && errno != EINTR)))
		return true; /* not read any more, as after a refusal: the reply is still to be sent */
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < n)
		keep(&c->to_inner, data + sent, n - (size_t)sent);
	return true;
}

static void flush_inner(struct tls_conn *c)
{
	struct kept *k = &c->to_inner;
	ssize_t n;

	if (!k->data)
		return;
	n = send(c->inner, k->data + k->off, k->len - k->off, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	k->off = n < 0 ? k->len : k->off + (size_t)n;
	if (k->off == k->len)
		free(LXM_TAKE(k->data, NULL));
}

static bool read_client(struct tls_conn *c)
{
	int i, n;

	c->read_wants_write = false;
	for (i = 0; i < ROUNDS && !c->to_inner.data && !c->in_eof; i++) {
		n = SSL_read(c->ssl, c->l->scratch, TLS_SCRATCH);
		if (n > 0) {
			c->active_ms = lxm_mono_ms();
			if (!give_inner(c, c->l->scratch, (size_t)n))
				return false;
			continue;
		}
		switch (SSL_get_error(c->ssl, n)) {
		case SSL_ERROR_WANT_READ:
			return true;
		case SSL_ERROR_WANT_WRITE:
			c->read_wants_write = true;
			return true;
		case SSL_ERROR_ZERO_RETURN:
			c->in_eof = true;
			if (c->inner < 0)
				return false;
			(void)shutdown(c->inner, SHUT_WR);
			return true;
		default:
			ERR_clear_error();
			return false;
		}
	}
	return true;
}

/* ---- replies outwards */

/* Sends what is kept, then what comes from inside. Returns false when the connection is at its end. */
static int send_some(struct tls_conn *c, const char *data, size_t len)
{
	size_t off = 0;
	int n;

	while (off < len) {
		n = SSL_write(c->ssl, data + off, (int)(len - off));
		if (n <= 0) {
			switch (SSL_get_error(c->ssl, n)) {
			case SSL_ERROR_WANT_READ:
			case SSL_ERROR_WANT_WRITE:
				return (int)off;
			default:
				ERR_clear_error();
				return -1;
			}
		}
		off += (size_t)n;
	}
	c->active_ms = lxm_mono_ms();
	return (int)off;
}

static bool write_client(struct tls_conn *c)
{
	struct kept *k = &c->to_client;
	ssize_t got;
	int i, n;

	if (k->data) {
		n = send_some(c, k->data + k->off, k->len - k->off);
		if (n < 0)
			return false;
		k->off += (size_t)n;
		if (k->off < k->len)
			return true;
		free(LXM_TAKE(k->data, NULL));
	}
	/* no event tells of an ended inner side again, so that is read to its end: it holds one socket buffer at most */
	for (i = 0; (i < ROUNDS || c->inner_ended) && !k->data && c->inner >= 0 && !c->out_eof; i++) {
		got = recv(c->inner, c->l->scratch, TLS_SCRATCH, 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (got <= 0) {
			c->out_eof = true;
			break;
		}
		n = send_some(c, c->l->scratch, (size_t)got);
		if (n < 0)
			return false;
		if (n < got)
			keep(k, c->l->scratch + n, (size_t)(got - n));
	}
	return true;
}

/* ---- handshake */

static bool handshake(struct tls_conn *c)
{
	struct caller who;
	int r = SSL_accept(c->ssl);

	if (r == 1) {
		peer_read_certificate(c->peer, c->ssl);
		(void)peer_identify(c->l->d, c->l->ca, c->peer, &who);
		tls_conn_state(c, STATE_OPEN);
		return true;
	}
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return true;
	default:
		lxm_debug("tls: handshake with %s: %s", c->peer->address, tls_complaint());
		return false;
	}
}

/* Reads the header and not one byte of what follows it. */
static bool read_proxy_header(struct tls_conn *c)
{
	struct sockaddr_storage sa;
	size_t used;
	ssize_t n = recv(c->fd, c->l->scratch, TLS_SCRATCH, MSG_PEEK);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	if (!c->proxy)
		c->proxy = lxm_alloc(sizeof(*c->proxy));
	r = proxy_header_feed(c->proxy, c->l->scratch, (size_t)n, &used, &sa);
	if (used > 0)
		(void)!recv(c->fd, c->l->scratch, used, 0);
	if (r == PROXY_HEADER_MORE)
		return true;
	if (r < 0) {
		lxm_debug("tls: malformed PROXY header from %s", c->peer->address);
		return false;
	}
	if (r == 0 && sa.ss_family)
		addr_text(&sa, c->peer->address);
	free(LXM_TAKE(c->proxy, NULL));
	c->state = STATE_HANDSHAKE; /* both have one limit of time */
	return true;
}

/* ---- events */

void tls_conn_step(struct tls_conn *c)
{
	bool ok = true;
	ssize_t n;

	if (c->state == STATE_PROXY)
		ok = read_proxy_header(c);
	if (ok && c->state == STATE_HANDSHAKE)
		ok = handshake(c);
	if (!ok && c->state != STATE_OPEN) {
		linger(c); /* so that an alert gets through */
		set_events(c);
		return;
	}
	if (c->state == STATE_CLOSING) {
		n = recv(c->fd, c->l->scratch, TLS_SCRATCH, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			tls_conn_free(c);
		return;
	}
	if (c->state == STATE_OPEN) {
		flush_inner(c);
		ok = c->lost ? c->to_inner.data != NULL : read_client(c) && write_client(c);
		if (!ok) {
			tls_conn_free(c);
			return;
		}
		if (c->out_eof && !c->to_client.data) {
			(void)SSL_shutdown(c->ssl);
			linger(c);
		}
	}
	set_events(c);
}

void tls_conn_event(int fd, uint32_t events, void *arg)
{
	struct tls_conn *c = arg;

	if ((events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLIN)) {
		/* a reset is told again and again: listen no more */
		loop_del(LXM_TAKE(c->fd_watch, NULL));
		c->lost = true;
		if (c->state != STATE_OPEN || !c->to_inner.data) {
			tls_conn_free(c);
			return;
		}
	}
	tls_conn_step(c);
}

static void on_inner(int fd, uint32_t events, void *arg)
{
	struct tls_conn *c = arg;

	if (events & (EPOLLERR | EPOLLHUP)) {
		/* the same: told for as long as the client takes to read what is left */
		loop_del(LXM_TAKE(c->inner_watch, NULL));
		c->inner_ended = true;
		free(LXM_TAKE(c->to_inner.data, NULL));
	}
	tls_conn_step(c);
}
