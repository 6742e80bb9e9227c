/*
 * The listeners and the loops. The first loop accepts for all of them and deals connections out in turn. Listeners change
 * under a lock of their own, from worker threads; the first loop only watches their descriptors.
 */
#include "lxmd/http/tls.h"

#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/identity.h"
#include "lxmd/http/limits.h"
#include "lxmd/http/tls_conn.h"

#define LOOPS	    2
#define ACCEPTS	    64	      /* in one round */
#define PAUSE_MS    200	      /* when descriptors are out */
#define FDS_EACH    3u	      /* socket and pair */
#define TICKETS_MS  (8 * 3600 * 1000) /* after which the key of session tickets is a new one */

/* Belongs to the thread that configures; the first loop reads what never changes in it. */
struct listener {
	struct listener *next;
	struct tls *tls;
	char *want; /* as configured */
	enum listen_kind kind;
	char bound[ADDR_TEXT];
	int fd;
	struct loop_watch *watch; /* first loop only */
};

struct tls {
	struct lxmd *d;
	struct tls_loop *loops[LOOPS];
	unsigned int turn; /* first loop only */
	struct listener *listeners; /* of whoever configures, one at a time */
	struct listener *graves;    /* the same; closed ones */

	pthread_mutex_t lock;
	SSL_CTX *ctx;	  /* guarded by lock */
	bool tls12;	  /* guarded by lock; of ctx */
	char *proxies;	  /* guarded by lock */
};

/* ---- accept */

static SSL_CTX *context_ref(struct tls *t)
{
	SSL_CTX *ctx;

	(void)pthread_mutex_lock(&t->lock);
	ctx = t->ctx;
	if (ctx)
		(void)SSL_CTX_up_ref(ctx);
	(void)pthread_mutex_unlock(&t->lock);
	return ctx;
}

static bool is_proxy(struct tls *t, const struct sockaddr_storage *sa)
{
	bool is;

	(void)pthread_mutex_lock(&t->lock);
	is = addr_in_list(sa, t->proxies);
	(void)pthread_mutex_unlock(&t->lock);
	return is;
}

static void resume(void *arg)
{
	struct listener *l = arg;

	if (l->watch)
		(void)loop_mod(l->watch, EPOLLIN);
}

static void on_listener(int fd, uint32_t events, void *arg)
{
	struct listener *l = arg;
	struct tls *t = l->tls;
	struct tls_arrival *a;
	struct sockaddr_storage sa;
	socklen_t len;
	int i, conn;

	for (i = 0; i < ACCEPTS; i++) {
		memset(&sa, 0, sizeof(sa));
		len = sizeof(sa);
		conn = accept4(fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (conn < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
			/* makes room, and leaves the rest waiting instead of asking again at once */
			(void)tls_conn_evict(t->loops[0]);
			(void)loop_mod(l->watch, 0);
			(void)loop_timer(t->loops[0]->loop, PAUSE_MS, resume, l);
			return;
		}
		if (conn < 0)
			return;
		addr_simplify(&sa);
		a = lxm_alloc(sizeof(*a));
		a->l = t->loops[t->turn++ % LOOPS];
		a->fd = conn;
		a->kind = l->kind;
		a->from = sa;
		a->proxied = is_proxy(t, &sa);
		a->ctx = context_ref(t);
		if (a->l == t->loops[0])
			tls_conn_begin(a);
		else
			loop_post(a->l->loop, tls_conn_begin, a);
	}
}

/* ---- listeners */

static void unwatch(void *arg)
{
	struct listener *l = arg;

	loop_del(LXM_TAKE(l->watch, NULL));
}

/* The memory stays until the loops have ended, for a pause of it may still be to end. */
static void listener_close(struct listener *l)
{
	loop_call(l->tls->loops[0]->loop, unwatch, l);
	auto_fd_close(&l->fd);
	l->next = l->tls->graves;
	l->tls->graves = l;
}

static int listener_open(struct tls *t, const char *want, enum listen_kind kind, bool early, bool only6, struct listener **out,
			 struct lxm_err *e)
{
	struct listener *l = lxm_alloc(sizeof(*l));
	int r;

	l->tls = t;
	l->want = lxm_strdup(want);
	l->kind = kind;
	l->fd = listen_bind(want, kind == LISTEN_API ? API_PORT : METRICS_PORT, early, only6, l->bound, e);
	r = l->fd < 0 ? l->fd : loop_add(t->loops[0]->loop, l->fd, EPOLLIN, on_listener, l, &l->watch, e);
	if (r < 0) {
		auto_fd_close(&l->fd);
		l->next = t->graves;
		t->graves = l;
		return r;
	}
	*out = l;
	return 0;
}

static struct listener **find(struct listener **list, const char *want, enum listen_kind kind)
{
	for (; *list; list = &(*list)->next)
		if ((*list)->kind == kind && strcmp((*list)->want, want) == 0)
			return list;
	return NULL;
}

static void close_list(struct listener **list)
{
	struct listener *l;

	while ((l = *list)) {
		*list = l->next;
		listener_close(l);
	}
}

/* The addresses of one key without blanks. */
static void split(const char *value, struct lxm_strv *out)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	size_t i;

	lxm_strv_split(&v, value ? value : "", ',');
	for (i = 0; i < v.n; i++) {
		char *s = v.v[i] + strspn(v.v[i], " ");

		s[strcspn(s, " ")] = '\0';
		if (*s && !lxm_strv_has(out, s))
			lxm_strv_add(out, s);
	}
}

/* Opens what is in `wants` and not in *have. On failure the new ones are closed again, unless `early`. */
static int open_missing(struct tls *t, const struct lxm_strv *wants, enum listen_kind kind, bool early, struct listener **have,
			struct listener **fresh, struct lxm_err *e)
{
	bool four = false;
	size_t i;
	int r;

	for (i = 0; i < wants->n; i++)
		four = four || lxm_starts(wants->v[i], "0.0.0.0");
	for (i = 0; i < wants->n; i++) {
		struct lxm_err why = { 0 };
		struct listener *l;

		if (find(have, wants->v[i], kind))
			continue;
		r = listener_open(t, wants->v[i], kind, early, four, &l, &why);
		if (r < 0 && early) {
			lxm_error("%s; set the address anew when that has changed", why.msg);
			continue;
		}
		if (r < 0) {
			if (e)
				*e = why;
			return r;
		}
		l->next = *fresh;
		*fresh = l;
	}
	return 0;
}

/* Takes out of *have what is in neither list. */
static struct listener *take_unwanted(struct listener **have, const struct lxm_strv *api, const struct lxm_strv *metrics)
{
	struct listener *out = NULL, *l;

	while ((l = *have)) {
		if (lxm_strv_has(l->kind == LISTEN_API ? api : metrics, l->want)) {
			have = &l->next;
			continue;
		}
		*have = l->next;
		l->next = out;
		out = l;
	}
	return out;
}

static void append(struct listener **list, struct listener *more)
{
	while (*list)
		list = &(*list)->next;
	*list = more;
}

static void tell_bound(struct tls *t)
{
	lxm_auto(strv) struct lxm_strv bound = { 0 };
	struct listener *l;

	for (l = t->listeners; l; l = l->next)
		if (l->kind == LISTEN_API)
			lxm_strv_add(&bound, l->bound);
	lxm_strv_sort(&bound);
	identity_set_bound(t->d, &bound);
}

static int open_all(struct tls *t, const struct lxm_strv *api, const struct lxm_strv *metrics, bool early, struct lxm_err *e)
{
	struct listener *fresh = NULL;
	int r = open_missing(t, api, LISTEN_API, early, &t->listeners, &fresh, e);

	if (r == 0)
		r = open_missing(t, metrics, LISTEN_METRICS, early, &t->listeners, &fresh, e);
	if (r < 0)
		close_list(&fresh);
	else
		append(&t->listeners, fresh);
	return r;
}

/* Opens again what was closed for others that could not be bound after all. */
static void reopen(struct tls *t, struct listener *closed)
{
	struct listener *l, *again;

	for (l = closed; l; l = l->next) {
		struct lxm_err e = { 0 };

		if (listener_open(t, l->want, l->kind, false, false, &again, &e) < 0) {
			lxm_error("%s", e.msg);
			continue;
		}
		again->next = t->listeners;
		t->listeners = again;
	}
}

static int listen_on(struct tls *t, const struct tls_want *want, bool early, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv api = { 0 }, metrics = { 0 };
	struct listener *unwanted, *l;
	struct lxm_err first = { 0 };
	int r;

	split(want->api, &api);
	split(want->metrics, &metrics);
	unwanted = take_unwanted(&t->listeners, &api, &metrics);
	r = open_all(t, &api, &metrics, early, &first);
	if (r == -EADDRINUSE && unwanted) {
		/* perhaps only in our own way: 127.0.0.1:8443 and [::]:8443 cannot both be bound */
		for (l = unwanted; l; l = l->next) {
			loop_call(t->loops[0]->loop, unwatch, l);
			auto_fd_close(&l->fd);
		}
		r = open_all(t, &api, &metrics, early, &first);
		if (r < 0)
			reopen(t, unwanted);
		close_list(&unwanted);
	} else if (r < 0) {
		append(&t->listeners, unwanted);
		unwanted = NULL;
	}
	close_list(&unwanted);
	tell_bound(t);
	if (r < 0 && e)
		*e = first;
	return r;
}

/* ---- context */

static int new_context(struct tls *t, bool tls12, struct lxm_err *e)
{
	lxm_auto(free) char *cert = NULL;
	lxm_auto(cert_key) char *key = NULL;
	SSL_CTX *fresh, *old;
	int r;

	identity_pair(t->d, &cert, &key);
	r = tls_context_new(cert, key, tls12, &fresh, e);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&t->lock);
	old = t->ctx;
	t->ctx = fresh;
	t->tls12 = tls12;
	(void)pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old); /* connections have references of their own */
	return 0;
}

static bool allows_tls12(struct tls *t)
{
	bool on;

	(void)pthread_mutex_lock(&t->lock);
	on = t->tls12;
	(void)pthread_mutex_unlock(&t->lock);
	return on;
}

int tls_reload(struct tls *t, struct lxm_err *e)
{
	return new_context(t, allows_tls12(t), e);
}

int tls_configure(struct tls *t, const struct tls_want *want, bool early, struct lxm_err *e)
{
	char *old;
	int r = listen_on(t, want, early, e);

	if (r == 0 && want->tls12 != allows_tls12(t))
		r = new_context(t, want->tls12, e);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&t->lock);
	old = t->proxies;
	t->proxies = lxm_strdup(want->proxies);
	(void)pthread_mutex_unlock(&t->lock);
	free(old);
	return 0;
}

/* A context makes the key of its tickets itself, so a new context is a new key; an old ticket only costs a whole handshake. */
static void renew_tickets(void *arg)
{
	struct tls *t = arg;
	struct lxm_err e = { 0 };

	if (tls_reload(t, &e) < 0)
		lxm_warn("renew the key of TLS session tickets: %s", e.msg);
	(void)loop_timer(t->loops[0]->loop, TICKETS_MS, renew_tickets, t);
}

/* ---- start and stop */

static unsigned int connections_max(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur / (2 * FDS_EACH) >= http_limits()->places)
		return http_limits()->places;
	return (unsigned int)(rl.rlim_cur / (2 * FDS_EACH));
}

int tls_start(struct lxmd *d, struct peer_ca *ca, tls_adopt_fn adopt, void *arg, struct tls **out, struct lxm_err *e)
{
	struct tls *t = lxm_alloc(sizeof(*t));
	int i, r;

	t->d = d;
	(void)pthread_mutex_init(&t->lock, NULL);
	r = new_context(t, false, e);
	for (i = 0; r == 0 && i < LOOPS; i++) {
		struct tls_loop *l = t->loops[i] = lxm_alloc(sizeof(*l));

		l->tls = t;
		l->d = d;
		l->ca = ca;
		l->adopt = adopt;
		l->adopt_arg = arg;
		l->max = connections_max() / LOOPS;
		r = loop_new(&l->loop, e);
	}
	if (r < 0) {
		tls_stop(t);
		return r;
	}
	(void)loop_timer(t->loops[0]->loop, TICKETS_MS, renew_tickets, t);
	*out = t;
	return 0;
}

void tls_close_listeners(struct tls *t)
{
	if (t)
		close_list(&t->listeners);
}

static void end_all(void *arg)
{
	tls_conn_end_all(arg);
}

void tls_stop(struct tls *t)
{
	struct listener *l;
	int i;

	if (!t)
		return;
	tls_close_listeners(t);
	for (i = 0; i < LOOPS; i++) {
		if (t->loops[i] && t->loops[i]->loop) {
			loop_call(t->loops[i]->loop, end_all, t->loops[i]);
			loop_free(t->loops[i]->loop);
		}
	}
	for (i = 0; i < LOOPS; i++)
		free(t->loops[i]);
	while ((l = t->graves)) {
		t->graves = l->next;
		free(l->want);
		free(l);
	}
	SSL_CTX_free(t->ctx);
	free(t->proxies);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}
