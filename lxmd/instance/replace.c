/*
 * Giving an instance another root: back to a snapshot, a new image, the state of the instance it was copied from. The
 * new volume is built beside the old one (VOLUME_STAGED); then one database write commits row and mark, and the volume
 * follows. A crash before that write leaves the old instance, one after it the new: storage_start() looks at the mark.
 * Worker threads, under the instance's lock.
 */
#include <string.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/core/quota.h"
#include "lxmd/device/device.h"
#include "lxmd/image/image.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/copy.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/still.h"
#include "lxmd/storage/pool.h"

#define REPLACING "volatile.lxm.replacing"

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct instance *i = arg;
	int r = db_instance_update(tx, &i->row, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "instance '%s' not found", i->row.name) : r;
}

static int replace_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct instance *i = arg;
	int r = update_tx(tx, arg, e);

	return r < 0 ? r : quota_check(tx, i->row.project, QUOTA_OF_INSTANCES, e);
}

static void unstage(struct pool *pool, const struct instance *i)
{
	struct lxm_err e = { 0 };

	if (pool_volume_delete(pool, VOLUME_OF_STAGED(i->row.project, i->row.name), &e) < 0)
		lxm_error("%s", e.msg);
}

int instance_take_over(struct lxmd *d, struct pool *pool, const struct instance *was, struct instance *now, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 }, done = { 0 };
	struct instance old = *was;
	struct lxm_err e2 = { 0 };
	char base[65];
	int r = instance_devices_change(d, was, now, NULL, &changes, e);

	if (r == 0) {
		lxm_kv_merge(&now->row.config, &changes);
		conf_drop_empty(&now->row.config);
		lxm_kv_set(&now->row.config, REPLACING, "true");
		r = db_write(d->db, replace_tx, now, e);
	}
	if (r < 0)
		goto undo_devices;
	instance_files_end(d, was->row.id);
	r = pool_volume_replace(pool, VOLUME_OF_INSTANCE(was->row.project, was->row.name), e);
	if (r < 0 && pool_volume_image(pool, VOLUME_OF_INSTANCE(was->row.project, was->row.name), base, NULL) == 0)
		goto undo_row;
	if (r < 0) /* the old one is gone, the new one not in place: the mark stays, and the next start of lxmd does it */
		return r;
	lxm_kv_set(&done, REPLACING, "");
	lxm_kv_del(&now->row.config, REPLACING);
	if (instance_set_volatile(d, was->row.id, &done, &e2) < 0)
		lxm_warn("instance '%s': %s", was->row.name, e2.msg);
	return 0;

undo_row:
	if (db_write(d->db, update_tx, &old, &e2) < 0)
		lxm_error("instance '%s': going back: %s", was->row.name, e2.msg);
undo_devices:
	lxm_kv_deinit(&changes);
	if (instance_devices_change(d, now, was, NULL, &changes, &e2) < 0)
		lxm_warn("instance '%s': going back: %s", was->row.name, e2.msg);
	unstage(pool, was);
	return r;
}

void instance_pin_root(struct instance *i, const char *pool)
{
	const struct lxm_dev *root = NULL;
	struct lxm_dev *own;

	if (lxm_streq(instance_root_pool(i), pool))
		return;
	lxm_devs_each(dev, &i->devices)
		if (device_is_root(&dev->kv))
			root = dev;
	own = lxm_devs_at(&i->row.devices, root ? root->name : "root");
	if (root)
		lxm_kv_copy(&own->kv, &root->kv);
	lxm_kv_set(&own->kv, "type", "disk");
	lxm_kv_set(&own->kv, "path", "/");
	lxm_kv_set(&own->kv, "pool", pool);
	lxm_kv_copy(&lxm_devs_at(&i->devices, own->name)->kv, &own->kv);
}

/* ---- restore */

/* What the snapshot says, with what belongs to the instance and not to a moment of it. */
static int merge_snapshot(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, struct instance *now,
			  const struct caller *who, struct lxm_err *e)
{
	const char *image = lxm_kv_get(&s->config, "volatile.base_image");
	char uuid[37];
	int r;

	db_instance_copy(&now->row, &i->row);
	lxm_kv_copy(&now->row.config, &s->config);
	lxm_kv_each(p, &i->row.config)
		if (lxm_starts(p->key, "volatile."))
			lxm_kv_set(&now->row.config, p->key, p->value);
	if (image)
		lxm_kv_set(&now->row.config, "volatile.base_image", image);
	lxm_uuid(uuid);
	lxm_kv_set(&now->row.config, "volatile.uuid.generation", uuid);
	lxm_devs_copy(&now->row.devices, &s->devices);
	lxm_strv_copy(&now->row.profiles, &s->profiles);
	now->row.ephemeral = s->ephemeral;
	free(now->row.architecture);
	now->row.architecture = lxm_strdup(s->architecture);
	r = instance_expand(d, now, e);
	if (r < 0)
		return r;
	instance_pin_root(now, i->row.pool);
	return instance_check(d, now, NULL, who, e);
}

static int start_again(struct lxmd *d, int64_t id, struct op *op, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	int r = instance_load_id(d, id, &i, e);

	return r < 0 ? r : instance_start(d, &i, op, caller, e);
}

static int restore(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, struct pool *pool, struct op *op,
		   const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(free) char *from = lxm_asprintf("%s/%s", i->row.name, s->name);
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	lxm_auto(instance) struct instance now = { 0 };
	struct lxm_err e2 = { 0 };
	int r = merge_snapshot(d, i, s, &now, caller, e);

	if (r == 0)
		r = pool_volume_clone(pool, VOLUME_ID(VOLUME_SNAPSHOT, i->row.project, from),
				      VOLUME_OF_STAGED(i->row.project, i->row.name), op, e);
	if (r < 0)
		return r;
	if (run)
		r = instance_stop(d, i, true, -1, true, op, caller, e);
	if (r == -ESRCH) /* it ended by itself meanwhile */
		r = 0;
	if (r < 0) {
		unstage(pool, i);
		return r;
	}
	r = instance_take_over(d, pool, i, &now, e);
	if (r < 0) {
		if (run && start_again(d, i->row.id, op, caller, &e2) < 0)
			lxm_warn("%s", e2.msg);
		return r;
	}
	return run ? start_again(d, i->row.id, op, caller, e) : 0;
}

int instance_restore(struct lxmd *d, const struct instance *i, const char *snapshot, struct op *op,
		     const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r = snapshot_load(d, i, snapshot, &s, e);

	if (r == 0)
		r = storage_pool_get(d, i->row.pool, &pool, e);
	if (r == 0)
		r = restore(d, i, &s, pool, op, caller, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "restore instance '%s' from '%.100s'", i->row.name, snapshot);
	event_lifecycle(d, i->row.project, "instance-restored", url, json_pack("{s:s}", "snapshot", snapshot), caller);
	return 0;
}

/* ---- rebuild */

static int stage_image(struct pool *pool, const struct instance *i, const char *image, struct op *op, struct lxm_err *e)
{
	const struct volume_id *v = VOLUME_OF_STAGED(i->row.project, i->row.name);

	return image ? pool_volume_create_from_image(pool, v, image, op, e) : pool_volume_create_empty(pool, v, e);
}

/* The instance as it was, but for what its image gave it. */
static int merge_image(struct lxmd *d, const struct instance *i, const struct rebuild *b, struct instance *now, const struct caller *who,
		       struct lxm_err *e)
{
	char uuid[37];
	int r;

	db_instance_copy(&now->row, &i->row);
	lxm_kv_del_prefix(&now->row.config, "image.");
	lxm_kv_del(&now->row.config, "volatile.base_image");
	lxm_kv_merge(&now->row.config, &b->image_config);
	lxm_kv_set(&now->row.config, "volatile.apply_template", "create");
	if (b->image)
		lxm_kv_set(&now->row.config, "volatile.base_image", b->image);
	lxm_uuid(uuid);
	lxm_kv_set(&now->row.config, "volatile.uuid.generation", uuid);
	lxm_uuid(uuid);
	lxm_kv_set(&now->row.config, "volatile.cloud-init.instance-id", uuid);
	if (b->architecture) {
		free(now->row.architecture);
		now->row.architecture = lxm_strdup(b->architecture);
	}
	r = instance_expand(d, now, e);
	return r < 0 ? r : instance_check(d, now, NULL, who, e);
}

int instance_rebuild(struct lxmd *d, const struct instance *i, const struct rebuild *b, struct op *op,
		     const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(instance) struct instance now = { 0 };
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r = instance_need_stopped(d, i, "rebuild", e);

	if (r == 0)
		r = merge_image(d, i, b, &now, caller, e);
	if (r == 0)
		r = storage_pool_get(d, i->row.pool, &pool, e);
	if (r == 0)
		r = stage_image(pool, i, b->image, op, e);
	if (r == 0)
		r = instance_take_over(d, pool, i, &now, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "rebuild instance '%s'", i->row.name);
	if (b->image)
		image_touch(d, i->row.project, b->image);
	event_lifecycle(d, i->row.project, "instance-rebuilt", url, NULL, caller);
	return 0;
}

/* ---- refresh */

/* Main volume of `from`, which is kept still for it, into staged/ of `to`. */
static int stage_copy(struct lxmd *d, const struct instance *from, const char *snapshot, struct pool *pool,
		      const struct instance *to, bool unsteady, struct op *op, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *from_pool = NULL;
	lxm_auto(still) struct still still = { 0 };
	int r = storage_pool_get(d, from->row.pool, &from_pool, e);

	if (r == 0 && !snapshot && !unsteady)
		r = still_hold(d, from, &still, e);
	return r < 0 ? r : instance_copy_volume(from_pool, from, snapshot, pool, VOLUME_OF_STAGED(to->row.project, to->row.name), op, e);
}

int instance_refresh(struct lxmd *d, const struct instance *to, const struct copy_source *src, struct op *op,
		     const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(instance) struct instance from = { 0 }, now = { 0 };
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(free) char *url = instance_url(to->row.name);
	int r = instance_need_stopped(d, to, "refresh", e);

	if (r == 0)
		r = copy_source_begin(d, src, &from, &lock, e);
	if (r == 0)
		r = storage_pool_get(d, to->row.pool, &pool, e);
	if (r == 0 && !src->snapshot && !src->instance_only)
		r = snapshot_drop_strays(d, &from, to, e);
	if (r == 0 && !src->snapshot && !src->instance_only)
		r = snapshot_copy_all(d, &from, to, op, e);
	if (r == 0)
		r = stage_copy(d, &from, src->snapshot, pool, to, src->unsteady, op, e);
	if (r == 0) {
		db_instance_copy(&now.row, &to->row);
		lxm_kv_set(&now.row.config, "volatile.apply_template", "copy");
		r = instance_expand(d, &now, e);
		if (r == 0)
			r = instance_take_over(d, pool, to, &now, e);
		else
			unstage(pool, to);
	}
	if (r < 0)
		return lxm_err_wrap(e, r, "refresh instance '%s' from '%s'", to->row.name, src->name);
	event_lifecycle(d, to->row.project, "instance-updated", url, NULL, caller);
	return 0;
}
