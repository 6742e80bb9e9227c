/*
 * From a certificate to a caller. Nothing is decided once and for all at the handshake: time passes, certificates leave the
 * trust store and authorities revoke them while connections live on, so each request asks again. Only the authority's
 * signature, which is dear to verify, is remembered until the authority's files are read again.
 */
#include "lxmd/http/peer.h"

#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/tls/ca.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/trust.h"

#define CRL_MAX (16u << 20)

struct peer_ca {
	pthread_rwlock_t lock;
	struct lxm_ca *ca;	 /* guarded by lock; NULL: there is none */
	unsigned int generation; /* guarded by lock; counts what was loaded, never 0 */
	atomic_bool trust;
};

struct tls_peer *peer_new(enum listen_kind kind)
{
	struct tls_peer *p = lxm_alloc(sizeof(*p));

	atomic_init(&p->refs, 1);
	p->kind = kind;
	return p;
}

struct tls_peer *peer_ref(struct tls_peer *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void peer_unref(struct tls_peer *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	free(p->der);
	free(p);
}

void peer_read_certificate(struct tls_peer *p, SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl); /* of a resumed session: the one that the ticket carries */
	struct lxm_cert_info info;
	unsigned char *der = NULL;
	int n = x ? i2d_X509(x, &der) : 0;

	if (n > 0 && lxm_cert_info(der, (size_t)n, &info, NULL) == 0) {
		p->der = lxm_alloc((size_t)n);
		memcpy(p->der, der, (size_t)n);
		p->der_len = (size_t)n;
		p->not_before = info.not_before;
		p->not_after = info.not_after;
		lxm_cert_fingerprint(p->der, p->der_len, p->fingerprint);
	}
	OPENSSL_free(der);
	ERR_clear_error();
}

/* ---- the authority */

struct peer_ca *peer_ca_new(void)
{
	struct peer_ca *ca = lxm_alloc(sizeof(*ca));

	(void)pthread_rwlock_init(&ca->lock, NULL);
	ca->generation = 1;
	return ca;
}

void peer_ca_free(struct peer_ca *ca)
{
	if (!ca)
		return;
	lxm_ca_free(ca->ca);
	(void)pthread_rwlock_destroy(&ca->lock);
	free(ca);
}

static int read_text(struct lxmd *d, const char *name, char **out, struct lxm_err *e)
{
	struct lxm_buf b = { 0 };
	int r = lxm_read_file_at(d->dirs.top.fd, name, CRL_MAX, &b);

	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "read '%s/%s'", d->dirs.top.path, name);
	}
	*out = lxm_buf_take(&b);
	return 0;
}

int peer_ca_load(struct peer_ca *ca, struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(free) char *pem = NULL, *crl = NULL;
	lxm_auto(ca) struct lxm_ca *fresh = NULL, *old = NULL;
	int r = read_text(d, "server.ca", &pem, e);

	if (r == 0)
		r = read_text(d, "ca.crl", &crl, e);
	if (r == 0 && pem)
		r = lxm_err_wrap(e, lxm_ca_new(pem, crl, &fresh, e), "'%s/server.ca'", d->dirs.top.path);
	if (r < 0)
		return r;
	(void)pthread_rwlock_wrlock(&ca->lock);
	old = ca->ca;
	ca->ca = LXM_TAKE(fresh, NULL);
	ca->generation++;
	(void)pthread_rwlock_unlock(&ca->lock);
	return 0;
}

void peer_ca_trust(struct peer_ca *ca, bool on)
{
	atomic_store(&ca->trust, on);
}

enum ca_says { CA_NONE, CA_SIGNED, CA_REFUSED };

/* Asks the authority, or what it said since its files were read: an answer is kept with its generation in the bits above. */
static enum ca_says ask_ca(struct peer_ca *ca, struct tls_peer *p, lxm_time now)
{
	enum ca_says says = CA_NONE;
	unsigned int kept;

	(void)pthread_rwlock_rdlock(&ca->lock);
	kept = atomic_load(&p->ca_answer);
	if (ca->ca && kept >> 2 == ca->generation) {
		says = kept & 3u;
	} else if (ca->ca) {
		says = lxm_ca_check(ca->ca, p->der, p->der_len, now) == 0 ? CA_SIGNED : CA_REFUSED;
		atomic_store(&p->ca_answer, ca->generation << 2 | says);
	}
	(void)pthread_rwlock_unlock(&ca->lock);
	return says;
}

bool peer_identify(struct lxmd *d, struct peer_ca *ca, struct tls_peer *p, struct caller *c)
{
	lxm_time now = lxm_now();
	bool counts = p->der && now >= p->not_before && now <= p->not_after;
	enum ca_says says = counts ? ask_ca(ca, p, now) : CA_NONE;

	counts = counts && says != CA_REFUSED;
	memset(c, 0, sizeof(*c));
	trust_identify(d, counts ? p->fingerprint : "", c);
	(void)snprintf(c->address, sizeof(c->address), "%s", p->address);
	/* one that the trust store knows keeps what it may do there: a signature never widens that */
	if (c->trust == CALLER_UNTRUSTED && c->cert_type == CALLER_CERT_NONE && says == CA_SIGNED && atomic_load(&ca->trust)) {
		c->trust = CALLER_ADMIN;
		c->cert_type = CALLER_CERT_CLIENT;
	}
	atomic_store(&p->known, c->trust > CALLER_UNTRUSTED);
	return counts;
}
