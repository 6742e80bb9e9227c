/* Snapshots of custom volumes. See custom.h. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/storage/custom_priv.h"

struct snap_arg {
	int64_t id;
	const char *name;
	struct db_volsnap *row;
	struct db_volsnaps *list;
	const struct db_volsnap *set;
	const struct lxm_kv *keys;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct snap_arg *a = arg;

	return db_volsnap_list(tx, a->id, a->list, e);
}

int custom_snapshots(struct lxmd *d, const struct db_volume *v, struct db_volsnaps *out, struct lxm_err *e)
{
	struct snap_arg a = { .id = v->id, .list = out };

	return db_read(d->db, list_tx, &a, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct snap_arg *a = arg;

	db_volsnap_deinit(a->row);
	return db_volsnap_get(tx, a->id, a->name, a->row, e);
}

int custom_snapshot_load(struct lxmd *d, const struct db_volume *v, const char *name, struct db_volsnap *out, struct lxm_err *e)
{
	struct snap_arg a = { .id = v->id, .name = name, .row = out };
	int r = db_read(d->db, get_tx, &a, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "snapshot '%.100s' of storage volume '%s' not found", name, v->name) : r;
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_volsnap_create(tx, ((struct snap_arg *)arg)->row, e);
}

int custom_snapshot(struct lxmd *d, const struct db_volume *v, struct db_volsnap *s, struct op *op, const struct caller *caller,
		    struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_asprintf("%s/%s", v->name, s->name);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_volsnap) struct db_volsnap there = { 0 };
	struct snap_arg a = { .row = s };
	int r = storage_pool_get(d, v->pool, &pool, e);

	if (r == 0 && custom_snapshot_load(d, v, s->name, &there, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "snapshot '%s' already exists", name);
	if (r == 0)
		r = pool_volume_clone(pool, CUSTOM_ID(v, v->name), CUSTOM_ID(v, name), op, e);
	if (r < 0)
		return r;
	s->volume_id = v->id;
	lxm_kv_copy(&s->config, &v->config);
	r = db_write(d->db, create_tx, &a, e);
	if (r < 0)
		(void)pool_volume_delete(pool, CUSTOM_ID(v, name), NULL);
	else
		custom_tell(d, v, "storage-volume-snapshot-created", s->name, caller);
	return r;
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	int r = db_volsnap_delete(tx, ((struct snap_arg *)arg)->id, e);

	return r == DB_NONE ? 0 : r;
}

int custom_snapshot_delete(struct lxmd *d, const struct db_volume *v, const char *name, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(free) char *full = lxm_asprintf("%s/%s", v->name, name);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_volsnap) struct db_volsnap s = { 0 };
	struct snap_arg a = { 0 };
	int r = custom_snapshot_load(d, v, name, &s, e);

	if (r == 0)
		r = storage_pool_get(d, v->pool, &pool, e);
	a.id = s.id;
	if (r == 0)
		r = db_write(d->db, delete_tx, &a, e);
	if (r == 0)
		r = pool_volume_delete(pool, CUSTOM_ID(v, full), e);
	if (r == 0)
		custom_tell(d, v, "storage-volume-snapshot-deleted", name, caller);
	return r;
}

/* The row takes the new name and remembers where its data still lie. */
static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct snap_arg *a = arg;
	int r = db_volsnap_rename(tx, a->id, a->name, e);

	return r ? r : db_volsnap_set_config_keys(tx, a->id, a->keys, e);
}

static int keys_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct snap_arg *a = arg;
	int r = db_volsnap_set_config_keys(tx, a->id, a->keys, e);

	return r == DB_NONE ? 0 : r;
}

static void forget_mark(struct lxmd *d, int64_t id)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct snap_arg a = { .id = id, .keys = &keys };
	struct lxm_err e = { 0 };

	lxm_kv_set(&keys, CUSTOM_RENAMED, "");
	if (db_write_lazy(d->db, keys_tx, &a, &e) < 0)
		lxm_warn("snapshot of a custom volume: %s", e.msg);
}

void custom_forget_snapshot_marks(struct lxmd *d, const struct db_volsnaps *snaps)
{
	size_t i;

	for (i = 0; i < snaps->n; i++)
		if (lxm_kv_get(&snaps->v[i].config, CUSTOM_RENAMED))
			forget_mark(d, snaps->v[i].id);
}

int custom_snapshot_rename(struct lxmd *d, const struct db_volume *v, const char *from, const char *to, const struct caller *caller,
			   struct lxm_err *e)
{
	lxm_auto(free) char *old = lxm_asprintf("%s/%s", v->name, from), *fresh = lxm_asprintf("%s/%s", v->name, to);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_volsnap) struct db_volsnap s = { 0 };
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct snap_arg a = { .name = to, .keys = &keys };
	int r = custom_snapshot_load(d, v, from, &s, e);

	if (r == 0)
		r = storage_pool_get(d, v->pool, &pool, e);
	if (r < 0)
		return r;
	a.id = s.id;
	lxm_kv_set(&keys, CUSTOM_RENAMED, from);
	r = db_write(d->db, rename_tx, &a, e);
	if (r < 0)
		return r;
	r = pool_volume_rename(pool, CUSTOM_ID(v, old), CUSTOM_ID(v, fresh), e);
	if (r < 0) {
		a.name = from;
		(void)db_write(d->db, rename_tx, &a, NULL);
	}
	forget_mark(d, s.id);
	if (r == 0)
		custom_tell(d, v, "storage-volume-snapshot-renamed", to, caller);
	return r;
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct snap_arg *a = arg;
	int r = db_volsnap_update(tx, a->set->id, a->set->description, a->set->expires_at, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "snapshot '%s' not found", a->set->name) : r;
}

int custom_snapshot_update(struct lxmd *d, const struct db_volume *v, const struct db_volsnap *s, const struct caller *caller,
			   struct lxm_err *e)
{
	struct snap_arg a = { .set = s };
	int r = db_write(d->db, update_tx, &a, e);

	if (r == 0)
		custom_tell(d, v, "storage-volume-snapshot-updated", s->name, caller);
	return r;
}

int custom_restore(struct lxmd *d, const struct db_volume *v, const char *name, struct op *op, const struct caller *caller,
		   struct lxm_err *e)
{
	lxm_auto(free) char *full = lxm_asprintf("%s/%s", v->name, name);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_volsnap) struct db_volsnap s = { 0 };
	const struct volume_id *staged = VOLUME_ID(VOLUME_CUSTOM_STAGED, v->project, v->name);
	int r = custom_snapshot_load(d, v, name, &s, e);

	if (r == 0)
		r = storage_pool_get(d, v->pool, &pool, e);
	if (r == 0)
		r = pool_volume_clone(pool, CUSTOM_ID(v, full), staged, op, e);
	if (r == 0) {
		r = custom_limit(pool, staged, &v->config, true, e);
		if (r == 0)
			r = pool_custom_swap(pool, CUSTOM_ID(v, v->name), e);
		if (r < 0)
			(void)pool_volume_delete(pool, staged, NULL);
	}
	if (r == 0)
		custom_tell(d, v, "storage-volume-restored", NULL, caller);
	return lxm_err_wrap(e, r, "restore volume '%s'", v->name);
}
