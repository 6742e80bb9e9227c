/*
 * HTTP/1 requests as guests send them: a request line, headers, a small body with a length. Everything is bounded by
 * GUEST_REQUEST_MAX, nothing is allocated, and what is not needed here (chunks, continuation lines) is refused. The bytes
 * come from inside an instance: tests/fuzz/fuzz_guest_http.c feeds this with anything.
 */
#include "lxmd/guest/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"

/* One line without its CRLF or LF. */
struct line {
	const char *s;
	size_t n;
};

static bool next_line(const char **p, const char *end, struct line *out)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p));

	if (!nl)
		return false;
	out->s = *p;
	out->n = (size_t)(nl - *p);
	if (out->n && out->s[out->n - 1] == '\r')
		out->n--;
	*p = nl + 1;
	return true;
}

static bool copy(char *to, size_t size, const char *s, size_t n)
{
	size_t i;

	if (n >= size)
		return false;
	for (i = 0; i < n; i++)
		if ((unsigned char)s[i] <= ' ' || s[i] == 127)
			return false;
	memcpy(to, s, n);
	to[n] = 0;
	return true;
}

/* "GET /1.0?type=x HTTP/1.1" */
static int request_line(const struct line *l, struct guest_request *rq)
{
	const char *end = l->s + l->n, *sp = memchr(l->s, ' ', l->n), *sp2, *q;

	if (!sp || !copy(rq->method, sizeof(rq->method), l->s, (size_t)(sp - l->s)))
		return -400;
	sp2 = memchr(sp + 1, ' ', (size_t)(end - sp - 1));
	if (!sp2 || sp[1] != '/')
		return -400;
	if (end - sp2 != 9 || memcmp(sp2, " HTTP/1.", 8) != 0 || (end[-1] != '0' && end[-1] != '1'))
		return -505;
	rq->close = end[-1] == '0';
	q = memchr(sp + 1, '?', (size_t)(sp2 - sp - 1));
	if (q && !copy(rq->query, sizeof(rq->query), q + 1, (size_t)(sp2 - q - 1)))
		return -414;
	if (!q)
		q = sp2;
	return copy(rq->path, sizeof(rq->path), sp + 1, (size_t)(q - sp - 1)) ? 0 : -414;
}

/* Is `word` one of the comma-separated words of a value? */
static bool has_word(struct line v, const char *word)
{
	size_t n = strlen(word);

	while (v.n) {
		const char *comma = memchr(v.s, ',', v.n);
		size_t part = comma ? (size_t)(comma - v.s) : v.n, len = part;
		const char *s = v.s;

		while (len && (*s == ' ' || *s == '\t')) {
			s++;
			len--;
		}
		while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
			len--;
		if (len == n && strncasecmp(s, word, n) == 0)
			return true;
		part += comma != NULL;
		v.s += part;
		v.n -= part;
	}
	return false;
}

/* What several headers say together. */
struct seen {
	bool length, upgrade, connection, version;
};

static int header(const struct line *l, struct guest_request *rq, struct seen *seen)
{
	const char *colon = memchr(l->s, ':', l->n);
	struct line v;
	size_t name, i;

	if (!colon || colon == l->s)
		return -400;
	name = (size_t)(colon - l->s);
	for (i = 0; i < name; i++)
		if ((unsigned char)l->s[i] <= ' ' || l->s[i] == 127)
			return -400; /* also a continuation line */
	v = (struct line){ colon + 1, l->n - name - 1 };
	while (v.n && (*v.s == ' ' || *v.s == '\t')) {
		v.s++;
		v.n--;
	}
	while (v.n && (v.s[v.n - 1] == ' ' || v.s[v.n - 1] == '\t'))
		v.n--;
#define IS(word) (name == sizeof(word) - 1 && strncasecmp(l->s, word, name) == 0)
	if (IS("Content-Length")) {
		char number[16];
		uint64_t n;

		if (seen->length || !copy(number, sizeof(number), v.s, v.n) || lxm_parse_u64(number, &n) < 0)
			return -400;
		if (n > GUEST_REQUEST_MAX)
			return -413;
		seen->length = true;
		rq->body = (size_t)n;
	} else if (IS("Transfer-Encoding")) {
		return -411;
	} else if (IS("Connection")) {
		rq->close |= has_word(v, "close");
		seen->connection |= has_word(v, "upgrade");
	} else if (IS("Upgrade")) {
		seen->upgrade |= has_word(v, "websocket");
	} else if (IS("Sec-WebSocket-Version")) {
		seen->version = has_word(v, "13");
	} else if (IS("Sec-WebSocket-Key")) {
		if (!copy(rq->ws_key, sizeof(rq->ws_key), v.s, v.n))
			return -400;
	}
#undef IS
	return 0;
}

int guest_http_parse(const char *data, size_t len, struct guest_request *rq)
{
	const char *p = data, *end = data + len;
	struct seen seen = { 0 };
	struct line l;
	int r;

	memset(rq, 0, sizeof(*rq));
	/* lines are judged as they come, so that nonsense is refused before the whole of it is there */
	if (!next_line(&p, end, &l))
		return len >= GUEST_REQUEST_MAX ? -414 : 0;
	r = request_line(&l, rq);
	if (r < 0)
		return r;
	for (;;) {
		if (!next_line(&p, end, &l))
			return len >= GUEST_REQUEST_MAX ? -431 : 0;
		if (!l.n)
			break;
		r = header(&l, rq, &seen);
		if (r < 0)
			return r;
	}
	rq->head = (size_t)(p - data);
	rq->websocket = seen.upgrade && seen.connection && seen.version && rq->ws_key[0];
	if (rq->head + rq->body > GUEST_REQUEST_MAX)
		return -413;
	return len >= rq->head + rq->body;
}
