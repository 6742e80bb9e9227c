/*
 * Custom volumes: who has them mounted, and their snapshots by name rules and by the clock. Worker threads.
 */
#include "lxmd/instance/volumes.h"

#include <string.h>

#include "db/storage.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/schedule.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snaprule.h"
#include "lxmd/instance/snaptask.h"
#include "lxmd/storage/custom.h"

#define BUSY_WAIT_MS 5000

static bool names(const struct instance *i, const struct db_volume *v)
{
	lxm_devs_each(dev, &i->devices)
		if (lxm_streq(lxm_kv_get(&dev->kv, "type"), "disk") && lxm_streq(lxm_kv_get(&dev->kv, "pool"), v->pool) &&
		    lxm_streq(lxm_kv_get(&dev->kv, "source"), v->name))
			return true;
	return false;
}

int volumes_check_unmounted(struct lxmd *d, const struct db_volume *v, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	size_t k;
	int r = instance_load_all(d, NULL, &l, e);

	for (k = 0; r == 0 && k < l.n; k++) {
		lxm_auto(run_unref) struct run *run = NULL;
		lxm_auto(free) char *home = NULL;

		/* the same names may mean another volume in another project */
		if (!names(&l.v[k], v) || custom_home(d, l.v[k].row.project, &home, NULL) < 0 || strcmp(home, v->project) != 0)
			continue;
		run = run_get(d, l.v[k].row.id);
		if (run)
			r = lxm_err_http(e, 400, EBUSY, "a running instance uses volume '%s': stop it or detach the volume first", v->name);
	}
	return r;
}

int volumes_snapshot_name(struct lxmd *d, const struct db_volume *v, char **name_out, struct lxm_err *e)
{
	lxm_auto(db_volsnaps) struct db_volsnaps l = { 0 };
	lxm_auto(strv) struct lxm_strv taken = { 0 };
	size_t i;
	int r = custom_snapshots(d, v, &l, e);

	for (i = 0; r == 0 && i < l.n; i++)
		lxm_strv_add(&taken, l.v[i].name);
	return r < 0 ? r : snaprule_name(lxm_kv_or(&v->config, "snapshots.pattern", "snap%d"), lxm_now(), &taken, name_out, e);
}

int volumes_snapshot(struct lxmd *d, const struct db_volume *v, const struct volumes_snapshot_new *n, struct op *op,
		     const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(db_volsnap) struct db_volsnap s = { .created_at = lxm_now() };
	int r = policy_snapshots(d, v->project, e);

	if (r == 0 && !lxm_empty(n->name)) {
		s.name = lxm_strdup(n->name);
		r = conf_name_snapshot(s.name, e);
	} else if (r == 0) {
		r = volumes_snapshot_name(d, v, &s.name, e);
	}
	if (r < 0)
		return r;
	s.description = lxm_strdup(n->description ? n->description : "");
	s.expires_at = n->has_expiry ? n->expires_at : snaprule_expiry(lxm_kv_get(&v->config, "snapshots.expiry"), s.created_at);
	return custom_snapshot(d, v, &s, op, caller, e);
}

/* ---- by the clock */

struct all {
	struct db_volumes volumes;
	struct db_volsnaps expired;
	lxm_time now;
};

static int all_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct all *a = arg;
	int r = db_volume_list(tx, NULL, NULL, DB_VOL_CUSTOM, &a->volumes, e);

	return r < 0 ? r : db_volsnap_list_expired(tx, a->now, &a->expired, e);
}

static void all_deinit(struct all *a)
{
	db_volumes_deinit(&a->volumes);
	db_volsnaps_deinit(&a->expired);
}
LXM_AUTO_STRUCT(all, struct all, all_deinit)

/* The volume again, with its lock held. */
static int take(struct lxmd *d, const struct db_volume *v, const char *what, struct lock **lock, struct db_volume *now, struct lxm_err *e)
{
	int r = custom_lock(d, v->pool, v->project, v->name, what, BUSY_WAIT_MS, lock, e);

	if (r == 0)
		r = custom_load(d, v->pool, v->project, v->name, now, e);
	return r == 0 && now->id != v->id ? -ENOENT : r;
}

static void take_scheduled(struct lxmd *d, lxm_time since, lxm_time now)
{
	lxm_auto(all) struct all a = { 0 };
	struct lxm_err e = { 0 };
	size_t k;

	if (db_read(d->db, all_tx, &a, &e) < 0)
		lxm_error("scheduled snapshots of volumes: %s", e.msg);
	for (k = 0; k < a.volumes.n && !__atomic_load_n(&d->stopping, __ATOMIC_RELAXED); k++) {
		lxm_auto(lock_release) struct lock *lock = NULL;
		lxm_auto(db_volume) struct db_volume v = { 0 };
		const char *spec = lxm_kv_get(&a.volumes.v[k].config, "snapshots.schedule");
		int r;

		if (lxm_empty(spec) || !snaptask_due(spec, since, now, a.volumes.v[k].id))
			continue;
		lxm_err_clear(&e);
		r = take(d, &a.volumes.v[k], "Snapshotting volume", &lock, &v, &e);
		if (r == 0)
			r = volumes_snapshot(d, &v, &(struct volumes_snapshot_new){ 0 }, NULL, NULL, &e);
		if (r < 0 && r != -ENOENT)
			lxm_warn("scheduled snapshot of volume '%s': %s", a.volumes.v[k].name, e.msg);
	}
}

static int drop_one(struct lxmd *d, const struct all *a, const struct db_volsnap *s, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(db_volume) struct db_volume v = { 0 };
	lxm_auto(db_volsnap) struct db_volsnap again = { 0 };
	size_t k;
	int r;

	for (k = 0; k < a->volumes.n && a->volumes.v[k].id != s->volume_id; k++)
		;
	if (k == a->volumes.n)
		return 0;
	r = take(d, &a->volumes.v[k], "Deleting expired snapshot", &lock, &v, e);
	if (r == 0)
		r = custom_snapshot_load(d, &v, s->name, &again, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || again.id != s->id || !again.expires_at || again.expires_at > a->now)
		return r; /* given more time meanwhile */
	lxm_info("snapshot '%s/%s' of a volume has expired", v.name, s->name);
	return custom_snapshot_delete(d, &v, s->name, NULL, e);
}

static void drop_expired(struct lxmd *d, lxm_time since, lxm_time now)
{
	lxm_auto(all) struct all a = { .now = lxm_now() };
	struct lxm_err e = { 0 };
	size_t k;

	if (db_read(d->db, all_tx, &a, &e) < 0)
		lxm_error("expired snapshots of volumes: %s", e.msg);
	for (k = 0; k < a.expired.n && !__atomic_load_n(&d->stopping, __ATOMIC_RELAXED); k++) {
		lxm_err_clear(&e);
		if (drop_one(d, &a, &a.expired.v[k], &e) < 0)
			lxm_warn("%s", e.msg);
	}
}

void volumes_add_tasks(struct lxmd *d)
{
	schedule_add(d->schedule, "scheduled snapshots of volumes", take_scheduled);
	schedule_add(d->schedule, "expired snapshots of volumes", drop_expired);
}
