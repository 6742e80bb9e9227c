/* lib/tls/ca: what an authority signed, what it took back, and what it has nothing to do with. */
#include "tests/unit/unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/tls/ca.h"
#include "lib/tls/cert.h"

static EVP_PKEY *key; /* one for all: who signed is told by name and signature */

static void ext(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	CU_ASSERT_FATAL(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

/* A certificate of that name, signed by `with` in the name of `issuer`. */
static X509 *make(const char *name, const char *issuer, EVP_PKEY *with, bool ca, int serial, long days)
{
	X509 *x = X509_new();

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), days < 0 ? -86400 * 9 : -60);
	X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_NAME_add_entry_by_txt(X509_get_issuer_name(x), "CN", MBSTRING_ASC, (const unsigned char *)issuer, -1, -1, 0);
	X509_set_pubkey(x, key);
	ext(x, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
	CU_ASSERT_FATAL(X509_sign(x, with, EVP_sha256()) > 0);
	return x;
}

static char *take_pem(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *out;
	long n;

	PEM_write_bio_X509(bio, x);
	n = BIO_get_mem_data(bio, &p);
	out = strndup(p, (size_t)n);
	BIO_free(bio);
	X509_free(x);
	return out;
}

static char *crl_pem(EVP_PKEY *with, int serial)
{
	X509_CRL *crl = X509_CRL_new();
	X509_NAME *name = X509_NAME_new();
	X509_REVOKED *one = X509_REVOKED_new();
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *later = X509_gmtime_adj(NULL, 86400);
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *out;
	long len;

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ca", -1, -1, 0);
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, name);
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, later);
	ASN1_INTEGER_set(n, serial);
	X509_REVOKED_set_serialNumber(one, n);
	X509_REVOKED_set_revocationDate(one, now);
	X509_CRL_add0_revoked(crl, one);
	X509_CRL_sign(crl, with, EVP_sha256());
	PEM_write_bio_X509_CRL(bio, crl);
	len = BIO_get_mem_data(bio, &p);
	out = strndup(p, (size_t)len);
	BIO_free(bio);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
	ASN1_INTEGER_free(n);
	X509_NAME_free(name);
	X509_CRL_free(crl);
	return out;
}

/* What the authority says of a certificate; x is freed. */
static int ask(const struct lxm_ca *ca, X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der), r = lxm_ca_check(ca, der, (size_t)n, lxm_now());

	OPENSSL_free(der);
	X509_free(x);
	return r;
}

static void signed_foreign_and_revoked(void)
{
	lxm_auto(free) char *ca_pem = take_pem(make("ca", "ca", key, true, 1, 9));
	lxm_auto(free) char *crl = crl_pem(key, 7);
	lxm_auto(ca) struct lxm_ca *ca = NULL;
	EVP_PKEY *other = EVP_EC_gen("P-256");

	CU_ASSERT_FATAL(lxm_ca_new(ca_pem, crl, &ca, NULL) == 0);
	CU_ASSERT(ask(ca, make("a", "ca", key, false, 6, 9)) == 0);
	CU_ASSERT(ask(ca, make("a", "ca", key, false, 7, 9)) == LXM_CA_REVOKED);
	CU_ASSERT(ask(ca, make("a", "ca", other, false, 6, 9)) == LXM_CA_FOREIGN);
	CU_ASSERT(ask(ca, make("a", "a", key, false, 6, 9)) == LXM_CA_FOREIGN);
	CU_ASSERT(lxm_ca_check(ca, "rubbish", 7, lxm_now()) == LXM_CA_FOREIGN);
	EVP_PKEY_free(other);
}

static void an_authority_has_its_time(void)
{
	lxm_auto(free) char *ca_pem = take_pem(make("ca", "ca", key, true, 1, -1));
	lxm_auto(ca) struct lxm_ca *ca = NULL;

	CU_ASSERT_FATAL(lxm_ca_new(ca_pem, NULL, &ca, NULL) == 0);
	CU_ASSERT(ask(ca, make("a", "ca", key, false, 6, 9)) == LXM_CA_FOREIGN);
}

static void what_is_no_authority_is_refused(void)
{
	lxm_auto(free) char *good = take_pem(make("ca", "ca", key, true, 1, 9));
	lxm_auto(free) char *leaf = take_pem(make("a", "ca", key, false, 1, 9));
	EVP_PKEY *other = EVP_EC_gen("P-256");
	lxm_auto(free) char *forged = crl_pem(other, 7);
	lxm_auto(ca) struct lxm_ca *ca = NULL;

	CU_ASSERT(lxm_ca_new(leaf, NULL, &ca, NULL) == -EINVAL);
	CU_ASSERT(lxm_ca_new("", NULL, &ca, NULL) == -EINVAL);
	CU_ASSERT(lxm_ca_new(good, "", &ca, NULL) == -EINVAL);
	CU_ASSERT(lxm_ca_new(good, forged, &ca, NULL) == -EINVAL);
	CU_ASSERT_PTR_NULL(ca);
	EVP_PKEY_free(other);
}

static void begin(void)
{
	key = EVP_EC_gen("P-256");
	CU_ASSERT_FATAL(key != NULL);
}

static void end(void)
{
	EVP_PKEY_free(key);
}

UNIT_MAIN("tls ca", { "(makes a key)", begin }, { "signed, foreign and revoked", signed_foreign_and_revoked },
	  { "an authority has its time", an_authority_has_its_time },
	  { "what is no authority is refused", what_is_no_authority_is_refused }, { "(frees it)", end })
