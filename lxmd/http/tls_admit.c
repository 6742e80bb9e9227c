/*
 * Places for connections: who gets one, who gives one up, and what has taken too long. On the loop of the connections.
 */
#include <malloc.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmd/http/limits.h"
#include "lxmd/http/tls_conn_priv.h"

#define LINGER_MS 2000 /* after our goodbye */
#define SWEEP_MS  1000
#define TRIM_FALL 256  /* connections gone after which their memory goes back to the system */

/* Of that host only, unless from is NULL. */
static bool evict(struct tls_loop *l, const struct sockaddr_storage *from)
{
	struct tls_conn *c, *found = NULL;

	for (c = l->conns; c; c = c->next) {
		if (atomic_load(&c->peer->known) || (from && (c->proxied || !addr_same_host(from, &c->from))))
			continue;
		if (!found || c->active_ms <= found->active_ms) /* of equals the oldest, which comes last */
			found = c;
	}
	if (found)
		tls_conn_free(found);
	return found != NULL;
}

bool tls_conn_evict(struct tls_loop *l)
{
	return evict(l, NULL);
}

static unsigned int count_from(const struct tls_loop *l, const struct sockaddr_storage *from)
{
	unsigned int n = 0;
	struct tls_conn *c;

	for (c = l->conns; c; c = c->next)
		n += !c->proxied && addr_same_host(from, &c->from);
	return n;
}

/* Half of all places are the most that one host gets; nobody is turned away while somebody unknown does nothing. */
static bool has_room(struct tls_loop *l, const struct tls_arrival *a)
{
	if (l->closing)
		return false;
	if (l->n >= l->max)
		return tls_conn_evict(l);
	if (l->n >= l->max / 2 && !a->proxied && count_from(l, &a->from) >= l->max / 2)
		return evict(l, &a->from);
	return true;
}

static void sweep(void *arg);

void tls_conn_begin(void *arrival)
{
	struct tls_arrival *a = arrival;
	struct tls_loop *l = a->l;
	struct tls_conn *c;

	if (!has_room(l, a)) {
		(void)close(a->fd);
		SSL_CTX_free(a->ctx);
		free(a);
		return;
	}
	c = lxm_alloc(sizeof(*c));
	c->l = l;
	c->fd = a->fd;
	c->inner = -1;
	c->from = a->from;
	c->proxied = a->proxied;
	c->peer = peer_new(a->kind);
	addr_text(&a->from, c->peer->address);
	tls_conn_state(c, a->proxied ? STATE_PROXY : STATE_HANDSHAKE);
	c->active_ms = c->since_ms;
	c->next = l->conns;
	if (c->next)
		c->next->prev = c;
	l->conns = c;
	l->n++;
	l->most = l->n > l->most ? l->n : l->most;
	if (!l->sweep)
		l->sweep = loop_timer(l->loop, SWEEP_MS, sweep, l);
	c->ssl = SSL_new(a->ctx);
	SSL_CTX_free(a->ctx);
	c->fd_events = EPOLLIN;
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    loop_add(l->loop, c->fd, EPOLLIN, tls_conn_event, c, &c->fd_watch, NULL) < 0) {
		tls_conn_free(c);
	} else {
		SSL_set_accept_state(c->ssl);
		tls_conn_step(c);
	}
	free(a);
}

/* False when nothing was sent for so long that the connection shall go. */
static bool head_in_time(struct tls_conn *c, int64_t now_ms)
{
	if (!c->head_ms)
		return true;
	if (atomic_load(&c->peer->upgraded) || atomic_load(&c->peer->in_request) || atomic_load(&c->peer->requests) != c->head_after)
		c->head_ms = 0;
	return !c->head_ms || now_ms - c->head_ms < http_limits()->head_s * 1000;
}

/* Ends what has taken too long. Runs while there are connections. */
static void sweep(void *arg)
{
	struct tls_loop *l = arg;
	int64_t now_ms = lxm_mono_ms();
	struct tls_conn *c, *next;

	for (c = l->conns; c; c = next) {
		int64_t age = now_ms - c->since_ms;
		bool late;

		next = c->next;
		switch (c->state) {
		case STATE_CLOSING:
			late = age > LINGER_MS;
			break;
		case STATE_OPEN:
			/* later idle times are libmicrohttpd's to end */
			late = c->inner < 0 ? age > http_limits()->idle_s * 1000 : !head_in_time(c, now_ms);
			break;
		default:
			late = age > http_limits()->handshake_s * 1000;
		}
		if (late)
			tls_conn_free(c);
	}
	/* the heap would keep for ever what a crowd needed once */
	if (l->n + TRIM_FALL <= l->most && l->n <= l->most / 2) {
		l->most = l->n;
		(void)malloc_trim(0);
	}
	l->sweep = l->n ? loop_timer(l->loop, SWEEP_MS, sweep, l) : 0;
}

void tls_conn_end_all(struct tls_loop *l)
{
	l->closing = true;
	(void)loop_timer_cancel(l->loop, LXM_TAKE(l->sweep, 0));
	while (l->conns)
		tls_conn_free(l->conns);
}
