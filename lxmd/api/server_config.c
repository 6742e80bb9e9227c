/* Server configuration across the two databases, and PUT and PATCH of /1.0. Worker threads. */
#include "lxmd/api/server_config.h"

#include <string.h>

#include "db/config.h"
#include "db/node.h"
#include "db/storage.h"
#include "lib/api/json.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"
#include "lxmd/api/trust_password.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/http/http.h"
#include "lxmd/network/network.h"
#include "lxmd/storage/pool.h"

static int load_node(struct db_ntx *tx, void *arg, struct lxm_err *e)
{
	return db_node_config_load(tx, arg, e);
}

static int load_cluster(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_config_load(tx, arg, e);
}

int server_config_load(struct lxmd *d, struct lxm_kv *out, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv node = { 0 };
	int r = db_node_read(d->node, load_node, &node, e);

	if (r == 0)
		r = db_read(d->db, load_cluster, out, e);
	if (r == 0)
		lxm_kv_merge(out, &node);
	return r;
}

static int load_pools(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_pool_list(tx, arg, e);
}

/* Names of the drivers in use, " | " between them, as LXD shows it. */
static char *pool_drivers(struct lxmd *d)
{
	lxm_auto(db_pools) struct db_pools pools = { 0 };
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	if (db_read(d->db, load_pools, &pools, NULL) == 0)
		for (i = 0; i < pools.n; i++)
			if (!lxm_strv_has(&names, pools.v[i].driver))
				lxm_strv_add(&names, pools.v[i].driver);
	return lxm_strv_join(&names, " | ");
}

void server_add_storage(struct lxmd *d, json_t *environment)
{
	lxm_auto(free) char *names = pool_drivers(d);
	const char *const *driver;
	json_t *list = json_array();

	for (driver = storage_drivers(); *driver; driver++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:b}", "Name", *driver, "Version", "1",
						      "Remote", 0));
	json_object_set_new(environment, "storage", js_string(names));
	json_object_set_new(environment, "storage_version", json_string("1"));
	json_object_set_new(environment, "storage_supported_drivers", list);
}

json_t *server_config_json(const struct lxm_kv *config)
{
	json_t *o = json_object();

	lxm_kv_each(p, config) {
		const struct confkey *key = conf_find(&conf_server, p->key);

		json_object_set_new(o, p->key, js_string(key && (key->flags & KEY_SECRET) ? "true" : p->value));
	}
	return o;
}

/* ---- PUT and PATCH */

static int save_node(struct db_ntx *tx, void *arg, struct lxm_err *e)
{
	return db_node_config_replace(tx, arg, e);
}

static int save_cluster(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_config_replace(tx, arg, e);
}

static int save(struct lxmd *d, const struct lxm_kv *config, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv node = { 0 };
	lxm_auto(kv) struct lxm_kv cluster = { 0 };
	int r;

	lxm_kv_each(p, config) {
		const struct confkey *key = conf_find(&conf_server, p->key);

		lxm_kv_set(key && (key->flags & KEY_LOCAL) ? &node : &cluster, p->key, p->value);
	}
	r = db_write(d->db, save_cluster, &cluster, e);
	return r < 0 ? r : db_node_write(d->node, save_node, &node, e);
}

/* A client sends back "true" for a secret that it was never shown: that means "as it was". */
static void keep_secrets(const struct lxm_kv *was, struct lxm_kv *now)
{
	lxm_kv_each(p, was) {
		const struct confkey *key = conf_find(&conf_server, p->key);

		if (key && (key->flags & KEY_SECRET) && lxm_streq(lxm_kv_get(now, p->key), "true"))
			lxm_kv_set(now, p->key, p->value);
	}
}

/* A new password is kept as a hash only. */
static int hash_password(const struct lxm_kv *was, struct lxm_kv *now, struct lxm_err *e)
{
	static const char key[] = "core.trust_password";
	lxm_auto(free) char *hash = NULL;
	const char *password = lxm_kv_get(now, key);
	int r;

	if (lxm_empty(password) || lxm_streq(password, lxm_kv_get(was, key)))
		return 0;
	r = trust_password_hash(password, &hash, e);
	if (r == 0)
		lxm_kv_set(now, key, hash);
	return r < 0 ? lxm_err_wrap(e, r, "key '%s'", key) : 0;
}

static int change(struct request *rq, bool merge, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(kv) struct lxm_kv was = { 0 };
	lxm_auto(kv) struct lxm_kv body = { 0 };
	lxm_auto(kv) struct lxm_kv now = { 0 };
	json_t *o;
	int r = rq_need_json(rq, &o, e);

	if (r == 0)
		r = js_get_kv(o, "config", &body, NULL, e);
	if (r == 0)
		r = lock_take(rq->d->locks, "server/config", "Changing the configuration", 10000, &lock, e);
	if (r == 0)
		r = server_config_load(rq->d, &was, e);
	if (r == 0)
		r = rq_check_etag(rq, js_from_kv(&was), e);
	if (r < 0)
		return r;
	if (merge)
		lxm_kv_copy(&now, &was);
	lxm_kv_merge(&now, &body);
	keep_secrets(&was, &now);
	conf_drop_empty(&now);
	r = conf_check_change(&conf_server, &was, &now, e);
	if (r == 0)
		r = hash_password(&was, &now, e);
	if (r == 0)
		r = http_configure(rq->d, &now, false, e);
	if (r < 0)
		return r;
	r = save(rq->d, &now, e);
	if (r < 0) {
		(void)http_configure(rq->d, &was, false, NULL); /* nothing of it shall be in force */
		return r;
	}
	network_configure(rq->d, &now);
	event_lifecycle(rq->d, NULL, "config-updated", "/1.0", NULL, rq_caller(rq));
	return reply_sync(rq, NULL);
}

int api_server_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_server_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}
