/*
 * After the end of an instance, whoever caused it: a clean stop, a kill, a poweroff from inside, a monitor that died.
 * Runs on a worker; holds no instance lock, because the operation that stops the instance holds it and waits for us.
 */
#include "lxmd/instance/end.h"

#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/instance/apparmor.h"
#include "lxmd/instance/boot.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/intercept.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/run.h"

static void tell(struct run *r, const char *action)
{
	lxm_auto(free) char *url = instance_url(r->name);

	event_lifecycle(r->d, r->project, action, url, NULL, NULL);
}

/* A monitor that says STOPPED removed its cgroups; one that was killed could not. */
static void sweep_cgroups(struct run *r)
{
	const struct cgroup_layout *cg = &r->d->instances->cgroups;
	struct lxm_err e = { 0 };

	if (cgroup_kill(cg, r->cgroup, &e) < 0 || cgroup_remove(cg, r->cgroup, 5000, &e) < 0) {
		if (e.code != ENOENT)
			lxm_warn("instance '%s': %s", r->name, e.msg);
	}
}

void instance_ended(struct run *r)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxmd *d = r->d;
	struct lxm_err e = { 0 };
	bool restarting, asked;

	pthread_mutex_lock(&r->lock);
	restarting = r->restarting;
	asked = r->stop_asked;
	if (r->reason == MON_REASON_FAILED || (!asked && r->reason != MON_REASON_POWEROFF))
		lxm_warn("instance '%s' ended: %s %d %s", r->name, mon_reason_name(r->reason), r->status, r->end_text);
	pthread_mutex_unlock(&r->lock);

	sweep_cgroups(r);
	apparmor_unload(d->instances->apparmor, r->id);
	limits_ended(r);
	instance_remove_rundir(d, r->id);
	if (instance_load_id(d, r->id, &i, &e) == 0) {
		instance_devices_stop(d, &i);
		if (i.row.ephemeral && !restarting) {
			if (instance_destroy(d, &i, &e) < 0)
				lxm_error("delete ephemeral instance '%s': %s", r->name, e.msg);
		} else {
			lxm_kv_set(&changes, "volatile.last_state.power", "STOPPED");
			if (instance_set_volatile(d, r->id, &changes, &e) < 0)
				lxm_error("instance '%s': %s", r->name, e.msg);
		}
	} else if (e.code != ENOENT) {
		lxm_error("instance '%s' ended: %s", r->name, e.msg);
	}
	run_remove(r);
	/* an end that a client asked for is told by the operation, with the client's name */
	if (!asked && !r->no_events)
		tell(r, "instance-shutdown");
	if (i.row.ephemeral && !restarting && !asked)
		tell(r, "instance-deleted");
	if (i.row.name && !asked && !restarting)
		boot_ended(d, &i);
}

/* The new init has namespaces of its own. */
static void restart_devices(struct run *r, const struct instance *i)
{
	struct device_live live;
	lxm_auto(fd_close) int pidfd = instance_device_live(r, &live, NULL);

	if (pidfd >= 0)
		(void)instance_devices_started(r->d, i, &live, true, NULL, NULL);
}

void instance_rebooted(struct run *r)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	lxm_auto(instance) struct instance i = { 0 };

	if (instance_load_id(r->d, r->id, &i, NULL) == 0) {
		limits_rebooted(r, &i);
		instance_intercept_rebooted(r, &i);
		if (lxm_kv_bool(&i.row.config, "volatile.last_state.ready", false)) {
			lxm_kv_set(&changes, "volatile.last_state.ready", "false");
			(void)instance_set_volatile(r->d, r->id, &changes, NULL);
		}
		restart_devices(r, &i);
	}
	tell(r, "instance-restarted");
}
