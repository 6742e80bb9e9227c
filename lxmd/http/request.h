/*
 * One request as its handler sees it, and the ways to answer it.
 *
 * A handler is `int handler(struct request *rq, struct lxm_err *e)`. It returns 0 after exactly one reply_*
 * (or rq_defer()), or < 0 with e filled, which becomes the error envelope with lxm_err_status(e). It runs on a
 * worker thread, unless its row in routes.c says RT_INLINE: then on the connection's thread, and it must
 * not block. A request belongs to one thread at a time.
 */
#ifndef LXMD_HTTP_REQUEST_H
#define LXMD_HTTP_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/api/json.h"
#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lxmd/core/caller.h"

struct lxmd;
struct op;
struct op_spec;
struct route;
struct ws;
struct filter;
struct http_conn;
struct lxm_buf;

#define RQ_ARGS_MAX 6

struct request {
	struct lxmd *d;
	const char *method;  /* "GET" ...; HEAD comes as "HEAD" to the GET handler */
	const char *path;    /* as it came, without the query */
	bool containers;     /* came by /1.0/containers: URLs in lists say so too (rq_collection()) */
	struct caller caller; /* read it with rq_caller() */
	/* ---- the rest belongs to lxmd/http */
	const struct route *route;
	char *args[RQ_ARGS_MAX]; /* decoded path parameters; owned */
	struct lxm_kv query;
	json_t *json;		/* parsed body; owned */
	struct http_conn *conn; /* the connection's side: headers, body, reply */
};

typedef int (*handler_fn)(struct request *rq, struct lxm_err *e);

/* ---- reading */

/** i-th path parameter ("{name}"), percent-decoded; never NULL for a parameter that the pattern has. */
const char *rq_arg(const struct request *rq, unsigned int i);
/** Query parameter, decoded; NULL if absent, "" if empty. */
const char *rq_query(const struct request *rq, const char *key);
/** Query parameter as LXD boolean; false if absent or neither. */
bool rq_query_bool(const struct request *rq, const char *key);
/** `project=`, or "default". The router has checked that it exists where the row says RT_PROJECT. */
const char *rq_project(const struct request *rq);
/** `all-projects=true`; the router has refused it together with project=. */
bool rq_all_projects(const struct request *rq);
/** `recursion=` 0 to 2. */
int rq_recursion(const struct request *rq);
/** "instances" or "containers", as the client addressed it: for URLs in lists. */
const char *rq_collection(const struct request *rq);
/**
 * `filter=` parsed; *f_out is NULL when there is none (filter_match() takes that as "all").
 * Returns 0 or -EINVAL (400); filter_free() it.
 */
int rq_filter(const struct request *rq, struct filter **f_out, struct lxm_err *e);
/** X-LXD-NAME or X-Incus-NAME, such as "type", "uid"; NULL if absent. */
const char *rq_header(const struct request *rq, const char *name);
/** Any header by its name, in any case; NULL if absent. Borrowed. */
const char *rq_raw_header(const struct request *rq, const char *name);
const struct caller *rq_caller(const struct request *rq);
/**
 * The certificate that the peer proved to hold the key of, in DER form, whether anybody trusts it or not.
 *
 * @len_out  0 when NULL is returned: on the Unix socket, without a certificate, or with one whose time is not now
 *
 * Borrowed until the reply.
 */
const void *rq_peer_cert(const struct request *rq, size_t *len_out);

/** The body as JSON object; NULL when there was none (empty, null, ""). Other kinds were refused. Borrowed. */
json_t *rq_json(const struct request *rq);
/** The same, refusing an absent body with 400. */
int rq_need_json(const struct request *rq, json_t **out, struct lxm_err *e);
/**
 * Body of a row with RT_UPLOAD, or RT_EITHER when it is not JSON: an unlinked file, position 0.
 *
 * Borrowed for the handler's time (dup() or rq_take_body_fd() to keep it). -1 when the body was JSON.
 */
int rq_body_fd(const struct request *rq, uint64_t *size_out);
/** As above, and the caller closes it. */
int rq_take_body_fd(struct request *rq, uint64_t *size_out);

/**
 * Compare If-Match with the tag of `over` (what a PUT can change; stolen).
 *
 * Returns 0 when equal, "*" or absent; -ESTALE with HTTP 412 otherwise.
 */
int rq_check_etag(const struct request *rq, json_t *over, struct lxm_err *e);

/* ---- answering: exactly one of these, which return 0 so that `return reply_sync(rq, o);` reads well */

/** 200, sync envelope; metadata stolen; NULL gives {}. */
int reply_sync(struct request *rq, json_t *metadata);
/** The same for metadata that is JSON text already (lib/api/json_write.h). @etag_over stolen; NULL: no ETag. */
int reply_sync_text(struct request *rq, const struct lxm_buf *metadata, json_t *etag_over);
/** The same for an array whose values lie in n parts, separated by commas in each; a part may be empty. */
int reply_sync_list(struct request *rq, const struct lxm_buf *parts, size_t n);
/** As reply_sync() with an ETag over `etag_over` (stolen). */
int reply_sync_etag(struct request *rq, json_t *metadata, json_t *etag_over);
/** The same with extra headers (borrowed), such as X-LXD-type on a directory. */
int reply_sync_headers(struct request *rq, json_t *metadata, const struct lxm_kv *headers);
/** 201 with Location, metadata null. */
int reply_created(struct request *rq, const char *location);
/** 202 with Location and the operation; call op_start() before or after. The reference stays the caller's. */
int reply_op(struct request *rq, struct op *op);
/**
 * op_start() + reply_op() + op_unref() in one: the usual end of an async handler.
 */
int reply_op_start(struct request *rq, struct op *op);
/** op_new() for the caller of the request, and reply_op_start(). @spec: `caller` is filled in here. */
int reply_op_new(struct request *rq, struct op_spec *spec, struct lxm_err *e);
/**
 * 200 with the bytes of a file from its start; Content-Length is set.
 *
 * @fd            taken; a regular file
 * @content_type  NULL: application/octet-stream
 * @headers       borrowed, may be NULL
 */
int reply_file(struct request *rq, int fd, uint64_t size, const char *content_type,
	       const struct lxm_kv *headers);
/** 200 with bytes (copied). */
int reply_bytes(struct request *rq, const void *data, size_t len, const char *content_type,
		const struct lxm_kv *headers);
/** An error envelope; what the router does with a handler's < 0. */
int reply_error(struct request *rq, const struct lxm_err *e);

/*
 * 101 to a websocket. When the switch is done `accept(ws, arg)` is called (connection's thread, must
 * not block; takes the reference); when it never comes to that, `drop(arg)` is. One of the two, once.
 * A request that is no websocket handshake is answered 400, after drop().
 */
int reply_ws(struct request *rq, void (*accept)(struct ws *ws, void *arg), void (*drop)(void *arg),
	     void *arg);

/*
 * 101 to any other protocol ("sftp"): accept(fd, extra, len, arg) gets the connection's descriptor (taken;
 * blocking mode is the taker's to set) and what was read beyond the request. drop() as above.
 */
int reply_upgrade(struct request *rq, const char *protocol,
		  void (*accept)(int fd, const void *extra, size_t len, void *arg),
		  void (*drop)(void *arg), void *arg);

/**
 * Answer later: the handler returns 0 without a reply; afterwards any thread calls one reply_* and then
 * rq_resume(), which ends its right to touch the request.
 */
void rq_defer(struct request *rq);
void rq_resume(struct request *rq);

#endif
