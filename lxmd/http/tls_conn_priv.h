/* What tls_conn.c (a connection's bytes) and tls_admit.c (who has a place, and for how long) share. */
#ifndef LXMD_HTTP_TLS_CONN_PRIV_H
#define LXMD_HTTP_TLS_CONN_PRIV_H

#include "lxmd/http/tls_conn.h"

enum tls_state { STATE_PROXY, STATE_HANDSHAKE, STATE_OPEN, STATE_CLOSING };

/* Bytes that the other side did not take yet. */
struct kept {
	char *data;
	size_t off, len;
};

struct tls_conn {
	struct tls_loop *l;
	struct tls_conn *next, *prev;
	struct tls_peer *peer;
	SSL *ssl;
	struct sockaddr_storage from;
	int fd, inner;			/* -1: none (yet) */
	struct loop_watch *fd_watch, *inner_watch;
	uint32_t fd_events, inner_events;
	enum tls_state state;
	bool proxied;
	bool read_wants_write;		/* TLS has to send before it can go on reading */
	bool in_eof;			/* the client sends nothing more */
	bool out_eof;			/* we send nothing more */
	bool lost;			/* the client is gone; what it said before is still handed on */
	bool inner_ended;		/* libmicrohttpd has closed its end; what it said is still in ours */
	int64_t since_ms;		/* of the state */
	int64_t active_ms;
	int64_t head_ms;		/* since when headers are coming in, 0: they are not */
	unsigned int head_after;	/* peer->requests then */
	struct kept to_client, to_inner;
	struct proxy_header *proxy;
};

/** It begins to be that now. */
void tls_conn_state(struct tls_conn *c, enum tls_state state);
/** Take it out of its loop and close it. */
void tls_conn_free(struct tls_conn *c);
/** Go on with a connection after an event. It may be gone afterwards. */
void tls_conn_step(struct tls_conn *c);
/** What the loop calls for its outer socket; arg is the connection, which may be gone afterwards. */
void tls_conn_event(int fd, uint32_t events, void *arg);

#endif
