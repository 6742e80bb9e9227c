/*
 * /1.0/storage-pools/P/volumes: lists over all types; custom volumes are created, changed, renamed and deleted here, those of instances and
 * images follow their owners. Request threads.
 */
#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"
#include "lxmd/api/scope.h"
#include "lxmd/api/volume_json.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/http/filter.h"
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
	for (i = 0; i < rows.n; i++) {
		lxm_auto(json) json_t *o = volume_json(rq, &rows.v[i]);

		if (may_see(rq, &rows.v[i]) && filter_match(filter, o))
			json_array_append_new(out, rq_recursion(rq) ? json_incref(o) : volume_url(&rows.v[i], all));
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

/* The same for changes: only custom volumes have a life of their own. */
static int find_custom(struct request *rq, struct db_volumes *rows, struct lxm_err *e)
{
	int r = find(rq, rows, e);

	if (r == 0 && rows->v[0].type != DB_VOL_CUSTOM)
		return lxm_err_set(e, EINVAL, "volume '%.100s' of type '%s' follows its owner and cannot be changed by itself", rq_arg(rq, 2),
				   rq_arg(rq, 1));
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
	const char *project, *to;
};

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volume_tx *a = arg;

	return db_volume_create(tx, &a->row, e);
}

static int home_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volume_tx *a = arg;

	free(a->row.project);
	a->row.project = NULL;
	return db_project_for(tx, a->project, DB_FEATURE_VOLUMES, &a->row.project, e);
}

static int gone(int r, const struct volume_tx *a, struct lxm_err *e)
{
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "storage volume '%.100s' not found", a->row.name) : r;
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volume_tx *a = arg;

	return gone(db_volume_update(tx, &a->row, e), a, e);
}

static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volume_tx *a = arg;

	return gone(db_volume_rename(tx, a->row.id, a->to, e), a, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volume_tx *a = arg;

	return gone(db_volume_delete(tx, a->row.id, e), a, e);
}

static void tell(struct request *rq, const char *action, const struct db_volume *v)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/storage-pools/%s/volumes/custom/%s", v->pool, v->name);

	event_lifecycle(rq->d, rq_project(rq), action, url, NULL, rq_caller(rq));
}

static int check_config(struct pool *pool, const struct lxm_kv *was, struct lxm_kv *config, struct lxm_err *e)
{
	const struct conftable *table = conf_volume(pool_driver(pool));

	conf_drop_empty(config);
	if (!table)
		return lxm_err_set(e, EOPNOTSUPP, "driver '%s' has no volumes", pool_driver(pool));
	return was ? conf_check_change(table, was, config, e) : conf_check(table, config, e);
}

/* What a new volume shall be; a copy or an import is another matter. */
static int read_new(struct request *rq, json_t *body, struct pool *pool, struct db_volume *row, struct lxm_err *e)
{
	const char *name = NULL, *type = "custom", *content = "filesystem", *description = "";
	json_t *source = NULL;
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
		r = js_get_obj(body, "source", &source, e);
	if (r == 0)
		r = conf_name_volume(name, e);
	if (r == 0)
		r = check_config(pool, NULL, &row->config, e);
	if (r < 0)
		return r;
	if (!lxm_empty(type) && strcmp(type, "custom") != 0)
		return lxm_err_set(e, EINVAL, "only volumes of type 'custom' can be created");
	if (!lxm_empty(content) && strcmp(content, "filesystem") != 0)
		return lxm_err_set(e, EINVAL, "driver '%s' has volumes of content_type 'filesystem' only", pool_driver(pool));
	if (!lxm_empty(js_str(source, "type")))
		return lxm_err_http(e, 501, EOPNOTSUPP, "copying volumes is not there yet");
	row->pool = lxm_strdup(pool_name(pool));
	row->name = lxm_strdup(name);
	row->description = lxm_strdup(description);
	row->type = DB_VOL_CUSTOM;
	row->content = DB_FILESYSTEM;
	return 0;
}

/* Directory first, row last: what a crash leaves has no row and is found at the next start. */
static int create(struct request *rq, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct volume_tx a = { .project = rq_project(rq) };
	struct volume_id id = { .kind = VOLUME_CUSTOM };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r == 0)
		r = read_new(rq, body, pool, &a.row, e);
	if (r == 0)
		r = db_read(rq->d->db, home_tx, &a, e);
	if (r == 0) {
		id.project = a.row.project;
		id.name = a.row.name;
		r = pool_volume_create_empty(pool, &id, e);
	}
	if (r == 0) {
		r = db_write(rq->d->db, create_tx, &a, e);
		if (r < 0)
			(void)pool_volume_delete(pool, &id, NULL);
		else
			tell(rq, "storage-volume-created", &a.row);
	}
	db_volume_deinit(&a.row);
	return r < 0 ? r : reply_sync(rq, NULL);
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
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(kv) struct lxm_kv config = { 0 }, wanted = { 0 };
	const char *description = NULL;
	struct volume_tx a = { 0 };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = find_custom(rq, &rows, e);
	if (r == 0)
		r = rq_check_etag(rq, volume_json_editable(&rows.v[0]), e);
	if (r == 0 && js_get(body, "restore"))
		r = lxm_err_http(e, 501, EOPNOTSUPP, "restoring snapshots of volumes is not there yet");
	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = js_get_kv(body, "config", &config, NULL, e);
	if (r < 0)
		return r;
	if (patch)
		lxm_kv_copy(&wanted, &rows.v[0].config);
	lxm_kv_merge(&wanted, &config);
	r = check_config(pool, &rows.v[0].config, &wanted, e);
	if (r < 0)
		return r;
	a.row = rows.v[0];
	a.row.config = wanted;
	a.row.description = description || !patch ? (char *)(description ? description : "") : rows.v[0].description;
	r = db_write(rq->d->db, update_tx, &a, e);
	if (r < 0)
		return r;
	tell(rq, "storage-volume-updated", &rows.v[0]);
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

int api_volume_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(free) char *url = NULL;
	struct volume_tx a = { 0 };
	struct volume_id from, to;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = find_custom(rq, &rows, e);
	if (r == 0)
		r = js_need_str(body, "name", &a.to, e);
	if (r == 0)
		r = conf_name_volume(a.to, e);
	if (r == 0 && (js_bool(body, "migration", false) || !lxm_empty(js_str(body, "pool")) || !lxm_empty(js_str(body, "project"))))
		r = lxm_err_http(e, 501, EOPNOTSUPP, "moving volumes is not there yet");
	if (r == 0 && rows.v[0].used_by.n)
		r = lxm_err_set(e, EBUSY, "volume '%s' is in use: detach it first", rows.v[0].name);
	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r < 0)
		return r;
	a.row = rows.v[0];
	from = (struct volume_id){ VOLUME_CUSTOM, a.row.project, a.row.name };
	to = (struct volume_id){ VOLUME_CUSTOM, a.row.project, a.to };
	r = pool_volume_rename(pool, &from, &to, e);
	if (r < 0)
		return r;
	r = db_write(rq->d->db, rename_tx, &a, e);
	if (r < 0) {
		(void)pool_volume_rename(pool, &to, &from, NULL);
		return r;
	}
	tell(rq, "storage-volume-renamed", &rows.v[0]);
	url = lxm_asprintf("/1.0/storage-pools/%s/volumes/custom/%s", a.row.pool, a.to);
	return reply_created(rq, url);
}

int api_volume_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes rows = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct volume_tx a = { 0 };
	int r = find_custom(rq, &rows, e);

	if (r == 0 && rows.v[0].used_by.n)
		r = lxm_err_http(e, 400, EBUSY, "volume '%s' is in use: detach it first", rows.v[0].name);
	if (r == 0)
		r = storage_pool_get(rq->d, rq_arg(rq, 0), &pool, e);
	if (r < 0)
		return r;
	a.row = rows.v[0];
	r = db_write(rq->d->db, delete_tx, &a, e);
	if (r == 0)
		r = pool_volume_delete(pool, VOLUME_ID(VOLUME_CUSTOM, a.row.project, a.row.name), e);
	if (r < 0)
		return r;
	tell(rq, "storage-volume-deleted", &rows.v[0]);
	return reply_sync(rq, NULL);
}
