/*
 * /1.0/storage-pools/P/volumes: lists over all types; custom volumes are created, changed, renamed and deleted here, those of instances and
 * images follow their owners. Request threads.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/scope.h"
#include "lxmd/api/volume_json.h"
#include "lxmd/api/volumes.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/quota.h"
#include "lxmd/http/filter.h"
#include "lxmd/storage/custom.h"
#include "lxmd/storage/pool.h"

/* ---- list and show */

static int type_of(struct request *rq, int *type, struct lxm_err *e)
{
	*type = db_volume_type_parse(rq_arg(rq, 1));
	return *type < 0 ? lxm_err_set(e, EINVAL, "'%.50s' is no kind of volume; there are custom, container, image and virtual-machine",
				       rq_arg(rq, 1)) :
			   0;
}

/* Custom volumes may live in default by the project's features; unpacked images are everybody's, so of nobody in particular. */
static bool may_see(struct request *rq, const struct db_volume *v)
{
	if (v->type == DB_VOL_IMAGE)
		return scope_all(rq);
	return !rq_all_projects(rq) || scope_sees(rq, v->project);
}

/* The snapshots of a custom volume, as entries of their own. */
static int list_snapshots(struct request *rq, const struct db_volume *v, const struct filter *filter, json_t *out, struct lxm_err *e)
{
	lxm_auto(db_volsnaps) struct db_volsnaps snaps = { 0 };
	size_t i;
	int r = v->type == DB_VOL_CUSTOM ? custom_snapshots(rq->d, v, &snaps, e) : 0;

	for (i = 0; r == 0 && i < snaps.n; i++) {
		lxm_auto(json) json_t *o = volume_json_of_snapshot(rq, v, &snaps.v[i]);

		if (filter_match(filter, o))
			json_array_append_new(out, rq_recursion(rq) ? json_incref(o) :
								      volume_snapshot_url(v, &snaps.v[i], rq_all_projects(rq)));
	}
	return r;
}

static int list(struct request *rq, int type, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	lxm_auto(filter_free) struct filter *filter = NULL;
	bool all = rq_all_projects(rq);
	json_t *out;
	size_t i;
	int r = rq_filter(rq, &filter, e);

	if (r == 0)
		r = volumes_collect(rq->d, rq_arg(rq, 0), all ? NULL : rq_project(rq), type, NULL, &rows, e);
	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; r == 0 && i < rows.n; i++) {
		lxm_auto(json) json_t *o = volume_json(rq, &rows.v[i]);

		if (!may_see(rq, &rows.v[i]))
			continue;
		if (filter_match(filter, o))
			json_array_append_new(out, rq_recursion(rq) ? json_incref(o) : volume_url(&rows.v[i], all));
		r = list_snapshots(rq, &rows.v[i], filter, out, e);
	}
	if (r < 0) {
		json_decref(out);
		return r;
	}
	return reply_sync(rq, out);
}

int api_volumes_get(struct request *rq, struct lxm_err *e)
{
	return list(rq, DB_VOL_ANY, e);
}

int api_volumes_type_get(struct request *rq, struct lxm_err *e)
{
	int type, r = type_of(rq, &type, e);

	return r < 0 ? r : list(rq, type, e);
}

/* The volume of the request's path into rows->v[0]. */
static int find(struct request *rq, struct db_volumes *rows, struct lxm_err *e)
{
	int type, r = type_of(rq, &type, e);

	if (r == 0)
		r = volumes_collect(rq->d, rq_arg(rq, 0), rq_project(rq), type, rq_arg(rq, 2), rows, e);
	if (r == 0 && (!rows->n || !may_see(rq, &rows->v[0])))
		r = lxm_err_set(e, ENOENT, "storage volume '%.100s' of type '%s' not found in pool '%s'", rq_arg(rq, 2), rq_arg(rq, 1),
				rq_arg(rq, 0));
	return r;
}

int volume_find_custom(struct request *rq, struct db_volume *out, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	int r = find(rq, &rows, e);

	if (r == 0 && rows.v[0].type != DB_VOL_CUSTOM)
		return lxm_err_set(e, EINVAL, "volume '%.100s' of type '%s' follows its owner and cannot be changed by itself", rq_arg(rq, 2),
				   rq_arg(rq, 1));
	if (r == 0) {
		*out = rows.v[0];
		memset(&rows.v[0], 0, sizeof(rows.v[0]));
	}
	return r;
}

int api_volume_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	int r = find(rq, &rows, e);

	return r < 0 ? r : reply_sync_etag(rq, volume_json(rq, &rows.v[0]), volume_json_editable(&rows.v[0]));
}

int api_volume_state_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct volume_usage u = { 0 };
	const struct db_volume *v;
	int r = find(rq, &rows, e);

	if (r == 0 && rows.v[0].type == DB_VOL_IMAGE)
		r = lxm_err_http(e, 501, EOPNOTSUPP, "the space of an unpacked image is not counted");
	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r < 0)
		return r;
	v = &rows.v[0];
	r = pool_volume_usage(pool, VOLUME_ID(v->type == DB_VOL_CUSTOM ? VOLUME_CUSTOM : VOLUME_INSTANCE, v->project, v->name), &u, e);
	if (r < 0)
		return r;
	return reply_sync(rq, json_pack("{s:{s:I, s:I}}", "usage", "used", (json_int_t)u.used, "total", (json_int_t)u.total));
}

/* ---- custom volumes */

struct volume_tx {
	struct db_volume row;
};

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volume_tx *a = arg;
	int r = db_volume_update(tx, &a->row, e);

	if (r == 0)
		r = quota_check(tx, a->row.project, QUOTA_OF_DISK, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "storage volume '%.100s' not found", a->row.name) : r;
}

/* What a new volume shall be. */
static int read_new(struct request *rq, json_t *body, struct pool *pool, struct db_volume *row, struct lxm_err *e)
{
	const char *name = NULL, *type = "custom", *content = "filesystem", *description = "";
	int r = js_need_str(body, "name", &name, e);

	if (r == 0)
		r = js_get_str(body, "type", &type, e);
	if (r == 0)
		r = js_get_str(body, "content_type", &content, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_kv(body, "config", &row->config, NULL, e);
	if (r == 0)
		r = conf_name_volume(name, e);
	if (r < 0)
		return r;
	if (!lxm_empty(type) && strcmp(type, "custom") != 0)
		return lxm_err_set(e, EINVAL, "only volumes of type 'custom' can be created");
	if (!lxm_empty(content) && strcmp(content, "filesystem") != 0)
		return lxm_err_set(e, EINVAL, "driver '%s' has volumes of content_type 'filesystem' only", pool_driver(pool));
	row->pool = lxm_strdup(pool_name(pool));
	row->name = lxm_strdup(name);
	row->description = lxm_strdup(description);
	row->type = DB_VOL_CUSTOM;
	row->content = DB_FILESYSTEM;
	return custom_home(rq->d, rq_project(rq), &row->project, e);
}

static int create_empty(struct request *rq, struct pool *pool, struct db_volume *row, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	int r = custom_defaults(rq->d, row->pool, &row->config, e);

	if (r == 0)
		r = volume_check_config(rq->d, pool, row->project, NULL, &row->config, e);
	if (r == 0)
		r = custom_lock(rq->d, row->pool, row->project, row->name, "Creating storage volume", 0, &lock, e);
	if (r == 0)
		r = custom_create(rq->d, row, rq_caller(rq), e);
	return r < 0 ? r : reply_sync(rq, NULL);
}

static int create(struct request *rq, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_volume) struct db_volume row = { 0 };
	json_t *body, *source = NULL;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r == 0)
		r = read_new(rq, body, pool, &row, e);
	if (r == 0)
		r = js_get_obj(body, "source", &source, e);
	if (r < 0)
		return r;
	return lxm_empty(js_str(source, "type")) ? create_empty(rq, pool, &row, e) : volume_copy_post(rq, source, pool, &row, e);
}

int api_volumes_post(struct request *rq, struct lxm_err *e)
{
	return create(rq, e);
}

int api_volumes_type_post(struct request *rq, struct lxm_err *e)
{
	int type, r = type_of(rq, &type, e);

	if (r == 0 && type != DB_VOL_CUSTOM)
		r = lxm_err_set(e, EINVAL, "only volumes of type 'custom' can be created");
	return r < 0 ? r : create(rq, e);
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_volume) struct db_volume row = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(kv) struct lxm_kv config = { 0 }, wanted = { 0 };
	const char *description = NULL, *restore = NULL;
	struct volume_tx a = { 0 };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = volume_find_custom(rq, &row, e);
	if (r == 0)
		r = rq_check_etag(rq, volume_json_editable(&row), e);
	if (r == 0)
		r = js_get_str(body, "restore", &restore, e);
	if (r == 0 && !lxm_empty(restore))
		return volume_restore(rq, &row, restore, e);
	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_kv(body, "config", &config, NULL, e);
	if (r < 0)
		return r;
	if (patch)
		lxm_kv_copy(&wanted, &row.config);
	lxm_kv_merge(&wanted, &config);
	r = volume_check_config(rq->d, pool, row.project, &row.config, &wanted, e);
	if (r < 0)
		return r;
	r = custom_resize(rq->d, &row, &wanted, e);
	if (r < 0)
		return r;
	a.row = row;
	a.row.config = wanted;
	a.row.description = description || !patch ? (char *)(description ? description : "") : row.description;
	r = db_write(rq->d->db, update_tx, &a, e);
	if (r < 0) {
		(void)custom_resize(rq->d, &a.row, &row.config, NULL);
		return r;
	}
	volume_tell(rq, "storage-volume-updated", &row);
	return reply_sync(rq, NULL);
}

int api_volume_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_volume_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_volume_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(db_volume) struct db_volume row = { 0 };
	int r = volume_find_custom(rq, &row, e);

	if (r == 0 && row.used_by.n)
		r = lxm_err_http(e, 400, EBUSY, "volume '%s' is in use: detach it first", row.name);
	if (r == 0)
		r = custom_lock(rq->d, row.pool, row.project, row.name, "Deleting storage volume", 0, &lock, e);
	if (r == 0)
		r = custom_delete(rq->d, &row, rq_caller(rq), e);
	return r < 0 ? r : reply_sync(rq, NULL);
}
