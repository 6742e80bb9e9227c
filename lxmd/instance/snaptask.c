/*
 * Each minute: snapshots whose time has come, and the end of those that have expired. On a worker; an instance that is
 * busy is waited for a moment, then left out with a word in the log.
 */
#include "lxmd/instance/snaptask.h"

#include <time.h>

#include "db/snapshot.h"
#include "lib/base/log.h"
#include "lxmd/core/cron.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/schedule.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"

#define BUSY_WAIT_MS 5000

static bool stopping(struct lxmd *d)
{
	return __atomic_load_n(&d->stopping, __ATOMIC_RELAXED);
}

bool snaptask_due(const char *spec, lxm_time since, lxm_time now, int64_t id)
{
	/* instances follow each other closely in their ids, not in their minutes */
	uint32_t spread = (uint32_t)id * 2654435761u >> 8;
	lxm_time t;

	for (t = since + 60000; t <= now; t += 60000) {
		time_t sec = (time_t)(t / 1000);
		struct tm tm;

		if (cron_due(spec, localtime_r(&sec, &tm), spread))
			return true;
	}
	return false;
}

static int take_one(struct lxmd *d, int64_t id, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	int r = instance_lock_id(d, id, "Snapshotting instance", BUSY_WAIT_MS, &lock, e);

	if (r == 0)
		r = instance_load_id(d, id, &i, e);
	return r < 0 ? r : snapshot_create(d, &i, &(struct snapshot_new){ 0 }, NULL, NULL, e);
}

static void take_scheduled(struct lxmd *d, lxm_time since, lxm_time now)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	struct lxm_err e = { 0 };
	size_t k;

	if (instance_load_all(d, NULL, &l, &e) < 0)
		lxm_error("scheduled snapshots: %s", e.msg);
	for (k = 0; k < l.n && !stopping(d); k++) {
		const struct instance *i = &l.v[k];
		const char *spec = lxm_kv_get(&i->config, "snapshots.schedule");
		lxm_auto(run_unref) struct run *run = NULL;

		if (lxm_empty(spec) || !snaptask_due(spec, since, now, i->row.id))
			continue;
		run = run_get(d, i->row.id);
		if (!run && !lxm_kv_bool(&i->config, "snapshots.schedule.stopped", false))
			continue;
		lxm_err_clear(&e);
		if (take_one(d, i->row.id, &e) < 0)
			lxm_warn("scheduled %s", e.msg);
	}
}

struct expired {
	struct db_snapshots l;
	lxm_time now;
};

static int expired_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct expired *x = arg;

	return db_snapshot_list_expired(tx, x->now, &x->l, e);
}

static int drop_one(struct lxmd *d, const struct db_snapshot *s, lxm_time now, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot again = { 0 };
	int r = instance_lock_id(d, s->instance_id, "Deleting expired snapshot", BUSY_WAIT_MS, &lock, e);

	if (r == 0)
		r = instance_load_id(d, s->instance_id, &i, e);
	if (r == 0)
		r = snapshot_load(d, &i, s->name, &again, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || again.id != s->id || !again.expires_at || again.expires_at > now)
		return r; /* given more time meanwhile */
	lxm_info("snapshot '%s/%s' has expired", i.row.name, s->name);
	return snapshot_delete(d, &i, s->name, NULL, e);
}

static void drop_expired(struct lxmd *d, lxm_time since, lxm_time now)
{
	struct expired x = { .now = lxm_now() };
	struct lxm_err e = { 0 };
	size_t k;

	if (db_read(d->db, expired_tx, &x, &e) < 0)
		lxm_error("expired snapshots: %s", e.msg);
	for (k = 0; k < x.l.n && !stopping(d); k++) {
		lxm_err_clear(&e);
		if (drop_one(d, &x.l.v[k], x.now, &e) < 0)
			lxm_warn("%s", e.msg);
	}
	db_snapshots_deinit(&x.l);
}

void snaptask_add(struct lxmd *d)
{
	schedule_add(d->schedule, "scheduled snapshots", take_scheduled);
	schedule_add(d->schedule, "expired snapshots", drop_expired);
}

void snaptask_startup(struct lxmd *d, const struct instance *i)
{
	const char *spec = lxm_kv_get(&i->config, "snapshots.schedule");
	struct lxm_err e = { 0 };

	if (!lxm_empty(spec) && cron_has_alias(spec, "@startup") &&
	    snapshot_create(d, i, &(struct snapshot_new){ 0 }, NULL, NULL, &e) < 0)
		lxm_warn("at its start: %s", e.msg);
}
