/*
 * Websocket client, see ws_client.h. wslay makes and reads the frames; this file dials, shakes hands and bounds what
 * a server can make us hold: heads by the HTTP parser, refusals by REFUSAL_MAX, control frames by the protocol, and
 * data not at all because it is handed on in the pieces that arrive.
 */
#include "lib/tls/ws_client.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/tls/http_parse.h"
#include "lib/tls/sha1.h"
#include "lib/tls/ws_handshake.h"

#define REFUSAL_MAX 65536
#define READ_BYTES  65536
#define READ_ROUNDS 8 /* reads for one pump, so that a fast sender leaves others their turn */

struct lxm_ws {
	struct lxm_conn conn;
	wslay_event_context_ptr ctx;
	lxm_ws_message_fn on_message;
	void *arg;
	bool open, ended, paused;
	char accept[32];	       /* what Sec-WebSocket-Accept must say */
	struct lxm_http_parser parser; /* of the handshake */
	struct lxm_buf refusal;
	struct lxm_buf in; /* read and not yet parsed; in_at bytes of it are used */
	size_t in_at;
	struct lxm_buf hello; /* handshake request not yet sent */
	size_t hello_at;
	enum lxm_ws_kind kind; /* of the message being received */
	bool in_message, fin;
	size_t queued;
	int io_errno;
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
	struct lxm_ws *ws = user;
	size_t have = ws->in.len - ws->in_at;

	if (!have) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (len > have)
		len = have;
	memcpy(buf, ws->in.data + ws->in_at, len);
	ws->in_at += len;
	return (ssize_t)len;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
	struct lxm_ws *ws = user;
	ssize_t n = ws->conn.ops->write(&ws->conn, data, len);

	if (n > 0)
		return n;
	if (n == -EAGAIN || n == -EINTR) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
	} else {
		ws->io_errno = n ? (int)-n : EPIPE;
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
	}
	return -1;
}

static int on_genmask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *user)
{
	lxm_random(buf, len);
	return 0;
}

static void on_frame_start(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *a,
			   void *user)
{
	struct lxm_ws *ws = user;

	ws->in_message = !(a->opcode & 8);
	if (!ws->in_message)
		return;
	if (a->opcode != WSLAY_CONTINUATION_FRAME)
		ws->kind = a->opcode == WSLAY_TEXT_FRAME ? LXM_WS_TEXT : LXM_WS_BINARY;
	ws->fin = a->fin;
}

static void on_frame_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *a,
			   void *user)
{
	struct lxm_ws *ws = user;

	if (ws->in_message && a->data_length)
		ws->on_message(ws, ws->kind, a->data, a->data_length, false, ws->arg);
}

static void on_frame_end(wslay_event_context_ptr ctx, void *user)
{
	struct lxm_ws *ws = user;

	if (ws->in_message && ws->fin)
		ws->on_message(ws, ws->kind, "", 0, true, ws->arg);
}

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
	static const struct wslay_event_callbacks callbacks = {
		on_recv, on_send, on_genmask, on_frame_start, on_frame_chunk, on_frame_end, NULL,
	};
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
	if (wslay_event_context_client_init(&ws->ctx, &callbacks, ws) != 0)
		return lxm_err_set(e, ENOMEM, "websocket");
	wslay_event_config_set_no_buffering(ws->ctx, 1);
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
	if (ws->ctx)
		wslay_event_context_free(ws->ctx);
	lxm_conn_close(&ws->conn);
	lxm_http_parser_deinit(&ws->parser);
	lxm_buf_deinit(&ws->refusal);
	lxm_buf_deinit(&ws->in);
	lxm_buf_deinit(&ws->hello);
	free(ws);
}

int lxm_ws_fd(const struct lxm_ws *ws)
{
	return ws->ended ? -1 : ws->conn.fd;
}

short lxm_ws_events(const struct lxm_ws *ws)
{
	short ev = ws->paused ? 0 : POLLIN;

	if (ws->hello_at < ws->hello.len || (ws->open && wslay_event_want_write(ws->ctx)))
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
	/* a server that is gone shows itself by its end of stream, after the data that it still sent */
	if (wslay_event_send(ws->ctx) != 0)
		wslay_event_shutdown_write(ws->ctx);
	ws->queued = wslay_event_get_queued_msg_length(ws->ctx);
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

/* Give what was read to the handshake or to wslay. */
static int digest(struct lxm_ws *ws, struct lxm_err *e)
{
	size_t used = 0;
	int r;

	if (!ws->open) {
		r = lxm_http_parser_feed(&ws->parser, ws->in.data + ws->in_at, ws->in.len - ws->in_at, &used, e);
		if (r < 0)
			return r;
		ws->in_at += used;
		if (ws->parser.state != LXM_HTTP_DONE)
			return 0;
		r = check_answer(ws, e);
		if (r < 0)
			return r;
	}
	if (wslay_event_recv(ws->ctx) != 0 || !wslay_event_get_read_enabled(ws->ctx)) {
		ws->ended = true;
		if (!wslay_event_get_close_received(ws->ctx))
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
	char buf[READ_BYTES];
	int round, r;

	for (round = 0; round < READ_ROUNDS && !ws->ended && !ws->paused; round++) {
		ssize_t n = ws->conn.ops->read(&ws->conn, buf, sizeof(buf));

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		if (n <= 0)
			return at_eof(ws, e);
		ws->in.len = 0;
		ws->in_at = 0;
		lxm_buf_add(&ws->in, buf, (size_t)n);
		r = digest(ws, e);
		if (r < 0)
			return r;
		if ((size_t)n < sizeof(buf))
			break;
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
	struct wslay_event_msg m = { kind == LXM_WS_TEXT ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, data, n };

	if (ws->ended || wslay_event_queue_msg(ws->ctx, &m) != 0)
		return -EPIPE;
	ws->queued += n;
	return 0;
}

void lxm_ws_close(struct lxm_ws *ws)
{
	if (!ws->ended)
		(void)wslay_event_queue_close(ws->ctx, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
}

size_t lxm_ws_queued(const struct lxm_ws *ws)
{
	return ws->queued;
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
