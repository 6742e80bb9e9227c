/*
 * Devices that come to an instance and leave it, running or not. Everything is done, or nothing. Worker threads, under the
 * instance's lock.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/device/disk_io.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/instance.h"

/* Those of `of` that `other` has not or has otherwise, in the order in which they start. */
struct differing {
	const struct lxm_dev **v;
	size_t n;
};

static void differing_deinit(struct differing *l)
{
	free(l->v);
}
LXM_AUTO_STRUCT(differing, struct differing, differing_deinit)

/* A disk whose limits change stays where it is: limits.c writes them. */
static bool only_limits(const struct lxm_kv *a, const struct lxm_kv *b)
{
	return lxm_streq(lxm_kv_get(a, "type"), "disk") && disk_io_differs_only(a, b);
}

static void differing_find(const struct instance *of, const struct instance *other, struct differing *out)
{
	size_t i, n;

	n = instance_devices_order(of, &out->v);
	for (i = 0; i < n; i++) {
		const struct lxm_dev *o = lxm_devs_get(&other->devices, out->v[i]->name);

		if (!o || !(lxm_kv_eq(&o->kv, &out->v[i]->kv) || only_limits(&o->kv, &out->v[i]->kv)))
			out->v[out->n++] = out->v[i];
	}
}

/* One leaves, for good if `now` has none of its name. */
static int leave(struct lxmd *d, const struct instance *was, const struct instance *now, const struct lxm_dev *dev,
		 const struct device_live *live, struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_ctx c = instance_device(d, was, dev, changes);
	int r = live ? device_hot_remove(&c, live, e) : 0;

	if (r == 0 && !lxm_devs_get(&now->devices, dev->name))
		device_remove(&c);
	return lxm_err_wrap(e, r, "remove device '%s'", dev->name);
}

static int come(struct lxmd *d, const struct instance *now, const struct lxm_dev *dev, const struct device_live *live,
		struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_ctx c = instance_device(d, now, dev, changes);
	int r = device_add(&c, e);

	if (r == 0 && live)
		r = device_hot_add(&c, live, e);
	return lxm_err_wrap(e, r, "add device '%s'", dev->name);
}

static void undo(struct lxmd *d, const struct instance *was, const struct instance *now, const struct differing *old, size_t gone,
		 const struct differing *fresh, size_t there, const struct device_live *live)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxm_err e = { 0 };

	while (there-- > 0)
		if (leave(d, now, was, fresh->v[there], live, &changes, &e) < 0)
			lxm_warn("instance '%s': going back to the old devices: %s", was->row.name, e.msg);
	for (; gone < old->n; gone++)
		if (come(d, was, old->v[gone], live, &changes, &e) < 0)
			lxm_warn("instance '%s': going back to the old devices: %s", was->row.name, e.msg);
}

int instance_devices_change(struct lxmd *d, const struct instance *was, const struct instance *now, const struct device_live *live,
			    struct lxm_kv *changes, struct lxm_err *e)
{
	lxm_auto(differing) struct differing old = { 0 }, fresh = { 0 };
	size_t gone, there = 0;
	int r = 0;

	differing_find(was, now, &old);
	differing_find(now, was, &fresh);
	/* disks may lie above each other: the last one mounted leaves first */
	for (gone = old.n; gone > 0; gone--) {
		r = leave(d, was, now, old.v[gone - 1], live, changes, e);
		if (r < 0)
			break;
	}
	while (r == 0 && there < fresh.n) {
		r = come(d, now, fresh.v[there], live, changes, e);
		if (r == 0)
			there++;
	}
	if (r < 0)
		undo(d, was, now, &old, gone, &fresh, there, live);
	return r;
}
