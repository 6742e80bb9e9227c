/*
 * Creating, renaming and deleting. Worker threads. A creation writes its row first, marked by volatile.lxm.creating, so
 * that a crash leaves something that the next start finds and removes; the mark goes when the instance is whole.
 */
#include <fcntl.h>
#include <string.h>

#include "db/instance.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/core/quota.h"
#include "lxmd/instance/devices.h"
#include "lxmd/image/image.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/copy.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/migrate.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/storage/pool.h"

int instance_hold_name(struct lxmd *d, const char *project, const char *name, const char *what, struct lock **out, struct lxm_err *e)
{
	lxm_auto(free) char *key = lxm_asprintf("instance-name/%s/%s", project, name);
	int r = lock_try(d->locks, key, what, out, NULL);

	return r < 0 ? lxm_err_http(e, 409, EBUSY, "instance '%s' is busy: try again", name) : 0;
}

struct birth {
	struct lxmd *d;
	struct db_instance *row;
	struct lock *lock; /* of the new id: taken before anybody can see the row */
};

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct birth *b = arg;
	int r = db_instance_create(tx, b->row, e);
	char key[40];

	/* a repeated transaction may get another id */
	lock_release(LXM_TAKE(b->lock, NULL));
	if (r == 0)
		r = quota_check(tx, b->row->project, QUOTA_OF_INSTANCES, e);
	return r ? r : lock_try(b->d->locks, instance_lock_key(b->row->id, key), "Creating instance", &b->lock, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_instance_delete(tx, *(int64_t *)arg, e);
}

/* Keys that every new instance gets, before its row is written. */
static void birth_keys(struct instance_new *n, struct lxm_kv *c)
{
	char uuid[37];

	lxm_kv_set(c, "volatile.lxm.creating", "true");
	lxm_uuid(uuid);
	lxm_kv_set(c, "volatile.uuid", uuid);
	lxm_kv_set(c, "volatile.uuid.generation", uuid);
	lxm_uuid(uuid);
	/* one that moved here is still the same to cloud-init */
	if ((n->source != SOURCE_MIGRATION && n->source != SOURCE_BACKUP) || !lxm_kv_get(c, "volatile.cloud-init.instance-id"))
		lxm_kv_set(c, "volatile.cloud-init.instance-id", uuid);
	lxm_kv_set(c, "volatile.last_state.power", "STOPPED");
	/* one that comes back is what it was: files that wait to be filled in still do, no others */
	if (n->source != SOURCE_NONE && n->source != SOURCE_BACKUP)
		lxm_kv_set(c, "volatile.apply_template", n->source == SOURCE_IMAGE ? "create" : "copy");
	if (n->image)
		lxm_kv_set(c, "volatile.base_image", n->image);
}

static int make_volume(struct lxmd *d, struct instance_new *n, struct op *op, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	const struct volume_id *v = VOLUME_OF_INSTANCE(n->i->row.project, n->i->row.name);
	int r = storage_pool_get(d, n->i->row.pool, &pool, e);

	if (r < 0)
		return r;
	if (n->source == SOURCE_COPY)
		return instance_fill_copy(d, n->i, n->copy, op, e);
	if (n->source == SOURCE_MIGRATION)
		return migrate_fill(d, n->i, n->sink, op, e);
	if (n->source == SOURCE_BACKUP)
		return backup_fill(d, n->i, n->backup, op, e);
	if (n->source == SOURCE_NONE)
		return pool_volume_create_empty(pool, v, e);
	return pool_volume_create_from_image(pool, v, n->image, op, e);
}

/* Devices choose their fixed values (a MAC) and reserve addresses. */
static int add_devices(struct lxmd *d, struct instance *i, struct lxm_kv *changes, struct lxm_err *e)
{
	lxm_devs_each(dev, &i->devices) {
		struct device_ctx c = instance_device(d, i, dev, changes);
		int r = device_is_root(&dev->kv) ? 0 : device_add(&c, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static void remove_devices(struct lxmd *d, const struct instance *i)
{
	lxm_devs_each(dev, &i->devices) {
		struct device_ctx c = instance_device(d, i, dev, NULL);

		if (!device_is_root(&dev->kv))
			device_remove(&c);
	}
}

struct finish {
	int64_t id;
	const struct lxm_kv *changes;
};

static int finish_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct finish *f = arg;
	int r = db_instance_set_config_keys(tx, f->id, f->changes, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "the instance was deleted meanwhile") : r;
}

static int build(struct lxmd *d, struct instance_new *n, struct op *op, const struct caller *caller, struct lxm_err *e)
{
	struct instance *i = n->i;
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct finish f = { i->row.id, &changes };
	int r = instance_take_ids(d, i, caller, &changes, e);

	if (r == 0)
		r = make_volume(d, n, op, e);
	if (r == 0)
		r = instance_root_limit(d, i, false, e);
	if (r == 0)
		r = add_devices(d, i, &changes, e);
	if (r < 0)
		return r;
	lxm_kv_set(&changes, "volatile.lxm.creating", "");
	r = db_write(d->db, finish_tx, &f, e);
	if (r < 0)
		return r;
	lxm_kv_del(&i->row.config, "volatile.lxm.creating");
	lxm_kv_del(&changes, "volatile.lxm.creating");
	lxm_kv_merge(&i->row.config, &changes);
	return 0;
}

int instance_create(struct lxmd *d, struct instance_new *n, struct op *op, const struct caller *caller, struct lxm_err *e)
{
	struct instance *i = n->i;
	lxm_auto(lock_release) struct lock *lock = NULL, *name = NULL;
	lxm_auto(free) char *url = instance_url(i->row.name), *unkept = NULL;
	struct birth b = { d, &i->row, NULL };
	int r = instance_hold_name(d, i->row.project, i->row.name, "Creating instance", &name, e);

	if (r < 0)
		return lxm_err_wrap(e, r, "create instance '%s'", i->row.name);
	birth_keys(n, &i->row.config);
	free(i->row.pool);
	i->row.pool = lxm_strdup(instance_root_pool(i));
	/* not yet acknowledged and marked as unfinished: no need for the disk to have it before the last write */
	r = db_write_lazy(d->db, create_tx, &b, e);
	lock = b.lock;
	if (r < 0)
		return lxm_err_wrap(e, r, "create instance '%s'", i->row.name);
	r = build(d, n, op, caller, e);
	if (r == 0 && op_is_cancelled(op))
		r = lxm_err_set(e, ECANCELED, "cancelled");
	if (r < 0) {
		struct lxm_err e2 = { 0 };

		if (instance_destroy(d, i, &e2) < 0)
			lxm_error("undo creation of instance '%s': %s", i->row.name, e2.msg);
		return lxm_err_wrap(e, r, "create instance '%s'", i->row.name);
	}
	unkept = instance_root_unkept(d, i);
	if (unkept)
		op_set_metadata_key(op, "warnings", json_pack("[s]", unkept));
	event_lifecycle(d, i->row.project, "instance-created", url, NULL, caller);
	if (n->source == SOURCE_IMAGE)
		image_touch(d, i->row.project, n->image);
	if (!n->start)
		return 0;
	/* what the row has now, expanded anew; a failed start leaves the instance, stopped */
	r = instance_expand(d, i, e);
	return r < 0 ? r : instance_start(d, i, op, caller, e);
}

int instance_destroy(struct lxmd *d, const struct instance *i, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(free) char *logs = lxm_asprintf("%s/%s/%s", d->dirs.log.path, i->row.project, i->row.name);
	const char *pool_is = i->row.pool ? i->row.pool : instance_root_pool(i);
	lxm_auto(db_backups) struct db_backups backups = { 0 };
	lxm_auto(kv) struct lxm_kv mark = { 0 };
	int64_t id = i->row.id;
	int r = 0;

	if (pool_is)
		r = storage_pool_get(d, pool_is, &pool, e);
	if (r == -ENOENT) /* the pool never came to be: nothing of ours in it */
		r = 0;
	/* from here on there is no way back: a start that finds the mark goes on where this stopped */
	lxm_kv_set(&mark, "volatile.lxm.creating", "true");
	if (r == 0 && !lxm_kv_get(&i->row.config, "volatile.lxm.creating"))
		r = instance_set_volatile(d, id, &mark, e);
	if (r < 0)
		return r;
	instance_files_end(d, id);
	remove_devices(d, i);
	if (r == 0 && pool)
		r = snapshot_destroy_volumes(d, i, e);
	if (r == 0 && pool)
		r = pool_volume_delete(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), e);
	if (r == 0)
		r = backup_list(d, id, &backups, e);
	if (r == 0)
		r = db_write(d->db, delete_tx, &id, e);
	if (r < 0)
		return r;
	backup_drop_files(d, &backups);
	idmap_pool_drop(&d->instances->ids, id);
	instance_remove_rundir(d, id);
	r = lxm_rm_tree_at(AT_FDCWD, logs);
	if (r < 0)
		lxm_warn("remove '%s': %s", logs, strerror(-r));
	return 0;
}

int instance_need_stopped(struct lxmd *d, const struct instance *i, const char *verb, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get_settled(d, i->row.id);

	return run ? lxm_err_http(e, 400, EBUSY, "instance '%s' is running: stop it before you %s it", i->row.name, verb) : 0;
}

int instance_delete(struct lxmd *d, const struct instance *i, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(free) char *url = instance_url(i->row.name);
	int r = instance_need_stopped(d, i, "delete", e);

	if (r == 0 && lxm_kv_bool(&i->config, "security.protection.delete", false))
		r = lxm_err_http(e, 400, EPERM, "instance '%s' is protected: unset security.protection.delete first",
				 i->row.name);
	if (r == 0)
		r = instance_destroy(d, i, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "delete instance '%s'", i->row.name);
	event_lifecycle(d, i->row.project, "instance-deleted", url, NULL, caller);
	return 0;
}

struct rename_arg {
	int64_t id;
	const char *from, *to;
};

/* The row moves first and remembers where its volume still lies, so that a crash in between is mended at start. */
static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct rename_arg *a = arg;
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	int r = db_instance_rename(tx, a->id, a->to, e);

	if (r)
		return r;
	lxm_kv_set(&keys, "volatile.lxm.renamed_from", a->from);
	return db_instance_set_config_keys(tx, a->id, &keys, e);
}

static int renamed_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct rename_arg *a = arg;
	lxm_auto(kv) struct lxm_kv keys = { 0 };

	lxm_kv_set(&keys, "volatile.lxm.renamed_from", "");
	lxm_kv_set(&keys, "volatile.apply_template", "rename");
	return db_instance_set_config_keys(tx, a->id, &keys, e);
}

int instance_rename(struct lxmd *d, const struct instance *i, const char *name, const struct caller *caller,
		    struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *old_name = NULL, *new_name = NULL;
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(free) char *url = instance_url(name);
	struct rename_arg a = { i->row.id, i->row.name, name };
	int r = instance_need_stopped(d, i, "rename", e);

	if (r == 0)
		r = instance_hold_name(d, i->row.project, i->row.name, "Renaming instance", &old_name, e);
	if (r == 0)
		r = instance_hold_name(d, i->row.project, name, "Renaming instance", &new_name, e);
	if (r == 0)
		r = storage_pool_get(d, i->row.pool, &pool, e);
	if (r == 0)
		r = db_write(d->db, rename_tx, &a, e);
	if (r == DB_NONE)
		r = lxm_err_set(e, ENOENT, "instance '%s' not found", i->row.name);
	if (r < 0)
		return lxm_err_wrap(e, r, "rename instance '%s'", i->row.name);
	instance_files_end(d, i->row.id);
	r = pool_volume_rename(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name),
			       VOLUME_OF_INSTANCE(i->row.project, name), e);
	if (r < 0) {
		struct rename_arg back = { i->row.id, name, i->row.name };
		struct lxm_err e2 = { 0 };

		if (db_write(d->db, rename_tx, &back, &e2) < 0 || db_write(d->db, renamed_tx, &back, &e2) < 0)
			lxm_error("undo rename of instance '%s': %s", i->row.name, e2.msg);
		return lxm_err_wrap(e, r, "rename instance '%s'", i->row.name);
	}
	r = db_write(d->db, renamed_tx, &a, e);
	if (r < 0)
		lxm_warn("rename of instance '%s': %s", i->row.name, e->msg);
	event_lifecycle(d, i->row.project, "instance-renamed", url, json_pack("{s:s}", "old_name", i->row.name), caller);
	return 0;
}
