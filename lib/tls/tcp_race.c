/*
 * TCP connections to the first of several addresses that opens, see tcp_race.h (RFC 8305 in small). Every socket is non-blocking; a
 * new attempt starts STAGGER_MS after the last one, or at once when one fails, and those that lost stay open until the race is freed,
 * because the winner may yet turn out to be somebody else's server.
 */
#include "lib/tls/tcp_race.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/outside.h"
#include "lib/base/time.h"
#include "lib/tls/tls_conn.h"

#define STAGGER_MS	  250
#define CANDIDATES	  64 /* numbers to try, over all addresses */
#define ADDRESSES	  64
#define HOST_CANDIDATES 8

enum attempt { WAITING, CONNECTING, OVER };

struct candidate {
	struct sockaddr_storage sa;
	socklen_t len;
	size_t at; /* which address */
	enum attempt state;
	int fd;
};

struct lxm_race {
	const char *const *addresses; /* borrowed */
	size_t n_addresses;
	char **hosts, **reasons; /* owned, n_addresses each; a reason is NULL while the address has not failed */
	struct candidate c[CANDIDATES];
	size_t n;
	int64_t started_ms; /* when the last attempt began */
	int last;	    /* errno of the last failure */
	bool outside;	    /* only addresses that are */
};

int lxm_tls_split_address(const char *address, const char *port, char **host_out, char **port_out, struct lxm_err *e)
{
	const char *a = lxm_starts(address, "https://") ? address + 8 : address, *colon, *end;
	size_t n = strcspn(a, "/?#"), hn = n, skip = 0;
	const char *p = port ? port : LXM_TLS_PORT;
	size_t pn = strlen(p);

	if (*a == '[') {
		end = memchr(a, ']', n);
		if (!end || (end + 1 < a + n && end[1] != ':'))
			return lxm_err_set(e, EINVAL, "'%s' is not an address", address);
		skip = 1;
		hn = (size_t)(end - a) - 1;
		colon = end + 1 < a + n ? end + 1 : NULL;
	} else {
		colon = memchr(a, ':', n);
		if (colon && memchr(colon + 1, ':', n - (size_t)(colon + 1 - a)))
			colon = NULL; /* a bare IPv6 address */
		if (colon)
			hn = (size_t)(colon - a);
	}
	if (colon) {
		p = colon + 1;
		pn = n - (size_t)(p - a);
		if (pn == 0 || pn > 5 || strspn(p, "0123456789") < pn)
			return lxm_err_set(e, EINVAL, "'%s' is not an address: bad port", address);
	}
	if (hn == 0 || hn > 253 || strcspn(a + skip, " @%\"'<>\\\t\r\n") < hn)
		return lxm_err_set(e, EINVAL, "'%s' is not an address", address);
	*host_out = lxm_strndup(a + skip, hn);
	*port_out = lxm_strndup(p, pn);
	return 0;
}

void lxm_race_failed(struct lxm_race *r, size_t at, const char *reason)
{
	free(r->reasons[at]);
	r->reasons[at] = lxm_strdup(reason);
}

const char *lxm_race_host(const struct lxm_race *r, size_t at)
{
	return r->hosts[at];
}

static void look_up(struct lxm_race *r, size_t at, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL, *ai;
	size_t taken = 0;
	int rc = getaddrinfo(r->hosts[at], port, &hints, &list);

	if (rc != 0) {
		r->last = rc == EAI_SYSTEM && errno ? errno : EHOSTUNREACH;
		lxm_race_failed(r, at, gai_strerror(rc));
		return;
	}
	for (ai = list; ai && taken < HOST_CANDIDATES && r->n < CANDIDATES; ai = ai->ai_next, taken++) {
		struct candidate *c = &r->c[r->n++];

		memcpy(&c->sa, ai->ai_addr, ai->ai_addrlen);
		c->len = ai->ai_addrlen;
		c->at = at;
		c->fd = -1;
	}
	freeaddrinfo(list);
}

int lxm_race_new(const char *const *addresses, const char *port, struct lxm_race **race_out, struct lxm_err *e)
{
	lxm_auto(race) struct lxm_race *r = lxm_alloc(sizeof(*r));
	size_t i, n = 0;

	while (addresses && addresses[n] && n < ADDRESSES)
		n++;
	if (!n)
		return lxm_err_set(e, EINVAL, "no address to connect to");
	r->addresses = addresses;
	r->n_addresses = n;
	r->last = EHOSTUNREACH;
	r->hosts = lxm_alloc(n * sizeof(*r->hosts));
	r->reasons = lxm_alloc(n * sizeof(*r->reasons));
	for (i = 0; i < n; i++) {
		lxm_auto(free) char *p = NULL;
		int rc = lxm_tls_split_address(addresses[i], port, &r->hosts[i], &p, e);

		if (rc < 0)
			return rc;
		look_up(r, i, p);
	}
	*race_out = LXM_TAKE(r, NULL);
	return 0;
}

void lxm_race_free(struct lxm_race *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n; i++)
		auto_fd_close(&r->c[i].fd);
	for (i = 0; i < r->n_addresses; i++) {
		free(r->hosts[i]);
		free(r->reasons[i]);
	}
	free(r->hosts);
	free(r->reasons);
	free(r);
}

static void give_up(struct lxm_race *r, struct candidate *c, int err)
{
	auto_fd_close(&c->fd);
	c->state = OVER;
	r->last = err;
	r->started_ms = 0; /* the next one need not wait */
	lxm_race_failed(r, c->at, strerror(err));
}

void lxm_race_outside(struct lxm_race *r)
{
	r->outside = true;
}

/* Begin one attempt; true if it is on its way (or through already). */
static void begin(struct lxm_race *r, struct candidate *c)
{
	r->started_ms = lxm_mono_ms();
	c->state = CONNECTING;
	if (r->outside && !lxm_addr_outside((struct sockaddr *)&c->sa)) {
		give_up(r, c, ECONNREFUSED);
		return;
	}
	c->fd = socket(c->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&c->sa, c->len) < 0 && errno != EINPROGRESS))
		give_up(r, c, errno);
}

/* Start what is due; how long until the next start is, -1 if there is none. */
static int start_due(struct lxm_race *r, bool *any_out)
{
	size_t i;

	*any_out = false;
	for (i = 0; i < r->n; i++)
		*any_out |= r->c[i].state == CONNECTING;
	for (i = 0; i < r->n; i++) {
		int64_t wait = r->started_ms + STAGGER_MS - lxm_mono_ms();

		if (r->c[i].state != WAITING)
			continue;
		if (*any_out && wait > 0)
			return (int)wait;
		begin(r, &r->c[i]);
		*any_out |= r->c[i].state == CONNECTING;
	}
	return -1;
}

/* The first attempt that is through, taken out of the race; -1 while there is none. */
static int harvest(struct lxm_race *r, const struct pollfd *p, const size_t *which, size_t n, size_t *at_out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct candidate *c = &r->c[which[i]];
		socklen_t len = sizeof(int);
		int err = 0;

		if (!p[i].revents)
			continue;
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = errno;
		if (err) {
			give_up(r, c, err);
			continue;
		}
		c->state = OVER;
		*at_out = c->at;
		return LXM_TAKE(c->fd, -1);
	}
	return -1;
}

int lxm_race_next(struct lxm_race *r, int64_t until_ms, size_t *at_out)
{
	for (;;) {
		struct pollfd p[CANDIDATES];
		size_t which[CANDIDATES], n = 0, i;
		int64_t left = until_ms - lxm_mono_ms();
		bool any;
		int wait = start_due(r, &any), fd;

		if (!any)
			return -r->last;
		for (i = 0; i < r->n; i++) {
			if (r->c[i].state != CONNECTING)
				continue;
			if (left <= 0) {
				give_up(r, &r->c[i], ETIMEDOUT);
				continue;
			}
			p[n] = (struct pollfd){ .fd = r->c[i].fd, .events = POLLOUT };
			which[n++] = i;
		}
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(p, n, wait >= 0 && wait < left ? wait : (int)left) <= 0)
			continue;
		fd = harvest(r, p, which, n, at_out);
		if (fd >= 0)
			return fd;
	}
}

int lxm_race_report(const struct lxm_race *r, int code, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	size_t i;

	for (i = 0; i < r->n_addresses; i++)
		if (r->reasons[i])
			lxm_buf_fmt(&b, "%s'%s': %s", b.len ? "; " : "", r->addresses[i], r->reasons[i]);
	return lxm_err_set(e, code, "connect to %s", b.len ? b.data : "the server");
}
