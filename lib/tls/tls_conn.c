/*
 * TLS connections of a client, see tls_conn.h: dialling, handshake, and whom to believe (tls_io.c moves the bytes). A pinned
 * server is judged inside the handshake, before our certificate goes out, and once more at its end, because a resumed handshake asks
 * nobody. No state but the session list; any thread, one for a connection.
 */
#include "lib/tls/tls_conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lib/tls/tcp_race.h"
#include "lib/tls/tls_io.h"
#include "lib/tls/tls_sessions.h"

#define DEFAULT_MS    10000
#define KEEPALIVE_S   30 /* of silence before the kernel asks whether the peer is still there */
#define CIPHERS_12    "ECDHE+AESGCM:ECDHE+CHACHA20"

LXM_AUTO_PTR(x509, X509, X509_free)
LXM_AUTO_PTR(ssl_ctx, SSL_CTX, SSL_CTX_free)
LXM_AUTO_PTR(bio, BIO, BIO_free_all)
LXM_AUTO_PTR(pkey, EVP_PKEY, EVP_PKEY_free)

/* ---- whom to believe */

static void fingerprint(X509 *cert, char out[65])
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	*out = 0;
	if (cert && X509_digest(cert, EVP_sha256(), raw, &n) == 1 && n == 32)
		lxm_hex(out, raw, 32);
}

static X509 *parse_cert(const char *pem)
{
	lxm_auto(bio) BIO *b = BIO_new_mem_buf(pem, -1);

	return b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
}

/* Whether that is the certificate of the server that is meant. */
static bool is_pinned(const struct lxm_tls_target *target, X509 *cert)
{
	char fp[65];

	fingerprint(cert, fp);
	if (!*fp || (!target->server_pem && !target->server_fingerprint))
		return false;
	if (target->server_fingerprint && strcmp(fp, target->server_fingerprint) != 0)
		return false;
	if (target->server_pem) {
		lxm_auto(x509) X509 *pin = parse_cert(target->server_pem);

		return pin && X509_cmp(pin, cert) == 0;
	}
	return true;
}

/* Called in the handshake, before anything of ours is sent. */
static int judge(X509_STORE_CTX *store, void *arg)
{
	struct lxm_tls *t = arg;
	X509 *cert = X509_STORE_CTX_get0_cert(store);

	fingerprint(cert, t->fingerprint);
	if (t->any || is_pinned(t->target, cert))
		return 1;
	t->refused = true;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static int no_password(char *buf, int size, int rwflag, void *arg)
{
	return 0;
}

static int use_own_cert(SSL_CTX *ctx, const struct lxm_tls_target *target, struct lxm_err *e)
{
	lxm_auto(x509) X509 *cert = parse_cert(target->client_pem);
	lxm_auto(bio) BIO *b = BIO_new_mem_buf(target->client_key_pem, -1);
	lxm_auto(pkey) EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;

	if (!cert)
		return lxm_err_set(e, EINVAL, "the client certificate is not PEM");
	if (!key)
		return lxm_err_set(e, EINVAL, "the client key is not PEM, or has a password");
	if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return lxm_err_set(e, EINVAL, "the client key does not belong to the client certificate");
	return 0;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct lxm_tls *t = SSL_get_app_data(ssl);

	if (t->sessions && !t->any && !(SSL_session_reused(ssl) && t->young))
		lxm_tls_sessions_keep(t->sessions, &t->key, session);
	return 0; /* not taken */
}

static int make_ctx(const struct lxm_tls_target *target, bool any, SSL_CTX **ctx_out, struct lxm_err *e)
{
	lxm_auto(ssl_ctx) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int r = 0;

	if (!ctx)
		return lxm_err_set(e, ENOMEM, "set up TLS");
	(void)SSL_CTX_set_min_proto_version(ctx, target->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	(void)SSL_CTX_set_cipher_list(ctx, CIPHERS_12);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (!any && target->trust == LXM_TLS_SYSTEM_CA) {
		int ok = target->ca_file ? SSL_CTX_load_verify_file(ctx, target->ca_file)
					 : SSL_CTX_set_default_verify_paths(ctx);

		if (ok != 1)
			return lxm_err_set(e, EINVAL, "no CA certificates in '%s'",
					   target->ca_file ? target->ca_file : "the system's store");
	}
	if (!any && target->client_pem && target->client_key_pem)
		r = use_own_cert(ctx, target, e);
	if (r == 0)
		*ctx_out = LXM_TAKE(ctx, NULL);
	return r;
}

/* ---- the handshake */

static bool is_number(const char *host)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

static int name_server(struct lxm_tls *t, const char *host)
{
	const char *name = t->target->server_name ? t->target->server_name : host;
	bool number = is_number(name);

	if (!number && SSL_set_tlsext_host_name(t->ssl, name) != 1)
		return -EINVAL;
	if (t->any || t->target->trust != LXM_TLS_SYSTEM_CA)
		return 0;
	if (number)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) == 1 ? 0 : -EINVAL;
	return SSL_set1_host(t->ssl, name) == 1 ? 0 : -EINVAL;
}

static void offer_session(struct lxm_tls *t)
{
	SSL_SESSION *s;

	if (!t->sessions || t->any)
		return;
	s = lxm_tls_sessions_find(t->sessions, &t->key);
	if (!s)
		return;
	t->young = time(NULL) < SSL_SESSION_get_time(s) + SSL_SESSION_get_timeout(s) / 2;
	(void)SSL_set_session(t->ssl, s);
	SSL_SESSION_free(s);
}

/* Why the handshake failed, in words. Returns the errno value. */
static int handshake_error(struct lxm_tls *t, int kind, char *text, size_t room)
{
	unsigned long err = ERR_peek_error();
	long verify = SSL_get_verify_result(t->ssl);
	const char *pin = t->target->server_fingerprint;
	char fp[65] = "";

	if (t->refused) {
		if (!pin && t->target->server_pem) {
			lxm_auto(x509) X509 *cert = parse_cert(t->target->server_pem);

			fingerprint(cert, fp);
			pin = fp;
		}
		snprintf(text, room, "its certificate has fingerprint %s, and %s is trusted", t->fingerprint,
			 pin && *pin ? pin : "none");
		return EKEYREJECTED;
	}
	if (verify != X509_V_OK) {
		snprintf(text, room, "its certificate is not trusted: %s", X509_verify_cert_error_string(verify));
		return EKEYREJECTED;
	}
	if (kind == SSL_ERROR_SYSCALL && t->err) {
		snprintf(text, room, "%s", strerror(t->err));
		return t->err;
	}
	if (kind == SSL_ERROR_SYSCALL || ERR_GET_REASON(err) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		snprintf(text, room, "the server ended the connection instead of speaking TLS");
		return ECONNRESET;
	}
	if (ERR_GET_REASON(err) == SSL_R_WRONG_VERSION_NUMBER) {
		snprintf(text, room, "what answers there does not speak TLS");
		return EPROTO;
	}
	snprintf(text, room, "TLS: %s", ERR_reason_error_string(err) ? ERR_reason_error_string(err) : "failed");
	return EPROTO;
}

/* To the end of the handshake within the target's time. Returns 0, or -errno with the reason in text. */
static int shake_hands(struct lxm_tls *t, char *text, size_t room)
{
	int ms = t->target->handshake_ms > 0 ? t->target->handshake_ms : DEFAULT_MS;
	int64_t until = lxm_mono_ms() + ms;

	for (;;) {
		struct pollfd p = { .fd = t->fd };
		int64_t left = until - lxm_mono_ms();
		int r, kind;

		ERR_clear_error();
		r = SSL_connect(t->ssl);
		if (r == 1)
			return 0;
		kind = SSL_get_error(t->ssl, r);
		if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) {
			r = handshake_error(t, kind, text, room);
			t->broken = true;
			return -r;
		}
		if (left <= 0) {
			snprintf(text, room, "the TLS handshake took over %d s", (ms + 999) / 1000);
			return -ETIMEDOUT;
		}
		p.events = kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
		(void)poll(&p, 1, (int)left);
	}
}

/* The same judgement at the end: of a resumed session nobody was asked. */
static int judge_again(struct lxm_tls *t, char *text, size_t room)
{
	lxm_auto(x509) X509 *cert = SSL_get1_peer_certificate(t->ssl);

	fingerprint(cert, t->fingerprint);
	if (t->any || (t->target->trust == LXM_TLS_SYSTEM_CA && cert && SSL_get_verify_result(t->ssl) == X509_V_OK) ||
	    (t->target->trust == LXM_TLS_PINNED && cert && is_pinned(t->target, cert)))
		return 0;
	t->refused = true;
	return -handshake_error(t, SSL_ERROR_SSL, text, room);
}

static void set_socket(int fd, const struct lxm_tls_target *target)
{
	int on = 1, idle = KEEPALIVE_S, every = 10, times = 3;
	struct timeval tv = { .tv_sec = target->silence_ms / 1000, .tv_usec = target->silence_ms % 1000 * 1000 };

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	if (target->silence_ms > 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	}
}

/* TLS on one open socket (taken). Returns 0, or -errno with the reason in text. */
static int secure(struct lxm_tls_target *target, SSL_CTX *ctx, bool any, int fd, const char *address, const char *host,
		  struct lxm_conn *conn_out, char *text, size_t room)
{
	struct lxm_tls *t = lxm_alloc(sizeof(*t));
	struct lxm_conn conn = { .ops = &lxm_tls_ops, .fd = fd, .state = t };
	BIO *bio = NULL;
	int r;

	snprintf(text, room, "out of memory");
	set_socket(fd, target);
	t->fd = fd;
	t->any = any;
	t->target = target;
	t->sessions = target->sessions;
	t->broken = true; /* until the handshake is done */
	lxm_tls_key_of(target, address, &t->key);
	t->ssl = SSL_new(ctx);
	bio = t->ssl ? lxm_tls_bio(t) : NULL;
	r = bio ? 0 : -ENOMEM;
	if (r == 0) {
		SSL_set_bio(t->ssl, bio, bio);
		SSL_set_app_data(t->ssl, t);
		if (any || target->trust == LXM_TLS_PINNED)
			SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(t->ssl), judge, t);
		r = name_server(t, host);
	}
	if (r == 0) {
		offer_session(t);
		r = shake_hands(t, text, room);
	}
	if (r == 0)
		r = judge_again(t, text, room);
	memcpy(target->peer_fingerprint, t->fingerprint, sizeof(t->fingerprint));
	t->target = NULL;
	if (r < 0) {
		lxm_conn_close(&conn);
		return r;
	}
	t->broken = false;
	target->resumed = SSL_session_reused(t->ssl);
	lxm_conn_nonblock(&conn, false);
	*conn_out = conn;
	return 0;
}

static int dial(struct lxm_tls_target *target, bool any, struct lxm_conn *conn_out, struct lxm_err *e)
{
	lxm_auto(race) struct lxm_race *race = NULL;
	lxm_auto(ssl_ctx) SSL_CTX *ctx = NULL;
	int64_t until = lxm_mono_ms() + (target->connect_ms > 0 ? target->connect_ms : DEFAULT_MS);
	int r, rejected = 0;

	*target->peer_fingerprint = 0;
	target->address = NULL;
	target->resumed = false;
	r = make_ctx(target, any, &ctx, e);
	if (r == 0)
		r = lxm_race_new(target->addresses, target->default_port, &race, e);
	if (r < 0)
		return r;
	if (target->outside)
		lxm_race_outside(race);
	for (;;) {
		char text[300];
		size_t at;
		int fd = lxm_race_next(race, until, &at);

		if (fd < 0) {
			r = rejected ? rejected : r ? r : fd;
			return lxm_race_report(race, -r, e);
		}
		r = secure(target, ctx, any, fd, target->addresses[at], lxm_race_host(race, at), conn_out, text,
			   sizeof(text));
		if (r == 0) {
			target->address = target->addresses[at];
			return 0;
		}
		if (r == -EKEYREJECTED)
			rejected = r;
		lxm_race_failed(race, at, text);
		/* time spent on a handshake is not the next address's */
		until += target->handshake_ms > 0 ? target->handshake_ms : DEFAULT_MS;
	}
}

int lxm_dial_tls(void *target, struct lxm_conn *conn_out, struct lxm_err *e)
{
	return dial(target, false, conn_out, e);
}

int lxm_tls_fetch_cert(struct lxm_tls_target *target, char **pem_out, struct lxm_err *e)
{
	lxm_auto(conn) struct lxm_conn conn = { .fd = -1 };
	lxm_auto(bio) BIO *b = BIO_new(BIO_s_mem());
	lxm_auto(x509) X509 *cert = NULL;
	char *data;
	long n;
	int r = dial(target, true, &conn, e);

	if (r < 0)
		return r;
	cert = SSL_get1_peer_certificate(((struct lxm_tls *)conn.state)->ssl);
	if (!cert || !b || PEM_write_bio_X509(b, cert) != 1)
		return lxm_err_set(e, EPROTO, "'%s' shows no certificate", target->address);
	n = BIO_get_mem_data(b, &data);
	*pem_out = lxm_strndup(data, (size_t)n);
	return 0;
}
