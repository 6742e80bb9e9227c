/* A certificate authority of the administrator's own (server.ca), and the list of what it took back (ca.crl). */
#ifndef LXM_TLS_CA_H
#define LXM_TLS_CA_H

#include <stddef.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/time.h"

struct lxm_ca;

/* What lxm_ca_check() answers beside 0. */
enum { LXM_CA_FOREIGN = 1, LXM_CA_REVOKED = 2 };

/**
 * @ca_pem   the authority's certificate; it must be one that may sign others
 * @crl_pem  its list of revoked certificates, NULL: none; must be signed by the authority
 *
 * Any thread. Returns 0 with an object that lxm_ca_free() frees, or -EINVAL.
 */
int lxm_ca_new(const char *ca_pem, const char *crl_pem, struct lxm_ca **out, struct lxm_err *e);

/**
 * Did the authority sign this certificate, and has it not taken that back?
 *
 * @der  of the certificate; its own dates are the caller's to look at, the authority's are looked at here
 *
 * Any thread, many at a time; about a millisecond. Returns 0, LXM_CA_FOREIGN or LXM_CA_REVOKED.
 */
int lxm_ca_check(const struct lxm_ca *ca, const void *der, size_t len, lxm_time now);

void lxm_ca_free(struct lxm_ca *ca);
LXM_AUTO_PTR(ca, struct lxm_ca, lxm_ca_free)

#endif
