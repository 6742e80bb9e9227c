/* The trust store in memory: which client certificate may do what. The database keeps it (db/certificate.h). */
#ifndef LXMD_CORE_TRUST_H
#define LXMD_CORE_TRUST_H

#include "lib/base/err.h"
#include "lxmd/core/caller.h"

struct lxmd;
struct trust;
struct trust_hold;

/** Make d->trust and load it. Main thread, with the database open and the core started. Returns 0 or -errno. */
int trust_start(struct lxmd *d, struct lxm_err *e);

/** Frees it, the project lists of all callers with it; no request may be left. NULL is fine. Main thread. */
void trust_stop(struct lxmd *d);

/**
 * Read the certificates from the database again; call it after each change of a certificate or of a project's name.
 * When it returns, no request that begins later sees the old rights, and what trust_hold() knows of callers whose rights
 * changed is cut off. A failure leaves the old store in force.
 *
 * Any thread but the loop; one read transaction. Returns 0 or -errno.
 */
int trust_reload(struct lxmd *d, struct lxm_err *e);

/**
 * Say who comes over TLS. Cheap: for every request.
 *
 * @fingerprint  lowercase hex SHA-256 of the DER of the peer's certificate; "" or NULL: it sent none, or one whose time is not now
 * @c            everything is filled but address, which stays
 *
 * Any thread. An unknown certificate gives CALLER_UNTRUSTED with its fingerprint.
 */
void trust_identify(struct lxmd *d, const char *fingerprint, struct caller *c);

/**
 * A connection outlives its request (websocket, sftp): end it when the rights of its caller change.
 *
 * @who  for callers on the Unix socket, and strangers, nothing is held
 * @fd   borrowed until trust_release(); a change shuts it down in both directions, at once if it came since the request began
 *
 * Any thread; never blocks. Returns NULL when nothing need be held.
 */
struct trust_hold *trust_hold(struct lxmd *d, const struct caller *who, int fd);

/** Before the descriptor is closed. NULL is fine. Any thread. */
void trust_release(struct trust_hold *h);

#endif
