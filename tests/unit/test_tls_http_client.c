/* lib/tls/http_client and ws_client against a scripted peer on a socketpair. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/tls/http_client.h"
#include "lib/tls/sha1.h"
#include "lib/tls/ws_client.h"

/* The peer: for each connection, reads until `want` bytes of a request were seen, answers `say`, maybe closes. */
struct peer {
	const char *say[4];
	bool close_after[4];
	int dials;
	int fd; /* of the last connection, the peer's end */
	struct lxm_buf got;
	pthread_t thread;
	bool running;
};

static void *serve(void *arg)
{
	struct peer *p = arg;
	char buf[65536];
	ssize_t n;

	/* one request a connection is enough: all of them end in an empty line or a last chunk */
	while ((n = recv(p->fd, buf, sizeof(buf), 0)) > 0) {
		const char *say = p->say[p->dials - 1];

		lxm_buf_add(&p->got, buf, (size_t)n);
		if (!say || !strstr(p->got.data, "\r\n\r\n"))
			continue;
		if (strstr(p->got.data, "chunked") && !strstr(p->got.data, "\r\n0\r\n\r\n"))
			continue;
		(void)!send(p->fd, say, strlen(say), MSG_NOSIGNAL);
		if (p->close_after[p->dials - 1])
			break;
	}
	close(p->fd);
	return NULL;
}

static void join(struct peer *p)
{
	if (p->running)
		pthread_join(p->thread, NULL);
	p->running = false;
}

static int dial(void *arg, struct lxm_conn *conn_out, struct lxm_err *e)
{
	struct peer *p = arg;
	int sv[2];

	join(p);
	if (p->dials >= 4 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_set(e, ECONNREFUSED, "no more");
	p->fd = sv[1];
	p->dials++;
	p->running = true;
	pthread_create(&p->thread, NULL, serve, p);
	*conn_out = lxm_conn_socket(sv[0]);
	return 0;
}

static void requests_are_sent_and_replies_read(void)
{
	struct peer p = { .say = { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" } };
	struct lxm_http *h = lxm_http_new(dial, &p);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "POST", .target = "/1.0/x?y=z", .body = "abc", .body_len = 3 };

	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == 0);
	CU_ASSERT(reply.status == 200);
	CU_ASSERT_STRING_EQUAL(reply.body.data, "{}");
	lxm_http_free(h);
	join(&p);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.got.data, "POST /1.0/x?y=z HTTP/1.1\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(p.got.data, "Content-Length: 3\r\n\r\nabc"));
	lxm_buf_deinit(&p.got);
}

static void connections_are_kept_and_closed_ones_replaced(void)
{
	struct peer p = { .say = { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2" } };
	struct lxm_http *h = lxm_http_new(dial, &p);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = "/" };

	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == 0);
	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == 0);
	CU_ASSERT(p.dials == 1);
	shutdown(p.fd, SHUT_RDWR);
	join(&p);
	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(reply.body.data, "2");
	CU_ASSERT(p.dials == 2);
	lxm_http_free(h);
	join(&p);
	lxm_buf_deinit(&p.got);
}

static void a_silent_close_is_an_error(void)
{
	struct peer p = { .say = { "" }, .close_after = { true } };
	struct lxm_http *h = lxm_http_new(dial, &p);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = "/" };

	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == -ECONNRESET);
	lxm_http_free(h);
	join(&p);
	lxm_buf_deinit(&p.got);
}

static void bodies_in_memory_are_bounded(void)
{
	struct peer p = { .say = { "HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n0123456789" } };
	struct lxm_http *h = lxm_http_new(dial, &p);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = "/" };

	lxm_http_max_body(h, 8);
	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == -EMSGSIZE);
	lxm_http_free(h);
	join(&p);
	lxm_buf_deinit(&p.got);
}

static ssize_t three_times(void *arg, void *data, size_t n, struct lxm_err *e)
{
	int *left = arg;

	if (!*left)
		return 0;
	--*left;
	memcpy(data, "abcd", 4);
	return 4;
}

static void streams_are_sent_in_chunks(void)
{
	struct peer p = { .say = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } };
	struct lxm_http *h = lxm_http_new(dial, &p);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	int left = 3;
	struct lxm_http_request rq = { .method = "POST", .target = "/", .source = three_times, .source_arg = &left,
				       .source_size = -1 };

	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == 0);
	lxm_http_free(h);
	join(&p);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.got.data, "\r\n\r\n4\r\nabcd\r\n4\r\nabcd\r\n4\r\nabcd\r\n0\r\n\r\n"));
	lxm_buf_deinit(&p.got);
}

static void line_ends_in_headers_are_refused(void)
{
	struct peer p = { 0 };
	struct lxm_http *h = lxm_http_new(dial, &p);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = "/", .headers = &headers };

	lxm_kv_set(&headers, "X-LXD-filename", "a\r\nX-Evil: 1");
	CU_ASSERT(lxm_http_do(h, &rq, &reply, NULL) == -EINVAL);
	CU_ASSERT(p.dials == 0);
	lxm_http_free(h);
}

static void sha1_and_base64_are_those_of_the_rfc(void)
{
	static const char text[] = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[20];
	lxm_auto(free) char *b64 = NULL, *empty = NULL, *one = NULL;

	lxm_sha1(text, strlen(text), digest);
	b64 = lxm_base64(digest, 20);
	CU_ASSERT_STRING_EQUAL(b64, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	empty = lxm_base64("", 0);
	one = lxm_base64("f", 1);
	CU_ASSERT_STRING_EQUAL(empty, "");
	CU_ASSERT_STRING_EQUAL(one, "Zg==");
}

static void no_message(struct lxm_ws *ws, enum lxm_ws_kind kind, const void *data, size_t n, bool last, void *arg)
{
}

static int pump_until_end(struct lxm_ws *ws, struct lxm_err *e)
{
	int i, r = 0;

	for (i = 0; i < 100 && r == 0; i++) {
		struct pollfd p = { .fd = lxm_ws_fd(ws), .events = lxm_ws_events(ws) };

		poll(&p, 1, 1000);
		r = lxm_ws_pump(ws, p.revents, e);
	}
	return r;
}

static void refused_websockets_tell_why(void)
{
	struct peer p = { .say = { "HTTP/1.1 403 Forbidden\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}" } };
	lxm_auto(ws) struct lxm_ws *ws = NULL;
	struct lxm_err e = { 0 };

	CU_ASSERT(lxm_ws_open(dial, &p, "/x", no_message, NULL, &ws, NULL) == 0);
	CU_ASSERT(pump_until_end(ws, &e) < 0);
	CU_ASSERT(e.http == 403);
	CU_ASSERT_STRING_EQUAL(lxm_ws_refusal(ws), "{\"error\":\"no\"}");
	shutdown(p.fd, SHUT_RDWR);
	join(&p);
	lxm_buf_deinit(&p.got);
}

static void a_wrong_accept_is_refused(void)
{
	struct peer p = { .say = { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" } };
	lxm_auto(ws) struct lxm_ws *ws = NULL;
	struct lxm_err e = { 0 };

	CU_ASSERT(lxm_ws_open(dial, &p, "/x", no_message, NULL, &ws, NULL) == 0);
	CU_ASSERT(pump_until_end(ws, &e) == -EPROTO);
	CU_ASSERT(!lxm_ws_is_open(ws));
	shutdown(p.fd, SHUT_RDWR);
	join(&p);
	lxm_buf_deinit(&p.got);
}

UNIT_MAIN("tls/http_client", { "requests are sent and replies read", requests_are_sent_and_replies_read },
	  { "connections are kept and closed ones replaced", connections_are_kept_and_closed_ones_replaced },
	  { "a silent close is an error", a_silent_close_is_an_error },
	  { "bodies in memory are bounded", bodies_in_memory_are_bounded },
	  { "streams are sent in chunks", streams_are_sent_in_chunks },
	  { "line ends in headers are refused", line_ends_in_headers_are_refused },
	  { "SHA-1 and Base64 are those of the RFC", sha1_and_base64_are_those_of_the_rfc },
	  { "refused websockets tell why", refused_websockets_tell_why },
	  { "a wrong accept is refused", a_wrong_accept_is_refused })
