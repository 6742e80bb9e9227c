/*
 * SFTP client, see sftp.h. Requests are numbered and remembered in a table; answers may come in any order. What the server says is
 * checked as it is read: it repeats what a container put into its files and names.
 */
#include "lxmc/sftp.h"

#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"

#define WINDOW	 1024u	      /* requests on their way */
#define OUT_HIGH (4u << 20)   /* bytes queued before sending is waited for */
#define IN_SIZE	 (1024u * 1024)

struct awaited {
	sftp_answer_fn fn; /* NULL: the slot is free */
	void *arg;
};

struct sftp {
	struct lxm_conn conn;
	struct lxm_buf out;
	size_t sent;
	unsigned char *in; /* owned, IN_SIZE */
	size_t in_len;
	struct awaited awaited[WINDOW]; /* by id */
	unsigned int pending;
	uint32_t next_id;
};

static int gone(struct lxm_err *e)
{
	return lxm_err_set(e, ECONNRESET, "the connection to the instance's files ended; it may have been stopped or started");
}

static int shake_hands(struct lxm_conn *conn, struct client *c, const char *url, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf hello = { 0 };
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url };
	lxm_auto(http_parser) struct lxm_http_parser parser = { 0 };
	size_t at = 0, used;
	char chunk[4096];

	lxm_buf_fmt(&hello, "GET %s HTTP/1.1\r\nHost: unix.socket\r\nUser-Agent: lxmc/" LXM_VERSION
			    "\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\n", url);
	while (at < hello.len) {
		ssize_t n = conn->ops->write(conn, hello.data + at, hello.len - at);

		if (n <= 0 && n != -EINTR)
			return gone(e);
		at += n > 0 ? (size_t)n : 0;
	}
	while (parser.state == LXM_HTTP_HEAD) {
		ssize_t n = conn->ops->read(conn, chunk, sizeof(chunk));
		int r;

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return gone(e);
		r = lxm_http_parser_feed(&parser, chunk, (size_t)n, &used, e);
		if (r < 0)
			return r;
	}
	if (parser.status == 101 && strcasecmp(lxm_kv_or(&parser.headers, "upgrade", ""), "sftp") == 0)
		return 0;
	/* ask again in the ordinary way, for the reason in the server's words */
	if (client_raw(c, &rq, &reply, e) < 0)
		return e->code ? -e->code : -EPROTO;
	return lxm_err_set(e, EOPNOTSUPP, "the server does not speak SFTP");
}

int sftp_dial(struct client *c, const char *instance, struct lxm_conn *conn, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(c, "/1.0/instances/%s/sftp", instance);
	int r = client_dial(c, conn, e);

	return r < 0 ? r : shake_hands(conn, c, url, e);
}

static int on_version(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	return type == SFTP_VERSION ? 0 : lxm_err_set(e, EPROTO, "the server does not speak SFTP");
}

int sftp_open(struct client *c, const char *instance, struct sftp **out, struct lxm_err *e)
{
	lxm_auto(sftp) struct sftp *s = lxm_alloc(sizeof(*s));
	int room = 1 << 20, r;

	s->conn.fd = -1;
	s->in = lxm_alloc(IN_SIZE);
	r = sftp_dial(c, instance, &s->conn, e);
	if (r < 0)
		return r;
	(void)setsockopt(s->conn.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	lxm_conn_nonblock(&s->conn, true);
	/* INIT and VERSION carry the version, 3, where others carry the id */
	s->next_id = 3;
	(void)sftp_request(s, SFTP_INIT, &(size_t){ 0 });
	sftp_queue(s, 0, on_version, NULL);
	r = sftp_wait(s, 0, e);
	if (r == 0)
		*out = LXM_TAKE(s, NULL);
	return r;
}

void sftp_free(struct sftp *s)
{
	if (!s)
		return;
	lxm_conn_close(&s->conn);
	lxm_buf_deinit(&s->out);
	free(s->in);
	free(s);
}

struct lxm_buf *sftp_request(struct sftp *s, uint8_t type, size_t *at)
{
	/* WINDOW is a bound that callers keep: see sftp_wait() */
	while (s->awaited[s->next_id % WINDOW].fn)
		s->next_id++;
	*at = sftp_begin(&s->out, type, s->next_id);
	return &s->out;
}

void sftp_queue(struct sftp *s, size_t at, sftp_answer_fn fn, void *arg)
{
	sftp_end(&s->out, at);
	s->awaited[s->next_id++ % WINDOW] = (struct awaited){ fn, arg };
	s->pending++;
}

unsigned int sftp_pending(const struct sftp *s)
{
	return s->pending;
}

/* ---- moving bytes */

static int flush(struct sftp *s, struct lxm_err *e)
{
	while (s->sent < s->out.len) {
		ssize_t n = s->conn.ops->write(&s->conn, s->out.data + s->sent, s->out.len - s->sent);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return gone(e);
		s->sent += (size_t)n;
	}
	s->out.len = s->sent = 0;
	return 0;
}

static int digest_one(struct sftp *s, const unsigned char *p, size_t n, struct lxm_err *e)
{
	struct sftp_in in = { p, p + n, false };
	uint8_t type = sftp_get_u8(&in);
	uint32_t id = sftp_get_u32(&in);
	struct awaited a = s->awaited[id % WINDOW];

	if (in.bad || !a.fn)
		return lxm_err_set(e, EPROTO, "the server's SFTP makes no sense");
	s->awaited[id % WINDOW].fn = NULL;
	s->pending--;
	return a.fn(s, type, &in, a.arg, e);
}

static int digest(struct sftp *s, struct lxm_err *e)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && s->in_len - at >= 4) {
		struct sftp_in in = { s->in + at, s->in + s->in_len, false };
		uint32_t n = sftp_get_u32(&in);

		if (n == 0 || n > SFTP_PACKET_MAX)
			return lxm_err_set(e, EPROTO, "the server's SFTP makes no sense");
		if (s->in_len - at - 4 < n)
			break;
		r = digest_one(s, in.p, n, e);
		at += 4 + n;
	}
	memmove(s->in, s->in + at, s->in_len - at);
	s->in_len -= at;
	return r;
}

int sftp_turn(struct sftp *s, struct lxm_err *e)
{
	struct pollfd p = { .fd = s->conn.fd, .events = POLLIN };
	ssize_t n;
	int r = flush(s, e);

	if (r < 0)
		return r;
	if (s->out.len)
		p.events |= POLLOUT;
	if (poll(&p, 1, -1) < 0)
		return errno == EINTR ? 0 : lxm_err_sys(e, "wait for the server");
	if (!(p.revents & ~POLLOUT))
		return flush(s, e);
	n = s->conn.ops->read(&s->conn, s->in + s->in_len, IN_SIZE - s->in_len);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0)
		return gone(e);
	s->in_len += (size_t)n;
	return digest(s, e);
}

int sftp_wait(struct sftp *s, unsigned int at_most, struct lxm_err *e)
{
	int r = 0;

	if (at_most > WINDOW / 2)
		at_most = WINDOW / 2;
	while (r == 0 && (s->pending > at_most || s->out.len - s->sent > OUT_HIGH))
		r = sftp_turn(s, e);
	return r;
}

/* ---- one after another */

int sftp_failed(uint8_t type, struct sftp_in *in, const char *what, const char *path, struct lxm_err *e)
{
	uint32_t status;
	struct sftp_bytes text;

	if (type != SFTP_STATUS)
		return lxm_err_set(e, EPROTO, "%s '%s': the server's answer makes no sense", what, path);
	status = sftp_get_u32(in);
	text = sftp_get_bytes(in);
	if (in->bad || status == SFTP_OK)
		return lxm_err_set(e, EPROTO, "%s '%s': the server's answer makes no sense", what, path);
	return lxm_err_set(e, sftp_errno_of(status), "%.*s", (int)text.len, text.len ? text.p : strerror(sftp_errno_of(status)));
}

/* What a single request came to. */
struct single {
	uint8_t want;
	const char *what, *path;
	struct sftp_attrs attrs;
	struct lxm_buf bytes; /* a handle, a name, or whole NAME packets */
	bool eof, done;
	int r; /* < 0: the request failed, with the reason in err; the connection goes on */
	struct lxm_err err;
};

static int on_single(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct single *c = arg;
	struct sftp_in peek = *in;
	struct sftp_bytes b;

	c->done = true;
	if (type == SFTP_STATUS && sftp_get_u32(&peek) == (c->want == SFTP_STATUS ? SFTP_OK : SFTP_EOF)) {
		c->eof = true;
	} else if (type != c->want || type == SFTP_STATUS) {
		c->r = sftp_failed(type, in, c->what, c->path, &c->err);
	} else if (type == SFTP_ATTRS) {
		c->attrs = sftp_get_attrs(in);
	} else if (type == SFTP_HANDLE) {
		b = sftp_get_bytes(in);
		lxm_buf_add(&c->bytes, b.p, b.len);
	} else {
		lxm_buf_add(&c->bytes, in->p, (size_t)(in->end - in->p));
	}
	return in->bad ? lxm_err_set(e, EPROTO, "the server's SFTP makes no sense") : 0;
}

/* Sends a request whose fields are filled in, and waits for its answer; others go on meanwhile. */
static int single(struct sftp *s, size_t at, struct single *c, struct lxm_err *e)
{
	int r = 0;

	sftp_queue(s, at, on_single, c);
	while (r == 0 && !c->done)
		r = sftp_turn(s, e);
	if (r < 0 || c->r == 0)
		return r;
	if (e)
		*e = c->err;
	return c->r;
}

int sftp_stat(struct sftp *s, const char *path, bool follow, struct sftp_attrs *out, struct lxm_err *e)
{
	struct single c = { .want = SFTP_ATTRS, .what = "look at", .path = path };
	size_t at;
	int r;

	sftp_put_str(sftp_request(s, follow ? SFTP_STAT : SFTP_LSTAT, &at), path);
	r = single(s, at, &c, e);
	*out = c.attrs;
	return r;
}

int sftp_mkdir(struct sftp *s, const char *path, const struct sftp_attrs *a, struct lxm_err *e)
{
	struct single c = { .want = SFTP_STATUS, .what = "make directory", .path = path };
	size_t at;
	struct lxm_buf *b = sftp_request(s, SFTP_MKDIR, &at);

	sftp_put_str(b, path);
	sftp_put_attrs(b, a);
	return single(s, at, &c, e);
}

int sftp_remove(struct sftp *s, uint8_t type, const char *path, struct lxm_err *e)
{
	struct single c = { .want = SFTP_STATUS, .what = "remove", .path = path };
	size_t at;

	sftp_put_str(sftp_request(s, type, &at), path);
	return single(s, at, &c, e);
}

int sftp_readlink(struct sftp *s, const char *path, char **out, struct lxm_err *e)
{
	struct single c = { .want = SFTP_NAME, .what = "read link", .path = path };
	struct sftp_in in;
	struct sftp_bytes to;
	size_t at;
	int r;

	sftp_put_str(sftp_request(s, SFTP_READLINK, &at), path);
	r = single(s, at, &c, e);
	if (r == 0) {
		in = (struct sftp_in){ (unsigned char *)c.bytes.data, (unsigned char *)c.bytes.data + c.bytes.len, c.eof };
		(void)sftp_get_u32(&in);
		to = sftp_get_bytes(&in);
		if (in.bad || !to.len || memchr(to.p, 0, to.len))
			r = lxm_err_set(e, EPROTO, "'%s': the server's answer makes no sense", path);
		else
			*out = lxm_strndup(to.p, to.len);
	}
	lxm_buf_deinit(&c.bytes);
	return r;
}

/* ---- directories */

static bool is_component(struct sftp_bytes n)
{
	return n.len && n.len < 256 && !memchr(n.p, '/', n.len) && !memchr(n.p, 0, n.len) && !(n.len <= 2 && memcmp(n.p, "..", n.len) == 0);
}

/* One NAME packet to fn. */
static int tell_entries(const struct lxm_buf *b, const char *path, sftp_entry_fn fn, void *arg, struct lxm_err *e)
{
	struct sftp_in in = { (unsigned char *)b->data, (unsigned char *)b->data + b->len, false };
	uint32_t n = sftp_get_u32(&in);
	char name[256];
	int r = 0;

	while (n-- && r == 0) {
		struct sftp_bytes text = sftp_get_bytes(&in);
		struct sftp_attrs a;

		(void)sftp_get_bytes(&in);
		a = sftp_get_attrs(&in);
		if (in.bad)
			return lxm_err_set(e, EPROTO, "'%s': the server's answer makes no sense", path);
		if (text.len <= 2 && memcmp(text.p, "..", text.len) == 0 && text.len)
			continue;
		if (!is_component(text))
			return lxm_err_set(e, EPROTO, "'%s' holds an entry whose name is no file name", path);
		memcpy(name, text.p, text.len);
		name[text.len] = 0;
		r = fn(arg, name, &a, e);
	}
	return r;
}

int sftp_list(struct sftp *s, const char *path, sftp_entry_fn fn, void *arg, struct lxm_err *e)
{
	struct single open = { .want = SFTP_HANDLE, .what = "open", .path = path }, close = { .want = SFTP_STATUS, .what = "close", .path = path };
	struct lxm_buf *packets = NULL;
	size_t at, n = 0, k;
	int r;

	sftp_put_str(sftp_request(s, SFTP_OPENDIR, &at), path);
	r = single(s, at, &open, e);
	while (r == 0) {
		struct single c = { .want = SFTP_NAME, .what = "list", .path = path };

		sftp_put_bytes(sftp_request(s, SFTP_READDIR, &at), open.bytes.data, open.bytes.len);
		r = single(s, at, &c, e);
		if (r < 0 || c.eof) {
			lxm_buf_deinit(&c.bytes);
			break;
		}
		packets = lxm_realloc_n(packets, n + 1, sizeof(*packets));
		packets[n++] = c.bytes;
	}
	if (open.bytes.len) {
		sftp_put_bytes(sftp_request(s, SFTP_CLOSE, &at), open.bytes.data, open.bytes.len);
		if (r == 0)
			r = single(s, at, &close, e);
	}
	for (k = 0; k < n; k++) {
		if (r == 0)
			r = tell_entries(&packets[k], path, fn, arg, e);
		lxm_buf_deinit(&packets[k]);
	}
	free(packets);
	lxm_buf_deinit(&open.bytes);
	return r;
}
