/*
 * Websocket client, see ws_client.h. ws_frame.h makes and reads the frames; this file dials, shakes hands and bounds what
 * a server can make us hold: heads by the HTTP parser, refusals by REFUSAL_MAX, control frames by the protocol, and
 * data not at all because it is handed on in the pieces that arrive. What goes out is masked into one queue of bytes, which is
 * written in as large pieces as the connection takes.
 */
#include "lib/tls/ws_client.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/tls/http_parse.h"
#include "lib/tls/sha1.h"
#include "lib/tls/ws_frame.h"
#include "lib/tls/ws_handshake.h"

#define REFUSAL_MAX 65536
#define READ_BYTES  65536
#define READ_ROUNDS 8 /* reads for one pump, so that a fast sender leaves others their turn */
#define MOVE_BYTES  (1u << 20) /* of the queue that are sent before the rest is moved to its begin */
#define PONGS_MAX   (8u << 20) /* bytes queued above which pings are not answered any more */

struct lxm_ws {
	struct lxm_conn conn;
	struct lxm_ws_reader reader;
	lxm_ws_message_fn on_message;
	void *arg;
	bool open, ended, paused, closing, mute;
	char accept[32];	       /* what Sec-WebSocket-Accept must say */
	struct lxm_http_parser parser; /* of the handshake */
	struct lxm_buf refusal;
	struct lxm_buf hello; /* handshake request not yet sent */
	size_t hello_at;
	struct lxm_buf out; /* frames, out_at bytes of them are sent */
	size_t out_at;
};

/* ---- frames */

static void add_frame(struct lxm_ws *ws, enum lxm_ws_opcode opcode, const void *data, size_t n)
{
	unsigned char mask[4], *to;

	if (ws->out_at >= MOVE_BYTES || ws->out_at == ws->out.len) {
		ws->out.len -= ws->out_at;
		if (ws->out.len)
			memmove(ws->out.data, ws->out.data + ws->out_at, ws->out.len);
		ws->out_at = 0;
	}
	lxm_random(mask, sizeof(mask));
	lxm_buf_room(&ws->out, LXM_WSF_HEAD_MAX + n);
	to = (unsigned char *)ws->out.data + ws->out.len;
	to += lxm_ws_head(to, opcode, n, mask);
	lxm_ws_mask(to, data, n, mask);
	ws->out.len = (size_t)(to + n - (unsigned char *)ws->out.data);
	ws->out.data[ws->out.len] = 0;
}

static void add_close(struct lxm_ws *ws, const void *code, size_t n)
{
	if (!ws->closing)
		add_frame(ws, LXM_WSF_CLOSE, code, n);
	ws->closing = true;
}

/* Returns 0, 1 after a Close frame, -EPROTO. */
static int take_part(struct lxm_ws *ws, const struct lxm_ws_part *p)
{
	switch (p->opcode) {
	case LXM_WSF_CLOSE:
		if (lxm_ws_close_code(p->data, p->n) < 0)
			return -EPROTO;
		add_close(ws, p->data, p->n < 2 ? 0 : 2);
		return 1;
	case LXM_WSF_PING:
		if (!ws->closing && lxm_ws_queued(ws) < PONGS_MAX)
			add_frame(ws, LXM_WSF_PONG, p->data, p->n);
		return 0;
	case LXM_WSF_TEXT:
	case LXM_WSF_BINARY:
		if (p->n)
			ws->on_message(ws, (enum lxm_ws_kind)p->opcode, p->data, p->n, false, ws->arg);
		if (p->last)
			ws->on_message(ws, (enum lxm_ws_kind)p->opcode, "", 0, true, ws->arg);
		return 0;
	default:
		return 0;
	}
}

/* ---- the handshake */

static int take_refusal(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct lxm_ws *ws = arg;

	if (n > REFUSAL_MAX - ws->refusal.len)
		n = REFUSAL_MAX - ws->refusal.len;
	lxm_buf_add(&ws->refusal, data, n);
	return 0;
}

void lxm_ws_hello(const char *target, char accept_out[32], struct lxm_buf *out)
{
	unsigned char raw[16], digest[20];
	lxm_auto(free) char *key = NULL, *joined = NULL, *accept = NULL;

	lxm_random(raw, sizeof(raw));
	key = lxm_base64(raw, sizeof(raw));
	joined = lxm_asprintf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	lxm_sha1(joined, strlen(joined), digest);
	accept = lxm_base64(digest, sizeof(digest));
	snprintf(accept_out, 32, "%s", accept);
	lxm_buf_fmt(out,
		    "GET %s HTTP/1.1\r\nHost: unix.socket\r\nUser-Agent: lxmc/" LXM_VERSION "\r\n"
		    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Key: %s\r\n\r\n",
		    target, key);
}

int lxm_ws_welcome(const struct lxm_http_parser *p, const char *accept_want, struct lxm_err *e)
{
	const char *accept = lxm_kv_get(&p->headers, "sec-websocket-accept");
	const char *upgrade = lxm_kv_get(&p->headers, "upgrade");

	if (p->status != 101)
		return lxm_err_http(e, p->status, p->status == 404 ? ENOENT : EACCES, "the server refused a websocket (%d)",
				    p->status);
	if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !accept || strcmp(accept, accept_want) != 0)
		return lxm_err_set(e, EPROTO, "the server's websocket handshake is wrong");
	return 0;
}

int lxm_ws_open(lxm_dial_fn dial, void *dial_arg, const char *target, lxm_ws_message_fn on_message, void *arg,
		struct lxm_ws **ws_out, struct lxm_err *e)
{
	lxm_auto(ws) struct lxm_ws *ws = lxm_alloc(sizeof(*ws));
	int r;

	ws->on_message = on_message;
	ws->arg = arg;
	ws->conn.fd = -1;
	ws->parser.sink = take_refusal;
	ws->parser.sink_arg = ws;
	if (strpbrk(target, " \r\n"))
		return lxm_err_set(e, EINVAL, "bad websocket path");
	r = dial(dial_arg, &ws->conn, e);
	if (r < 0)
		return r;
	lxm_conn_nonblock(&ws->conn, true);
	lxm_ws_hello(target, ws->accept, &ws->hello);
	r = lxm_ws_pump(ws, POLLOUT, e);
	if (r < 0)
		return r;
	*ws_out = LXM_TAKE(ws, NULL);
	return 0;
}

void lxm_ws_free(struct lxm_ws *ws)
{
	if (!ws)
		return;
	lxm_conn_close(&ws->conn);
	lxm_http_parser_deinit(&ws->parser);
	lxm_buf_deinit(&ws->refusal);
	lxm_buf_deinit(&ws->hello);
	lxm_buf_deinit(&ws->out);
	free(ws);
}

int lxm_ws_fd(const struct lxm_ws *ws)
{
	return ws->ended ? -1 : ws->conn.fd;
}

short lxm_ws_events(const struct lxm_ws *ws)
{
	short ev = ws->paused ? 0 : POLLIN;

	if (ws->hello_at < ws->hello.len || (ws->open && !ws->mute && lxm_ws_queued(ws)))
		ev |= POLLOUT;
	return ev;
}

static int flush(struct lxm_ws *ws, struct lxm_err *e)
{
	while (ws->hello_at < ws->hello.len) {
		ssize_t n = ws->conn.ops->write(&ws->conn, ws->hello.data + ws->hello_at,
						ws->hello.len - ws->hello_at);

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		if (n < 0) {
			errno = (int)-n;
			return lxm_err_sys(e, "open a websocket");
		}
		ws->hello_at += (size_t)n;
	}
	if (!ws->open)
		return 0;
	while (!ws->mute && lxm_ws_queued(ws)) {
		ssize_t n = ws->conn.ops->write(&ws->conn, ws->out.data + ws->out_at, lxm_ws_queued(ws));

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		/* a server that is gone shows itself by its end of stream, after the data that it still sent */
		if (n <= 0)
			ws->mute = true;
		else
			ws->out_at += (size_t)n;
	}
	return 0;
}

static int check_answer(struct lxm_ws *ws, struct lxm_err *e)
{
	int r = lxm_ws_welcome(&ws->parser, ws->accept, e);

	if (r < 0)
		return r;
	ws->open = true;
	return flush(ws, e);
}

/* Give what was read to the handshake or to the frames. */
static int digest(struct lxm_ws *ws, unsigned char *data, size_t n, struct lxm_err *e)
{
	struct lxm_ws_part part;
	size_t used = 0;
	int r;

	if (!ws->open) {
		r = lxm_http_parser_feed(&ws->parser, (char *)data, n, &used, e);
		if (r < 0 || ws->parser.state != LXM_HTTP_DONE)
			return r;
		data += used;
		n -= used;
		r = check_answer(ws, e);
		if (r < 0)
			return r;
	}
	while (!ws->ended && (r = lxm_ws_read_part(&ws->reader, &data, &n, &part)) != 0) {
		if (r > 0)
			r = take_part(ws, &part);
		if (r != 0)
			ws->ended = true;
		if (r < 0)
			return lxm_err_set(e, EPROTO, "the server sent a broken websocket frame");
	}
	return 0;
}

static int at_eof(struct lxm_ws *ws, struct lxm_err *e)
{
	ws->ended = true;
	if (ws->open)
		return 1;
	if (ws->parser.state != LXM_HTTP_HEAD && lxm_http_parser_eof(&ws->parser, NULL) == 0)
		return check_answer(ws, e);
	return lxm_err_set(e, ECONNRESET, "the server closed a websocket before it was open");
}

static int fill(struct lxm_ws *ws, struct lxm_err *e)
{
	unsigned char buf[READ_BYTES];
	int round, r;

	for (round = 0; round < READ_ROUNDS && !ws->ended && !ws->paused; round++) {
		ssize_t n = ws->conn.ops->read(&ws->conn, buf, sizeof(buf));

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		if (n <= 0)
			return at_eof(ws, e);
		r = digest(ws, buf, (size_t)n, e);
		if (r < 0)
			return r;
	}
	return ws->ended ? 1 : 0;
}

int lxm_ws_pump(struct lxm_ws *ws, short revents, struct lxm_err *e)
{
	int r = 0;

	if (ws->ended)
		return 1;
	if (revents & (POLLIN | POLLHUP | POLLERR))
		r = fill(ws, e);
	if (r == 0 && !ws->ended && (lxm_ws_events(ws) & POLLOUT))
		r = flush(ws, e);
	if (r < 0)
		ws->ended = true;
	return r;
}

int lxm_ws_send(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n)
{
	if (ws->ended || ws->closing)
		return -EPIPE;
	add_frame(ws, kind == LXM_WS_TEXT ? LXM_WSF_TEXT : LXM_WSF_BINARY, data, n);
	return 0;
}

void lxm_ws_close(struct lxm_ws *ws)
{
	if (!ws->ended)
		add_close(ws, "\x03\xe8", 2);
}

size_t lxm_ws_queued(const struct lxm_ws *ws)
{
	return ws->out.len - ws->out_at;
}

void lxm_ws_pause(struct lxm_ws *ws, bool paused)
{
	ws->paused = paused;
}

bool lxm_ws_is_open(const struct lxm_ws *ws)
{
	return ws->open;
}

const char *lxm_ws_refusal(const struct lxm_ws *ws)
{
	return ws->refusal.data ? ws->refusal.data : "";
}
