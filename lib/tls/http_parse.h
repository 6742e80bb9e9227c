/* Parser of HTTP/1.1 replies: fed with whatever bytes arrive, bounded in all that the server chooses. */
#ifndef LXM_TLS_HTTP_PARSE_H
#define LXM_TLS_HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

#define LXM_HTTP_HEAD_MAX  65536 /* bytes of status line and headers, and of trailers */
#define LXM_HTTP_HEADERS	 128   /* header lines */

enum lxm_http_state {
	LXM_HTTP_HEAD,	     /* status line and headers */
	LXM_HTTP_BODY,	     /* bytes of known length, or up to the end of the connection */
	LXM_HTTP_CHUNK_SIZE, /* a chunk's size line */
	LXM_HTTP_CHUNK_DATA,
	LXM_HTTP_CHUNK_END, /* the line end after a chunk */
	LXM_HTTP_TRAILER,
	LXM_HTTP_DONE,
};

/* Takes decoded body bytes. Returns 0, or -errno to give up (handed through by the parser). */
typedef int (*lxm_http_sink)(void *arg, const void *data, size_t n, struct lxm_err *e);

struct lxm_http_parser {
	enum lxm_http_state state;
	int status;		/* 200 ...; valid once state left LXM_HTTP_HEAD */
	struct lxm_kv headers;	/* names in lower case; of a repeated header the last */
	bool keep_alive;	/* the connection may carry another request */
	bool until_close;	/* the body ends with the connection */
	bool no_body;		/* set by the caller for HEAD */
	uint64_t left;		/* bytes of body or chunk still to come */
	struct lxm_buf line;	/* head or line being collected */
	lxm_http_sink sink;	/* NULL drops the body */
	void *sink_arg;
};

/** Forget everything but sink, sink_arg and no_body, ready for the next reply. */
void lxm_http_parser_reset(struct lxm_http_parser *p);
void lxm_http_parser_deinit(struct lxm_http_parser *p);
LXM_AUTO_STRUCT(http_parser, struct lxm_http_parser, lxm_http_parser_deinit)

/**
 * Take n bytes from the server.
 *
 * @used_out  how many belong to this reply; the rest is the next reply's (or the websocket's)
 *
 * Informational replies (1xx) but 101 are skipped. Returns 0 and state tells whether the reply is complete;
 * -EPROTO for what is not HTTP/1.x, -EMSGSIZE for heads over the bounds, or what the sink answered.
 */
int lxm_http_parser_feed(struct lxm_http_parser *p, const void *data, size_t n, size_t *used_out, struct lxm_err *e);

/** The connection ended. Returns 0 if that completes the reply, else -ECONNRESET. */
int lxm_http_parser_eof(struct lxm_http_parser *p, struct lxm_err *e);

#endif
