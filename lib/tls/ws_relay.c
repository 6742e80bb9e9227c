/*
 * Websocket relay, see ws_relay.h. Each way has one buffer: it is filled only when it is empty, so a side that does not take its bytes
 * stops the other one through TCP. Pings pass through like all else, and are answered by the far end.
 */
#include "lib/tls/ws_relay.h"

#include <poll.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/ws_frame.h"
#include "lib/tls/ws_handshake.h"

#define READ_BYTES  65536
#define HELLO_BYTES 4096
#define OPCODE(b)   ((b) & 0x0f)

/* One side, and the way from it to the other. */
struct side {
	struct lxm_conn conn;
	struct lxm_ws_frames frames; /* of what this side sends */
	struct lxm_buf out;	     /* for this side, out_at bytes of it are sent */
	size_t out_at;
	bool ended;
	uint64_t bytes; /* that this side sent */
};

struct lxm_ws_relay {
	struct side s[2];
};

/* Length of a frame's head as its first bytes say; 2 while they are not there. */
static size_t head_size(const struct lxm_ws_frames *f)
{
	if (f->head_len < 2)
		return 2;
	return (f->head[1] & 127) == 127 ? 10 : (f->head[1] & 127) == 126 ? 4 : 2;
}

static int begin_frame(struct lxm_ws_frames *f, struct lxm_buf *out, struct lxm_err *e)
{
	size_t size = head_size(f), i;
	unsigned char marked[14];

	f->left = size == 2 ? f->head[1] & 127 : 0;
	for (i = 2; i < size; i++)
		f->left = f->left << 8 | f->head[i];
	if ((f->head[0] & 0x70) || (f->head[1] & 0x80) || f->left >> 63 || OPCODE(f->head[0]) > 10 ||
	    (OPCODE(f->head[0]) > 2 && OPCODE(f->head[0]) < 8) || (OPCODE(f->head[0]) >= 8 && f->left > 125))
		return lxm_err_set(e, EPROTO, "the server sent a broken websocket frame");
	lxm_random(f->mask, sizeof(f->mask));
	memcpy(marked, f->head, size);
	marked[1] |= 0x80;
	memcpy(marked + size, f->mask, sizeof(f->mask));
	lxm_buf_add(out, marked, size + sizeof(f->mask));
	f->head_len = 0;
	return 0;
}

static void pass_payload(struct lxm_ws_frames *f, const unsigned char *p, size_t n, struct lxm_buf *out)
{
	lxm_buf_room(out, n);
	lxm_ws_mask((unsigned char *)out->data + out->len, p, n, f->mask);
	out->len += n;
	out->data[out->len] = 0;
	f->left -= n;
}

int lxm_ws_translate(struct lxm_ws_frames *f, const void *data, size_t n, struct lxm_buf *out, struct lxm_err *e)
{
	const unsigned char *p = data;

	while (n) {
		size_t some;
		int r;

		if (f->left) {
			some = f->left < n ? (size_t)f->left : n;
			pass_payload(f, p, some, out);
		} else {
			some = 1;
			f->head[f->head_len++] = *p;
			r = f->head_len >= 2 && f->head_len == head_size(f) ? begin_frame(f, out, e) : 0;
			if (r < 0)
				return r;
		}
		p += some;
		n -= some;
	}
	return 0;
}

/* ---- connecting */

static int send_all(struct lxm_conn *c, const char *p, size_t n, struct lxm_err *e)
{
	while (n) {
		ssize_t w = c->ops->write(c, p, n);

		if (w == -EINTR)
			continue;
		if (w <= 0) {
			errno = w ? (int)-w : EPIPE;
			return lxm_err_sys(e, "open a websocket");
		}
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* The handshake; what came behind its answer already belongs to the other side. */
static int shake_hands(struct side *s, struct side *other, const char *target, struct lxm_err *e)
{
	lxm_auto(http_parser) struct lxm_http_parser parser = { 0 };
	lxm_auto(buf) struct lxm_buf hello = { 0 };
	char accept[32], buf[HELLO_BYTES * 4];
	size_t used;
	int r;

	if (strpbrk(target, " \r\n"))
		return lxm_err_set(e, EINVAL, "bad websocket path");
	lxm_ws_hello(target, accept, &hello);
	r = send_all(&s->conn, hello.data, hello.len, e);
	while (r == 0 && parser.state == LXM_HTTP_HEAD) {
		ssize_t n = s->conn.ops->read(&s->conn, buf, sizeof(buf));

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return lxm_err_set(e, ECONNRESET, "the server closed a websocket before it was open");
		r = lxm_http_parser_feed(&parser, buf, (size_t)n, &used, e);
		if (r == 0 && parser.state != LXM_HTTP_HEAD) {
			r = lxm_ws_welcome(&parser, accept, e);
			if (r == 0)
				r = lxm_ws_translate(&s->frames, buf + used, (size_t)n - used, &other->out, e);
		}
	}
	return r;
}

int lxm_ws_relay_open(const lxm_dial_fn dial[2], void *const arg[2], const char *const targets[2],
		      struct lxm_ws_relay **out, struct lxm_err *e)
{
	lxm_auto(ws_relay) struct lxm_ws_relay *r = lxm_alloc(sizeof(*r));
	int i, rc;

	r->s[0].conn.fd = r->s[1].conn.fd = -1;
	for (i = 0; i < 2; i++) {
		rc = dial[i](arg[i], &r->s[i].conn, e);
		if (rc == 0)
			rc = shake_hands(&r->s[i], &r->s[!i], targets[i], e);
		if (rc < 0)
			return rc;
	}
	for (i = 0; i < 2; i++)
		lxm_conn_nonblock(&r->s[i].conn, true);
	*out = LXM_TAKE(r, NULL);
	return 0;
}

void lxm_ws_relay_free(struct lxm_ws_relay *r)
{
	int i;

	if (!r)
		return;
	for (i = 0; i < 2; i++) {
		lxm_conn_close(&r->s[i].conn);
		lxm_buf_deinit(&r->s[i].out);
	}
	free(r);
}

/* ---- moving bytes */

static bool has_out(const struct side *s)
{
	return s->out_at < s->out.len;
}

void lxm_ws_relay_poll(const struct lxm_ws_relay *r, struct pollfd p[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		const struct side *s = &r->s[i], *other = &r->s[!i];

		p[i].revents = 0;
		p[i].events = (short)((has_out(s) ? POLLOUT : 0) | (!s->ended && !has_out(other) ? POLLIN : 0));
		/* a side that has nothing to do would only report its hang-up, again and again */
		p[i].fd = p[i].events ? s->conn.fd : -1;
	}
}

static int flush(struct side *s, struct lxm_err *e)
{
	while (has_out(s)) {
		ssize_t n = s->conn.ops->write(&s->conn, s->out.data + s->out_at, s->out.len - s->out_at);

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		if (n <= 0) {
			errno = n ? (int)-n : EPIPE;
			return lxm_err_sys(e, "pass on a websocket");
		}
		s->out_at += (size_t)n;
	}
	s->out.len = s->out_at = 0;
	return 0;
}

static int fill(struct side *s, struct side *other, struct lxm_err *e)
{
	char buf[READ_BYTES];
	ssize_t n = s->conn.ops->read(&s->conn, buf, sizeof(buf));
	int r;

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0) {
		s->ended = true;
		return 0;
	}
	s->bytes += (uint64_t)n;
	r = lxm_ws_translate(&s->frames, buf, (size_t)n, &other->out, e);
	return r < 0 ? r : flush(other, e);
}

int lxm_ws_relay_pump(struct lxm_ws_relay *r, const struct pollfd p[2], struct lxm_err *e)
{
	int i, rc = 0;

	for (i = 0; i < 2 && rc == 0; i++) {
		struct side *s = &r->s[i], *other = &r->s[!i];

		if (p[i].revents && has_out(s))
			rc = flush(s, e);
		if (rc == 0 && p[i].revents && !s->ended && !has_out(other))
			rc = fill(s, other, e);
	}
	if (rc < 0)
		return rc;
	for (i = 0; i < 2; i++)
		if (r->s[i].ended && !has_out(&r->s[!i]))
			return 1;
	return 0;
}

uint64_t lxm_ws_relay_bytes(const struct lxm_ws_relay *r)
{
	return r->s[0].bytes;
}
