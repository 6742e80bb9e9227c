/*
 * The server's certificate on disk and in memory. Two files cannot be replaced at once, so a new pair is written
 * beside the old one first and the key renamed before the certificate: at any cut either the old pair is whole, or
 * the key in place belongs to the certificate that still waits as server.crt.new.
 */
#include "lxmd/core/identity.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"

#define CRT "server.crt"
#define KEY "server.key"
#define NEW ".new"

#define FILE_MAX (4u * LXM_CERT_MAX) /* a chain is longer than one certificate */

struct identity {
	pthread_mutex_t lock;
	char *cert, *key; /* guarded by lock; PEM */
	char *own;	  /* guarded by lock; the first certificate of cert: a chain behind it is for handshakes */
	char fingerprint[LXM_CERT_HEX];
	struct lxm_strv bound; /* guarded by lock */
};

/* ---- files */

/* NULL if it is not there; anything else that goes wrong is told. */
static int read_pem(int dirfd, const char *name, char **out, struct lxm_err *e)
{
	struct lxm_buf b = { 0 };
	int r = lxm_read_file_at(dirfd, name, FILE_MAX, &b);

	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "read '%s'", name);
	}
	*out = lxm_buf_take(&b);
	return 0;
}

/* Not atomic: settle() forgets what was cut off. */
static int put_file(int dirfd, const char *name, const char *text, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : lxm_write_all(fd, text, strlen(text));

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", name);
}

static int move(int dirfd, const char *from, const char *to, struct lxm_err *e)
{
	return renameat(dirfd, from, dirfd, to) < 0 ? lxm_err_sys(e, "rename '%s'", from) : 0;
}

static int write_pair(int dirfd, const char *cert, const char *key, struct lxm_err *e)
{
	int r = put_file(dirfd, CRT NEW, cert, e);

	if (r == 0)
		r = put_file(dirfd, KEY NEW, key, e);
	if (r == 0)
		r = move(dirfd, KEY NEW, KEY, e);
	if (r == 0)
		r = move(dirfd, CRT NEW, CRT, e);
	return r;
}

/* Finish or forget a replacement that was cut off. */
static int settle(int dirfd, struct lxm_err *e)
{
	lxm_auto(free) char *crt = NULL, *crt_new = NULL;
	lxm_auto(cert_key) char *key = NULL;
	int r = read_pem(dirfd, CRT, &crt, e);

	if (r == 0)
		r = read_pem(dirfd, KEY, &key, e);
	if (r == 0)
		r = read_pem(dirfd, CRT NEW, &crt_new, e);
	if (r < 0)
		return r;
	if (key && crt_new && (!crt || lxm_cert_check_pair(crt, key, NULL) < 0) &&
	    lxm_cert_check_pair(crt_new, key, NULL) == 0)
		return move(dirfd, CRT NEW, CRT, e);
	(void)unlinkat(dirfd, CRT NEW, 0);
	(void)unlinkat(dirfd, KEY NEW, 0);
	return 0;
}

static int make_pair(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv sans = { 0 };
	lxm_auto(free) char *cn = lxm_asprintf("root@%s", d->server_name);
	lxm_auto(free) char *cert = NULL;
	lxm_auto(cert_key) char *key = NULL;
	int r;

	/* clients verify the first DNS name of the certificate that they pinned, so there must be one */
	lxm_strv_add(&sans, d->server_name);
	lxm_strv_add(&sans, "localhost");
	lxm_strv_add(&sans, "127.0.0.1");
	lxm_strv_add(&sans, "::1");
	r = lxm_cert_make(cn, &sans, LXM_CERT_SERVER, LXM_CERT_YEARS * 365, &key, &cert, e);
	return r < 0 ? r : write_pair(d->dirs.top.fd, cert, key, e);
}

/* ---- memory */

/* Takes both strings if they are a pair. */
static int take(struct identity *id, char **cert, char **key, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf der = { 0 };
	char fingerprint[LXM_CERT_HEX], *own = NULL;
	int r = lxm_cert_check_pair(*cert, *key, e);

	if (r == 0)
		r = lxm_cert_pem_fingerprint(*cert, fingerprint, e);
	if (r == 0)
		r = lxm_cert_pem_to_der(*cert, &der, e);
	if (r == 0)
		r = lxm_cert_der_to_pem(der.data, der.len, &own, e);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&id->lock);
	free(id->own);
	id->own = own;
	free(id->cert);
	lxm_cert_key_free(id->key);
	id->cert = LXM_TAKE(*cert, NULL);
	id->key = LXM_TAKE(*key, NULL);
	memcpy(id->fingerprint, fingerprint, sizeof(fingerprint));
	(void)pthread_mutex_unlock(&id->lock);
	return 0;
}

static int load(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(free) char *cert = NULL;
	lxm_auto(cert_key) char *key = NULL;
	int r = read_pem(d->dirs.top.fd, CRT, &cert, e);

	if (r == 0)
		r = read_pem(d->dirs.top.fd, KEY, &key, e);
	if (r < 0)
		return r;
	if (!cert || !key)
		return lxm_err_set(e, ENOENT, "'%s/%s' is missing", d->dirs.top.path, cert ? KEY : CRT);
	/* whoever put it there: nobody else may read it */
	if (fchmodat(d->dirs.top.fd, KEY, 0600, 0) < 0)
		lxm_warn("keep others from reading '%s/" KEY "': %s", d->dirs.top.path, strerror(errno));
	r = take(d->identity, &cert, &key, e);
	return lxm_err_wrap(e, r, "'%s/" CRT "' and '" KEY "'", d->dirs.top.path);
}

int identity_start(struct lxmd *d, struct lxm_err *e)
{
	int r;

	d->identity = lxm_alloc(sizeof(*d->identity));
	(void)pthread_mutex_init(&d->identity->lock, NULL);
	r = settle(d->dirs.top.fd, e);
	/* a key alone was never shown to anybody; a certificate alone was */
	if (r == 0 && faccessat(d->dirs.top.fd, CRT, F_OK, 0) < 0)
		r = make_pair(d, e);
	if (r == 0)
		r = load(d, e);
	return lxm_err_wrap(e, r, "the server's certificate");
}

void identity_stop(struct lxmd *d)
{
	struct identity *id = LXM_TAKE(d->identity, NULL);

	if (!id)
		return;
	free(id->cert);
	free(id->own);
	lxm_cert_key_free(id->key);
	lxm_strv_deinit(&id->bound);
	(void)pthread_mutex_destroy(&id->lock);
	free(id);
}

int identity_replace(struct lxmd *d, const char *cert, const char *key, struct lxm_err *e)
{
	int r = lxm_cert_check_pair(cert, key, e);

	if (r == 0)
		r = write_pair(d->dirs.top.fd, cert, key, e);
	return r < 0 ? r : load(d, e);
}

int identity_reload(struct lxmd *d, struct lxm_err *e)
{
	return load(d, e);
}

char *identity_certificate(struct lxmd *d)
{
	struct identity *id = d->identity;
	char *out;

	(void)pthread_mutex_lock(&id->lock);
	out = lxm_strdup(id->own);
	(void)pthread_mutex_unlock(&id->lock);
	return out;
}

void identity_fingerprint(struct lxmd *d, char out[LXM_CERT_HEX])
{
	struct identity *id = d->identity;

	(void)pthread_mutex_lock(&id->lock);
	memcpy(out, id->fingerprint, LXM_CERT_HEX);
	(void)pthread_mutex_unlock(&id->lock);
}

void identity_pair(struct lxmd *d, char **cert_out, char **key_out)
{
	struct identity *id = d->identity;

	(void)pthread_mutex_lock(&id->lock);
	*cert_out = lxm_strdup(id->cert);
	*key_out = lxm_strdup(id->key);
	(void)pthread_mutex_unlock(&id->lock);
}

/* ---- addresses */

void identity_set_bound(struct lxmd *d, const struct lxm_strv *bound)
{
	struct identity *id = d->identity;

	(void)pthread_mutex_lock(&id->lock);
	lxm_strv_copy(&id->bound, bound);
	(void)pthread_mutex_unlock(&id->lock);
}

/* Loopback and link-local addresses lead other hosts nowhere. */
static bool is_for_others(const struct sockaddr *sa)
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)sa)->sin6_addr;
	uint32_t four;

	if (sa->sa_family == AF_INET6)
		return !IN6_IS_ADDR_LOOPBACK(six) && !IN6_IS_ADDR_LINKLOCAL(six) && !IN6_IS_ADDR_MULTICAST(six);
	if (sa->sa_family != AF_INET)
		return false;
	four = ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr);
	return four >> 24 != 127 && four >> 16 != 0xa9fe;
}

static void expand(const char *port, bool four, bool six, struct lxm_strv *out)
{
	struct ifaddrs *all = NULL, *i;
	char ip[INET6_ADDRSTRLEN];

	if (getifaddrs(&all) < 0)
		return;
	for (i = all; i; i = i->ifa_next) {
		const struct sockaddr *sa = i->ifa_addr;

		if (!sa || !(i->ifa_flags & IFF_UP) || !is_for_others(sa))
			continue;
		if (sa->sa_family == AF_INET && four &&
		    inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, ip, sizeof(ip)))
			lxm_strv_take(out, lxm_asprintf("%s:%s", ip, port));
		else if (sa->sa_family == AF_INET6 && six &&
			 inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, ip, sizeof(ip)))
			lxm_strv_take(out, lxm_asprintf("[%s]:%s", ip, port));
	}
	freeifaddrs(all);
}

void identity_addresses(struct lxmd *d, struct lxm_strv *out)
{
	struct identity *id = d->identity;
	lxm_auto(strv) struct lxm_strv bound = { 0 };
	size_t i;

	(void)pthread_mutex_lock(&id->lock);
	lxm_strv_copy(&bound, &id->bound);
	(void)pthread_mutex_unlock(&id->lock);
	for (i = 0; i < bound.n; i++) {
		const char *s = bound.v[i];

		if (lxm_starts(s, "0.0.0.0:"))
			expand(s + strlen("0.0.0.0:"), true, false, out);
		else if (lxm_starts(s, "[::]:"))
			expand(s + strlen("[::]:"), true, true, out);
		else
			lxm_strv_add(out, s);
	}
}
