/* Inside of lxmd/http: one TLS connection, on its loop from accept to close. */
#ifndef LXMD_HTTP_TLS_CONN_H
#define LXMD_HTTP_TLS_CONN_H

#include <sys/socket.h>

#include "lxmd/core/loop.h"
#include "lxmd/http/tls.h"

#define TLS_SCRATCH 32768

struct tls_conn;

/* One loop with its connections; everything but the first fields is its own thread's. */
struct tls_loop {
	struct tls *tls;
	struct loop *loop;
	struct lxmd *d;
	struct peer_ca *ca;
	tls_adopt_fn adopt;
	void *adopt_arg;
	unsigned int max;      /* connections here */
	struct tls_conn *conns;
	unsigned int n, most; /* most: since memory was last given back */
	loop_timer_id sweep;
	bool closing;	       /* no new ones */
	char scratch[TLS_SCRATCH];
};

/* A connection that was accepted, on its way to its loop. */
struct tls_arrival {
	struct tls_loop *l;
	int fd; /* taken */
	enum listen_kind kind;
	bool proxied; /* from a trusted proxy: a PROXY header may come first */
	SSL_CTX *ctx; /* taken */
	struct sockaddr_storage from;
};

/** Begin with it; frees the arrival (from malloc). The loop's thread; posted by the one that accepts. */
void tls_conn_begin(void *arrival);

/** End all, without waiting, and begin no more. The loop's thread. */
void tls_conn_end_all(struct tls_loop *l);

/**
 * Make room: close the connection that did nothing for the longest time, but none of a trusted client.
 *
 * The loop's thread. False if there is none.
 */
bool tls_conn_evict(struct tls_loop *l);

#endif
