/*
 * POST /1.0/certificates, the one door through which strangers become clients: administrators add a certificate or make a
 * token; a stranger on TLS trades a token, or the trust password, for trust in the certificate that they came with.
 * Worker threads.
 */
#include <string.h>

#include "db/config.h"
#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/certificate.h"
#include "lxmd/api/trust_password.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"

#define LOCK_MS 10000

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_certificate_create(tx, arg, e);
}

static int add(struct request *rq, struct db_certificate *c, struct lxm_err *e)
{
	lxm_auto(free) char *url = NULL;
	int r = db_write(rq->d->db, create_tx, c, e);

	if (r == 0)
		r = certificate_changed(rq, "certificate-created", c->fingerprint, e);
	if (r < 0)
		return r;
	url = lxm_asprintf("/1.0/certificates/%s", c->fingerprint);
	return reply_created(rq, url);
}

static int refuse(struct lxm_err *e)
{
	return lxm_err_http(e, 403, EPERM, "not authorized");
}

/* The words that Ansible takes for success: it sends the trust password with every task. */
static int known(struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "Certificate already in trust store");
}

/* ---- administrators */

static int add_by_admin(struct request *rq, json_t *body, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { .type = DB_CERT_CLIENT };
	const char *text = NULL;
	bool token = false;
	int r = js_get_bool(body, "token", &token, e);

	if (r == 0)
		r = certificate_read_body(body, &c, e);
	if (r == 0)
		r = js_get_str(body, "certificate", &text, e);
	if (r < 0)
		return r;
	if (token)
		return lxm_empty(text) ? certificate_token_new(rq, body, &c, e) :
					 lxm_err_set(e, EINVAL, "give either 'certificate' or 'token', not both");
	if (lxm_empty(text) && rq_caller(rq)->fingerprint[0])
		return known(e);
	if (lxm_empty(text))
		return lxm_err_set(e, EINVAL, "key 'certificate' is required");
	r = certificate_set_text(&c, text, e);
	return r < 0 ? r : add(rq, &c, e);
}

/* ---- strangers */

/* The certificate of the connection: that they hold its key is proven. One in the body must be the same. */
static int peer_certificate(struct request *rq, json_t *body, struct db_certificate *c, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate said = { 0 };
	const char *text = NULL;
	size_t len = 0;
	const void *der = rq_peer_cert(rq, &len);
	int r = js_get_str(body, "certificate", &text, e);

	if (r < 0)
		return r;
	if (!der || !len)
		return lxm_err_set(e, EINVAL, "the connection came without a client certificate, or with one whose time is not now");
	r = certificate_set_der(c, der, len, e);
	if (r == 0 && !lxm_empty(text))
		r = certificate_set_text(&said, text, e);
	if (r == 0 && said.fingerprint && !lxm_streq(said.fingerprint, c->fingerprint))
		r = lxm_err_set(e, EINVAL, "key 'certificate' is another one than that of the connection");
	if (r == 0 && lxm_empty(c->name)) {
		free(c->name);
		c->name = lxm_strdup(rq_caller(rq)->address);
	}
	return r;
}

/* One redeems at a time, so that a token is used once. It is used up only by success. */
static int redeem_token(struct request *rq, json_t *body, const char *text, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { .type = DB_CERT_CLIENT };
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(op_unref) struct op *op = NULL;
	int r = lock_take(rq->d->locks, "certificates/redeem", "Redeeming a token", LOCK_MS, &lock, e);

	if (r < 0)
		return r;
	op = certificate_token_find(rq->d, text, &c);
	if (!op)
		return refuse(e);
	r = peer_certificate(rq, body, &c, e);
	if (r == 0)
		r = add(rq, &c, e);
	if (r == 0)
		op_finish(op, NULL);
	return r;
}

static int load_config(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_config_load(tx, arg, e);
}

static int redeem_password(struct request *rq, json_t *body, const char *password, struct lxm_err *e)
{
	lxm_auto(db_certificate) struct db_certificate c = { .type = DB_CERT_CLIENT };
	lxm_auto(kv) struct lxm_kv config = { 0 };
	int r = db_read(rq->d->db, load_config, &config, e);

	if (r == 0)
		r = trust_password_check(lxm_kv_get(&config, "core.trust_password"), password, rq_caller(rq)->address, e);
	if (r == 0)
		r = certificate_read_body(body, &c, e);
	if (r == 0)
		r = peer_certificate(rq, body, &c, e);
	return r < 0 ? r : add(rq, &c, e);
}

static int add_by_stranger(struct request *rq, json_t *body, struct lxm_err *e)
{
	const char *token = NULL, *password = NULL;
	int r = js_get_str(body, "trust_token", &token, e);

	if (r == 0)
		r = js_get_str(body, "password", &password, e);
	if (r < 0)
		return r;
	/* lxc puts both kinds into `password` */
	if (lxm_empty(token) && !lxm_empty(password) && certificate_token_is(password))
		token = password;
	if (!lxm_empty(token))
		return redeem_token(rq, body, token, e);
	return lxm_empty(password) ? refuse(e) : redeem_password(rq, body, password, e);
}

int api_certificates_post(struct request *rq, struct lxm_err *e)
{
	const struct caller *who = rq_caller(rq);
	const char *text = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, who->trust >= CALLER_RESTRICTED ? e : NULL);

	if (r < 0)
		return who->trust >= CALLER_RESTRICTED ? r : refuse(e);
	if (who->trust == CALLER_ADMIN)
		return add_by_admin(rq, body, e);
	if (who->trust < CALLER_RESTRICTED)
		return add_by_stranger(rq, body, e);
	r = js_get_str(body, "certificate", &text, e);
	if (r < 0)
		return r;
	return lxm_empty(text) && !js_bool(body, "token", false) ? known(e) : refuse(e);
}
