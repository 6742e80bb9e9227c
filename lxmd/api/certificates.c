/*
 * /1.0/certificates: list, show, change, remove. Administrators may all of it; any other client sees its own entry and
 * replaces the certificate in it, nothing else. Worker threads. A certificate is known by the SHA-256 of its DER form;
 * nothing else of it is believed.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/certificate.h"
#include "lxmd/core/daemon.h"

struct job {
	const char *prefix;
	struct db_certificate *cert;
	struct db_certificates *list;
};

static int not_found(const char *fingerprint, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "Certificate \"%.64s\" not found", fingerprint);
}

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

static bool is_admin(const struct request *rq)
{
	return rq_caller(rq)->trust == CALLER_ADMIN;
}

/* Others than administrators were let in for their own entry: a short prefix must not tell them of others that fit it. */
static const char *which(const struct request *rq)
{
	return is_admin(rq) ? rq_arg(rq, 0) : rq_caller(rq)->fingerprint;
}

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
		json_array_append_new(out, rq_recursion(rq) ? certificate_json(&l.v[i]) :
							      js_url("/1.0/certificates/%s", l.v[i].fingerprint));
	return reply_sync(rq, out);
}

int api_certificate_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { 0 };
	struct job j = { .prefix = which(rq), .cert = &c };
	int r = db_read(rq->d->db, get_tx, &j, e);

	return r < 0 ? r : reply_sync_etag(rq, certificate_json(&c), certificate_editable(&c));
}

/* Over what c holds: the body's words, and its certificate if that is another one. */
static int read_change(struct request *rq, json_t *body, bool patch, struct db_certificate *c, struct lxm_err *e)
{
	const char *text = NULL;
	int r = js_get_str(body, "certificate", &text, e);

	if (r < 0)
		return r;
	/* what a replacement leaves out is off, but never wider than before: `restricted` must be said */
	if (is_admin(rq) && !patch) {
		if (!js_get(body, "restricted") && c->restricted)
			return lxm_err_set(e, EINVAL, "key 'restricted' is required to change a restricted certificate");
		lxm_strv_deinit(&c->projects);
	}
	r = certificate_read_body(body, c, e);
	return r < 0 || lxm_empty(text) ? r : certificate_set_text(c, text, e);
}

/* What a client may say of itself is what is known of it already. */
static int check_self(const struct db_certificate *was, const struct db_certificate *now, struct lxm_err *e)
{
	size_t i;
	bool same = lxm_streq(was->name, now->name) && lxm_streq(was->description, now->description) && was->type == now->type &&
		    was->restricted == now->restricted && was->projects.n == now->projects.n;

	for (i = 0; same && i < was->projects.n; i++)
		same = lxm_strv_has(&now->projects, was->projects.v[i]);
	return same ? 0 : lxm_err_http(e, 403, EPERM, "a client may replace its certificate, and change nothing else about itself");
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate was = { 0 };
	lxm_auto(db_certificate) struct db_certificate now = { 0 };
	struct job j = { .prefix = which(rq), .cert = &was };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = db_read(rq->d->db, get_tx, &j, e);
	if (r == 0)
		r = rq_check_etag(rq, certificate_editable(&was), e);
	if (r < 0)
		return r;
	now.id = was.id;
	now.fingerprint = lxm_strdup(was.fingerprint);
	now.name = lxm_strdup(was.name);
	now.description = lxm_strdup(was.description);
	now.pem = lxm_strdup(was.pem);
	now.type = was.type;
	now.restricted = was.restricted;
	lxm_strv_copy(&now.projects, &was.projects);
	r = read_change(rq, body, patch, &now, e);
	if (r == 0 && !is_admin(rq))
		r = check_self(&was, &now, e);
	j.cert = &now;
	if (r == 0)
		r = db_write(rq->d->db, update_tx, &j, e);
	if (r == 0)
		r = certificate_changed(rq, "certificate-updated", now.fingerprint, e);
	return r < 0 ? r : reply_sync(rq, NULL);
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

	if (r == 0)
		r = certificate_changed(rq, "certificate-deleted", c.fingerprint, e);
	return r < 0 ? r : reply_sync(rq, NULL);
}
