/*
 * Giving an instance to another project. As in a rename the row goes first, in one database write, and remembers where its volume still lies
 * (volatile.lxm.renamed_from as PROJECT/NAME), so that the next start of lxmd ends what a crash began. Worker threads.
 */
#include "lxmd/instance/devices.h"
#include "lxmd/instance/move.h"

#include <string.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/conf.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/quota.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/policy.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/storage/pool.h"

#define RENAMED_FROM "volatile.lxm.renamed_from"

/* Row, configuration and mark at once. */
static int write_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct instance *now = arg;
	int r = db_instance_set_project(tx, now->row.id, now->row.project, now->row.name, e);

	if (r == 0)
		r = db_instance_update(tx, &now->row, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "instance '%s' or project '%s' not found", now->row.name, now->row.project) : r;
}

static int moved_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct instance *now = arg;
	int r = write_tx(tx, arg, e);

	return r < 0 ? r : quota_check(tx, now->row.project, QUOTA_OF_INSTANCES, e);
}

static void replace(char **s, const char *with)
{
	free(*s);
	*s = lxm_strdup(with);
}

/* What it will be. */
static int merge(struct lxmd *d, const struct instance *i, const struct instance_move *to, const struct caller *who, struct instance *now,
		 struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots snaps = { 0 };
	int r;

	db_instance_copy(&now->row, &i->row);
	if (to->project)
		replace(&now->row.project, to->project);
	if (to->name)
		replace(&now->row.name, to->name);
	if (to->config) {
		lxm_kv_copy(&now->row.config, to->config);
		lxm_kv_del_prefix(&now->row.config, "volatile.");
		lxm_kv_each(p, &i->row.config)
			if (lxm_starts(p->key, "volatile."))
				lxm_kv_set(&now->row.config, p->key, p->value);
		conf_drop_empty(&now->row.config);
	}
	if (to->devices)
		lxm_devs_copy(&now->row.devices, to->devices);
	if (to->profiles)
		lxm_strv_copy(&now->row.profiles, to->profiles);
	r = instance_expand(d, now, e);
	if (r == 0)
		instance_pin_root(now, i->row.pool);
	if (r == 0) /* unchanged keys too: the other project may not allow them */
		r = instance_check(d, now, lxm_streq(now->row.project, i->row.project) ? i : NULL, who, e);
	if (r == 0)
		r = snapshot_list(d, i->row.id, &snaps, e);
	return r == 0 && snaps.n ? policy_snapshots(d, now->row.project, e) : r;
}

/* The row as it was, after a failure behind its change. */
static void go_back(struct lxmd *d, const struct instance *was, const struct instance *now)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct instance old = *was;
	struct lxm_err e = { 0 };

	if (db_write(d->db, write_tx, &old, &e) < 0)
		lxm_error("undo move of instance '%s': %s", was->row.name, e.msg);
	if (instance_devices_change(d, now, was, NULL, &changes, &e) < 0)
		lxm_warn("undo move of instance '%s': %s", was->row.name, e.msg);
}

static int commit(struct lxmd *d, struct pool *pool, const struct instance *i, struct instance *now, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 }, done = { 0 };
	bool elsewhere = !lxm_streq(now->row.project, i->row.project) || !lxm_streq(now->row.name, i->row.name);
	struct lxm_err e2 = { 0 };
	int r = instance_devices_change(d, i, now, NULL, &changes, e);

	lxm_kv_merge(&now->row.config, &changes);
	conf_drop_empty(&now->row.config);
	if (elsewhere)
		lxm_kv_setf(&now->row.config, RENAMED_FROM, "%s/%s", i->row.project, i->row.name);
	if (r == 0)
		r = db_write(d->db, moved_tx, now, e);
	if (r < 0) {
		if (instance_devices_change(d, now, i, NULL, &changes, &e2) < 0)
			lxm_warn("undo move of instance '%s': %s", i->row.name, e2.msg);
		return r;
	}
	if (!elsewhere)
		return 0;
	instance_files_end(d, i->row.id);
	r = pool_volume_rename(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), VOLUME_OF_INSTANCE(now->row.project, now->row.name), e);
	if (r < 0) {
		go_back(d, i, now);
		return r;
	}
	lxm_kv_set(&done, RENAMED_FROM, "");
	if (!lxm_streq(now->row.name, i->row.name))
		lxm_kv_set(&done, "volatile.apply_template", "rename");
	if (instance_set_volatile(d, i->row.id, &done, &e2) < 0)
		lxm_warn("move of instance '%s': %s", i->row.name, e2.msg);
	return 0;
}

/* Each project hears of its own side alone: who listens there may not know the other, nor what the instance was called in it. */
static void tell(struct lxmd *d, const struct instance *was, const struct instance *now, const struct caller *who)
{
	lxm_auto(free) char *old_url = instance_url(was->row.name), *url = instance_url(now->row.name);

	if (!lxm_streq(was->row.project, now->row.project)) {
		event_lifecycle(d, was->row.project, "instance-deleted", old_url, NULL, who);
		event_lifecycle(d, now->row.project, "instance-created", url, NULL, who);
	} else if (!lxm_streq(was->row.name, now->row.name)) {
		event_lifecycle(d, now->row.project, "instance-renamed", url, json_pack("{s:s}", "old_name", was->row.name), who);
	} else {
		event_lifecycle(d, now->row.project, "instance-updated", url, NULL, who);
	}
}

int instance_move(struct lxmd *d, const struct instance *i, const struct instance_move *to, const struct caller *who, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *old_name = NULL, *new_name = NULL;
	lxm_auto(instance) struct instance now = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	int r = instance_need_stopped(d, i, "move", e);

	if (r == 0)
		r = merge(d, i, to, who, &now, e);
	if (r == 0)
		r = instance_hold_name(d, i->row.project, i->row.name, "Moving instance", &old_name, e);
	if (r == 0 && (!lxm_streq(now.row.project, i->row.project) || !lxm_streq(now.row.name, i->row.name)))
		r = instance_hold_name(d, now.row.project, now.row.name, "Moving instance", &new_name, e);
	if (r == 0)
		r = storage_pool_get(d, i->row.pool, &pool, e);
	if (r == 0)
		r = commit(d, pool, i, &now, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "move instance '%s'", i->row.name);
	tell(d, i, &now, who);
	return 0;
}
