/* X.509 certificates as lxm uses them: known by the SHA-256 of their bytes, made with a key of their own, read for a name and two dates. */
#ifndef LXM_TLS_CERT_H
#define LXM_TLS_CERT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

#define LXM_CERT_MAX   65536 /* bytes of DER, PEM or base64 of one certificate or key; real ones have 1 to 3 KiB */
#define LXM_CERT_HEX   65    /* a fingerprint with its NUL */
#define LXM_CERT_YEARS 10    /* life of the certificates that lxm makes for itself */

enum lxm_cert_use {
	LXM_CERT_CLIENT, /* extended key usage clientAuth */
	LXM_CERT_SERVER, /* extended key usage serverAuth: clients refuse a server's certificate without it */
};

/* What is read of a certificate. Nothing of it is proven by anyone: it is for people, and for the dates. */
struct lxm_cert_info {
	char cn[128];	      /* common name of the subject; "" if there is none or it is not UTF-8 */
	lxm_time not_before;
	lxm_time not_after;
	bool sans;	      /* it names at least one DNS host */
	bool server;	      /* may be a server's: no extended key usage, or one with serverAuth */
};

/**
 * Make a key (ECDSA, P-384) and a certificate that it signs itself.
 *
 * @cn        common name, cut at 64 bytes
 * @sans      DNS names and IP addresses that it shall hold, told apart by their look; may be NULL. Names that no
 *            certificate can hold are left out
 * @days      how long it is valid; it begins an hour ago, so that clocks may differ
 * @key_out   PEM of the key (PKCS #8), the caller's; wipe it with lxm_cert_key_free()
 * @cert_out  PEM of the certificate, free() it
 *
 * Any thread; about a millisecond. Returns 0, or -EIO when the library failed.
 */
int lxm_cert_make(const char *cn, const struct lxm_strv *sans, enum lxm_cert_use use, unsigned int days, char **key_out,
		  char **cert_out, struct lxm_err *e);

/** Overwrite and free the PEM of a key; NULL is fine. */
void lxm_cert_key_free(char *key);
LXM_AUTO_PTR(cert_key, char, lxm_cert_key_free)

/** Fingerprint of a certificate in DER form: lowercase hex of SHA-256 into out. The bytes are not looked at. Any thread. */
void lxm_cert_fingerprint(const void *der, size_t len, char out[LXM_CERT_HEX]);

/** The same of the first certificate in a PEM text. Returns 0, or -EINVAL when there is none. */
int lxm_cert_pem_fingerprint(const char *pem, char out[LXM_CERT_HEX], struct lxm_err *e);

/**
 * The DER form of the first certificate in a PEM text; what stands around it is skipped.
 *
 * @der  emptied first
 *
 * Returns 0, or -EINVAL when it holds none.
 */
int lxm_cert_pem_to_der(const char *pem, struct lxm_buf *der, struct lxm_err *e);

/** PEM of a certificate; free() *pem_out. The bytes must be one certificate and nothing behind it. Returns 0 or -EINVAL. */
int lxm_cert_der_to_pem(const void *der, size_t len, char **pem_out, struct lxm_err *e);

/** Base64 with blanks and line breaks anywhere (pylxd wraps its lines) into der (emptied first). Returns 0 or -EINVAL. */
int lxm_cert_from_base64(const char *text, struct lxm_buf *der, struct lxm_err *e);

/** Read a certificate: exactly one, nothing behind it. Returns 0 or -EINVAL. Any thread. */
int lxm_cert_info(const void *der, size_t len, struct lxm_cert_info *out, struct lxm_err *e);

/** True if `now` lies between its two dates. */
bool lxm_cert_in_time(const struct lxm_cert_info *info, lxm_time now);

/** Check that a PEM key is the one of the first certificate of a PEM text. Returns 0, or -EINVAL with what is wrong. */
int lxm_cert_check_pair(const char *cert_pem, const char *key_pem, struct lxm_err *e);

#endif
