/*
 * Inside of lxmd/http: TLS in front of the HTTP server. Loops of its own accept connections and do the handshakes; what a
 * client sends then goes in the clear through a socket pair to libmicrohttpd, which so serves TLS and Unix connections alike.
 */
#ifndef LXMD_HTTP_TLS_H
#define LXMD_HTTP_TLS_H

#include <openssl/ssl.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lxmd/http/peer.h"

struct lxmd;
struct tls;

/* What to listen on, as core.*_address and friends say. Strings are borrowed for the call. */
struct tls_want {
	const char *api;     /* comma list of addresses; NULL or "": none */
	const char *metrics; /* the same */
	const char *proxies; /* comma list of IP addresses whose PROXY header is believed */
	bool tls12;	     /* TLS 1.2 as well */
};

/*
 * Hand over one end of a socket pair (taken) as a connection of that peer; the callee takes its own reference.
 * On a loop's thread, must not block. False if that failed; fd is closed then too.
 */
typedef bool (*tls_adopt_fn)(void *arg, int fd, struct tls_peer *peer);

/**
 * Start the loops; nothing listens yet.
 *
 * Main thread. Returns 0 with *out, which tls_stop() ends, or -errno.
 */
int tls_start(struct lxmd *d, struct peer_ca *ca, tls_adopt_fn adopt, void *arg, struct tls **out, struct lxm_err *e);

/**
 * Listen there and nowhere else. Addresses in both the old and the new set are not touched; connections live on.
 *
 * @early  the daemon starts: what cannot be bound is logged and left out, addresses may be ones that the host gets later
 *
 * Any thread but the loops, one at a time. Returns 0, or -errno with everything as it was.
 */
int tls_configure(struct tls *t, const struct tls_want *want, bool early, struct lxm_err *e);

/** Use the certificate that identity_pair() has now for new connections. Any thread. Returns 0 or -errno (the old one stays). */
int tls_reload(struct tls *t, struct lxm_err *e);

/** Accept nothing more. Main thread; NULL is fine. */
void tls_close_listeners(struct tls *t);

/** End all connections, what is on its way is sent for a moment, and the loops. Main thread; NULL is fine. */
void tls_stop(struct tls *t);

/* ---- tls_context.c */

/**
 * What all connections share: versions, cipher suites, certificate, the key of session tickets. Clients are asked for a certificate, need
 * not send one, and no authority is named; whatever they send is accepted here, because peer_identify() judges it.
 *
 * Any thread. Returns 0 or -EINVAL; SSL_CTX_free() it.
 */
int tls_context_new(const char *cert_pem, const char *key_pem, bool tls12, SSL_CTX **out, struct lxm_err *e);

/** What OpenSSL last complained of on this thread, and forget it. */
const char *tls_complaint(void);

#endif
