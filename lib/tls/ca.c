/*
 * One level only: the authority's key signed the certificate itself. No chain is built and nothing is fetched, so what a
 * client sends besides its own certificate does not matter.
 */
#include "lib/tls/ca.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#include "lib/base/alloc.h"

struct lxm_ca {
	X509 *cert;
	X509_CRL *crl; /* NULL: nothing is revoked */
};

LXM_AUTO_PTR(x509, X509, X509_free)
LXM_AUTO_PTR(bio, BIO, BIO_free_all)

void lxm_ca_free(struct lxm_ca *ca)
{
	if (!ca)
		return;
	X509_free(ca->cert);
	X509_CRL_free(ca->crl);
	free(ca);
}

static int load(struct lxm_ca *ca, const char *ca_pem, const char *crl_pem, struct lxm_err *e)
{
	lxm_auto(bio) BIO *cert_bio = BIO_new_mem_buf(ca_pem, -1);
	lxm_auto(bio) BIO *crl_bio = crl_pem ? BIO_new_mem_buf(crl_pem, -1) : NULL;

	ca->cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
	if (!ca->cert)
		return lxm_err_set(e, EINVAL, "no certificate of an authority in PEM form");
	if (X509_check_ca(ca->cert) == 0)
		return lxm_err_set(e, EINVAL, "the authority's certificate may not sign others");
	if (!crl_pem)
		return 0;
	ca->crl = crl_bio ? PEM_read_bio_X509_CRL(crl_bio, NULL, NULL, NULL) : NULL;
	if (!ca->crl)
		return lxm_err_set(e, EINVAL, "no list of revoked certificates in PEM form");
	if (X509_CRL_verify(ca->crl, X509_get0_pubkey(ca->cert)) != 1)
		return lxm_err_set(e, EINVAL, "the list of revoked certificates is not signed by the authority");
	/* sorts the list now, so that look-ups of several threads only read it */
	(void)X509_CRL_sort(ca->crl);
	return 0;
}

int lxm_ca_new(const char *ca_pem, const char *crl_pem, struct lxm_ca **out, struct lxm_err *e)
{
	lxm_auto(ca) struct lxm_ca *ca = lxm_alloc(sizeof(*ca));
	int r = load(ca, ca_pem, crl_pem, e);

	ERR_clear_error();
	if (r == 0)
		*out = LXM_TAKE(ca, NULL);
	return r;
}

static bool in_time(const X509 *x, lxm_time now)
{
	time_t t = (time_t)(now / 1000);

	return X509_cmp_time(X509_get0_notBefore(x), &t) < 0 && X509_cmp_time(X509_get0_notAfter(x), &t) > 0;
}

int lxm_ca_check(const struct lxm_ca *ca, const void *der, size_t len, lxm_time now)
{
	const unsigned char *p = der;
	lxm_auto(x509) X509 *x = d2i_X509(NULL, &p, (long)len);
	X509_REVOKED *revoked;
	int r = LXM_CA_FOREIGN;

	if (x && in_time(ca->cert, now) && X509_check_issued(ca->cert, x) == X509_V_OK &&
	    X509_verify(x, X509_get0_pubkey(ca->cert)) == 1)
		r = 0;
	if (r == 0 && ca->crl && X509_CRL_get0_by_cert(ca->crl, &revoked, x) == 1)
		r = LXM_CA_REVOKED;
	ERR_clear_error();
	return r;
}
