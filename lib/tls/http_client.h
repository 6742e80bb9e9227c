/* HTTP/1.1 client: one connection kept alive, requests one after another, bodies from memory or streamed. */
#ifndef LXM_TLS_HTTP_CLIENT_H
#define LXM_TLS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/tls/conn.h"
#include "lib/tls/http_parse.h"

struct lxm_http; /* opaque; one thread */

/* Fills up to n bytes of a request body. Returns bytes, 0 at the end, -errno with e filled. */
typedef ssize_t (*lxm_http_source)(void *arg, void *data, size_t n, struct lxm_err *e);

struct lxm_http_request {
	const char *method;	      /* "GET" */
	const char *target;	      /* path and query, already percent-encoded */
	const struct lxm_kv *headers; /* further headers, or NULL; values with line ends are refused */
	const void *body;	      /* body_len bytes, or NULL */
	size_t body_len;
	lxm_http_source source; /* instead of body: streamed, chunked unless source_size is known */
	void *source_arg;
	int64_t source_size; /* bytes that source will give, -1 when unknown */
	lxm_http_sink sink;  /* takes a successful (2xx) body; NULL: into reply->body */
	void *sink_arg;
	/* before the first byte goes to sink (and for empty bodies too): the reply's headers; < 0 gives up. May be NULL */
	int (*on_head)(void *sink_arg, const struct lxm_kv *headers, struct lxm_err *e);
};

/* Zeroed is empty. */
struct lxm_http_reply {
	int status;
	struct lxm_kv headers; /* names in lower case */
	struct lxm_buf body;   /* NUL-terminated; empty when a sink took it */
};

void lxm_http_reply_deinit(struct lxm_http_reply *r);
LXM_AUTO_STRUCT(http_reply, struct lxm_http_reply, lxm_http_reply_deinit)

/**
 * A client that connects when the first request is made.
 *
 * @dial, @arg  how to connect; arg is borrowed for the client's life
 */
struct lxm_http *lxm_http_new(lxm_dial_fn dial, void *arg);
void lxm_http_free(struct lxm_http *h);
LXM_AUTO_PTR(http, struct lxm_http, lxm_http_free)

/**
 * A function to call when a signal interrupts waiting. If it answers < 0 the request is given up with that errno;
 * fn NULL (the default) means waiting goes on.
 */
void lxm_http_on_signal(struct lxm_http *h, int (*fn)(void *arg), void *arg);

/** What requests say in their Host header (default "unix.socket"); copied. */
void lxm_http_host(struct lxm_http *h, const char *host);

/** Bodies kept in memory may have that many bytes (default 256 MiB); -EMSGSIZE beyond. */
void lxm_http_max_body(struct lxm_http *h, size_t bytes);

/**
 * Send one request and read its reply.
 *
 * @reply  emptied first, filled on success; the caller deinits
 *
 * Blocks. Connects or reconnects as needed. Returns 0 whatever the status says, or -errno with e filled when there
 * was no complete reply.
 */
int lxm_http_do(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_http_reply *reply,
		struct lxm_err *e);

/** The first half of lxm_http_do(): send only, so that the reply can be awaited in a poll loop. */
int lxm_http_send(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_err *e);
/** The second half; rq as in lxm_http_send(). Blocks until the reply is whole. */
int lxm_http_recv(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_http_reply *reply,
		  struct lxm_err *e);
/** Descriptor to poll for input between the halves; -1 while not connected. */
int lxm_http_fd(const struct lxm_http *h);

#endif
