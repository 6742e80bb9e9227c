/* Join tokens: what an administrator hands to a new client, so that it finds and believes a server and is believed by it. */
#ifndef LXM_TLS_JOIN_TOKEN_H
#define LXM_TLS_JOIN_TOKEN_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

#define LXM_TOKEN_MAX	    16384 /* bytes of base64 */
#define LXM_TOKEN_ADDRESSES 64

/* Zeroed is empty. */
struct lxm_join_token {
	char *client_name;		/* owned; "" if the token names none */
	char fingerprint[65];		/* of the server's certificate, lower-case hex */
	struct lxm_strv addresses;	/* "host:port", at least one, at most LXM_TOKEN_ADDRESSES */
	char *secret;			/* owned */
	lxm_time expires_at;		/* 0: never */
};

void lxm_join_token_deinit(struct lxm_join_token *t);
LXM_AUTO_STRUCT(join_token, struct lxm_join_token, lxm_join_token_deinit)

/**
 * Read a token: base64 of JSON, blanks around it and inside do not count. Every field is checked, for it may come from anybody.
 *
 * @out  zeroed; untouched on failure
 *
 * Returns 0; 1 when the text does not look like a token at all (an address, perhaps); -EINVAL for a broken one.
 */
int lxm_join_token_decode(const char *text, struct lxm_join_token *out, struct lxm_err *e);

/** The text of a token; free() it. */
char *lxm_join_token_encode(const struct lxm_join_token *t);

#endif
