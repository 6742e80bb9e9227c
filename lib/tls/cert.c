/*
 * Certificates over libcrypto. Each call leaves OpenSSL's error queue of its thread empty. lxm believes nothing that
 * a certificate says of itself: a peer is who holds the key of a certificate that is known byte by byte.
 */
#include "lib/tls/cert.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"

#define EARLY_S 3600 /* how long before now a new certificate begins */

LXM_AUTO_PTR(x509, X509, X509_free)
LXM_AUTO_PTR(pkey, EVP_PKEY, EVP_PKEY_free)
LXM_AUTO_PTR(bio, BIO, BIO_free_all)
LXM_AUTO_PTR(bn, BIGNUM, BN_free)

/* Puts the library's reason behind the text. */
static int ssl_error(struct lxm_err *e, int code, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	int r = lxm_err_set(e, code, "%s%s%s", what, why ? ": " : "", why ? why : "");

	ERR_clear_error();
	return r;
}

/* ---- make one */

static bool add_ext(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	return ok;
}

/* What may stand in a DNS name of a certificate: also keeps a name from adding words to the extension's text. */
static bool is_dns_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 253 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*") == n;
}

static bool add_sans(X509 *x, const struct lxm_strv *sans)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	unsigned char ip[16];
	size_t i;

	for (i = 0; sans && i < sans->n; i++) {
		const char *s = sans->v[i];
		bool is_ip = inet_pton(AF_INET, s, ip) == 1 || inet_pton(AF_INET6, s, ip) == 1;

		if (is_ip || is_dns_name(s))
			lxm_buf_fmt(&text, "%s%s:%s", text.len ? "," : "", is_ip ? "IP" : "DNS", s);
	}
	return text.len == 0 || add_ext(x, NID_subject_alt_name, text.data);
}

static bool add_serial(X509 *x)
{
	lxm_auto(bn) BIGNUM *n = BN_new();

	return n && BN_rand(n, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) && BN_add_word(n, 1) &&
	       BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
}

static bool fill(X509 *x, EVP_PKEY *key, const char *cn, const struct lxm_strv *sans, enum lxm_cert_use use,
		 unsigned int days)
{
	X509_NAME *name = X509_get_subject_name(x);
	time_t from = time(NULL) - EARLY_S;
	size_t n = strnlen(cn, 64);

	while (n > 0 && !lxm_utf8_ok(cn, n))
		n--; /* a cut must not split a character */
	return X509_set_version(x, 2) && add_serial(x) &&
	       X509_time_adj_ex(X509_getm_notBefore(x), 0, 0, &from) &&
	       X509_time_adj_ex(X509_getm_notAfter(x), (int)days, EARLY_S, &from) &&
	       X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"lxm", -1, -1, 0) &&
	       (n == 0 || X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, (int)n, -1, 0)) &&
	       X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
	       add_ext(x, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(x, NID_key_usage, "critical,digitalSignature") &&
	       add_ext(x, NID_ext_key_usage, use == LXM_CERT_SERVER ? "serverAuth" : "clientAuth") && add_sans(x, sans) &&
	       X509_sign(x, key, EVP_sha384());
}

static char *bio_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	return lxm_strndup(p, (size_t)n);
}

int lxm_cert_make(const char *cn, const struct lxm_strv *sans, enum lxm_cert_use use, unsigned int days, char **key_out,
		  char **cert_out, struct lxm_err *e)
{
	lxm_auto(pkey) EVP_PKEY *key = EVP_EC_gen("P-384");
	lxm_auto(x509) X509 *x = X509_new();
	lxm_auto(bio) BIO *key_bio = BIO_new(BIO_s_secmem()), *cert_bio = BIO_new(BIO_s_mem());

	if (!key || !x || !key_bio || !cert_bio || !fill(x, key, cn, sans, use, days) || !PEM_write_bio_X509(cert_bio, x) ||
	    !PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL))
		return ssl_error(e, EIO, "make a certificate");
	*key_out = bio_text(key_bio);
	*cert_out = bio_text(cert_bio);
	return 0;
}

void lxm_cert_key_free(char *key)
{
	if (key)
		OPENSSL_cleanse(key, strlen(key));
	free(key);
}

/* ---- read one */

void lxm_cert_fingerprint(const void *der, size_t len, char out[LXM_CERT_HEX])
{
	unsigned char digest[32] = { 0 };

	if (!EVP_Digest(der, len, digest, NULL, EVP_sha256(), NULL))
		abort(); /* no memory: a wrong fingerprint must never be compared */
	lxm_hex(out, digest, sizeof(digest));
}

int lxm_cert_pem_to_der(const char *pem, struct lxm_buf *der, struct lxm_err *e)
{
	lxm_auto(bio) BIO *bio = BIO_new_mem_buf(pem, -1);
	unsigned char *data = NULL;
	char *name = NULL, *header = NULL;
	bool found = false;
	long len = 0;

	while (bio && !found && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
		found = strcmp(name, PEM_STRING_X509) == 0 && len <= LXM_CERT_MAX;
		der->len = 0;
		if (found)
			lxm_buf_add(der, data, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len); /* may have been a key */
	}
	ERR_clear_error();
	return found ? 0 : lxm_err_set(e, EINVAL, "no certificate in PEM form");
}

int lxm_cert_pem_fingerprint(const char *pem, char out[LXM_CERT_HEX], struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf der = { 0 };
	int r = lxm_cert_pem_to_der(pem, &der, e);

	if (r == 0)
		lxm_cert_fingerprint(der.data, der.len, out);
	return r;
}

/* One certificate and nothing behind it: a fingerprint is taken over all bytes. */
static X509 *parse(const void *der, size_t len)
{
	const unsigned char *p = der;
	X509 *x = len <= LXM_CERT_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;

	ERR_clear_error();
	if (x && p != (const unsigned char *)der + len) {
		X509_free(x);
		x = NULL;
	}
	return x;
}

int lxm_cert_der_to_pem(const void *der, size_t len, char **pem_out, struct lxm_err *e)
{
	lxm_auto(x509) X509 *x = parse(der, len);
	lxm_auto(bio) BIO *bio = BIO_new(BIO_s_mem());

	if (!x)
		return lxm_err_set(e, EINVAL, "not an X.509 certificate");
	/* the bytes as they came: encoding the parsed form anew could change them */
	if (!bio || !PEM_write_bio(bio, PEM_STRING_X509, "", der, (long)len))
		return ssl_error(e, EIO, "encode a certificate");
	*pem_out = bio_text(bio);
	return 0;
}

int lxm_cert_from_base64(const char *text, struct lxm_buf *der, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf clean = { 0 };
	size_t pad = 0;
	int n;

	der->len = 0;
	for (; *text && clean.len <= LXM_CERT_MAX; text++)
		if (!strchr(" \t\r\n", *text))
			lxm_buf_chr(&clean, *text);
	if (!clean.len || clean.len % 4 || clean.len > LXM_CERT_MAX)
		return lxm_err_set(e, EINVAL, "not base64 of a certificate (DER)");
	while (pad < 2 && clean.data[clean.len - 1 - pad] == '=')
		pad++;
	lxm_buf_room(der, clean.len);
	n = EVP_DecodeBlock((unsigned char *)der->data, (const unsigned char *)clean.data, (int)clean.len);
	ERR_clear_error();
	if (n < 0 || (size_t)n < pad)
		return lxm_err_set(e, EINVAL, "not base64 of a certificate (DER)");
	der->len = (size_t)n - pad;
	der->data[der->len] = '\0';
	return 0;
}

/* A date that cannot be read is one that never holds. */
static lxm_time date(const ASN1_TIME *t, lxm_time wrong)
{
	struct tm tm;

	return t && ASN1_TIME_to_tm(t, &tm) ? (lxm_time)timegm(&tm) * 1000 : wrong;
}

static bool has_dns_name(X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	int i;

	for (i = 0; names && i < sk_GENERAL_NAME_num(names); i++)
		found = found || sk_GENERAL_NAME_value(names, i)->type == GEN_DNS;
	GENERAL_NAMES_free(names);
	return found;
}

int lxm_cert_info(const void *der, size_t len, struct lxm_cert_info *out, struct lxm_err *e)
{
	lxm_auto(x509) X509 *x = parse(der, len);
	uint32_t eku;
	int n;

	memset(out, 0, sizeof(*out));
	if (!x)
		return lxm_err_set(e, EINVAL, "not an X.509 certificate");
	n = X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out->cn, sizeof(out->cn));
	if (n < 0 || (size_t)n != strlen(out->cn) || !lxm_utf8_ok(out->cn, (size_t)n))
		out->cn[0] = '\0';
	out->not_before = date(X509_get0_notBefore(x), INT64_MAX);
	out->not_after = date(X509_get0_notAfter(x), INT64_MIN);
	out->sans = has_dns_name(x);
	eku = X509_get_extended_key_usage(x); /* all bits when there is no such extension */
	out->server = (eku & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
	ERR_clear_error();
	return 0;
}

bool lxm_cert_in_time(const struct lxm_cert_info *info, lxm_time now)
{
	return now >= info->not_before && now <= info->not_after;
}

static int no_password(char *buf, int size, int rwflag, void *arg)
{
	return -1; /* never ask on a terminal */
}

int lxm_cert_check_pair(const char *cert_pem, const char *key_pem, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf der = { 0 };
	lxm_auto(x509) X509 *x = NULL;
	lxm_auto(pkey) EVP_PKEY *key = NULL;
	lxm_auto(bio) BIO *bio = BIO_new_mem_buf(key_pem, -1);
	int r = lxm_cert_pem_to_der(cert_pem, &der, e);

	if (r < 0)
		return r;
	x = parse(der.data, der.len);
	if (!x)
		return lxm_err_set(e, EINVAL, "not an X.509 certificate");
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	ERR_clear_error();
	if (!key)
		return lxm_err_set(e, EINVAL, "no private key in PEM form (one without a password)");
	if (X509_check_private_key(x, key) != 1) {
		ERR_clear_error();
		return lxm_err_set(e, EINVAL, "the key does not belong to the certificate");
	}
	return 0;
}
