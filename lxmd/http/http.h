/* The HTTP server: listens on the Unix socket and over TLS, reads requests, runs their handlers, writes the answers. */
#ifndef LXMD_HTTP_HTTP_H
#define LXMD_HTTP_HTTP_H

#include <stdbool.h>

#include "lib/base/err.h"

struct http;
struct lxm_kv;
struct lxmd;

/**
 * Bind LXMD_DIR/unix.socket and serve it; d->http is set.
 *
 * Main thread, after the daemon's other parts. A stale socket is replaced (the directory's lock is held).
 * Returns 0 or -errno.
 */
int http_start(struct lxmd *d, struct lxm_err *e);

/**
 * Serve the network as the server's configuration says (core.https_*, core.metrics_address, core.trust_ca_certificates).
 *
 * @config  all server keys; borrowed
 * @early   the daemon starts: an address that cannot be bound is logged and left out
 *
 * After http_start(). Main thread when early, else a worker under the lock of the server's configuration. Returns 0, or -errno
 * with everything as it was.
 */
int http_configure(struct lxmd *d, const struct lxm_kv *config, bool early, struct lxm_err *e);

/**
 * Read server.crt, server.key, server.ca and ca.crl again: new connections get the certificate, all requests the authority.
 * Any thread. Returns 0 or -errno; what could not be read stays as it was.
 */
int http_reload(struct lxmd *d, struct lxm_err *e);

/**
 * Accept nothing new, wait up to timeout_ms for requests that are being answered, remove the socket.
 *
 * Main thread. Nothing to do if it was not started. Returns 0, or -EBUSY when some request did not end in
 * time: the server's threads then still run, and the process can only exit.
 */
int http_stop(struct lxmd *d, int timeout_ms);

#endif
