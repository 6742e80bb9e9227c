/* Inside of lxmd/http: one request with its connection's side. Nobody outside includes this. */
#ifndef LXMD_HTTP_CONN_H
#define LXMD_HTTP_CONN_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/str.h"
#include "lxmd/http/peer.h"
#include "lxmd/http/request.h"
#include "lxmd/http/routes.h"

#define JSON_BODY_MAX	(4u * 1024 * 1024)
#define STRANGER_BODY_MAX (64u * 1024)
#define UPLOAD_MAX	((uint64_t)256 << 30)
#define DRAIN_MAX	((uint64_t)1 << 30) /* how much of a refused body is read, so that the client sees why */
#define REQUEST_WAIT_S	20		    /* a request whose headers or body stop coming */

enum body_kind {
	BODY_DROP,   /* read and thrown away */
	BODY_MEMORY, /* JSON */
	BODY_SPOOL,  /* to an unlinked file */
};

enum conn_phase {
	PHASE_HEADERS,
	PHASE_BODY,
	PHASE_RUNNING,
	PHASE_QUEUED,
};

struct http;

/* One libmicrohttpd with threads of its own, so that the network cannot use up what serves the Unix socket. */
struct http_side {
	struct http *http;
	struct MHD_Daemon *mhd; /* NULL: not started */
	bool tls;
};

/* What pages of other sites may do; strings are NULL when not set. */
struct http_cors {
	char *origin, *methods, *headers;
	bool credentials;
};

struct http {
	struct lxmd *d;
	struct http_side local, network;
	atomic_bool closing; /* requests are refused on the spot: none may be suspended when libmicrohttpd is stopped, it aborts */
	atomic_int active; /* requests between their handler's start and the end of their reply */

	pthread_mutex_t configuring; /* held while the network's side changes */
	struct tls *tls;	     /* guarded by configuring; NULL until the network is served for the first time */
	struct peer_ca *ca;
	pthread_mutex_t lock;
	struct http_cors cors;	  /* guarded by lock */
	atomic_bool metrics_open; /* the metrics listener asks for no certificate */
	struct tls_peer **handed; /* guarded by lock; by descriptor: peers on their way to on_connection() */
	size_t n_handed;
};

struct http_conn {
	struct request rq;
	struct http *http;
	struct MHD_Connection *mhd;
	bool in_request; /* told to the peer */
	char *uri; /* path, cut off before the query */
	struct tls_peer *peer;	/* NULL on the Unix socket; borrowed of the connection */
	const void *peer_cert; /* DER; NULL without; borrowed of the peer */
	size_t peer_cert_len;
	bool preflight; /* OPTIONS: answered without a route */
	enum conn_phase phase;

	enum body_kind body_kind;
	bool body_either;	/* RT_EITHER without a telling Content-Type: look at it at the end */
	struct lxm_buf body;	/* BODY_MEMORY */
	int body_fd;		/* BODY_SPOOL */
	uint64_t body_size;
	struct lxm_err failed; /* code != 0: known before the handler could run */

	/*
	 * Who still works on the request: the runner, and since rq_defer() the one who will call
	 * rq_resume(). Whoever leaves last wakes the connection.
	 */
	atomic_int holders;
	bool suspended;

	unsigned int status;
	char operation[37]; /* UUID of the operation that the reply names */
	struct MHD_Response *response;

	void (*accept_ws)(struct ws *ws, void *arg);
	void (*accept_fd)(int fd, const void *extra, size_t len, void *arg);
	void (*drop)(void *arg);
	void *upgrade_arg;
};

/* ---- body.c */

/** Decide where the body goes. Connection's thread, with the headers read. */
void body_begin(struct http_conn *c);
/** One piece. Returns false when the client has sent too much and shall be cut off. */
bool body_feed(struct http_conn *c, const char *data, size_t len);
/** All there: parse it. Fills c->failed. May block on disk when it was spooled. */
void body_end(struct http_conn *c);
void body_deinit(struct http_conn *c);

/* ---- dispatch.c */

/** Route, query, rights. Fills c->failed. Connection's thread. */
void dispatch_begin(struct http_conn *c, const char *method);
/** Run the handler, here or on a worker; the connection is answered or suspended afterwards. */
void dispatch_run(struct http_conn *c);

/* ---- server.c */

/** Start libmicrohttpd for a side; fd is the socket to listen on, or -1. Returns 0 or -ENOMEM. */
int side_start(struct http_side *side, int fd, unsigned int connections, struct lxm_err *e);

/* ---- network.c */

/** The peer that was handed over with a descriptor; the reference is the caller's. NULL if there is none. */
struct tls_peer *network_take_peer(struct http *h, int fd);
/** Accept nothing new from the network. Main thread. */
void network_quiesce(struct http *h);
/** Ends what http_configure() started and frees it, libmicrohttpd's part first. Main thread; no request is left. */
void network_stop(struct http *h);

/* ---- edge.c */

/** What matters only on the network: metrics listeners, foreign pages, preflights. Connection's thread. Returns 0 or -errno. */
int edge_begin(struct http_conn *c, struct lxm_err *e);
/** Whether it came to a metrics listener that serves everybody (core.metrics_authentication). Any thread. */
bool edge_metrics_open(const struct http_conn *c);
/** Adds the headers for pages of other sites to c->response. Connection's thread. */
void edge_finish(struct http_conn *c);

/* ---- reply.c, upgrade.c */

/** Set the reply of a request; a second one is a bug. Takes the response. */
void reply_set(struct http_conn *c, unsigned int status, struct MHD_Response *response);
/** "HEX" over canonical JSON (stolen); out has 65 bytes. */
void etag_of(json_t *over, char out[65]);
/** An upgrade that did not come about: calls drop() if neither it nor accept() was called. */
void upgrade_deinit(struct http_conn *c);

#endif
