/*
 * Changing an instance's configuration, and bringing a running one in line: limits and hot-pluggable devices at once,
 * everything else at the next start. Worker threads, under the instance's lock.
 */
#include <string.h>

#include "db/instance.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/quota.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/guest.h"
#include "lxmd/instance/intercept.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/modules.h"
#include "lxmd/instance/replan.h"
#include "lxmd/instance/run.h"

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct instance *i = arg;
	int r = db_instance_update(tx, &i->row, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "instance '%s' not found", i->row.name) : r;
}

static int judged_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct instance *i = arg;
	int r = update_tx(tx, arg, e);

	return r < 0 ? r : quota_check(tx, i->row.project, QUOTA_OF_INSTANCES, e);
}

/* The pool of a root disk is where the data lies: moving it is not a matter of configuration. */
static int check_root_stays(const struct instance *was, const struct instance *now, struct lxm_err *e)
{
	if (lxm_streq(instance_root_pool(was), instance_root_pool(now)))
		return 0;
	return lxm_err_set(e, EINVAL, "instance '%s' lies in pool '%s': its root disk cannot be given another pool by an update",
			   was->row.name, instance_root_pool(was));
}

/* Keys whose change needs a stopped instance. */
static int check_frozen_keys(const struct instance *was, const struct instance *now, struct lxm_err *e)
{
	static const char *const keys[] = { "security.privileged", "security.idmap.isolated", "security.idmap.size",
					    "security.idmap.base", "raw.idmap", "security.nesting" };
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(keys); k++)
		if (!lxm_streq(lxm_kv_or(&was->config, keys[k], NULL), lxm_kv_or(&now->config, keys[k], NULL)))
			return lxm_err_http(e, 400, EBUSY, "instance '%s' is running: stop it before you change %s",
					    was->row.name, keys[k]);
	return 0;
}

static int apply_live(struct lxmd *d, struct run *run, const struct instance *was, const struct instance *now,
		      struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_live live;
	lxm_auto(fd_close) int pidfd = instance_device_live(run, &live, e);
	int r;

	if (pidfd < 0)
		return LXM_TAKE(pidfd, -1);
	r = instance_modules(now, e);
	if (r == 0)
		r = limits_apply(run, now, was, e);
	if (r < 0)
		return r;
	r = instance_guest_apply(run, was, now, e);
	if (r == 0)
		r = instance_intercept_apply(run, was, now, e);
	if (r == 0)
		r = instance_devices_change(d, was, now, &live, changes, e);
	if (r < 0) {
		struct lxm_err e2 = { 0 };

		limits_revert(run, now, was);
		if (instance_guest_apply(run, now, was, &e2) < 0)
			lxm_warn("instance '%s': %s", was->row.name, e2.msg);
		if (instance_intercept_apply(run, now, was, &e2) < 0)
			lxm_warn("instance '%s': %s", was->row.name, e2.msg);
	}
	return r;
}

/* The row could not be written: what runs is to be as it says. */
static void go_back(struct lxmd *d, struct run *run, const struct instance *now, const struct instance *was)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxm_err e = { 0 };

	if ((run ? apply_live(d, run, now, was, &changes, &e) : instance_devices_change(d, now, was, NULL, &changes, &e)) < 0)
		lxm_warn("instance '%s': going back to the old configuration: %s", was->row.name, e.msg);
}

/* What runs, the row, and the plan for a reboot. On failure all is as before. */
static int carry_out(struct lxmd *d, struct run *run, const struct instance *was, struct instance *now, const struct caller *caller,
		     struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	int r;

	if (run)
		replan_due(run);
	r = run ? apply_live(d, run, was, now, &changes, e) : instance_devices_change(d, was, now, NULL, &changes, e);
	if (r == 0) {
		lxm_kv_merge(&now->row.config, &changes);
		conf_drop_empty(&now->row.config);
		/* whoever changes a profile has judged all its users together */
		r = db_write(d->db, caller && instance_own_change(was, now) ? judged_tx : update_tx, now, e);
		if (r < 0)
			go_back(d, run, now, was);
	}
	if (run && r == 0)
		lxm_kv_merge(&now->config, &changes);
	if (run)
		replan(run, r == 0 ? now : was);
	return r;
}

int instance_update(struct lxmd *d, const struct instance *was, struct instance *now, const struct caller *caller,
		    struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, was->row.id);
	lxm_auto(free) char *url = instance_url(was->row.name);
	bool sized = false;
	size_t k;
	int r;

	conf_drop_empty(&now->row.config);
	for (k = 0; k < now->row.devices.n; k++)
		conf_drop_empty(&now->row.devices.v[k].kv);
	r = instance_expand(d, now, e);
	if (r == 0)
		r = instance_check(d, now, was, caller, e);
	if (r == 0)
		r = check_root_stays(was, now, e);
	if (r == 0 && run)
		r = check_frozen_keys(was, now, e);
	if (r == 0)
		r = instance_root_resize(d, was, now, false, e);
	sized = r == 0;
	if (r == 0)
		r = carry_out(d, run, was, now, caller, e);
	if (r < 0 && sized)
		(void)instance_root_resize(d, now, was, true, NULL);
	if (r < 0)
		return lxm_err_wrap(e, r, "update instance '%s'", was->row.name);
	if (run)
		instance_guest_tell(run, was, now);
	event_lifecycle(d, was->row.project, "instance-updated", url, NULL, caller);
	return 0;
}
