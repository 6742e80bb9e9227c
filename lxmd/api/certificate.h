/* Certificates of the trust store between their files: objects, what a body says of them, tokens. */
#ifndef LXMD_API_CERTIFICATE_H
#define LXMD_API_CERTIFICATE_H

#include "db/certificate.h"
#include "lxmd/http/request.h"

struct op;

/** One object of a list or a GET. New reference. */
json_t *certificate_json(const struct db_certificate *c);

/** What a PUT can change. New reference. */
json_t *certificate_editable(const struct db_certificate *c);

/**
 * What a body says about a certificate besides its bytes: name, description, type, restricted, projects; what it leaves
 * out stays. Returns 0 or -EINVAL.
 */
int certificate_read_body(json_t *body, struct db_certificate *c, struct lxm_err *e);

/** Set fingerprint, PEM and, where it has none, the name from a certificate's DER. Returns 0 or -EINVAL. */
int certificate_set_der(struct db_certificate *c, const void *der, size_t len, struct lxm_err *e);

/** The same from what clients send as `certificate`: base64 of DER, or PEM. */
int certificate_set_text(struct db_certificate *c, const char *text, struct lxm_err *e);

/** Tell of a change that is stored: the trust store in memory follows, then the event goes out. Returns 0 or -errno. */
int certificate_changed(struct request *rq, const char *action, const char *fingerprint, struct lxm_err *e);

/* ---- tokens: certificate_token.c */

/** Answer POST with `token:true`: the operation whose secret a client may trade for trust, once. `c` says for what. */
int certificate_token_new(struct request *rq, json_t *body, const struct db_certificate *c, struct lxm_err *e);

/** True if the text is a token as clients build it, whether anybody knows it or not. */
bool certificate_token_is(const char *text);

/**
 * Look for the operation of a token, running and not expired.
 *
 * @c  receives name, type, restricted, projects as the token says
 *
 * Returns its operation (op_unref() it; op_finish() it when the certificate is stored), or NULL.
 */
struct op *certificate_token_find(struct lxmd *d, const char *text, struct db_certificate *c);

#endif
