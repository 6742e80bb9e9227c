/*
 * Join tokens. A token is an operation of class `token` that runs until somebody trades its secret, cancels it, or its
 * time is up; it belongs to no project, so that administrators alone see it. Clients put the token together from the
 * operation's metadata: base64 of a JSON object with the secret, our fingerprint and our addresses.
 *
 * Tokens live in memory: they end with the daemon, as in LXD. Worker threads.
 */
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "db/config.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/certificate.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/identity.h"
#include "lxmd/core/op.h"
#include "lxmd/core/schedule.h"
#include "lxmd/instance/snaprule.h"

#define TOKEN_MAX 16384 /* bytes of base64 */

/* ---- making one */

struct prepare {
	const struct db_certificate *cert;
	struct lxm_kv config;
};

/* The life of tokens, and whether the projects are there. */
static int prepare_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct prepare *p = arg;
	size_t i;
	int r = db_config_load(tx, &p->config, e);

	for (i = 0; r == 0 && i < p->cert->projects.n; i++) {
		r = db_project_exists(tx, p->cert->projects.v[i], e);
		if (r == DB_NONE)
			r = lxm_err_set(e, ENOENT, "Project \"%s\" not found", p->cert->projects.v[i]);
	}
	return r;
}

/* The request as clients want it back: every key, of its kind. */
static json_t *request_json(const struct db_certificate *c)
{
	return json_pack("{s:o, s:o, s:s, s:b, s:o, s:s, s:s, s:s, s:b}", "name", js_string(c->name), "description",
			 js_string(c->description), "type", c->type == DB_CERT_METRICS ? "metrics" : "client", "restricted",
			 c->restricted, "projects", js_from_strv(&c->projects), "certificate", "", "password", "", "trust_token", "",
			 "token", 1);
}

static json_t *metadata(struct lxmd *d, const struct db_certificate *c, const struct lxm_strv *addresses, lxm_time expires_at)
{
	unsigned char raw[OP_SECRET_LEN / 2];
	char secret[OP_SECRET_LEN + 1], fp[LXM_CERT_HEX];
	json_t *o;

	lxm_random(raw, sizeof(raw));
	lxm_hex(secret, raw, sizeof(raw));
	identity_fingerprint(d, fp);
	o = json_pack("{s:s, s:s, s:o, s:o}", "secret", secret, "fingerprint", fp, "addresses", js_from_strv(addresses), "request",
		      request_json(c));
	if (expires_at)
		json_object_set_new(o, "expiresAt", js_time(expires_at));
	return o;
}

/* Each minute: what nobody traded in time ends. */
static void expire(struct lxmd *d, lxm_time since, lxm_time now);

int certificate_token_new(struct request *rq, json_t *body, const struct db_certificate *c, struct lxm_err *e)
{
	static atomic_flag scheduled = ATOMIC_FLAG_INIT;
	lxm_auto(strv) struct lxm_strv addresses = { 0 };
	struct prepare p = { .cert = c };
	struct op_spec spec = { .cls = OP_TOKEN, .description = "Executing operation", .may_cancel = true, .caller = rq_caller(rq) };
	struct op *op;
	int r;

	identity_addresses(rq->d, &addresses);
	if (lxm_empty(c->name))
		return lxm_err_set(e, EINVAL, "a token needs the name of the client that it is for");
	if (!addresses.n)
		return lxm_err_set(e, EINVAL,
				   "a token is of no use while the API does not listen on the network: set core.https_address");
	r = db_read(rq->d->db, prepare_tx, &p, e);
	if (r == 0)
		spec.metadata = metadata(rq->d, c, &addresses,
					 snaprule_expiry(lxm_kv_get(&p.config, "core.remote_token_expiry"), lxm_now()));
	lxm_kv_deinit(&p.config);
	if (r == 0)
		r = op_new(rq->d, &spec, &op, e);
	if (r < 0)
		return r;
	if (!atomic_flag_test_and_set(&scheduled))
		schedule_add(rq->d->schedule, "expired tokens", expire);
	return reply_op_start(rq, op);
}

/* ---- trading one */

/* The object inside the base64, NULL if it is no token. */
static json_t *open_token(const char *text)
{
	size_t len = strlen(text), pad = 0;
	lxm_auto(free) unsigned char *raw = NULL;
	json_t *o = NULL;
	int n;

	if (!len || len % 4 || len > TOKEN_MAX)
		return NULL;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	raw = lxm_alloc(len + 1);
	n = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)len);
	if (n < 0 || (size_t)n < pad || js_parse((const char *)raw, (size_t)n - pad, &o, NULL) < 0)
		return NULL;
	if (lxm_empty(js_str(o, "secret"))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

bool certificate_token_is(const char *text)
{
	lxm_auto(json) json_t *o = open_token(text);

	return o;
}

/* The metadata of a token of ours that still runs, else NULL. New reference. */
static json_t *token_metadata(struct op *op)
{
	json_t *m = op_is_token(op) && !op_is_final(op) && !op_is_cancelled(op) ? op_metadata(op) : NULL;

	if (m && json_is_object(js_get(m, "request")))
		return m;
	json_decref(m);
	return NULL;
}

static bool expired(const json_t *m, lxm_time now)
{
	lxm_time at = 0;

	return js_get_time(m, "expiresAt", &at, NULL) < 0 || (at && at <= now);
}

static bool fits(struct op *op, void *arg)
{
	lxm_auto(json) json_t *m = token_metadata(op);

	return m && lxm_secret_eq(js_str_or(m, "secret", ""), arg) && !expired(m, lxm_now());
}

struct op *certificate_token_find(struct lxmd *d, const char *text, struct db_certificate *c)
{
	lxm_auto(json) json_t *o = open_token(text);
	lxm_auto(json) json_t *m = NULL;
	struct op *op = o ? ops_find(d->ops, fits, (void *)js_str(o, "secret")) : NULL;

	if (op)
		m = op_metadata(op);
	if (op && certificate_read_body(js_get(m, "request"), c, NULL) < 0) {
		op_unref(op);
		return NULL;
	}
	return op;
}

static bool is_expired(struct op *op, void *arg)
{
	lxm_auto(json) json_t *m = token_metadata(op);

	return m && expired(m, *(lxm_time *)arg);
}

static void expire(struct lxmd *d, lxm_time since, lxm_time now)
{
	struct op *op;

	int r = 0;

	while (r == 0 && (op = ops_find(d->ops, is_expired, &now))) {
		r = op_cancel(op, NULL);
		op_unref(op);
	}
}
