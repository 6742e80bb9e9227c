/* lib/tls/cert: what is made can be read again, and what is no certificate is refused. */
#include "tests/unit/unit.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/tls/cert.h"

LXM_AUTO_PTR(x509, X509, X509_free)

/* A pair, its DER form and what is read of it. */
#define MADE(cn_, sans_, use_)                                                                   \
	lxm_auto(cert_key) char *key = NULL;                                                     \
	lxm_auto(free) char *pem = NULL;                                                         \
	lxm_auto(buf) struct lxm_buf der = { 0 };                                                \
	struct lxm_cert_info info = { 0 };                                                       \
	CU_ASSERT_FATAL(lxm_cert_make(cn_, sans_, use_, 3650, &key, &pem, NULL) == 0);          \
	CU_ASSERT_FATAL(lxm_cert_pem_to_der(pem, &der, NULL) == 0);                              \
	CU_ASSERT_FATAL(lxm_cert_info(der.data, der.len, &info, NULL) == 0)

static X509 *parse(const struct lxm_buf *der)
{
	const unsigned char *p = (const unsigned char *)der->data;

	return d2i_X509(NULL, &p, (long)der->len);
}

static void a_server_certificate_says_who_and_how_long(void)
{
	lxm_auto(strv) struct lxm_strv sans = { 0 };
	lxm_auto(x509) X509 *x = NULL;
	lxm_time day = 86400000LL;

	lxm_strv_add(&sans, "host1");
	lxm_strv_add(&sans, "10.0.0.1");
	lxm_strv_add(&sans, "::1");
	lxm_strv_add(&sans, "evil,DNS:bank.example"); /* no name: must not add words */
	MADE("root@host1", &sans, LXM_CERT_SERVER);
	CU_ASSERT_STRING_EQUAL(info.cn, "root@host1");
	CU_ASSERT(info.sans && info.server);
	CU_ASSERT(lxm_cert_in_time(&info, lxm_now()));
	CU_ASSERT(!lxm_cert_in_time(&info, lxm_now() - day));
	CU_ASSERT(lxm_cert_in_time(&info, lxm_now() + 3649 * day));
	CU_ASSERT(!lxm_cert_in_time(&info, lxm_now() + 3651 * day));
	x = parse(&der);
	CU_ASSERT(X509_check_host(x, "host1", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1);
	CU_ASSERT(X509_check_host(x, "bank.example", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 0);
	CU_ASSERT(X509_check_ip_asc(x, "10.0.0.1", 0) == 1 && X509_check_ip_asc(x, "::1", 0) == 1);
	CU_ASSERT(EVP_PKEY_get_bits(X509_get0_pubkey(x)) == 384);
	CU_ASSERT(X509_verify(x, X509_get0_pubkey(x)) == 1);
	CU_ASSERT(X509_check_ca(x) == 0);
}

static void a_client_certificate_is_no_servers(void)
{
	lxm_auto(x509) X509 *x = NULL;

	MADE("alice", NULL, LXM_CERT_CLIENT);
	CU_ASSERT(!info.server && !info.sans);
	x = parse(&der);
	CU_ASSERT(X509_check_purpose(x, X509_PURPOSE_SSL_CLIENT, 0) == 1);
	CU_ASSERT(X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0) == 0);
}

static void long_and_split_names_are_cut(void)
{
	char cn[100];

	memset(cn, 'a', sizeof(cn));
	memcpy(cn + 63, "\xc3\xa4", 2); /* ends beyond what a name may have */
	cn[99] = '\0';
	MADE(cn, NULL, LXM_CERT_CLIENT);
	CU_ASSERT(strlen(info.cn) == 63);
}

static void forms_lead_into_each_other(void)
{
	lxm_auto(free) char *again = NULL, *twice = NULL;
	lxm_auto(buf) struct lxm_buf back = { 0 }, text = { 0 };
	char a[LXM_CERT_HEX], b[LXM_CERT_HEX];
	unsigned char base64[4096];

	MADE("x", NULL, LXM_CERT_CLIENT);
	CU_ASSERT(lxm_cert_der_to_pem(der.data, der.len, &again, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(pem, again);
	lxm_cert_fingerprint(der.data, der.len, a);
	CU_ASSERT(lxm_cert_pem_fingerprint(pem, b, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(a, b);
	CU_ASSERT(lxm_is_hex(a, 64, 64));
	/* a key before it, as in one file with both, is skipped */
	twice = lxm_asprintf("%s\n%s", key, pem);
	CU_ASSERT(lxm_cert_pem_fingerprint(twice, b, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(a, b);
	EVP_EncodeBlock(base64, (unsigned char *)der.data, (int)der.len);
	lxm_buf_fmt(&text, "%.64s\r\n %s\n", (char *)base64, (char *)base64 + 64);
	CU_ASSERT(lxm_cert_from_base64(text.data, &back, NULL) == 0);
	CU_ASSERT(back.len == der.len && memcmp(back.data, der.data, der.len) == 0);
}

static void two_pairs_differ(void)
{
	lxm_auto(free) char *pem2 = NULL;
	lxm_auto(cert_key) char *key2 = NULL;
	struct lxm_err e = { 0 };

	MADE("x", NULL, LXM_CERT_SERVER);
	CU_ASSERT(lxm_cert_make("x", NULL, LXM_CERT_SERVER, 1, &key2, &pem2, NULL) == 0);
	CU_ASSERT_STRING_NOT_EQUAL(pem, pem2);
	CU_ASSERT(lxm_cert_check_pair(pem, key, &e) == 0 && e.code == 0);
	CU_ASSERT(lxm_cert_check_pair(pem, key2, &e) == -EINVAL);
	CU_ASSERT(lxm_cert_check_pair(key, key, &e) == -EINVAL);
	CU_ASSERT(lxm_cert_check_pair(pem, pem, &e) == -EINVAL);
}

static void other_bytes_are_refused(void)
{
	lxm_auto(buf) struct lxm_buf out = { 0 };
	lxm_auto(free) char *text = NULL;
	struct lxm_cert_info none;
	size_t n;

	MADE("x", NULL, LXM_CERT_CLIENT);
	for (n = 0; n < der.len; n += 7)
		CU_ASSERT(lxm_cert_info(der.data, n, &none, NULL) == -EINVAL);
	lxm_buf_chr(&der, 'x');
	CU_ASSERT(lxm_cert_info(der.data, der.len, &none, NULL) == -EINVAL);
	CU_ASSERT(lxm_cert_der_to_pem(der.data, der.len, &text, NULL) == -EINVAL);
	CU_ASSERT_PTR_NULL(text);
	CU_ASSERT(lxm_cert_pem_to_der("-----BEGIN CERTIFICATE-----\nrubbish", &out, NULL) == -EINVAL);
	CU_ASSERT(lxm_cert_pem_to_der("", &out, NULL) == -EINVAL);
	CU_ASSERT(lxm_cert_pem_to_der(key, &out, NULL) == -EINVAL);
	CU_ASSERT(lxm_cert_from_base64("", &out, NULL) == -EINVAL);
	CU_ASSERT(lxm_cert_from_base64("abc", &out, NULL) == -EINVAL);
	CU_ASSERT(lxm_cert_from_base64("ab!!", &out, NULL) == -EINVAL);
}

UNIT_MAIN("tls cert", { "a server certificate says who and how long", a_server_certificate_says_who_and_how_long },
	  { "a client certificate is no server's", a_client_certificate_is_no_servers },
	  { "long and split names are cut", long_and_split_names_are_cut },
	  { "forms lead into each other", forms_lead_into_each_other }, { "two pairs differ", two_pairs_differ },
	  { "other bytes are refused", other_bytes_are_refused })
