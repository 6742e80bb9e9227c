/* lxmd/core/ws: framing, control frames, bounds and the closing rules, against raw bytes on a socket pair. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/ws.h"

static struct loop *loop;

/* What the handler of one websocket saw. */
struct seen {
	pthread_mutex_t lock;
	struct lxm_buf log; /* "T:text;" "B:bytes;" "C:1000;" */
	size_t bytes;
};

static void see_message(struct ws *ws, int opcode, const void *data, size_t len, bool fin, void *arg)
{
	struct seen *s = arg;

	pthread_mutex_lock(&s->lock);
	s->bytes += len;
	if (len < 100) {
		lxm_buf_fmt(&s->log, "%c:", opcode == WS_TEXT ? 'T' : fin ? 'E' : 'B');
		lxm_buf_add(&s->log, data, len);
		lxm_buf_chr(&s->log, ';');
	}
	pthread_mutex_unlock(&s->lock);
}

static void see_close(struct ws *ws, int code, void *arg)
{
	struct seen *s = arg;

	pthread_mutex_lock(&s->lock);
	lxm_buf_fmt(&s->log, "C:%d;", code);
	pthread_mutex_unlock(&s->lock);
}

static const struct ws_handler handler = { .on_message = see_message, .on_close = see_close };

/* Polls until the log equals `want`; true if it did within two seconds. */
static bool saw(struct seen *s, const char *want)
{
	int64_t until = lxm_mono_ms() + 2000;
	bool same;

	do {
		pthread_mutex_lock(&s->lock);
		same = lxm_streq(s->log.data ? s->log.data : "", want);
		pthread_mutex_unlock(&s->lock);
		if (!same)
			(void)usleep(1000);
	} while (!same && lxm_mono_ms() < until);
	if (!same)
		printf("saw '%s' instead of '%s'\n", s->log.data ? s->log.data : "", want);
	return same;
}

static size_t bytes_seen(struct seen *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->bytes;
	pthread_mutex_unlock(&s->lock);
	return n;
}

struct client {
	int fd;
	struct ws *ws;
	struct seen seen;
};

static void open_client(struct client *c, const void *extra, size_t extra_len)
{
	int sv[2];

	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->seen.lock, NULL);
	if (!loop)
		CU_ASSERT_FATAL(loop_new(&loop, NULL) == 0);
	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	c->fd = sv[0];
	c->ws = ws_new(loop, sv[1], extra, extra_len);
	ws_start(c->ws, &handler, &c->seen);
}

static void nothing(void *arg)
{
}

static void close_client(struct client *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	ws_abort(c->ws);
	loop_call(loop, nothing, NULL);
	loop_call(loop, nothing, NULL);
	ws_unref(c->ws);
	lxm_buf_deinit(&c->seen.log);
}

/* A masked client frame into out; returns its length. */
static size_t frame(unsigned char *out, int first, const void *data, size_t len)
{
	static const unsigned char mask[4] = { 1, 2, 3, 4 };
	size_t i, n = 0;

	out[n++] = (unsigned char)first;
	if (len < 126) {
		out[n++] = (unsigned char)(0x80 | len);
	} else {
		out[n++] = 0x80 | 126;
		out[n++] = (unsigned char)(len >> 8);
		out[n++] = (unsigned char)len;
	}
	memcpy(out + n, mask, 4);
	n += 4;
	for (i = 0; i < len; i++)
		out[n++] = ((const unsigned char *)data)[i] ^ mask[i % 4];
	return n;
}

static void client_says(struct client *c, int first, const char *text)
{
	unsigned char buf[300];
	size_t n = frame(buf, first, text, strlen(text));

	CU_ASSERT(write(c->fd, buf, n) == (ssize_t)n);
}

/* Exactly n bytes from the server, or what came within two seconds. */
static size_t client_hears(struct client *c, void *buf, size_t n)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	size_t got = 0;
	ssize_t r;

	while (got < n && poll(&p, 1, 2000) > 0) {
		r = read(c->fd, (char *)buf + got, n - got);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

static void text_comes_whole_and_binary_as_it_arrives(void)
{
	struct client c;

	open_client(&c, NULL, 0);
	client_says(&c, 0x01, "{\"a\":"); /* TEXT in three fragments, a ping between */
	client_says(&c, 0x00, "1");
	client_says(&c, 0x89, "hi");
	client_says(&c, 0x80, "}");
	CU_ASSERT(saw(&c.seen, "T:{\"a\":1};"));
	client_says(&c, 0x02, "ab");
	client_says(&c, 0x80, "cd");
	CU_ASSERT(saw(&c.seen, "T:{\"a\":1};B:ab;B:cd;E:;"));
	client_says(&c, 0x81, "");
	CU_ASSERT(saw(&c.seen, "T:{\"a\":1};B:ab;B:cd;E:;T:;"));
	close_client(&c);
}

static void bytes_behind_the_handshake_count(void)
{
	unsigned char buf[64];
	struct client c;

	open_client(&c, buf, frame(buf, 0x82, "early", 5));
	CU_ASSERT(saw(&c.seen, "B:early;E:;"));
	close_client(&c);
}

static void pings_are_answered(void)
{
	unsigned char got[4];
	struct client c;

	open_client(&c, NULL, 0);
	client_says(&c, 0x89, "hi");
	CU_ASSERT(client_hears(&c, got, 4) == 4 && memcmp(got, "\x8a\x02hi", 4) == 0);
	close_client(&c);
}

static void messages_go_out_in_order_then_close(void)
{
	unsigned char got[64];
	struct client c;

	open_client(&c, NULL, 0);
	CU_ASSERT(ws_send(c.ws, WS_BINARY, "one", 3) == 0);
	CU_ASSERT(ws_send(c.ws, WS_TEXT, "", 0) == 0);
	ws_close(c.ws);
	CU_ASSERT(ws_send(c.ws, WS_TEXT, "late", 4) == -EPIPE);
	CU_ASSERT(client_hears(&c, got, 11) == 11);
	CU_ASSERT(memcmp(got, "\x82\x03one\x81\x00\x88\x02\x03\xe8", 11) == 0);
	CU_ASSERT(client_hears(&c, got, 1) == 0); /* then end of file */
	CU_ASSERT(saw(&c.seen, "C:1000;"));
	close_client(&c);
}

static void a_large_backlog_survives_our_close(void)
{
	enum { BIG = 3 * 1024 * 1024 };
	unsigned char *got = lxm_alloc(BIG + 14);
	char *big = lxm_alloc(BIG);
	struct client c;

	memset(big, 'x', BIG);
	open_client(&c, NULL, 0);
	CU_ASSERT(ws_send(c.ws, WS_BINARY, big, BIG) == 0);
	ws_close(c.ws);
	CU_ASSERT(saw(&c.seen, "C:1000;")); /* the handler is free at once */
	CU_ASSERT(client_hears(&c, got, BIG + 14) == BIG + 14);
	CU_ASSERT(memcmp(got + 10, big, BIG) == 0);
	CU_ASSERT(memcmp(got + 10 + BIG, "\x88\x02\x03\xe8", 4) == 0);
	close_client(&c);
	free(got);
	free(big);
}

static void the_clients_end_is_told_once(void)
{
	unsigned char got[4];
	struct client c;

	open_client(&c, NULL, 0);
	client_says(&c, 0x88, "\x03\xe9" "bye"); /* Close 1001 */
	CU_ASSERT(saw(&c.seen, "C:1001;"));
	CU_ASSERT(client_hears(&c, got, 2) == 2 && got[0] == 0x88);
	close_client(&c);

	open_client(&c, NULL, 0);
	client_says(&c, 0x88, "");
	CU_ASSERT(saw(&c.seen, "C:1005;"));
	close_client(&c);

	open_client(&c, NULL, 0);
	client_says(&c, 0x82, "last");
	(void)close(c.fd);
	c.fd = -1;
	CU_ASSERT(saw(&c.seen, "B:last;E:;C:1006;"));
	close_client(&c);
}

static void broken_framing_is_closed(void)
{
	static const char *const bad[] = {
		"\x82\x03" "abc",		    /* not masked */
		"\xf2\x80\x01\x01\x01\x01",	    /* reserved bits */
		"\x80\x80\x01\x01\x01\x01",	    /* continuation of nothing */
		"\x83\x80\x01\x01\x01\x01",	    /* unknown opcode */
		"\x09\x80\x01\x01\x01\x01",	    /* fragmented ping */
		"\x89\xfe\x01\x00\x01\x01\x01\x01", /* ping of 256 bytes */
	};
	static const size_t len[] = { 5, 6, 6, 6, 6, 8 };
	struct client c;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		open_client(&c, NULL, 0);
		CU_ASSERT(write(c.fd, bad[i], len[i]) == (ssize_t)len[i]);
		CU_ASSERT(saw(&c.seen, "C:1002;"));
		close_client(&c);
	}
	open_client(&c, NULL, 0);
	client_says(&c, 0x81, "\xff\xfe"); /* TEXT that is not UTF-8 */
	CU_ASSERT(saw(&c.seen, "C:1002;"));
	close_client(&c);
}

static void text_has_a_bound_and_binary_has_none(void)
{
	char part[60000];
	unsigned char buf[60100];
	struct client c;
	size_t n;
	int i;

	memset(part, 'a', sizeof(part));
	open_client(&c, NULL, 0);
	n = frame(buf, 0x01, part, sizeof(part));
	CU_ASSERT(write(c.fd, buf, n) == (ssize_t)n);
	n = frame(buf, 0x80, part, sizeof(part));
	CU_ASSERT(write(c.fd, buf, n) == (ssize_t)n);
	CU_ASSERT(saw(&c.seen, "C:1009;"));
	close_client(&c);

	open_client(&c, NULL, 0);
	for (i = 0; i < 50; i++) {
		n = frame(buf, i == 0 ? 0x02 : 0x00, part, sizeof(part));
		CU_ASSERT(write(c.fd, buf, n) == (ssize_t)n);
	}
	client_says(&c, 0x80, "");
	client_says(&c, 0x81, "end");
	for (i = 0; i < 2000 && bytes_seen(&c.seen) < 50 * sizeof(part) + 3; i++)
		(void)usleep(1000);
	CU_ASSERT(bytes_seen(&c.seen) == 50 * sizeof(part) + 3);
	close_client(&c);
}

static void a_paused_socket_reads_later_even_after_hangup(void)
{
	struct client c;

	open_client(&c, NULL, 0);
	ws_pause_reading(c.ws, true);
	loop_call(loop, nothing, NULL);
	loop_call(loop, nothing, NULL);
	client_says(&c, 0x82, "kept");
	(void)close(c.fd);
	c.fd = -1;
	(void)usleep(30000);
	CU_ASSERT(saw(&c.seen, ""));
	ws_pause_reading(c.ws, false);
	CU_ASSERT(saw(&c.seen, "B:kept;E:;C:1006;"));
	close_client(&c);
}

static void accept_keys_are_as_in_the_rfc(void)
{
	char out[32];

	CU_ASSERT(ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", out) == 0);
	CU_ASSERT_STRING_EQUAL(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	CU_ASSERT(ws_accept_key("short", out) == -EINVAL);
	CU_ASSERT(ws_accept_key("!!!!!!!!!!!!!!!!!!!!!!==", out) == -EINVAL);
	CU_ASSERT(ws_accept_key(NULL, out) == -EINVAL);
	loop_free(loop);
}

UNIT_MAIN("core/ws", { "text comes whole, binary as it arrives", text_comes_whole_and_binary_as_it_arrives },
	  { "bytes behind the handshake count", bytes_behind_the_handshake_count },
	  { "pings are answered", pings_are_answered },
	  { "messages go out in order, then Close", messages_go_out_in_order_then_close },
	  { "a large backlog survives our close", a_large_backlog_survives_our_close },
	  { "the client's end is told once", the_clients_end_is_told_once },
	  { "broken framing is closed", broken_framing_is_closed },
	  { "text has a bound, binary has none", text_has_a_bound_and_binary_has_none },
	  { "a paused socket reads later, even after a hangup", a_paused_socket_reads_later_even_after_hangup },
	  { "accept keys are as in the RFC", accept_keys_are_as_in_the_rfc })
