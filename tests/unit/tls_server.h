/* A TLS server in a thread, for tests of what dials it: a certificate of its own, one behaviour for every connection. */
#ifndef LXM_TESTS_TLS_SERVER_H
#define LXM_TESTS_TLS_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

/* A self-signed certificate for localhost and its key. */
struct pair {
	EVP_PKEY *key;
	X509 *cert;
	char *pem, *key_pem;
	char fingerprint[65];
};

static inline char *pem_text(BIO *b)
{
	char *data;
	long n = BIO_get_mem_data(b, &data);
	char *s = lxm_strndup(data, (size_t)n);

	BIO_free(b);
	return s;
}

static inline void pair_init(struct pair *p, const char *cn)
{
	X509_NAME *name;
	X509_EXTENSION *ext;
	unsigned char raw[32];
	unsigned int n;
	BIO *b;

	p->key = EVP_EC_gen("P-256");
	p->cert = X509_new();
	X509_set_version(p->cert, 2);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(p->cert), (uint64_t)random() + 1);
	X509_gmtime_adj(X509_getm_notBefore(p->cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(p->cert), 3600);
	X509_set_pubkey(p->cert, p->key);
	name = X509_get_subject_name(p->cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p->cert, name);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
	X509_add_ext(p->cert, ext, -1);
	X509_EXTENSION_free(ext);
	X509_sign(p->cert, p->key, EVP_sha256());
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, p->cert);
	p->pem = pem_text(b);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, p->key, NULL, NULL, 0, NULL, NULL);
	p->key_pem = pem_text(b);
	X509_digest(p->cert, EVP_sha256(), raw, &n);
	lxm_hex(p->fingerprint, raw, 32);
}

static inline void pair_deinit(struct pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
	free(p->pem);
	free(p->key_pem);
}

enum serve {
	SERVE_ECHO,    /* give back what comes, until the client ends */
	SERVE_SILENCE, /* accept, and never say a word */
	SERVE_BYE,     /* "hello" and a proper end */
	SERVE_CUT,     /* "hello" and the end of the TCP stream */
	SERVE_CUT_HTTP, /* an HTTP reply without a length, cut */
	SERVE_PLAIN,   /* no TLS at all */
};

struct tls_server {
	struct pair pair;
	enum serve how;
	int max_version; /* 0: any */
	int fd, stop[2];
	char address[32];
	pthread_t thread;
	SSL_CTX *ctx;
	atomic_int handshakes, resumed, client_certs, bytes; /* seen so far */
	char client_fingerprint[65];			     /* valid once client_certs rose */
};

static inline int any_client(int ok, X509_STORE_CTX *ctx)
{
	return 1;
}

static inline void tls_server_talk(struct tls_server *s, SSL *ssl)
{
	char buf[16384];
	int n;

	if (s->how == SERVE_CUT_HTTP)
		n = SSL_read(ssl, buf, sizeof(buf)), SSL_write(ssl, "HTTP/1.1 200 OK\r\n\r\nhal", 22);
	if (s->how == SERVE_CUT || s->how == SERVE_BYE)
		SSL_write(ssl, "hello", 5);
	if (s->how == SERVE_BYE)
		SSL_shutdown(ssl);
	while (s->how == SERVE_ECHO && (n = SSL_read(ssl, buf, sizeof(buf))) > 0) {
		s->bytes += n;
		if (SSL_write(ssl, buf, n) != n)
			break;
	}
}

static inline void tls_server_one(struct tls_server *s, int fd)
{
	struct timeval tv = { .tv_sec = 20 };
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->stop[0], .events = POLLIN } };
	X509 *peer;
	SSL *ssl;

	if (s->how == SERVE_PLAIN) {
		(void)poll(p, 2, 5000);
		(void)send(fd, "220 mail.example.com\r\n", 22, MSG_NOSIGNAL);
		return;
	}
	if (s->how == SERVE_SILENCE) {
		/* until the client gives up */
		while (poll(p, 2, 5000) > 0 && !p[1].revents && recv(fd, (char[512]){ 0 }, 512, 0) > 0)
			;
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ssl = SSL_new(s->ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		unsigned char raw[32];
		unsigned int n;

		peer = SSL_get1_peer_certificate(ssl);
		if (peer) {
			X509_digest(peer, EVP_sha256(), raw, &n);
			lxm_hex(s->client_fingerprint, raw, 32);
			s->client_certs++;
			X509_free(peer);
		}
		s->resumed += SSL_session_reused(ssl);
		s->handshakes++;
		tls_server_talk(s, ssl);
	}
	ERR_clear_error();
	SSL_free(ssl);
}

static inline void *tls_server_main(void *arg)
{
	struct tls_server *s = arg;
	struct pollfd p[2] = { { .fd = s->fd, .events = POLLIN }, { .fd = s->stop[0], .events = POLLIN } };

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		int fd;

		if (p[1].revents)
			break;
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		tls_server_one(s, fd);
		close(fd);
	}
	return NULL;
}

/* Begin to serve on a free port of 127.0.0.1. */
static inline void tls_server_start(struct tls_server *s, enum serve how, int max_version)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);

	memset(s, 0, sizeof(*s));
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL's own socket BIO in the server; tests of the client set it back */
	pair_init(&s->pair, "server");
	s->how = how;
	s->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(s->ctx, s->pair.cert);
	SSL_CTX_use_PrivateKey(s->ctx, s->pair.key);
	SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, any_client);
	SSL_CTX_set_session_id_context(s->ctx, (const unsigned char *)"lxm", 3);
	if (max_version)
		SSL_CTX_set_max_proto_version(s->ctx, max_version);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&sa, len) || listen(s->fd, 16) || getsockname(s->fd, (struct sockaddr *)&sa, &len) ||
	    pipe(s->stop))
		abort();
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%d", ntohs(sa.sin_port));
	pthread_create(&s->thread, NULL, tls_server_main, s);
}

static inline void tls_server_stop(struct tls_server *s)
{
	(void)!write(s->stop[1], "x", 1);
	pthread_join(s->thread, NULL);
	close(s->fd);
	close(s->stop[0]);
	close(s->stop[1]);
	SSL_CTX_free(s->ctx);
	pair_deinit(&s->pair);
}

#endif
