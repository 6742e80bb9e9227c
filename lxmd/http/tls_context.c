/* The one place where it is decided what TLS is good enough. */
#include "lxmd/http/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define SUITES_13 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
#define SUITES_12                                                                                                  \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:"                   \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256"
#define GROUPS "X25519:P-256:P-384"

#define TICKET_LIFE_S	7200
#define PEER_CHAIN_MAX	(32 * 1024) /* bytes of what a client sends as its certificates */

LXM_AUTO_PTR(ssl_ctx, SSL_CTX, SSL_CTX_free)
LXM_AUTO_PTR(bio, BIO, BIO_free_all)
LXM_AUTO_PTR(x509, X509, X509_free)
LXM_AUTO_PTR(pkey, EVP_PKEY, EVP_PKEY_free)

const char *tls_complaint(void)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return why ? why : "connection lost";
}

/* The handshake has proven that the peer holds the key; who that is, is not OpenSSL's business. */
static int accept_any(X509_STORE_CTX *store, void *arg)
{
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static int no_password(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

static bool use_pair(SSL_CTX *ctx, const char *cert_pem, const char *key_pem)
{
	lxm_auto(bio) BIO *certs = BIO_new_mem_buf(cert_pem, -1), *keys = BIO_new_mem_buf(key_pem, -1);
	lxm_auto(x509) X509 *x = certs ? PEM_read_bio_X509(certs, NULL, no_password, NULL) : NULL;
	lxm_auto(pkey) EVP_PKEY *key = keys ? PEM_read_bio_PrivateKey(keys, NULL, no_password, NULL) : NULL;
	X509 *more;

	if (!x || !key || SSL_CTX_use_certificate(ctx, x) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		return false;
	while ((more = PEM_read_bio_X509(certs, NULL, no_password, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, more) != 1) {
			X509_free(more);
			return false;
		}
	ERR_clear_error(); /* the end of the text */
	return true;
}

int tls_context_new(const char *cert_pem, const char *key_pem, bool tls12, SSL_CTX **out, struct lxm_err *e)
{
	static const unsigned char id[] = "lxmd";
	lxm_auto(ssl_ctx) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, SUITES_13) || !SSL_CTX_set_cipher_list(ctx, SUITES_12) ||
	    !SSL_CTX_set1_groups_list(ctx, GROUPS) || !SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) ||
	    !use_pair(ctx, cert_pem, key_pem))
		return lxm_err_set(e, EINVAL, "set up TLS: %s", tls_complaint());
	/* clients that hang up without a goodbye have said all they wanted: HTTP knows where its messages end */
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					       SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
	SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
	/* tickets carry the session, the client's certificate with it; the server remembers nothing */
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(ctx, 1);
	(void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	*out = LXM_TAKE(ctx, NULL);
	return 0;
}
