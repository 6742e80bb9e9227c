/* A byte stream to a server: one small vtable, so that HTTP and websockets run over any kind of socket. */
#ifndef LXM_TLS_CONN_H
#define LXM_TLS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/err.h"

struct lxm_conn;

/* What a kind of connection must do. All answer -EAGAIN instead of blocking once the descriptor is non-blocking. */
struct lxm_conn_ops {
	/* up to n bytes; 0 at the end of the stream; -errno (-EINTR is handed through) */
	ssize_t (*read)(struct lxm_conn *c, void *data, size_t n);
	/* at least one byte of n, or -errno; never raises SIGPIPE */
	ssize_t (*write)(struct lxm_conn *c, const void *data, size_t n);
	/* releases everything; called once */
	void (*close)(struct lxm_conn *c);
	/* of a blocking connection between two requests: nothing has come and it has not ended; NULL: poll(2) tells */
	bool (*idle)(struct lxm_conn *c);
};

/* Zeroed is "not connected". The struct may be copied while only one copy is used and closed. */
struct lxm_conn {
	const struct lxm_conn_ops *ops; /* NULL while not connected */
	int fd;				/* for poll(2); owned through ops->close */
	void *state;			/* of the ops; NULL for plain sockets */
};

/**
 * How to reach a server: called for the first request, again after the server closed, and for each websocket.
 *
 * @arg       the dialer's own
 * @conn_out  receives an open, blocking connection that the caller closes
 *
 * Returns 0 or -errno with e filled.
 */
typedef int (*lxm_dial_fn)(void *arg, struct lxm_conn *conn_out, struct lxm_err *e);

/** A dialer for a Unix stream socket; arg is its path (const char *, borrowed). */
int lxm_dial_unix(void *path, struct lxm_conn *conn_out, struct lxm_err *e);

/** Wraps a connected stream socket; takes fd. */
struct lxm_conn lxm_conn_socket(int fd);

/** Switch the descriptor to non-blocking or back. */
void lxm_conn_nonblock(struct lxm_conn *c, bool on);

/** Open, and nothing to read: fit for another request. */
bool lxm_conn_idle(struct lxm_conn *c);

/** Close and zero; a connection that is not open is fine. */
void lxm_conn_close(struct lxm_conn *c);
LXM_AUTO_STRUCT(conn, struct lxm_conn, lxm_conn_close)

#endif
