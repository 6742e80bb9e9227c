/* How to reach a remote: its Unix socket, or TLS with the pinned certificate and our own. */
#ifndef LXM_LXMC_CONNECT_H
#define LXM_LXMC_CONNECT_H

#include "lib/base/err.h"
#include "lib/tls/tls_conn.h"
#include "lxmc/conf.h"

/* A way to one server, with all that it borrows. Zeroed is none. */
struct route {
	char *remote;		    /* name in the configuration, for error texts; owned */
	char *socket;		    /* of a Unix socket; owned, NULL for TLS */
	char *addr;		    /* "https://..."; owned, NULL for a socket */
	char *server_pem;	    /* pinned; owned, NULL: CAs decide */
	char *ca_file;		    /* owned, NULL: the system's */
	char *client_pem, *client_key; /* owned; NULL: none to show */
	const char *addresses[2];
	struct lxm_tls_target tls;
};

/**
 * Find the way to a remote.
 *
 * @with_cert  show our certificate, which is made if there is none yet
 *
 * Does not connect. The route must stay where it is (it borrows from itself). Returns 0 or -errno; route_deinit() it in any case.
 */
int route_init(struct route *rt, const struct conf *conf, const struct remote *rm, bool with_cert, struct lxm_err *e);
void route_deinit(struct route *rt);
LXM_AUTO_STRUCT(route, struct route, route_deinit)

/** An lxm_dial_fn over a struct route; errors name the remote and what to do. */
int route_dial(void *route, struct lxm_conn *conn_out, struct lxm_err *e);

/**
 * Our own certificate and key, from the configuration directory; made on first need, the key with mode 0600.
 *
 * @cert_out, @key_out  PEM; free() the one, lxm_cert_key_free() the other; may be NULL
 */
int own_cert(const struct conf *conf, char **cert_out, char **key_out, struct lxm_err *e);
/** Whether there is one already. */
bool own_cert_exists(const struct conf *conf);

#endif
