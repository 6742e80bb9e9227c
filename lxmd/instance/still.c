/*
 * Freezing for a copy. Status and events do not show it: for a client the instance runs, only a little slower for a
 * moment. Worker threads.
 */
#include "lxmd/instance/still.h"

#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"
#include "lxmd/storage/pool.h"

#define FREEZE_TIMEOUT_MS 10000

static int note(struct lxmd *d, int64_t id, const char *value, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };

	lxm_kv_set(&keys, "volatile.lxm.frozen", value);
	return instance_set_volatile(d, id, &keys, e);
}

static int thaw(struct run *run, struct lxm_err *e)
{
	int r = cgroup_freeze(&run->d->instances->cgroups, run->cgroup, false, FREEZE_TIMEOUT_MS, e);

	/* it may have been killed meanwhile */
	return r == -ENOENT ? 0 : r;
}

int still_hold(struct lxmd *d, const struct instance *i, struct still *out, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	bool frozen;
	int r;

	if (!run)
		return 0;
	pthread_mutex_lock(&run->lock);
	frozen = run->frozen;
	pthread_mutex_unlock(&run->lock);
	if (frozen)
		return 0;
	r = note(d, i->row.id, "true", e);
	if (r < 0)
		return r;
	r = cgroup_freeze(&d->instances->cgroups, run->cgroup, true, FREEZE_TIMEOUT_MS, e);
	out->d = d;
	out->run = LXM_TAKE(run, NULL);
	if (r >= 0)
		return 0;
	still_release(out);
	return r == -ENOENT ? 0 : lxm_err_wrap(e, r, "freeze instance '%s'", i->row.name);
}

void still_release(struct still *s)
{
	struct lxm_err e = { 0 };

	if (!s->run)
		return;
	if (thaw(s->run, &e) < 0 || note(s->d, s->run->id, "", &e) < 0)
		lxm_error("let instance '%s' go on: %s", s->run->name, e.msg);
	run_unref(s->run);
	s->run = NULL;
}

int still_copy(struct lxmd *d, const struct instance *i, struct pool *pool, const struct volume_id *from, const struct volume_id *to,
	       struct op *op, struct lxm_err *e)
{
	lxm_auto(still) struct still still = { 0 };
	int r = still_hold(d, i, &still, e);

	return r < 0 ? r : pool_volume_clone(pool, from, to, op, e);
}

void still_mend(struct lxmd *d, const struct instance *i)
{
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	struct lxm_err e = { 0 };

	if (!lxm_kv_get(&i->row.config, "volatile.lxm.frozen"))
		return;
	if (run) {
		lxm_info("instance '%s' was frozen for a copy: it goes on", i->row.name);
		if (thaw(run, &e) < 0)
			lxm_error("%s", e.msg);
		pthread_mutex_lock(&run->lock);
		run->frozen = false;
		pthread_mutex_unlock(&run->lock);
	}
	if (note(d, i->row.id, "", &e) < 0)
		lxm_error("instance '%s': %s", i->row.name, e.msg);
}
