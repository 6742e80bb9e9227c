/*
 * Reply parser, see http_parse.h. Pure: no descriptor, no clock, any thread. What makes two readers disagree on where
 * a reply ends (two lengths, a length beside chunks, bare line ends inside the head, signs in sizes) is refused.
 */
#include "lib/tls/http_parse.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES 1024 /* of a chunk's size line */

void lxm_http_parser_reset(struct lxm_http_parser *p)
{
	lxm_http_sink sink = p->sink;
	void *arg = p->sink_arg;
	bool no_body = p->no_body;

	lxm_http_parser_deinit(p);
	p->sink = sink;
	p->sink_arg = arg;
	p->no_body = no_body;
}

void lxm_http_parser_deinit(struct lxm_http_parser *p)
{
	lxm_kv_deinit(&p->headers);
	lxm_buf_deinit(&p->line);
	memset(p, 0, sizeof(*p));
}

static int broken(struct lxm_err *e, const char *what)
{
	return lxm_err_set(e, EPROTO, "the server's reply is not HTTP/1.1: %s", what);
}

/* "HTTP/1.1 200 OK" */
static int parse_status(struct lxm_http_parser *p, const char *line, struct lxm_err *e)
{
	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return broken(e, "bad status line");
	if (!isdigit((unsigned char)line[9]) || !isdigit((unsigned char)line[10]) ||
	    !isdigit((unsigned char)line[11]) || (line[12] && line[12] != ' '))
		return broken(e, "bad status code");
	p->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
	p->keep_alive = line[7] == '1';
	if (p->status < 100)
		return broken(e, "bad status code");
	return 0;
}

static bool is_token(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("!#$%&'*+-.^_`|~", s[i]))
			return false;
	return n > 0;
}

/* "Name: value" into headers; the line is changed in place. */
static int parse_header(struct lxm_http_parser *p, char *line, struct lxm_err *e)
{
	char *colon = strchr(line, ':'), *value, *end;
	const char *old;

	if (!colon || !is_token(line, (size_t)(colon - line)))
		return broken(e, "bad header line");
	*colon = 0;
	for (value = line; *value; value++)
		*value = (char)tolower((unsigned char)*value);
	for (value = colon + 1; *value == ' ' || *value == '\t'; value++)
		;
	for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*end = 0;
	old = lxm_kv_get(&p->headers, line);
	if (old && strcmp(line, "content-length") == 0 && strcmp(old, value) != 0)
		return broken(e, "two different lengths");
	if (old && strcmp(line, "transfer-encoding") == 0)
		return broken(e, "two transfer encodings");
	lxm_kv_set(&p->headers, line, value);
	return 0;
}

/* Decide by the headers how the body ends. */
static int begin_body(struct lxm_http_parser *p, struct lxm_err *e)
{
	const char *te = lxm_kv_get(&p->headers, "transfer-encoding");
	const char *len = lxm_kv_get(&p->headers, "content-length");
	const char *conn = lxm_kv_get(&p->headers, "connection");

	if (conn && strcasestr(conn, "close"))
		p->keep_alive = false;
	else if (conn && strcasestr(conn, "keep-alive"))
		p->keep_alive = true;
	if (te && len)
		return broken(e, "a length beside a transfer encoding");
	if (p->no_body || p->status == 101 || p->status == 204 || p->status == 304) {
		p->state = LXM_HTTP_DONE;
	} else if (te) {
		if (strcasecmp(te, "chunked") != 0)
			return broken(e, "unknown transfer encoding");
		p->state = LXM_HTTP_CHUNK_SIZE;
	} else if (len) {
		if (lxm_parse_u64(len, &p->left) < 0)
			return broken(e, "bad content length");
		p->state = p->left ? LXM_HTTP_BODY : LXM_HTTP_DONE;
	} else {
		p->until_close = true;
		p->keep_alive = false;
		p->state = LXM_HTTP_BODY;
	}
	return 0;
}

/* The whole head is in p->line, ended by an empty line. */
static int parse_head(struct lxm_http_parser *p, struct lxm_err *e)
{
	char *at = p->line.data, *next;
	int lines = 0, r;

	if (memchr(p->line.data, 0, p->line.len))
		return broken(e, "NUL in the head");
	for (; *at; at = next) {
		char *cr = strstr(at, "\r\n");

		if (!cr || memchr(at, '\n', (size_t)(cr - at)))
			return broken(e, "bare line end in the head");
		*cr = 0;
		next = cr + 2;
		if (!*at)
			break;
		if (++lines > LXM_HTTP_HEADERS)
			return lxm_err_set(e, EMSGSIZE, "the server's reply has over %d headers", LXM_HTTP_HEADERS);
		r = lines == 1 ? parse_status(p, at, e) : parse_header(p, at, e);
		if (r < 0)
			return r;
	}
	if (!lines)
		return broken(e, "empty head");
	p->line.len = 0;
	if (p->status < 200 && p->status != 101) {
		lxm_kv_deinit(&p->headers);
		return 0;
	}
	return begin_body(p, e);
}

/*
 * Collect bytes up to and with the text `end`. Returns 1 when it is there, 0 when more is needed, -EMSGSIZE.
 * Looks only at what is new (and the few bytes before it), so that slow senders cost no more than fast ones.
 */
static int collect(struct lxm_http_parser *p, const char *data, size_t n, const char *end, size_t max, size_t *used,
		   struct lxm_err *e)
{
	size_t had = p->line.len, look = strlen(end) - 1, from, room = max - had;
	char *hit;

	lxm_buf_add(&p->line, data, n < room ? n : room);
	from = had > look ? had - look : 0;
	hit = memmem(p->line.data + from, p->line.len - from, end, strlen(end));
	if (hit) {
		p->line.len = (size_t)(hit - p->line.data) + strlen(end);
		p->line.data[p->line.len] = 0;
		*used = p->line.len - had;
		return 1;
	}
	*used = p->line.len - had;
	if (p->line.len >= max)
		return lxm_err_set(e, EMSGSIZE, "the server's reply has a head over %zu bytes", max);
	return 0;
}

static int parse_chunk_size(struct lxm_http_parser *p, struct lxm_err *e)
{
	size_t digits = strspn(p->line.data, "0123456789abcdefABCDEF");
	const char *rest = p->line.data + digits;

	if (digits == 0 || digits > 15 || (*rest != '\r' && *rest != ';' && *rest != ' '))
		return broken(e, "bad chunk size");
	p->left = strtoull(p->line.data, NULL, 16);
	p->line.len = 0;
	p->state = p->left ? LXM_HTTP_CHUNK_DATA : LXM_HTTP_TRAILER;
	return 0;
}

/* Hand body bytes on. */
static int take_data(struct lxm_http_parser *p, const char *data, size_t n, size_t *used, struct lxm_err *e)
{
	int r = 0;

	if (!p->until_close && n > p->left)
		n = (size_t)p->left;
	if (p->sink)
		r = p->sink(p->sink_arg, data, n, e);
	if (r < 0)
		return r;
	*used = n;
	if (p->until_close)
		return 0;
	p->left -= n;
	if (!p->left)
		p->state = p->state == LXM_HTTP_BODY ? LXM_HTTP_DONE : LXM_HTTP_CHUNK_END;
	return 0;
}

/* The state machine's step: one state, some bytes. */
static int step(struct lxm_http_parser *p, const char *data, size_t n, size_t *used, struct lxm_err *e)
{
	int r;

	switch (p->state) {
	case LXM_HTTP_HEAD:
		r = collect(p, data, n, "\r\n\r\n", LXM_HTTP_HEAD_MAX, used, e);
		return r > 0 ? parse_head(p, e) : r;
	case LXM_HTTP_BODY:
	case LXM_HTTP_CHUNK_DATA:
		return take_data(p, data, n, used, e);
	case LXM_HTTP_CHUNK_SIZE:
		r = collect(p, data, n, "\r\n", LINE_MAX_BYTES, used, e);
		return r > 0 ? parse_chunk_size(p, e) : r;
	case LXM_HTTP_CHUNK_END:
		r = collect(p, data, n, "\r\n", LINE_MAX_BYTES, used, e);
		if (r > 0 && p->line.len != 2)
			return broken(e, "bytes after a chunk");
		if (r > 0) {
			p->line.len = 0;
			p->state = LXM_HTTP_CHUNK_SIZE;
		}
		return r < 0 ? r : 0;
	case LXM_HTTP_TRAILER:
		r = collect(p, data, n, "\r\n", LXM_HTTP_HEAD_MAX, used, e);
		if (r > 0 && p->line.len == 2)
			p->state = LXM_HTTP_DONE;
		if (r > 0)
			p->line.len = 0;
		return r < 0 ? r : 0;
	case LXM_HTTP_DONE:
		break;
	}
	return 0;
}

int lxm_http_parser_feed(struct lxm_http_parser *p, const void *data, size_t n, size_t *used_out, struct lxm_err *e)
{
	size_t at = 0, used;
	int r;

	while (at < n && p->state != LXM_HTTP_DONE) {
		used = 0;
		r = step(p, (const char *)data + at, n - at, &used, e);
		if (r < 0)
			return r;
		at += used;
	}
	*used_out = at;
	return 0;
}

int lxm_http_parser_eof(struct lxm_http_parser *p, struct lxm_err *e)
{
	if (p->state == LXM_HTTP_BODY && p->until_close)
		p->state = LXM_HTTP_DONE;
	if (p->state == LXM_HTTP_DONE)
		return 0;
	return lxm_err_set(e, ECONNRESET, "the server closed the connection in the middle of its reply");
}
