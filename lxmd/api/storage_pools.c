/* /1.0/storage-pools: list, create, show, change, delete, space. Request threads. */
#include <string.h>

#include "db/storage.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/storage/pool.h"

struct pool_tx {
	const char *name;
	struct db_pools list;
	struct db_pool one;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct pool_tx *a = arg;

	return db_pool_list(tx, &a->list, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct pool_tx *a = arg;
	int r;

	db_pool_deinit(&a->one);
	r = db_pool_get(tx, a->name, &a->one, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "storage pool '%.100s' not found", a->name) : r;
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct pool_tx *a = arg;
	int r = db_pool_update(tx, &a->one, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "storage pool '%.100s' not found", a->name) : r;
}

static json_t *editable(const struct db_pool *p)
{
	return json_pack("{s:o, s:o}", "description", js_string(p->description), "config", js_from_kv(&p->config));
}

static json_t *pool_json(struct request *rq, const struct db_pool *p)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(strv) struct lxm_strv images = { 0 };
	json_t *o = editable(p), *used = scope_urls(rq, &p->used_by);
	bool up = storage_pool_get(rq->d, p->name, &pool, NULL) == 0;
	size_t i;

	/* where on the host a pool lies, and which images somebody unpacked there, is for administrators */
	if (!scope_all(rq))
		json_object_set_new(o, "config", json_object());
	else if (up)
		pool_images(pool, &images);
	for (i = 0; i < images.n; i++)
		json_array_append_new(used, js_url("/1.0/images/%s", images.v[i]));
	json_object_set_new(o, "name", js_string(p->name));
	json_object_set_new(o, "driver", js_string(p->driver));
	json_object_set_new(o, "status", json_string(up ? "Created" : "Unavailable"));
	json_object_set_new(o, "used_by", used);
	json_object_set_new(o, "locations", json_pack("[s]", "none"));
	return o;
}

int api_storage_pools_get(struct request *rq, struct lxm_err *e)
{
	struct pool_tx a = { 0 };
	json_t *list;
	size_t i;
	int r = db_read(rq->d->db, list_tx, &a, e);

	if (r < 0)
		return r;
	list = json_array();
	for (i = 0; i < a.list.n; i++)
		json_array_append_new(list, rq_recursion(rq) ? pool_json(rq, &a.list.v[i]) :
							       js_url("/1.0/storage-pools/%s", a.list.v[i].name));
	db_pools_deinit(&a.list);
	return reply_sync(rq, list);
}

static void tell(struct request *rq, const char *action, const char *name)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/storage-pools/%s", name);

	event_lifecycle(rq->d, NULL, action, url, NULL, rq_caller(rq));
}

/* Defaults for new volumes, "volume.KEY": each KEY against the driver's table of volumes. */
static int check_volume_defaults(const char *driver, const struct lxm_kv *was, const struct lxm_kv *config, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < config->n; i++) {
		const char *key = config->v[i].key, *value = config->v[i].value;
		int r = 0;

		if (lxm_starts(key, "volume.") && !(was && lxm_streq(lxm_kv_get(was, key), value)))
			r = conf_check_one(conf_volume(driver), key + strlen("volume."), value, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "default '%.100s' for new volumes", key);
	}
	return 0;
}

/* Keys of a pool against its driver's table. */
static int check_config(const char *driver, const struct lxm_kv *was, struct lxm_kv *config, struct lxm_err *e)
{
	const struct conftable *table = conf_pool(driver);
	int r;

	if (!table)
		return lxm_err_set(e, EINVAL, "there is no storage driver '%.50s'", driver);
	conf_drop_empty(config);
	r = was ? conf_check_change(table, was, config, e) : conf_check(table, config, e);
	return r < 0 ? r : check_volume_defaults(driver, was, config, e);
}

int api_storage_pools_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv config = { 0 };
	lxm_auto(free) char *url = NULL;
	const char *name = NULL, *driver = NULL, *description = "";
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &name, e);
	if (r == 0)
		r = js_need_str(body, "driver", &driver, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_kv(body, "config", &config, NULL, e);
	if (r == 0)
		r = check_config(driver, NULL, &config, e);
	if (r == 0)
		r = storage_pool_create(rq->d, name, driver, description, &config, e);
	if (r < 0)
		return r;
	tell(rq, "storage-pool-created", name);
	url = lxm_asprintf("/1.0/storage-pools/%s", name);
	return reply_created(rq, url);
}

int api_storage_pool_get(struct request *rq, struct lxm_err *e)
{
	struct pool_tx a = { .name = rq_arg(rq, 0) };
	json_t *o, *tag;
	int r = db_read(rq->d->db, get_tx, &a, e);

	if (r < 0)
		return r;
	o = pool_json(rq, &a.one);
	tag = editable(&a.one);
	db_pool_deinit(&a.one);
	return reply_sync_etag(rq, o, tag);
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	struct pool_tx a = { .name = rq_arg(rq, 0) };
	lxm_auto(kv) struct lxm_kv config = { 0 }, wanted = { 0 };
	const char *description = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = db_read(rq->d->db, get_tx, &a, e);
	if (r == 0)
		r = rq_check_etag(rq, editable(&a.one), e);
	if (r == 0)
		r = js_get_kv(body, "config", &config, NULL, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0) {
		if (patch)
			lxm_kv_copy(&wanted, &a.one.config);
		lxm_kv_merge(&wanted, &config);
		r = check_config(a.one.driver, &a.one.config, &wanted, e);
	}
	if (r == 0) {
		lxm_kv_copy(&a.one.config, &wanted);
		if (description || !patch) {
			free(a.one.description);
			a.one.description = lxm_strdup(description ? description : "");
		}
		r = db_write(rq->d->db, update_tx, &a, e);
	}
	db_pool_deinit(&a.one);
	if (r < 0)
		return r;
	tell(rq, "storage-pool-updated", rq_arg(rq, 0));
	return reply_sync(rq, NULL);
}

int api_storage_pool_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_storage_pool_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_storage_pool_delete(struct request *rq, struct lxm_err *e)
{
	int r = storage_pool_delete(rq->d, rq_arg(rq, 0), e);

	if (r < 0)
		return r;
	tell(rq, "storage-pool-deleted", rq_arg(rq, 0));
	return reply_sync(rq, NULL);
}

int api_storage_pool_resources_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct pool_space s = { 0 };
	int r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);

	if (r == 0)
		r = pool_space(pool, &s, e);
	if (r < 0)
		return r;
	return reply_sync(rq, json_pack("{s:{s:I, s:I}, s:{s:I, s:I}}", "space", "used", (json_int_t)s.used, "total",
					(json_int_t)s.total, "inodes", "used", (json_int_t)s.inodes_used, "total",
					(json_int_t)s.inodes_total));
}
