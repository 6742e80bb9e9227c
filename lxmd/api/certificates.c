/*
 * /1.0/certificates: the trust store, for administrators. Worker threads. A certificate is known by the SHA-256 of
 * its DER form; nothing else of it is believed.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "db/certificate.h"
#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"

#define CERT_MAX 65536 /* bytes of base64; real ones have 1 to 3 KiB */

LXM_AUTO_PTR(x509, X509, X509_free)
LXM_AUTO_PTR(bio, BIO, BIO_free_all)

static const char *type_name(int type)
{
	return type == DB_CERT_METRICS ? "metrics" : type == DB_CERT_SERVER ? "server" : "client";
}

static int type_parse(const char *name, int *out, struct lxm_err *e)
{
	if (lxm_empty(name) || strcmp(name, "client") == 0)
		*out = DB_CERT_CLIENT;
	else if (strcmp(name, "metrics") == 0)
		*out = DB_CERT_METRICS;
	else
		return lxm_err_set(e, EINVAL, "key 'type' must be client or metrics, not '%.40s'", name);
	return 0;
}

static int not_found(const char *fingerprint, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "Certificate \"%.64s\" not found", fingerprint);
}

static json_t *cert_json(const struct db_certificate *c)
{
	return json_pack("{s:o, s:o, s:s, s:b, s:o, s:o, s:o}", "name", js_string(c->name), "description",
			 js_string(c->description), "type", type_name(c->type), "restricted", c->restricted, "projects",
			 js_from_strv(&c->projects), "certificate", js_string(c->pem), "fingerprint",
			 js_string(c->fingerprint));
}

static json_t *etag_json(const struct db_certificate *c)
{
	return json_pack("[o, o, s, b, o]", js_string(c->name), js_string(c->description), type_name(c->type),
			 c->restricted, js_from_strv(&c->projects));
}

/* ---- transactions */

struct job {
	const char *prefix;
	struct db_certificate *cert;
	struct db_certificates *list;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;

	return db_certificate_list(tx, j->list, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_certificate_get(tx, j->prefix, j->cert, e);

	return r == DB_NONE ? not_found(j->prefix, e) : r;
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;

	return db_certificate_create(tx, j->cert, e);
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_certificate_update(tx, j->cert, e);

	return r == DB_NONE ? not_found(j->prefix, e) : r;
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = get_tx(tx, arg, e);

	return r < 0 ? r : db_certificate_delete(tx, j->cert->id, e);
}

/* ---- the certificate itself */

/* Base64 of DER, line breaks and blanks anywhere (pylxd wraps its lines). */
static int decode_base64(const char *text, struct lxm_buf *out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf clean = { 0 };
	size_t pad = 0;
	int n;

	for (; *text; text++)
		if (!strchr(" \t\r\n", *text))
			lxm_buf_chr(&clean, *text);
	if (!clean.len || clean.len % 4 || clean.len > CERT_MAX)
		return lxm_err_set(e, EINVAL, "key 'certificate' is not base64 of a certificate (DER)");
	while (pad < 2 && clean.data[clean.len - 1 - pad] == '=')
		pad++;
	out->data = lxm_realloc_n(out->data, clean.len, 1);
	n = EVP_DecodeBlock((unsigned char *)out->data, (const unsigned char *)clean.data, (int)clean.len);
	if (n < 0 || (size_t)n < pad)
		return lxm_err_set(e, EINVAL, "key 'certificate' is not base64 of a certificate (DER)");
	out->cap = clean.len;
	out->len = (size_t)n - pad;
	return 0;
}

/* Fills fingerprint, pem and, where it has none, the name. */
static int read_certificate(const char *base64, struct db_certificate *c, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf der = { 0 };
	lxm_auto(x509) X509 *x = NULL;
	lxm_auto(bio) BIO *bio = BIO_new(BIO_s_mem());
	const unsigned char *p;
	unsigned char digest[32];
	char hex[65], cn[128];
	char *pem;
	long len;
	int r = decode_base64(base64, &der, e);

	if (r < 0)
		return r;
	p = (const unsigned char *)der.data;
	x = d2i_X509(NULL, &p, (long)der.len);
	ERR_clear_error();
	/* exactly one certificate: its digest is taken over all bytes that were sent */
	if (!x || p != (const unsigned char *)der.data + der.len)
		return lxm_err_set(e, EINVAL, "key 'certificate' holds no X.509 certificate");
	if (!bio || !PEM_write_bio_X509(bio, x) || !EVP_Digest(der.data, der.len, digest, NULL, EVP_sha256(), NULL))
		return lxm_err_set(e, ENOMEM, "certificate cannot be encoded");
	len = BIO_get_mem_data(bio, &pem);
	c->pem = lxm_strndup(pem, (size_t)len);
	lxm_hex(hex, digest, sizeof(digest));
	c->fingerprint = lxm_strdup(hex);
	if (lxm_empty(c->name) &&
	    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof(cn)) > 0 &&
	    lxm_utf8_ok(cn, strlen(cn))) {
		free(c->name);
		c->name = lxm_strdup(cn);
	}
	return 0;
}

/* What a body may say about a certificate besides its bytes. */
static int read_body(json_t *body, struct db_certificate *c, struct lxm_err *e)
{
	const char *name = NULL, *description = NULL, *type = NULL;
	int r = js_get_str(body, "name", &name, e);

	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_str(body, "type", &type, e);
	if (r == 0 && type)
		r = type_parse(type, &c->type, e);
	if (r == 0)
		r = js_get_bool(body, "restricted", &c->restricted, e);
	if (r == 0)
		r = js_get_strv(body, "projects", &c->projects, NULL, e);
	if (r == 0 && ((name && strlen(name) > 255) || (description && strlen(description) > 4096)))
		r = lxm_err_set(e, EINVAL, "key '%s' is too long", name && strlen(name) > 255 ? "name" : "description");
	if (r < 0)
		return r;
	if (name) {
		free(c->name);
		c->name = lxm_strdup(name);
	}
	if (description) {
		free(c->description);
		c->description = lxm_strdup(description);
	}
	return 0;
}

static void tell(struct request *rq, const char *action, const char *fingerprint)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/certificates/%s", fingerprint);

	event_lifecycle(rq->d, NULL, action, url, NULL, rq_caller(rq));
}

/* ---- handlers */

int api_certificates_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_certificates) struct db_certificates l = { 0 };
	struct job j = { .list = &l };
	json_t *out;
	size_t i;
	int r = db_read(rq->d->db, list_tx, &j, e);

	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; i < l.n; i++)
		json_array_append_new(out, rq_recursion(rq) ? cert_json(&l.v[i]) :
							      js_url("/1.0/certificates/%s", l.v[i].fingerprint));
	return reply_sync(rq, out);
}

int api_certificates_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { .type = DB_CERT_CLIENT };
	lxm_auto(free) char *url = NULL;
	struct job j = { .cert = &c };
	const char *base64 = NULL;
	bool token = false;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_get_bool(body, "token", &token, e);
	if (r == 0 && token)
		r = lxm_err_set(e, EINVAL,
				"a token is of no use while the API does not listen on the network (core.https_address)");
	if (r == 0)
		r = read_body(body, &c, e);
	if (r == 0)
		r = js_get_str(body, "certificate", &base64, e);
	if (r == 0 && lxm_empty(base64))
		r = lxm_err_set(e, EINVAL, "key 'certificate' is required");
	if (r == 0)
		r = read_certificate(base64, &c, e);
	if (r == 0)
		r = db_write(rq->d->db, create_tx, &j, e);
	if (r < 0)
		return r;
	tell(rq, "certificate-created", c.fingerprint);
	url = lxm_asprintf("/1.0/certificates/%s", c.fingerprint);
	return reply_created(rq, url);
}

int api_certificate_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { 0 };
	struct job j = { .prefix = rq_arg(rq, 0), .cert = &c };
	int r = db_read(rq->d->db, get_tx, &j, e);

	return r < 0 ? r : reply_sync_etag(rq, cert_json(&c), etag_json(&c));
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { 0 };
	struct job j = { .prefix = rq_arg(rq, 0), .cert = &c };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = db_read(rq->d->db, get_tx, &j, e);
	if (r == 0)
		r = rq_check_etag(rq, etag_json(&c), e);
	if (r < 0)
		return r;
	if (!patch) {
		/* what a replacement leaves out is off, but never wider than before: `restricted` must be said */
		if (!js_get(body, "restricted") && c.restricted)
			return lxm_err_set(e, EINVAL, "key 'restricted' is required to change a restricted certificate");
		lxm_strv_deinit(&c.projects);
	}
	r = read_body(body, &c, e);
	if (r == 0)
		r = db_write(rq->d->db, update_tx, &j, e);
	if (r < 0)
		return r;
	tell(rq, "certificate-updated", c.fingerprint);
	return reply_sync(rq, NULL);
}

int api_certificate_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_certificate_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_certificate_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { 0 };
	struct job j = { .prefix = rq_arg(rq, 0), .cert = &c };
	int r = db_write(rq->d->db, delete_tx, &j, e);

	if (r < 0)
		return r;
	tell(rq, "certificate-deleted", c.fingerprint);
	return reply_sync(rq, NULL);
}
