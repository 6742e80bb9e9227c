/* Inside of lib/tls: an open TLS connection, between the handshake (tls_conn.c) and its bytes (tls_io.c). */
#ifndef LXM_TLS_TLS_IO_H
#define LXM_TLS_TLS_IO_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "lib/tls/conn.h"
#include "lib/tls/tls_sessions.h"

struct lxm_tls_target;

/* A connection; the state of its lxm_conn. */
struct lxm_tls {
	SSL *ssl;
	int fd;		/* borrowed from the lxm_conn */
	int err;	/* errno of the last failed transfer, 0 at the end of the stream */
	bool broken;	/* a fatal error: nothing may be sent any more, not even a farewell */
	bool mute;	/* the peer takes nothing any more; what it has sent before is still to be read */
	bool refused;	/* our judgement of the server's certificate */
	bool any;	/* every certificate is fine, for a look at it */
	bool young;	/* the session that was offered need not be replaced yet */
	struct lxm_tls_key key;
	struct lxm_tls_sessions *sessions;
	const struct lxm_tls_target *target; /* during the handshake only */
	char fingerprint[65];
};

/** What OpenSSL reads from and writes to: t->fd. NULL: out of memory. */
BIO *lxm_tls_bio(struct lxm_tls *t);

/** Of a connection whose state is a struct lxm_tls from malloc; closing frees it. */
extern const struct lxm_conn_ops lxm_tls_ops;

#endif
