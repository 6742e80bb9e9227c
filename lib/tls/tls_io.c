/*
 * The bytes of TLS connections of a client. OpenSSL over a BIO of our own, which sends with MSG_NOSIGNAL and remembers errno. Any thread,
 * one for a connection.
 */
#include "lib/tls/tls_io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/fd.h"

/* ---- bytes: the BIO below OpenSSL */

static int transferred(BIO *b, ssize_t n, int direction)
{
	struct lxm_tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (n >= 0) {
		t->err = 0;
		return (int)n;
	}
	t->err = errno;
	if (errno == EAGAIN || errno == EINTR)
		BIO_set_flags(b, BIO_FLAGS_SHOULD_RETRY | direction);
	return -1;
}

static int bio_write(BIO *b, const char *data, int n)
{
	struct lxm_tls *t = BIO_get_data(b);

	return transferred(b, send(t->fd, data, (size_t)n, MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static int bio_read(BIO *b, char *data, int n)
{
	struct lxm_tls *t = BIO_get_data(b);

	return transferred(b, recv(t->fd, data, (size_t)n, 0), BIO_FLAGS_READ);
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lxm socket");
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

BIO *lxm_tls_bio(struct lxm_tls *t)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *b;

	pthread_once(&once, make_bio_method);
	b = BIO_new(bio_method);
	if (b) {
		BIO_set_data(b, t);
		BIO_set_init(b, 1);
	}
	return b;
}

/* ---- the open connection */

/* What a failed SSL_read or SSL_write means. A blocking socket says EAGAIN when it has been silent for too long. */
static ssize_t why(struct lxm_tls *t, int ret)
{
	int kind = SSL_get_error(t->ssl, ret);

	if (kind == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
		if (t->err == EAGAIN && !(fcntl(t->fd, F_GETFL) & O_NONBLOCK))
			return -ETIMEDOUT;
		return t->err == EINTR ? -EINTR : -EAGAIN;
	}
	t->broken = true;
	if (kind == SSL_ERROR_SYSCALL && t->err)
		return -t->err;
	switch (ERR_GET_REASON(ERR_peek_error())) {
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return -EKEYREJECTED; /* our certificate, that is */
	default:
		return -ECONNRESET;
	}
}

static ssize_t tls_read(struct lxm_conn *c, void *data, size_t n)
{
	struct lxm_tls *t = c->state;
	int r;

	if (t->broken)
		return -ECONNRESET;
	ERR_clear_error();
	r = SSL_read(t->ssl, data, n > INT32_MAX ? INT32_MAX : (int)n);
	return r > 0 ? r : why(t, r);
}

static ssize_t tls_write(struct lxm_conn *c, const void *data, size_t n)
{
	struct lxm_tls *t = c->state;
	ssize_t r;

	if (t->broken || t->mute)
		return -EPIPE;
	ERR_clear_error();
	r = SSL_write(t->ssl, data, n > INT32_MAX ? INT32_MAX : (int)n);
	if (r > 0)
		return r;
	if (SSL_get_error(t->ssl, (int)r) == SSL_ERROR_SYSCALL) {
		t->mute = true;
		return t->err ? -t->err : -EPIPE;
	}
	r = why(t, (int)r);
	return r ? r : -EPIPE;
}

/* Idle means: no data and no end, whatever else (new session tickets) has come meanwhile, which this takes in. */
static bool tls_idle(struct lxm_conn *c)
{
	struct lxm_tls *t = c->state;
	char byte;
	int r;

	if (t->broken || t->mute)
		return false;
	lxm_conn_nonblock(c, true);
	ERR_clear_error();
	r = SSL_peek(t->ssl, &byte, 1);
	r = r > 0 ? r : (int)why(t, r);
	lxm_conn_nonblock(c, false);
	return r == -EAGAIN;
}

static void tls_free(struct lxm_tls *t)
{
	SSL_free(t->ssl);
	free(t);
}

static void tls_close(struct lxm_conn *c)
{
	struct lxm_tls *t = c->state;

	if (!t->broken && !t->mute) {
		lxm_conn_nonblock(c, true); /* the farewell waits for nobody */
		ERR_clear_error();
		(void)SSL_shutdown(t->ssl);
	}
	ERR_clear_error();
	tls_free(t);
	auto_fd_close(&c->fd);
}

const struct lxm_conn_ops lxm_tls_ops = { tls_read, tls_write, tls_close, tls_idle };
