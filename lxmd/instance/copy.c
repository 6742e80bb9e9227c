/*
 * Copying and moving on one host. A new instance is marked as unfinished until everything is there (create.c). A move
 * copies first, then one database write names the other pool, then the old volumes go; the marks moving_to and
 * moved_from tell a next start which side is to be cleared. Worker threads.
 */
#include "lxmd/instance/copy.h"

#include <string.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/core/quota.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/still.h"
#include "lxmd/storage/pool.h"

int copy_source_begin(struct lxmd *d, const struct copy_source *src, struct instance *from, struct lock **lock_out,
		      struct lxm_err *e)
{
	lxm_auto(instance) struct instance seen = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	lxm_auto(lock_release) struct lock *lock = NULL;
	int r = instance_load(d, src->project, src->name, &seen, e);

	if (r == 0)
		r = instance_lock_id(d, seen.row.id, "Copying instance", 0, &lock, e);
	if (r == 0)
		r = instance_load_id(d, seen.row.id, from, e);
	if (r == 0 && src->snapshot)
		r = snapshot_load(d, from, src->snapshot, &s, e);
	if (r == 0)
		*lock_out = LXM_TAKE(lock, NULL);
	return r;
}

int instance_copy_volume(struct pool *from_pool, const struct instance *from, const char *snapshot, struct pool *pool,
			 const struct volume_id *to, struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *name = snapshot ? lxm_asprintf("%s/%s", from->row.name, snapshot) : lxm_strdup(from->row.name);

	return pool_volume_copy(from_pool, VOLUME_ID(snapshot ? VOLUME_SNAPSHOT : VOLUME_INSTANCE, from->row.project, name),
				pool, to, op, e);
}

static int fill(struct lxmd *d, const struct instance *from, const struct instance *to, const struct copy_source *src,
		struct op *op, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *from_pool = NULL, *pool = NULL;
	lxm_auto(still) struct still still = { 0 };
	int r = storage_pool_get(d, from->row.pool, &from_pool, e);

	if (r == 0)
		r = storage_pool_get(d, to->row.pool, &pool, e);
	if (r == 0 && !src->snapshot && !src->instance_only)
		r = snapshot_copy_all(d, from, to, op, e);
	if (r == 0 && !src->snapshot && !src->unsteady)
		r = still_hold(d, from, &still, e);
	return r < 0 ? r : instance_copy_volume(from_pool, from, src->snapshot, pool, VOLUME_OF_INSTANCE(to->row.project, to->row.name), op, e);
}

int instance_fill_copy(struct lxmd *d, const struct instance *to, const struct copy_source *src, struct op *op,
		       struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance from = { 0 };
	int r = copy_source_begin(d, src, &from, &lock, e);

	if (r == 0)
		r = fill(d, &from, to, src, op, e);
	return lxm_err_wrap(e, r, "copy instance '%s'", src->name);
}

/* ---- moves between pools */

struct move_arg {
	const struct instance *now;
	const char *pool;
};

static int moved_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct move_arg *a = arg;
	int r = db_instance_update(tx, &a->now->row, e);

	if (r == 0)
		r = db_instance_set_pool(tx, a->now->row.id, a->pool, e);
	if (r == 0)
		r = quota_check(tx, a->now->row.project, QUOTA_OF_INSTANCES, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "instance '%s' not found", a->now->row.name) : r;
}

static int set_mark(struct lxmd *d, int64_t id, const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };

	lxm_kv_set(&keys, key, value);
	return instance_set_volatile(d, id, &keys, e);
}

/* All volumes of an instance in one pool. */
static int each_volume(struct lxmd *d, const struct instance *i, struct pool *from, struct pool *to, struct op *op,
		       struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots l = { 0 };
	size_t k;
	int r = snapshot_list(d, i->row.id, &l, e);

	for (k = 0; r == 0 && k < l.n; k++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", i->row.name, l.v[k].name);
		const struct volume_id *v = VOLUME_ID(VOLUME_SNAPSHOT, i->row.project, name);

		r = to ? pool_volume_copy(from, v, to, v, op, e) : pool_volume_delete(from, v, e);
	}
	if (r == 0) {
		const struct volume_id *v = VOLUME_OF_INSTANCE(i->row.project, i->row.name);

		r = to ? pool_volume_copy(from, v, to, v, op, e) : pool_volume_delete(from, v, e);
	}
	return r;
}

static void clear_side(struct lxmd *d, const struct instance *i, struct pool *side, const char *mark)
{
	struct lxm_err e = { 0 };

	if (each_volume(d, i, side, NULL, NULL, &e) < 0 || set_mark(d, i->row.id, mark, "", &e) < 0)
		lxm_error("instance '%s': clear pool '%s': %s", i->row.name, pool_name(side), e.msg);
}

/* The same instance, with its root disk in the other pool. */
static int merge_pool(struct lxmd *d, const struct instance *i, const char *pool, struct instance *now, const struct caller *who,
		      struct lxm_err *e)
{
	int r;

	db_instance_copy(&now->row, &i->row);
	r = instance_expand(d, now, e);
	if (r < 0)
		return r;
	instance_pin_root(now, pool);
	return instance_check(d, now, i, who, e);
}

int instance_move_pool(struct lxmd *d, const struct instance *i, const char *pool, struct op *op,
		       const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *from = NULL, *to = NULL;
	lxm_auto(instance) struct instance now = { 0 };
	lxm_auto(free) char *url = instance_url(i->row.name);
	struct move_arg a = { &now, pool };
	int r = instance_need_stopped(d, i, "move", e);

	if (r == 0 && lxm_streq(pool, i->row.pool))
		r = lxm_err_set(e, EINVAL, "it lies in pool '%s' already", pool);
	if (r == 0)
		r = merge_pool(d, i, pool, &now, caller, e);
	if (r == 0)
		r = storage_pool_get(d, i->row.pool, &from, e);
	if (r == 0)
		r = storage_pool_get(d, pool, &to, e);
	if (r == 0)
		r = set_mark(d, i->row.id, "volatile.lxm.moving_to", pool, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "move instance '%s' to pool '%.64s'", i->row.name, pool);
	instance_files_end(d, i->row.id);
	r = each_volume(d, i, from, to, op, e);
	if (r == 0 && op_is_cancelled(op))
		r = lxm_err_set(e, ECANCELED, "cancelled");
	if (r == 0)
		r = pool_sync(to, e);
	if (r == 0) {
		lxm_kv_set(&now.row.config, "volatile.lxm.moved_from", i->row.pool);
		r = db_write(d->db, moved_tx, &a, e);
	}
	if (r < 0) {
		clear_side(d, i, to, "volatile.lxm.moving_to");
		return lxm_err_wrap(e, r, "move instance '%s' to pool '%.64s'", i->row.name, pool);
	}
	clear_side(d, i, from, "volatile.lxm.moved_from");
	event_lifecycle(d, i->row.project, "instance-updated", url, NULL, caller);
	return 0;
}
