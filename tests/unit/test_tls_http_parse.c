/* lib/tls/http_parse: where replies end, and what is no reply. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/tls/http_parse.h"

static int keep(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	lxm_buf_add(arg, data, n);
	return 0;
}

/* Feed a text in pieces of `step` bytes; the body lands in *body, unused bytes are counted. */
static int feed(struct lxm_http_parser *p, const char *text, size_t step, struct lxm_buf *body, size_t *rest)
{
	size_t n = strlen(text), at = 0, used;
	int r = 0;

	p->sink = keep;
	p->sink_arg = body;
	while (at < n && p->state != LXM_HTTP_DONE && r == 0) {
		r = lxm_http_parser_feed(p, text + at, n - at < step ? n - at : step, &used, NULL);
		at += used;
	}
	*rest = n - at;
	return r;
}

#define REPLY(text, step)                                                 \
	lxm_auto(http_parser) struct lxm_http_parser p = { 0 };           \
	lxm_auto(buf) struct lxm_buf body = { 0 };                        \
	size_t rest = 0;                                                  \
	int r = feed(&p, text, step, &body, &rest)

static void length_ends_a_body_and_leaves_the_rest(void)
{
	REPLY("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag:  \"x\" \r\n\r\nhelloHTTP/1.1", 1000);

	CU_ASSERT(r == 0 && p.state == LXM_HTTP_DONE && p.status == 200 && p.keep_alive);
	CU_ASSERT_STRING_EQUAL(body.data, "hello");
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&p.headers, "etag"), "\"x\"");
	CU_ASSERT(rest == 8);
}

static void chunks_arrive_byte_by_byte(void)
{
	REPLY("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nT: 1\r\n\r\nmore", 1);

	CU_ASSERT(r == 0 && p.state == LXM_HTTP_DONE);
	CU_ASSERT_STRING_EQUAL(body.data, "wikipedia");
	CU_ASSERT(rest == 4);
}

static void informational_replies_are_skipped(void)
{
	REPLY("HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 7);

	CU_ASSERT(r == 0 && p.state == LXM_HTTP_DONE && p.status == 404);
	CU_ASSERT_PTR_NULL(lxm_kv_get(&p.headers, "x"));
}

static void switching_protocols_has_no_body(void)
{
	REPLY("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x01x", 1000);

	CU_ASSERT(r == 0 && p.state == LXM_HTTP_DONE && p.status == 101 && rest == 3);
}

static void without_length_the_end_of_the_connection_counts(void)
{
	REPLY("HTTP/1.0 200 OK\r\n\r\nabc", 2);

	CU_ASSERT(r == 0 && p.state == LXM_HTTP_BODY && !p.keep_alive);
	CU_ASSERT(lxm_http_parser_eof(&p, NULL) == 0);
	CU_ASSERT(p.state == LXM_HTTP_DONE);
}

static void an_early_end_is_an_error(void)
{
	REPLY("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 100);

	CU_ASSERT(r == 0);
	CU_ASSERT(lxm_http_parser_eof(&p, NULL) == -ECONNRESET);
}

static void what_is_no_reply_is_refused(void)
{
	static const char *const bad[] = {
		"SSH-2.0-OpenSSH_9\r\n\r\n",
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		REPLY(bad[i], 3);

		CU_ASSERT(r == -EPROTO);
		if (r != -EPROTO)
			printf("not refused: %s\n", bad[i]);
	}
}

static void heads_are_bounded(void)
{
	lxm_auto(http_parser) struct lxm_http_parser p = { 0 };
	char junk[4096];
	size_t used;
	int r, i;

	memset(junk, 'a', sizeof(junk));
	r = lxm_http_parser_feed(&p, "HTTP/1.1 200 OK\r\nX: ", 20, &used, NULL);
	for (i = 0; i < 100 && r == 0; i++)
		r = lxm_http_parser_feed(&p, junk, sizeof(junk), &used, NULL);
	CU_ASSERT(r == -EMSGSIZE);
	CU_ASSERT(i <= LXM_HTTP_HEAD_MAX / 4096 + 1);
}

static void header_counts_are_bounded(void)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int i;

	lxm_buf_str(&text, "HTTP/1.1 200 OK\r\n");
	for (i = 0; i < 2 * LXM_HTTP_HEADERS; i++)
		lxm_buf_fmt(&text, "h%d: x\r\n", i);
	lxm_buf_str(&text, "\r\n");
	{
		REPLY(text.data, 100000);

		CU_ASSERT(r == -EMSGSIZE);
	}
}

UNIT_MAIN("tls/http_parse",
	  { "a length ends a body and leaves the rest", length_ends_a_body_and_leaves_the_rest },
	  { "chunks arrive byte by byte", chunks_arrive_byte_by_byte },
	  { "informational replies are skipped", informational_replies_are_skipped },
	  { "101 has no body", switching_protocols_has_no_body },
	  { "without length the end of the connection counts", without_length_the_end_of_the_connection_counts },
	  { "an early end is an error", an_early_end_is_an_error },
	  { "what is no reply is refused", what_is_no_reply_is_refused },
	  { "heads are bounded", heads_are_bounded }, { "header counts are bounded", header_counts_are_bounded })
