/* TLS sessions to resume: where tls_conn keeps and finds them. */
#ifndef LXM_TLS_TLS_SESSIONS_H
#define LXM_TLS_TLS_SESSIONS_H

#include <openssl/ssl.h>

#include "lib/tls/tls_conn.h"

#define LXM_TLS_KEY_LEN 64

/* Which session belongs to a connection: hex digests of where it goes and of all that its trust rests on. */
struct lxm_tls_key {
	char place[LXM_TLS_KEY_LEN + 1]; /* the address */
	char trust[LXM_TLS_KEY_LEN + 1]; /* judgement of the server, our certificate */
};

/** The key of a target when it reaches its server at that address. */
void lxm_tls_key_of(const struct lxm_tls_target *t, const char *address, struct lxm_tls_key *key);

/** A session for that key, or NULL; SSL_SESSION_free() it. Any thread; may read a file. */
SSL_SESSION *lxm_tls_sessions_find(struct lxm_tls_sessions *s, const struct lxm_tls_key *key);

/** Keep a session (not taken) instead of what the key's place has. Any thread; may write a file. */
void lxm_tls_sessions_keep(struct lxm_tls_sessions *s, const struct lxm_tls_key *key, SSL_SESSION *session);

#endif
