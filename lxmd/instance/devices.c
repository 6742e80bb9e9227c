/*
 * The devices of an instance: what a driver of lxmd/device is told about one, and the order in which they start.
 * Any thread of lxmd.
 */
#include "lxmd/instance/devices.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/intercept.h"
#include "lxmd/instance/replan.h"
#include "lxmd/instance/run.h"

struct device_ctx instance_device(struct lxmd *d, const struct instance *i, const struct lxm_dev *dev,
				    struct lxm_kv *changes)
{
	return (struct device_ctx){
		.d = d,
		.instance = i->row.id,
		.project = i->row.project,
		.instance_name = i->row.name,
		.name = dev->name,
		.kv = &dev->kv,
		.config = &i->config,
		.changes = changes,
		.devices = &i->devices,
		.privileged = instance_privileged(i),
		.device_rules = instance_device_rules(i),
	};
}

void instance_devices_undo_start(struct lxmd *d, const struct instance *i, struct lxm_kv *changes)
{
	lxm_devs_each(dev, &i->devices) {
		struct device_ctx c = instance_device(d, i, dev, changes);

		if (!device_is_root(&dev->kv))
			device_stop(&c);
	}
}

void instance_devices_stop(struct lxmd *d, const struct instance *i)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxm_err e = { 0 };

	instance_devices_undo_start(d, i, &changes);
	if (instance_set_volatile(d, i->row.id, &changes, &e) < 0)
		lxm_warn("instance '%s': %s", i->row.name, e.msg);
}

int instance_device_live(struct run *run, struct device_live *out, struct lxm_err *e)
{
	int pidfd = run_pidfd(run, e);

	if (pidfd < 0)
		return pidfd;
	*out = (struct device_live){ .init_pidfd = pidfd, .rundir = run->rundir, .spawner = run->d->instances->spawner, .cgroups = &run->d->instances->cgroups,
				     .cgroup = run->cgroup };
	pthread_mutex_lock(&run->lock);
	out->init_pid = run->init_pid;
	out->started_ms = (uint64_t)run->started_at;
	pthread_mutex_unlock(&run->lock);
	return pidfd;
}

int instance_devices_started(struct lxmd *d, const struct instance *i, const struct device_live *live, bool all,
			     struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_live now = *live;

	int changed = 0;

	now.again = all;
	lxm_devs_each(dev, &i->devices) {
		struct device_ctx c = instance_device(d, i, dev, changes);
		struct lxm_err said = { 0 };
		int r = device_is_root(&dev->kv) ? 0 : device_started(&c, &now, &said);

		if (r < 0 && !all)
			return lxm_err_set(e, -r, "%s", said.msg);
		if (r < 0)
			lxm_warn("instance '%s': %s", i->row.name, said.msg);
		if (r > 0)
			changed = 1;
	}
	return changed;
}

int instance_devices_follow(struct lxmd *d, int64_t id)
{
	lxm_auto(run_unref) struct run *run = run_get(d, id);
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct device_live live;
	lxm_auto(fd_close) int pidfd = -1;
	bool changed = false;
	char key[40];
	int r;

	if (!run)
		return 0;
	r = lock_try_brief(d->locks, instance_lock_key(id, key), "Following device nodes", &lock, NULL);
	if (r == -EBUSY)
		return r;
	if (r == 0)
		r = instance_load_id(d, id, &i, NULL);
	if (r < 0)
		return 0;
	pidfd = instance_device_live(run, &live, NULL);
	if (pidfd < 0)
		return 0;
	lxm_devs_each(dev, &i.devices) {
		struct device_ctx c = instance_device(d, &i, dev, NULL);
		struct lxm_err e = { 0 };

		r = device_follow(&c, &live, &e);
		if (r < 0)
			lxm_warn("instance '%s': %s", i.row.name, e.msg);
		changed |= r > 0;
	}
	if (changed)
		replan(run, &i);
	return 0;
}

static void rejoin(struct run *run, const char *bridge)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct device_live live;
	lxm_auto(fd_close) int pidfd = instance_device_live(run, &live, NULL);

	if (pidfd < 0 || instance_load_id(run->d, run->id, &i, NULL) < 0)
		return;
	live.again = true;
	lxm_devs_each(dev, &i.devices) {
		struct device_ctx c = instance_device(run->d, &i, dev, NULL);
		struct lxm_err e = { 0 };

		if (lxm_streq(lxm_kv_get(&dev->kv, "type"), "nic") && lxm_streq(device_nic_network(&dev->kv), bridge) &&
		    device_started(&c, &live, &e) < 0)
			lxm_warn("instance '%s': %s", i.row.name, e.msg);
	}
}

void instance_devices_rejoin(struct lxmd *d, const char *bridge)
{
	lxm_auto(free) struct run **runs = NULL;
	size_t i, n = run_list(d, &runs);

	for (i = 0; i < n; i++) {
		rejoin(runs[i], bridge);
		run_unref(runs[i]);
	}
}

static int cmp_disk(const void *a, const void *b)
{
	const struct lxm_dev *const *x = a, *const *y = b;

	/* a shorter path first, so that a mount below another one comes after it */
	return strcmp(lxm_kv_or(&(*x)->kv, "path", ""), lxm_kv_or(&(*y)->kv, "path", ""));
}

size_t instance_devices_order(const struct instance *i, const struct lxm_dev ***out)
{
	const struct lxm_dev **order = lxm_realloc_n(NULL, i->devices.n + 1, sizeof(*order));
	size_t n = 0;

	lxm_devs_each(dev, &i->devices)
		if (lxm_streq(lxm_kv_get(&dev->kv, "type"), "disk") && !device_is_root(&dev->kv))
			order[n++] = dev;
	if (n)
		qsort(order, n, sizeof(*order), cmp_disk);
	lxm_devs_each(dev, &i->devices)
		if (!lxm_streq(lxm_kv_get(&dev->kv, "type"), "disk"))
			order[n++] = dev;
	*out = order;
	return n;
}

int instance_devices_start(struct lxmd *d, struct plan *p, const struct instance *i, bool running, struct lxm_kv *changes,
			   struct lxm_err *e)
{
	lxm_auto(free) const struct lxm_dev **order = NULL;
	size_t n = instance_devices_order(i, &order), k;
	int r;

	for (k = 0; k < n; k++) {
		struct device_ctx c = instance_device(d, i, order[k], changes);

		c.replan = running;
		r = device_start(&c, p, e);
		if (r < 0) {
			while (!running && k-- > 0) {
				c = instance_device(d, i, order[k], changes);
				device_stop(&c);
			}
			return r;
		}
	}
	return 0;
}
