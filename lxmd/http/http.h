/* The HTTP server: listens on the Unix socket, reads requests, runs their handlers, writes the answers. */
#ifndef LXMD_HTTP_HTTP_H
#define LXMD_HTTP_HTTP_H

#include "lib/base/err.h"

struct http;
struct lxmd;

/**
 * Bind LXMD_DIR/unix.socket and serve it; d->http is set.
 *
 * Main thread, after the daemon's other parts. A stale socket is replaced (the directory's lock is held).
 * Returns 0 or -errno.
 */
int http_start(struct lxmd *d, struct lxm_err *e);

/**
 * Accept nothing new, wait up to timeout_ms for requests that are being answered, remove the socket.
 *
 * Main thread. Nothing to do if it was not started. Returns 0, or -EBUSY when some request did not end in
 * time: the server's threads then still run, and the process can only exit.
 */
int http_stop(struct lxmd *d, int timeout_ms);

#endif
