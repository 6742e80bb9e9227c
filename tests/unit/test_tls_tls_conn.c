/* lib/tls/tls_conn.c, tcp_race.c and tls_sessions.c against a real OpenSSL server. */
#include "lib/tls/tls_conn.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lib/tls/http_client.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tls_server.h"
#include "tests/unit/unit.h"

static struct lxm_tls_target target_of(struct tls_server *s, const char **addresses)
{
	struct lxm_tls_target t = { .addresses = addresses, .server_pem = s->pair.pem, .silence_ms = 10000 };

	addresses[0] = s->address;
	addresses[1] = NULL;
	return t;
}

static bool echoes(struct lxm_conn *c)
{
	char buf[16384];

	return c->ops && c->ops->write(c, "ping", 4) == 4 && c->ops->read(c, buf, sizeof(buf)) == 4 && memcmp(buf, "ping", 4) == 0;
}

static void test_pinned(void)
{
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_STRING_EQUAL(e.msg, "");
	CU_ASSERT_TRUE(echoes(&c));
	CU_ASSERT_STRING_EQUAL(t.peer_fingerprint, s.pair.fingerprint);
	CU_ASSERT_STRING_EQUAL(t.address, s.address);
	lxm_conn_close(&c);
	t.server_pem = NULL;
	t.server_fingerprint = s.pair.fingerprint;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_TRUE(echoes(&c));
	lxm_conn_close(&c);
	tls_server_stop(&s);
}

/* Another server than the one that is meant sees neither our certificate nor a byte of ours. */
static void test_wrong_pin(void)
{
	struct tls_server s;
	struct pair mine, other;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	pair_init(&mine, "client");
	pair_init(&other, "server");
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	t.client_pem = mine.pem;
	t.client_key_pem = mine.key_pem;
	t.server_pem = other.pem;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, s.pair.fingerprint));
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, other.fingerprint));
	CU_ASSERT_STRING_EQUAL(t.peer_fingerprint, s.pair.fingerprint);
	t.server_pem = NULL;
	t.server_fingerprint = other.fingerprint;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	/* both given: both must fit */
	t.server_pem = s.pair.pem;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	/* nothing given to pin is nobody trusted, not everybody */
	t.server_pem = t.server_fingerprint = NULL;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	tls_server_stop(&s);
	CU_ASSERT_EQUAL(s.handshakes, 0);
	CU_ASSERT_EQUAL(s.client_certs, 0);
	CU_ASSERT_EQUAL(s.bytes, 0);
	pair_deinit(&mine);
	pair_deinit(&other);
}

static void test_client_cert(void)
{
	struct tls_server s;
	struct pair mine, other;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	pair_init(&mine, "client");
	pair_init(&other, "client");
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	t.client_pem = mine.pem;
	t.client_key_pem = mine.key_pem;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_TRUE(echoes(&c));
	lxm_conn_close(&c);
	CU_ASSERT_EQUAL(s.client_certs, 1);
	CU_ASSERT_STRING_EQUAL(s.client_fingerprint, mine.fingerprint);
	t.client_key_pem = other.key_pem;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EINVAL);
	t.client_key_pem = "no key";
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EINVAL);
	tls_server_stop(&s);
	pair_deinit(&mine);
	pair_deinit(&other);
}

static void test_versions(void)
{
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	tls_server_start(&s, SERVE_ECHO, TLS1_2_VERSION);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EPROTO);
	t.tls12 = true;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_TRUE(echoes(&c));
	lxm_conn_close(&c);
	/* the pin is judged there too */
	t.server_pem = NULL;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	tls_server_stop(&s);
	tls_server_start(&s, SERVE_PLAIN, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, "does not speak TLS"));
	tls_server_stop(&s);
}

static void dial_and_echo(struct lxm_tls_target *t)
{
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(t, &c, &e), 0);
	CU_ASSERT_TRUE(echoes(&c));
	lxm_conn_close(&c);
}

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void resumption(int version)
{
	char dir[SCRATCH_MAX];
	lxm_auto(free) char *sub = NULL;
	struct tls_server s;
	struct pair mine;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	scratch(dir, "sessions");
	sub = lxm_asprintf("%s/sessions", dir);
	pair_init(&mine, "client");
	tls_server_start(&s, SERVE_ECHO, version);
	t = target_of(&s, a);
	t.tls12 = true;
	t.client_pem = mine.pem;
	t.client_key_pem = mine.key_pem;
	t.sessions = lxm_tls_sessions_new(sub);
	dial_and_echo(&t);
	CU_ASSERT_FALSE(t.resumed);
	dial_and_echo(&t);
	CU_ASSERT_TRUE(t.resumed);
	CU_ASSERT_STRING_EQUAL(t.peer_fingerprint, s.pair.fingerprint);
	CU_ASSERT_EQUAL(s.client_certs, 2);
	/* another process finds it in the directory */
	lxm_tls_sessions_free(t.sessions);
	t.sessions = lxm_tls_sessions_new(sub);
	dial_and_echo(&t);
	CU_ASSERT_TRUE(t.resumed);
	/* with another judgement of the server it is not used: the server is asked anew, and refused */
	t.server_pem = mine.pem;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	t.server_pem = s.pair.pem;
	/* nor without our certificate */
	t.client_pem = NULL;
	dial_and_echo(&t);
	CU_ASSERT_FALSE(t.resumed);
	CU_ASSERT_EQUAL(s.client_certs, 3);
	lxm_tls_sessions_free(t.sessions);
	tls_server_stop(&s);
	pair_deinit(&mine);
	(void)nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_resumption(void)
{
	resumption(0);
}

static void test_resumption_12(void)
{
	resumption(TLS1_2_VERSION);
}

static int session_mode(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (flag == FTW_F) {
		CU_ASSERT_EQUAL(st->st_mode & 07777, 0600);
		/* what a stranger or an accident left there is no session */
		CU_ASSERT_EQUAL(truncate(path, st->st_size / 2), 0);
	}
	return 0;
}

static void test_session_files(void)
{
	char dir[SCRATCH_MAX];
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;

	scratch(dir, "sessions");
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	t.sessions = lxm_tls_sessions_new(dir);
	dial_and_echo(&t);
	lxm_tls_sessions_free(t.sessions);
	(void)nftw(dir, session_mode, 8, FTW_PHYS);
	t.sessions = lxm_tls_sessions_new(dir);
	dial_and_echo(&t);
	CU_ASSERT_FALSE(t.resumed);
	lxm_tls_sessions_free(t.sessions);
	tls_server_stop(&s);
	(void)nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_end_and_truncation(void)
{
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };
	char buf[16384];

	tls_server_start(&s, SERVE_BYE, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), 5);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), 0);
	lxm_conn_close(&c);
	tls_server_stop(&s);
	tls_server_start(&s, SERVE_CUT, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), 5);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), -ECONNRESET);
	/* and nothing raises SIGPIPE afterwards */
	(void)signal(SIGPIPE, SIG_DFL);
	CU_ASSERT_TRUE(c.ops->write(&c, "x", 1) < 0);
	(void)signal(SIGPIPE, SIG_IGN);
	lxm_conn_close(&c);
	tls_server_stop(&s);
}

/* A reply that lasts until the end of the stream is not believed when somebody on the way has cut it. */
static void test_truncated_http(void)
{
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = "/" };
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_err e = { 0 };
	struct lxm_http *h;

	tls_server_start(&s, SERVE_CUT_HTTP, 0);
	t = target_of(&s, a);
	h = lxm_http_new(lxm_dial_tls, &t);
	CU_ASSERT_EQUAL(lxm_http_do(h, &rq, &reply, &e), -ECONNRESET);
	lxm_http_free(h);
	tls_server_stop(&s);
}

/* SIGPIPE stays harmless when the peer is gone before we write, and what it had said before can still be read. */
static void test_sigpipe(void)
{
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };
	char buf[16384];
	int i, failed = 0;

	tls_server_start(&s, SERVE_CUT, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	tls_server_stop(&s);
	(void)signal(SIGPIPE, SIG_DFL);
	for (i = 0; i < 100 && !failed; i++) {
		failed = c.ops->write(&c, "data", 4) < 0;
		if (!failed)
			usleep(1000);
	}
	CU_ASSERT_TRUE(failed);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), 5);
	lxm_conn_close(&c);
	(void)signal(SIGPIPE, SIG_IGN);
}

static void test_silence(void)
{
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };
	char buf[16384];

	tls_server_start(&s, SERVE_SILENCE, 0);
	t = target_of(&s, a);
	t.handshake_ms = 100;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, s.address));
	tls_server_stop(&s);
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	t.silence_ms = 100;
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), -ETIMEDOUT);
	/* on a non-blocking descriptor that is just "not yet" */
	lxm_conn_nonblock(&c, true);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), -EAGAIN);
	lxm_conn_close(&c);
	tls_server_stop(&s);
}

/* A port where nobody listens. */
static void dead_address(char *out, size_t room)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&sa, len), 0);
	CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	snprintf(out, room, "127.0.0.1:%d", ntohs(sa.sin_port));
	close(fd);
}

static void test_several_addresses(void)
{
	struct tls_server s, wrong;
	char dead[32];
	const char *a[4];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	dead_address(dead, sizeof(dead));
	tls_server_start(&s, SERVE_ECHO, 0);
	tls_server_start(&wrong, SERVE_ECHO, 0);
	t = target_of(&s, a);
	a[0] = dead;
	a[1] = wrong.address;
	a[2] = s.address;
	a[3] = NULL;
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_TRUE(echoes(&c));
	CU_ASSERT_STRING_EQUAL(t.address, s.address);
	lxm_conn_close(&c);
	a[2] = NULL;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, dead));
	CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, wrong.address));
	a[1] = NULL;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -ECONNREFUSED);
	a[0] = NULL;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EINVAL);
	tls_server_stop(&s);
	tls_server_stop(&wrong);
}

/* Whoever does not answer at all delays the next address by a moment, and ends with the time given. */
static void test_black_hole(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[4];
	struct tls_server s;
	char hole[32];
	const char *a[3];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };
	size_t i;

	/* a full backlog drops SYNs */
	CU_ASSERT_EQUAL(bind(listener, (struct sockaddr *)&sa, len) | listen(listener, 0), 0);
	CU_ASSERT_EQUAL(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	snprintf(hole, sizeof(hole), "127.0.0.1:%d", ntohs(sa.sin_port));
	for (i = 0; i < LXM_ARRAY_LEN(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fill[i], (struct sockaddr *)&sa, len);
	}
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	a[0] = hole;
	a[1] = s.address;
	a[2] = NULL;
	t.handshake_ms = 2000;
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_STRING_EQUAL(t.address, s.address);
	lxm_conn_close(&c);
	a[1] = NULL;
	t.connect_ms = 100;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -ETIMEDOUT);
	tls_server_stop(&s);
	for (i = 0; i < LXM_ARRAY_LEN(fill); i++)
		close(fill[i]);
	close(listener);
}

static void test_ca(void)
{
	char dir[SCRATCH_MAX], path[SCRATCH_MAX + 4];
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };

	scratch(dir, "ca");
	snprintf(path, sizeof(path), "%s/ca", dir);
	tls_server_start(&s, SERVE_ECHO, 0);
	CU_ASSERT_EQUAL(lxm_write_file_atomic(AT_FDCWD, path, s.pair.pem, strlen(s.pair.pem), 0600), 0);
	t = target_of(&s, a);
	t.server_pem = NULL;
	t.trust = LXM_TLS_SYSTEM_CA;
	t.server_name = "localhost";
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	t.ca_file = path;
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_TRUE(echoes(&c));
	lxm_conn_close(&c);
	t.server_name = "example.com";
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	t.server_name = NULL; /* 127.0.0.1 stands not in the certificate */
	CU_ASSERT_EQUAL(lxm_dial_tls(&t, &c, &e), -EKEYREJECTED);
	tls_server_stop(&s);
	(void)lxm_rm_tree_at(AT_FDCWD, dir);
}

static void test_fetch(void)
{
	lxm_auto(free) char *pem = NULL;
	struct tls_server s;
	struct pair mine;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_err e = { 0 };

	pair_init(&mine, "client");
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	t.client_pem = mine.pem;
	t.client_key_pem = mine.key_pem;
	t.server_pem = NULL;
	CU_ASSERT_EQUAL(lxm_tls_fetch_cert(&t, &pem, &e), 0);
	CU_ASSERT_STRING_EQUAL(pem, s.pair.pem);
	CU_ASSERT_STRING_EQUAL(t.peer_fingerprint, s.pair.fingerprint);
	tls_server_stop(&s);
	CU_ASSERT_EQUAL(s.client_certs, 0);
	CU_ASSERT_EQUAL(s.bytes, 0);
	pair_deinit(&mine);
}

/* More than the sockets hold, both ways at once, with a descriptor that never waits. */
static void test_nonblocking(void)
{
	enum { TOTAL = 8 << 20 };
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };
	lxm_auto(free) unsigned char *out = lxm_alloc(TOTAL), *in = lxm_alloc(TOTAL + 16384);
	size_t sent = 0, got = 0, i;
	int waits = 0;

	for (i = 0; i < TOTAL; i++)
		out[i] = (unsigned char)(i * 2654435761u >> 13);
	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	lxm_conn_nonblock(&c, true);
	while (got < TOTAL) {
		struct pollfd p = { .fd = c.fd, .events = (short)(POLLIN | (sent < TOTAL ? POLLOUT : 0)) };
		ssize_t n;

		/* all that poll does not tell of has been read: this never waits in vain */
		if (poll(&p, 1, 5000) <= 0)
			break;
		n = sent < TOTAL ? c.ops->write(&c, out + sent, TOTAL - sent) : -EAGAIN;
		sent += n > 0 ? (size_t)n : 0;
		n = c.ops->read(&c, in + got, 16384);
		if (n == -EAGAIN)
			waits++;
		else if (n <= 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	CU_ASSERT_EQUAL(sent, TOTAL);
	CU_ASSERT_EQUAL_FATAL(got, TOTAL);
	CU_ASSERT_EQUAL(memcmp(in, out, TOTAL), 0);
	lxm_conn_close(&c);
	tls_server_stop(&s);
}

/* Session tickets that come after the handshake are no data; the server's end is an end. */
static void test_idle(void)
{
	struct tls_server s;
	const char *a[2];
	struct lxm_tls_target t;
	struct lxm_conn c = { .fd = -1 };
	struct lxm_err e = { 0 };
	struct pollfd p;
	char buf[16384];

	tls_server_start(&s, SERVE_ECHO, 0);
	t = target_of(&s, a);
	CU_ASSERT_FALSE(lxm_conn_idle(&c));
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	p = (struct pollfd){ .fd = c.fd, .events = POLLIN };
	CU_ASSERT_EQUAL(poll(&p, 1, 5000), 1); /* the tickets */
	CU_ASSERT_TRUE(lxm_conn_idle(&c));
	CU_ASSERT_TRUE(echoes(&c));
	CU_ASSERT_TRUE(lxm_conn_idle(&c));
	CU_ASSERT_EQUAL(c.ops->write(&c, "more", 4), 4);
	CU_ASSERT_EQUAL(poll(&p, 1, 5000), 1);
	CU_ASSERT_FALSE(lxm_conn_idle(&c));
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), 4); /* it was only looked at */
	lxm_conn_close(&c);
	tls_server_stop(&s);
	tls_server_start(&s, SERVE_CUT, 0);
	t = target_of(&s, a);
	CU_ASSERT_EQUAL_FATAL(lxm_dial_tls(&t, &c, &e), 0);
	CU_ASSERT_EQUAL(c.ops->read(&c, buf, sizeof(buf)), 5);
	tls_server_stop(&s);
	CU_ASSERT_FALSE(lxm_conn_idle(&c));
	lxm_conn_close(&c);
}

static void test_split(void)
{
	static const struct {
		const char *address, *host, *port;
	} good[] = {
		{ "h", "h", "8443" },
		{ "h:1", "h", "1" },
		{ "https://h.example:443/x?y", "h.example", "443" },
		{ "10.0.0.1:8443", "10.0.0.1", "8443" },
		{ "[::1]:9", "::1", "9" },
		{ "[::1]", "::1", "8443" },
		{ "fd00::1", "fd00::1", "8443" },
		{ "https://[fe80::1]", "fe80::1", "8443" },
	};
	static const char *const bad[] = { "", ":1", "h:", "h:x", "h:123456", "[::1", "[::1]x", "[]:1", "https://", "a b", "u@h" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(good); i++) {
		lxm_auto(free) char *host = NULL, *port = NULL;

		CU_ASSERT_EQUAL(lxm_tls_split_address(good[i].address, NULL, &host, &port, NULL), 0);
		CU_ASSERT_STRING_EQUAL(host ? host : "", good[i].host);
		CU_ASSERT_STRING_EQUAL(port ? port : "", good[i].port);
	}
	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		lxm_auto(free) char *host = NULL, *port = NULL;

		CU_ASSERT_EQUAL(lxm_tls_split_address(bad[i], NULL, &host, &port, NULL), -EINVAL);
	}
}

UNIT_MAIN("tls_conn",
	  { "a pinned server, by certificate and by fingerprint", test_pinned },
	  { "another server is refused before anything is sent", test_wrong_pin },
	  { "the client's certificate reaches the server", test_client_cert },
	  { "versions of TLS, and none", test_versions },
	  { "sessions are resumed, in memory and from files", test_resumption },
	  { "sessions of TLS 1.2 too", test_resumption_12 },
	  { "session files are private, and broken ones are no sessions", test_session_files },
	  { "an end is told from a cut", test_end_and_truncation },
	  { "a cut HTTP reply is an error", test_truncated_http },
	  { "no SIGPIPE", test_sigpipe },
	  { "silence ends in time", test_silence },
	  { "several addresses", test_several_addresses },
	  { "an address that swallows everything", test_black_hole },
	  { "CAs and names", test_ca },
	  { "fetching a certificate sends nothing", test_fetch },
	  { "non-blocking, both ways at once", test_nonblocking },
	  { "idle connections", test_idle },
	  { "addresses are split", test_split })
