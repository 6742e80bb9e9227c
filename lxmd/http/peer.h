/*
 * Inside of lxmd/http: who is at the other end of a TLS connection. Made by the connection's loop, read by the threads that
 * serve its requests.
 */
#ifndef LXMD_HTTP_PEER_H
#define LXMD_HTTP_PEER_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "lib/tls/cert.h"
#include "lxmd/core/caller.h"
#include "lxmd/http/listen.h"

struct lxmd;

/* Which requests a listener answers. */
enum listen_kind { LISTEN_API, LISTEN_METRICS };

struct tls_peer {
	atomic_int refs;
	enum listen_kind kind;
	char address[ADDR_TEXT];
	void *der; /* its certificate; NULL: it sent none */
	size_t der_len;
	char fingerprint[LXM_CERT_HEX]; /* "" without a certificate */
	lxm_time not_before, not_after;
	atomic_uint ca_answer;	/* what the authority says of it, with the generation of the authority above: ca_says() */
	atomic_bool known;	/* its last request was a trusted one: not the first to be dropped when places run out */
	atomic_bool in_request; /* between the end of a request's headers and the end of its reply */
	atomic_uint requests;	/* whose headers came in whole */
	atomic_bool upgraded;	/* it is no HTTP any more */
};

/* The administrator's authority, as files say; see peer_ca_load(). */
struct peer_ca;

/** A peer with one reference. Any thread. */
struct tls_peer *peer_new(enum listen_kind kind);
struct tls_peer *peer_ref(struct tls_peer *p);
/** NULL is fine. */
void peer_unref(struct tls_peer *p);

/** After the handshake, also a resumed one: note the certificate. A connection's loop, before others see the peer. */
void peer_read_certificate(struct tls_peer *p, SSL *ssl);

/** Any thread; peer_ca_free() it. It asks no authority until it is told of one. */
struct peer_ca *peer_ca_new(void);
void peer_ca_free(struct peer_ca *ca);

/**
 * Read server.ca and ca.crl of the daemon's directory; without server.ca no authority is asked. Other answers count from the
 * next request of every connection on. A failure leaves everything as it was. Any thread. Returns 0 or -errno.
 */
int peer_ca_load(struct peer_ca *ca, struct lxmd *d, struct lxm_err *e);

/** Whether what the authority signed is trusted without being in the trust store (core.trust_ca_certificates). Any thread. */
void peer_ca_trust(struct peer_ca *ca, bool on);

/**
 * Who calls, for one request that begins now: fills *c.
 *
 * A certificate counts while its time is now and, where there is an authority, only if that signed it and has not revoked it.
 * Then the trust store decides; what the store does not know is trusted only by peer_ca_trust().
 *
 * Any thread. Returns true if the certificate counts, whether anybody trusts it or not.
 */
bool peer_identify(struct lxmd *d, struct peer_ca *ca, struct tls_peer *p, struct caller *c);

#endif
