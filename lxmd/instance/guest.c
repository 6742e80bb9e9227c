/*
 * The instances' side of the guest API: loading what a guest may see, its word that it is ready, putting its socket up and
 * taking it away while it runs, and the events that it hears. Worker threads.
 */
#include "lxmd/instance/guest.h"

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/wire/monitor.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/instance/run.h"

#define SWITCH_TIMEOUT_MS 5000

static int load(struct lxmd *d, int64_t id, struct guest_info *out, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, id);
	lxm_auto(instance) struct instance i = { 0 };
	int r = run ? instance_load_id(d, id, &i, e) : lxm_err_set(e, ESRCH, "the instance does not run");

	if (r < 0)
		return r;
	out->project = LXM_TAKE(i.row.project, NULL);
	out->name = LXM_TAKE(i.row.name, NULL);
	out->config = LXM_TAKE(i.config, (struct lxm_kv){ 0 });
	out->devices = LXM_TAKE(i.devices, (struct lxm_devs){ 0 });
	pthread_mutex_lock(&run->lock);
	out->ready = run->ready;
	pthread_mutex_unlock(&run->lock);
	return 0;
}

static int set_ready(struct lxmd *d, int64_t id, bool ready, struct lxm_err *e)
{
	lxm_auto(run_unref) struct run *run = run_get(d, id);
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	lxm_auto(free) char *url = NULL;
	bool was;
	int r;

	if (!run)
		return lxm_err_set(e, ESRCH, "the instance does not run");
	pthread_mutex_lock(&run->lock);
	was = run->ready;
	run->ready = ready;
	pthread_mutex_unlock(&run->lock);
	if (was == ready)
		return 0; /* said again and again it costs nothing */
	/* so that the next lxmd knows */
	lxm_kv_set(&keys, "volatile.last_state.ready", ready ? "true" : "false");
	r = instance_set_volatile(d, id, &keys, e);
	if (r == 0 && ready) {
		url = instance_url(run->name);
		event_lifecycle(d, run->project, "instance-ready", url, NULL, NULL);
	}
	return r;
}

const struct guest_ops instance_guest_ops = { load, set_ready };

bool instance_guest_wanted(const struct instance *i)
{
	return lxm_kv_bool(&i->config, "security.devlxd", true);
}

int instance_guest_apply(struct run *run, const struct instance *was, const struct instance *now, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1, pidfd = -1;
	bool on = instance_guest_wanted(now);
	struct guest *g = NULL;
	pid_t pid;
	int r;

	if (on == instance_guest_wanted(was))
		return 0;
	r = mon_call(run->rundir, MON_GUEST, on, 0, 0, -1, SWITCH_TIMEOUT_MS, NULL, &fd, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "turn /dev/lxd/sock %s", on ? "on" : "off");
	if (fd >= 0) {
		pidfd = run_pidfd(run, e);
		if (pidfd < 0)
			return pidfd;
		pthread_mutex_lock(&run->lock);
		pid = run->init_pid;
		pthread_mutex_unlock(&run->lock);
		g = guest_open(run->d, run->id, pid, pidfd, LXM_TAKE(fd, -1));
	}
	run_set_guest(run, g);
	return 0;
}

/* ---- events */

static void tell_key(struct guest *g, const char *key, const char *old, const char *value)
{
	if (lxm_streq(old, value) || !(lxm_starts(key, "user.") || lxm_starts(key, "cloud-init.")))
		return;
	guest_tell(g, GUEST_CONFIG,
		   json_pack("{s:o, s:o, s:o}", "key", js_string(key), "old_value", js_string(old ? old : ""), "value",
			     js_string(value ? value : "")));
}

static void tell_device(struct guest *g, const char *action, const struct lxm_dev *dev)
{
	guest_tell(g, GUEST_DEVICE,
		   json_pack("{s:s, s:o, s:o}", "action", action, "name", js_string(dev->name), "config", js_from_kv(&dev->kv)));
}

void instance_guest_tell(struct run *run, const struct instance *was, const struct instance *now)
{
	lxm_auto(guest_unref) struct guest *g = NULL;

	pthread_mutex_lock(&run->lock);
	if (run->guest)
		g = guest_ref(run->guest);
	pthread_mutex_unlock(&run->lock);
	if (!g)
		return;
	lxm_kv_each(p, &now->config)
		tell_key(g, p->key, lxm_kv_get(&was->config, p->key), p->value);
	lxm_kv_each(p, &was->config)
		if (!lxm_kv_get(&now->config, p->key))
			tell_key(g, p->key, p->value, NULL);
	lxm_devs_each(dev, &was->devices)
		if (!lxm_devs_get(&now->devices, dev->name))
			tell_device(g, "removed", dev);
	lxm_devs_each(dev, &now->devices) {
		const struct lxm_dev *old = lxm_devs_get(&was->devices, dev->name);

		if (!old)
			tell_device(g, "added", dev);
		else if (!lxm_kv_eq(&old->kv, &dev->kv))
			tell_device(g, "updated", dev);
	}
}
