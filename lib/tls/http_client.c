/*
 * HTTP client, see http_client.h. Single-threaded and blocking; small on purpose, because the command line starts it
 * for each command. An idle connection is looked at before it is used again (one poll), so that a server which closed
 * in the meantime costs a reconnect and never a lost request.
 */
#include "lib/tls/http_client.h"

#include <string.h>

#include "lib/base/alloc.h"

#define IO_BYTES     65536
#define DEFAULT_BODY ((size_t)256 << 20)

struct lxm_http {
	lxm_dial_fn dial;
	void *dial_arg;
	struct lxm_conn conn;
	struct lxm_buf rest; /* bytes read beyond the last reply */
	size_t max_body;
	char *host; /* owned; NULL: a Unix socket's */
	int (*on_signal)(void *arg);
	void *on_signal_arg;
};

void lxm_http_reply_deinit(struct lxm_http_reply *r)
{
	lxm_kv_deinit(&r->headers);
	lxm_buf_deinit(&r->body);
	r->status = 0;
}

struct lxm_http *lxm_http_new(lxm_dial_fn dial, void *arg)
{
	struct lxm_http *h = lxm_alloc(sizeof(*h));

	h->dial = dial;
	h->dial_arg = arg;
	h->conn.fd = -1;
	h->max_body = DEFAULT_BODY;
	return h;
}

static void hang_up(struct lxm_http *h)
{
	lxm_conn_close(&h->conn);
	lxm_buf_deinit(&h->rest);
}

void lxm_http_free(struct lxm_http *h)
{
	if (!h)
		return;
	hang_up(h);
	free(h->host);
	free(h);
}

void lxm_http_on_signal(struct lxm_http *h, int (*fn)(void *arg), void *arg)
{
	h->on_signal = fn;
	h->on_signal_arg = arg;
}

void lxm_http_host(struct lxm_http *h, const char *host)
{
	free(h->host);
	h->host = lxm_strdup(host);
}

void lxm_http_max_body(struct lxm_http *h, size_t bytes)
{
	h->max_body = bytes;
}

int lxm_http_fd(const struct lxm_http *h)
{
	return h->conn.ops ? h->conn.fd : -1;
}

/* A connection that is open and silent; anything readable on an idle one is its end. */
static int ensure_connected(struct lxm_http *h, struct lxm_err *e)
{
	if (h->conn.ops && (h->rest.len || !lxm_conn_idle(&h->conn)))
		hang_up(h);
	if (h->conn.ops)
		return 0;
	return h->dial(h->dial_arg, &h->conn, e);
}

/* An interrupted wait: ask the owner whether to go on. */
static int interrupted(struct lxm_http *h, struct lxm_err *e)
{
	int r = h->on_signal ? h->on_signal(h->on_signal_arg) : 0;

	return r < 0 ? lxm_err_set(e, -r, "interrupted") : 0;
}

static int write_all(struct lxm_http *h, const void *data, size_t n, struct lxm_err *e)
{
	const char *p = data;

	while (n) {
		ssize_t r = h->conn.ops->write(&h->conn, p, n);

		if (r == -EINTR) {
			int stop = interrupted(h, e);

			if (stop < 0)
				return stop;
			continue;
		}
		if (r < 0) {
			errno = (int)-r;
			return lxm_err_sys(e, "send the request to the server");
		}
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static int build_head(const struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_buf *b,
		      struct lxm_err *e)
{
	const char *host = h->host ? h->host : "unix.socket";

	lxm_buf_fmt(b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lxmc/" LXM_VERSION "\r\n", rq->method, rq->target,
		    host);
	if (strpbrk(rq->target, " \r\n") || strpbrk(host, " \r\n"))
		return lxm_err_set(e, EINVAL, "bad request path");
	lxm_kv_each(p, rq->headers ? rq->headers : &(struct lxm_kv){ 0 }) {
		if (strpbrk(p->key, "\r\n: ") || strpbrk(p->value, "\r\n"))
			return lxm_err_set(e, EINVAL, "header '%s' holds a line end", p->key);
		lxm_buf_fmt(b, "%s: %s\r\n", p->key, p->value);
	}
	if (rq->source && rq->source_size < 0)
		lxm_buf_str(b, "Transfer-Encoding: chunked\r\n\r\n");
	else if (rq->source)
		lxm_buf_fmt(b, "Content-Length: %lld\r\n\r\n", (long long)rq->source_size);
	else if (rq->body || strcmp(rq->method, "GET") != 0)
		lxm_buf_fmt(b, "Content-Length: %zu\r\n\r\n", rq->body_len);
	else
		lxm_buf_str(b, "\r\n");
	if (rq->body && rq->body_len)
		lxm_buf_add(b, rq->body, rq->body_len);
	return 0;
}

/* Stream the body; chunk headers are written into the room kept in front of the data, one write a chunk. */
static int send_source(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_err *e)
{
	enum { ROOM = 20 };
	lxm_auto(free) char *buf = lxm_alloc(ROOM + IO_BYTES + 2);
	bool chunked = rq->source_size < 0;
	int64_t left = rq->source_size;
	ssize_t n;

	do {
		size_t want = chunked || left > IO_BYTES ? IO_BYTES : (size_t)left;
		char head[ROOM + 1];
		int len, r;

		n = want ? rq->source(rq->source_arg, buf + ROOM, want, e) : 0;
		if (n < 0)
			return (int)n;
		if (!chunked) {
			if (n == 0 && left > 0)
				return lxm_err_set(e, EIO, "the file became shorter while it was sent");
			left -= n;
			r = write_all(h, buf + ROOM, (size_t)n, e);
		} else {
			len = snprintf(head, sizeof(head), "%zx\r\n", (size_t)n);
			memcpy(buf + ROOM - len, head, (size_t)len);
			memcpy(buf + ROOM + n, "\r\n", 2);
			r = write_all(h, buf + ROOM - len, (size_t)len + (size_t)n + 2, e);
		}
		if (r < 0)
			return r;
	} while (n > 0);
	return 0;
}

int lxm_http_send(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf head = { 0 };
	int r;

	r = build_head(h, rq, &head, e);
	if (r < 0)
		return r;
	r = ensure_connected(h, e);
	if (r < 0)
		return r;
	r = write_all(h, head.data, head.len, e);
	if (r == 0 && rq->source)
		r = send_source(h, rq, e);
	/* a server that refuses early closes while we send: its reply tells more than our EPIPE */
	if (r == -EPIPE || (r == -ECONNRESET && rq->source)) {
		lxm_err_clear(e);
		return 0;
	}
	if (r < 0)
		hang_up(h);
	return r;
}

struct body_sink {
	struct lxm_http *h;
	const struct lxm_http_request *rq;
	struct lxm_http_parser *p;
	struct lxm_buf *body;
	bool told; /* on_head was called */
};

static int tell_head(struct body_sink *s, struct lxm_err *e)
{
	if (s->told || !s->rq->on_head || s->p->status < 200 || s->p->status > 299)
		return 0;
	s->told = true;
	return s->rq->on_head(s->rq->sink_arg, &s->p->headers, e);
}

/* Successful bodies go to the caller's sink, all others (error envelopes) into memory, up to the bound. */
static int take_body(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct body_sink *s = arg;
	int r = tell_head(s, e);

	if (r < 0)
		return r;
	if (s->rq->sink && s->p->status >= 200 && s->p->status < 300)
		return s->rq->sink(s->rq->sink_arg, data, n, e);
	if (n > s->h->max_body - s->body->len)
		return lxm_err_set(e, EMSGSIZE, "the server's reply is over %zu bytes", s->h->max_body);
	lxm_buf_add(s->body, data, n);
	return 0;
}

/* Read until the parser has a whole reply. */
static int read_reply(struct lxm_http *h, struct lxm_http_parser *p, struct lxm_err *e)
{
	lxm_auto(free) char *buf = lxm_alloc(IO_BYTES);
	size_t used;
	int r;

	while (p->state != LXM_HTTP_DONE) {
		ssize_t n = h->conn.ops->read(&h->conn, buf, IO_BYTES);

		if (n == -EINTR) {
			r = interrupted(h, e);
			if (r < 0)
				return r;
			continue;
		}
		if (n == 0 || n == -ECONNRESET) {
			if (p->state == LXM_HTTP_HEAD && !p->line.len)
				return lxm_err_set(e, ECONNRESET, "the server closed the connection without a reply");
			/* only a proper end completes a body without a length: anybody on the way can cut a stream */
			if (n < 0)
				return lxm_err_set(e, ECONNRESET, "the connection broke in the middle of the reply");
			return lxm_http_parser_eof(p, e);
		}
		if (n < 0) {
			errno = (int)-n;
			return lxm_err_sys(e, "read the server's reply");
		}
		r = lxm_http_parser_feed(p, buf, (size_t)n, &used, e);
		if (r < 0)
			return r;
		if (used < (size_t)n)
			lxm_buf_add(&h->rest, buf + used, (size_t)n - used);
	}
	return 0;
}

int lxm_http_recv(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_http_reply *reply,
		  struct lxm_err *e)
{
	lxm_auto(http_parser) struct lxm_http_parser p = { 0 };
	struct body_sink sink = { h, rq, &p, &reply->body, false };
	int r;

	lxm_http_reply_deinit(reply);
	p.sink = take_body;
	p.sink_arg = &sink;
	p.no_body = strcmp(rq->method, "HEAD") == 0;
	r = h->conn.ops ? read_reply(h, &p, e) : lxm_err_set(e, ENOTCONN, "not connected");
	if (r == 0)
		r = tell_head(&sink, e);
	if (r < 0) {
		hang_up(h);
		return r;
	}
	if (!p.keep_alive)
		hang_up(h);
	reply->status = p.status;
	reply->headers = p.headers;
	memset(&p.headers, 0, sizeof(p.headers));
	if (!reply->body.data)
		lxm_buf_add(&reply->body, "", 0);
	return 0;
}

int lxm_http_do(struct lxm_http *h, const struct lxm_http_request *rq, struct lxm_http_reply *reply,
		struct lxm_err *e)
{
	int r = lxm_http_send(h, rq, e);

	return r < 0 ? r : lxm_http_recv(h, rq, reply, e);
}
