/*
 * Who this server is on the network: its certificate and key (server.crt and server.key of its directory, made at
 * first start), and the addresses where it listens. Clients pin the certificate, so it changes only when told.
 */
#ifndef LXMD_CORE_IDENTITY_H
#define LXMD_CORE_IDENTITY_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/tls/cert.h"

struct lxmd;

/**
 * Read the pair, or make one; d->identity is set. A replacement that was cut off halfway is completed or dropped.
 *
 * Main thread, before the network is served. Returns 0, -EINVAL when the files do not hold a pair, or -errno.
 */
int identity_start(struct lxmd *d, struct lxm_err *e);

/** Main thread; NULL inside is fine. */
void identity_stop(struct lxmd *d);

/** The certificate as PEM; free() it. Any thread. */
char *identity_certificate(struct lxmd *d);

/** Its fingerprint. Any thread. */
void identity_fingerprint(struct lxmd *d, char out[LXM_CERT_HEX]);

/** Certificate (whole file, with a chain if it has one) and key as PEM; free() and lxm_cert_key_free(). Any thread. */
void identity_pair(struct lxmd *d, char **cert_out, char **key_out);

/**
 * Take a new pair: checked, written, in force for new connections.
 *
 * @cert  PEM; the server's own first, a chain may follow
 * @key   PEM without a password
 *
 * Worker thread. Returns 0, -EINVAL (nothing changed) or -errno.
 */
int identity_replace(struct lxmd *d, const char *cert, const char *key, struct lxm_err *e);

/** Read the files again, as an administrator may have put others there. On failure the old pair stays. Returns 0 or -errno. */
int identity_reload(struct lxmd *d, struct lxm_err *e);

/**
 * Where other hosts reach the API: "10.0.0.1:8443", "[fd00::1]:8443", wildcards expanded to the addresses the host has now.
 * Empty while nothing listens on the network. Adds to *out. Any thread.
 */
void identity_addresses(struct lxmd *d, struct lxm_strv *out);

/** Tell it where we listen, as bound ("0.0.0.0:8443"); copied. For lxmd/http. Any thread. */
void identity_set_bound(struct lxmd *d, const struct lxm_strv *bound);

#endif
