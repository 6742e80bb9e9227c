/*
 * The trust store in memory: a sorted array that is replaced as a whole after each change, behind a lock that many
 * readers share. Every request looks its certificate up anew, so that a removed one has lost its rights with the
 * next request, also on a connection that was open before.
 *
 * Callers are copied into operations and outlive the array. What they point to, the lists of projects, is therefore
 * kept as long as the store: equal lists are one object, so their number is bounded by what an administrator wrote.
 */
#include "lxmd/core/trust.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "db/certificate.h"
#include "lib/base/alloc.h"
#include "lxmd/core/daemon.h"

struct entry {
	char fingerprint[65];
	char name[128];
	enum caller_trust trust;
	enum caller_cert type;
	const struct trust_projects *projects;
};

struct kept_list {
	struct trust_projects list;
	struct kept_list *next;
};

/* One connection that outlives its request. */
struct trust_hold {
	struct trust *owner;
	char fingerprint[65];
	int fd; /* borrowed */
	struct trust_hold *next, **prev;
};

struct trust {
	pthread_mutex_t reloading; /* one reload at a time, from reading the database to the change; before lock */
	pthread_rwlock_t lock;
	struct entry *v;	/* guarded by lock; by fingerprint */
	size_t n;		/* guarded by lock */
	struct kept_list *kept; /* guarded by reloading */
	pthread_mutex_t holding; /* after lock */
	struct trust_hold *holds; /* guarded by holding */
};

static int by_fingerprint(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->fingerprint, ((const struct entry *)b)->fingerprint);
}

static bool same_list(const struct lxm_strv *a, const struct lxm_strv *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

/* The one object for that list of names. */
static const struct trust_projects *keep(struct trust *t, struct lxm_strv *names)
{
	struct kept_list *k;

	lxm_strv_sort(names);
	for (k = t->kept; k; k = k->next)
		if (same_list(&k->list.names, names))
			return &k->list;
	k = lxm_alloc(sizeof(*k));
	lxm_strv_copy(&k->list.names, names);
	k->next = t->kept;
	t->kept = k;
	return &k->list;
}

static const struct entry *find(const struct entry *v, size_t n, const char *fingerprint)
{
	struct entry key = { 0 };

	if (!fingerprint || strlen(fingerprint) != sizeof(key.fingerprint) - 1)
		return NULL;
	memcpy(key.fingerprint, fingerprint, sizeof(key.fingerprint));
	return bsearch(&key, v, n, sizeof(*v), by_fingerprint);
}

/* Ends what outlives its request of that certificate. */
static void cut(struct trust *t, const char *fingerprint)
{
	struct trust_hold *h;

	pthread_mutex_lock(&t->holding);
	for (h = t->holds; h; h = h->next)
		if (strcmp(h->fingerprint, fingerprint) == 0)
			(void)shutdown(h->fd, SHUT_RDWR);
	pthread_mutex_unlock(&t->holding);
}

/* After a change: everyone who may now do something else than before. */
static void cut_changed(struct trust *t, const struct entry *old, size_t n_old)
{
	const struct entry *now;
	size_t i;

	for (i = 0; i < n_old; i++) {
		now = find(t->v, t->n, old[i].fingerprint);
		if (!now || now->trust != old[i].trust || now->projects != old[i].projects)
			cut(t, old[i].fingerprint);
	}
}

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_certificate_list(tx, arg, e);
}

/* False for a certificate that gives no rights here. */
static bool fill(struct trust *t, struct db_certificate *c, struct entry *out)
{
	if (strlen(c->fingerprint) >= sizeof(out->fingerprint))
		return false;
	if (c->type == DB_CERT_METRICS) {
		out->trust = CALLER_METRICS;
		out->type = CALLER_CERT_METRICS;
	} else if (c->type == DB_CERT_CLIENT) {
		out->trust = c->restricted ? CALLER_RESTRICTED : CALLER_ADMIN;
		out->type = CALLER_CERT_CLIENT;
	} else {
		return false;
	}
	memcpy(out->fingerprint, c->fingerprint, strlen(c->fingerprint) + 1);
	(void)snprintf(out->name, sizeof(out->name), "%s", c->name ? c->name : "");
	out->projects = c->restricted ? keep(t, &c->projects) : NULL;
	return true;
}

static int reload(struct lxmd *d, struct trust *t, struct lxm_err *e)
{
	lxm_auto(db_certificates) struct db_certificates l = { 0 };
	struct entry *v, *old;
	size_t i, n = 0, n_old;
	int r = db_read(d->db, list_tx, &l, e);

	if (r < 0)
		return r;
	v = lxm_alloc((l.n + 1) * sizeof(*v));
	for (i = 0; i < l.n; i++)
		n += fill(t, &l.v[i], &v[n]);
	qsort(v, n, sizeof(*v), by_fingerprint);
	pthread_rwlock_wrlock(&t->lock);
	old = t->v;
	n_old = t->n;
	t->v = v;
	t->n = n;
	pthread_rwlock_unlock(&t->lock);
	cut_changed(t, old, n_old); /* only we write, so reading needs no lock */
	free(old);
	return 0;
}

int trust_reload(struct lxmd *d, struct lxm_err *e)
{
	struct trust *t = d->trust;
	int r;

	pthread_mutex_lock(&t->reloading);
	r = reload(d, t, e);
	pthread_mutex_unlock(&t->reloading);
	return r < 0 ? lxm_err_wrap(e, r, "read the trust store") : 0;
}

void trust_identify(struct lxmd *d, const char *fingerprint, struct caller *c)
{
	struct trust *t = d->trust;
	const struct entry *found;

	c->trust = CALLER_UNTRUSTED;
	c->cert_type = CALLER_CERT_NONE;
	c->name[0] = '\0';
	c->projects = NULL;
	c->uid = (uid_t)-1;
	c->gid = (gid_t)-1;
	c->pid = 0;
	(void)snprintf(c->protocol, sizeof(c->protocol), "tls");
	(void)snprintf(c->fingerprint, sizeof(c->fingerprint), "%s", fingerprint ? fingerprint : "");
	memcpy(c->username, c->fingerprint, sizeof(c->username));
	pthread_rwlock_rdlock(&t->lock);
	found = find(t->v, t->n, fingerprint);
	if (found) {
		c->trust = found->trust;
		c->cert_type = found->type;
		c->projects = found->projects;
		memcpy(c->name, found->name, sizeof(c->name));
	}
	pthread_rwlock_unlock(&t->lock);
}

bool caller_may_project(const struct caller *c, const char *project)
{
	if (!c)
		return true;
	if (c->trust == CALLER_UNTRUSTED)
		return false;
	/* a restricted caller always has a list: without one it would be confined to nothing */
	return c->projects ? lxm_strv_has(&c->projects->names, project) : c->trust != CALLER_RESTRICTED;
}

const char *caller_share(const struct caller *c, enum caller_share kind, char out[CALLER_SHARE_LEN])
{
	/* the fingerprint of an unknown certificate is anybody's choice: strangers are one */
	if (!c || !c->protocol[0] || c->trust == CALLER_ADMIN)
		return NULL;
	(void)snprintf(out, CALLER_SHARE_LEN, "%d/%s", (int)kind, c->trust >= CALLER_RESTRICTED ? c->fingerprint : "");
	return out;
}

struct trust_hold *trust_hold(struct lxmd *d, const struct caller *who, int fd)
{
	struct trust *t = d->trust;
	const struct entry *now;
	struct trust_hold *h;

	if (!t || who->cert_type == CALLER_CERT_NONE)
		return NULL;
	h = lxm_alloc(sizeof(*h));
	h->owner = t;
	h->fd = fd;
	memcpy(h->fingerprint, who->fingerprint, sizeof(h->fingerprint));
	pthread_mutex_lock(&t->holding);
	h->next = t->holds;
	h->prev = &t->holds;
	if (h->next)
		h->next->prev = &h->next;
	t->holds = h;
	pthread_mutex_unlock(&t->holding);
	/* listed first, then compared: a change between the request and here is missed by neither */
	pthread_rwlock_rdlock(&t->lock);
	now = find(t->v, t->n, who->fingerprint);
	if (!now || now->trust != who->trust || now->projects != who->projects)
		(void)shutdown(fd, SHUT_RDWR);
	pthread_rwlock_unlock(&t->lock);
	return h;
}

void trust_release(struct trust_hold *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->owner->holding);
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	pthread_mutex_unlock(&h->owner->holding);
	free(h);
}

int trust_start(struct lxmd *d, struct lxm_err *e)
{
	struct trust *t = lxm_alloc(sizeof(*t));

	pthread_mutex_init(&t->reloading, NULL);
	pthread_rwlock_init(&t->lock, NULL);
	pthread_mutex_init(&t->holding, NULL);
	d->trust = t;
	return trust_reload(d, e);
}

void trust_stop(struct lxmd *d)
{
	struct trust *t = LXM_TAKE(d->trust, NULL);
	struct kept_list *k;

	if (!t)
		return;
	while ((k = t->kept)) {
		t->kept = k->next;
		lxm_strv_deinit(&k->list.names);
		free(k);
	}
	free(t->v);
	pthread_mutex_destroy(&t->holding);
	pthread_rwlock_destroy(&t->lock);
	pthread_mutex_destroy(&t->reloading);
	free(t);
}
