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

/* Devices of both, which differ. */
struct pair {
	const struct lxm_dev *old, *now;
	bool anew; /* cannot be changed in place: leaves and comes */
};

struct plan_of_change {
	const struct lxm_dev **gone, **fresh; /* in the order in which they start */
	struct pair *kept;
	size_t ngone, nfresh, nkept;
};

static void plan_of_change_deinit(struct plan_of_change *p)
{
	free(p->gone);
	free(p->fresh);
	free(p->kept);
}
LXM_AUTO_STRUCT(plan_of_change, struct plan_of_change, plan_of_change_deinit)

/* A disk whose limits change stays where it is: limits.c writes them. */
static bool only_limits(const struct lxm_kv *a, const struct lxm_kv *b)
{
	return lxm_streq(lxm_kv_get(a, "type"), "disk") && disk_io_differs_only(a, b);
}

static bool is_nic(const struct lxm_dev *dev)
{
	return lxm_streq(lxm_kv_get(&dev->kv, "type"), "nic");
}

/* Where the NICs are reached; a translation leads to one of them. */
static bool same_addresses(const struct lxm_devs *a, const struct lxm_devs *b)
{
	static const char *const keys[] = { "type", "network", "parent", "ipv4.address", "ipv6.address" };
	size_t k;

	lxm_devs_each(dev, a) {
		const struct lxm_dev *other = lxm_devs_get(b, dev->name);

		for (k = 0; is_nic(dev) && k < LXM_ARRAY_LEN(keys); k++)
			if (!other || !lxm_streq(lxm_kv_or(&dev->kv, keys[k], NULL), lxm_kv_or(&other->kv, keys[k], NULL)))
				return false;
	}
	return true;
}

/* What of the instance's configuration and its other devices reaches this device. */
static bool same_config(const struct instance *was, const struct instance *now, const struct lxm_dev *dev)
{
	if (lxm_streq(lxm_kv_get(&dev->kv, "type"), "proxy") && lxm_kv_bool(&dev->kv, "nat", false))
		return same_addresses(&was->devices, &now->devices) && same_addresses(&now->devices, &was->devices);
	return !is_nic(dev) || lxm_streq(lxm_kv_or(&was->config, "limits.network.priority", NULL),
					 lxm_kv_or(&now->config, "limits.network.priority", NULL));
}

static bool same(const struct instance *was, const struct instance *now, const struct lxm_dev *a, const struct lxm_dev *b)
{
	return (lxm_kv_eq(&a->kv, &b->kv) || only_limits(&a->kv, &b->kv)) && same_config(was, now, a);
}

/*
 * Change in place what can be; the rest is marked. @undo  back from `now` to `was`, at best: failures are logged.
 * Returns 0 or -errno with everything as before.
 */
static int change_in_place(struct lxmd *d, const struct instance *was, const struct instance *now, struct pair *v, size_t n, bool undo,
			   const struct device_live *live, struct lxm_kv *changes, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	size_t i;
	int r = 0;

	for (i = 0; i < n && (r == 0 || undo); i++) {
		struct device_ctx c = instance_device(d, undo ? was : now, undo ? v[i].old : v[i].now, changes);

		if (undo && v[i].anew)
			continue;
		r = live ? device_hot_update(&c, undo ? &v[i].now->kv : &v[i].old->kv, live, undo ? &local : e) : DEVICE_ANEW;
		if (r == DEVICE_ANEW) {
			v[i].anew = true;
			r = 0;
		}
		if (r < 0 && undo)
			lxm_warn("instance '%s': going back to the old devices: %s", was->row.name, local.msg);
	}
	if (r < 0 && !undo)
		(void)change_in_place(d, was, now, v, i - 1, true, live, changes, e);
	return undo ? 0 : r;
}

static const struct pair *pair_of(const struct plan_of_change *p, const struct lxm_dev *dev)
{
	size_t i;

	for (i = 0; i < p->nkept; i++)
		if (p->kept[i].old == dev || p->kept[i].now == dev)
			return &p->kept[i];
	return NULL;
}

static void find_kept(const struct instance *was, const struct instance *now, struct plan_of_change *p)
{
	p->kept = lxm_realloc_n(NULL, was->devices.n + 1, sizeof(*p->kept));
	lxm_devs_each(old, &was->devices) {
		const struct lxm_dev *fresh = lxm_devs_get(&now->devices, old->name);

		if (fresh && !same(was, now, old, fresh) && !device_is_root(&old->kv) && !device_is_root(&fresh->kv))
			p->kept[p->nkept++] = (struct pair){ old, fresh, false };
	}
}

/* Those of `of` that the other has not, or that differ and could not be changed in place. */
static size_t find_moving(const struct instance *of, const struct instance *other, const struct plan_of_change *p,
			  const struct lxm_dev ***out)
{
	size_t i, k = 0, n = instance_devices_order(of, out);

	for (i = 0; i < n; i++) {
		const struct lxm_dev *dev = (*out)[i], *o = lxm_devs_get(&other->devices, dev->name);
		const struct pair *pair = pair_of(p, dev);

		if (!o || (pair && pair->anew))
			(*out)[k++] = dev;
	}
	return k;
}

/* One leaves, for good if `now` has none of its name. */
static int leave(struct lxmd *d, const struct instance *was, const struct instance *now, const struct lxm_dev *dev,
		 const struct device_live *live, struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_ctx c = instance_device(d, was, dev, changes);
	int r = live ? device_hot_remove(&c, live, e) : 0;

	if (r == 0 && !lxm_devs_get(&now->devices, dev->name))
		device_remove(&c);
	return r;
}

static int come(struct lxmd *d, const struct instance *now, const struct lxm_dev *dev, const struct device_live *live,
		struct lxm_kv *changes, struct lxm_err *e)
{
	struct device_ctx c = instance_device(d, now, dev, changes);
	int r = device_add(&c, e);

	if (r == 0 && live)
		r = device_hot_add(&c, live, e);
	return r;
}

static void undo(struct lxmd *d, const struct instance *was, const struct instance *now, struct plan_of_change *p, size_t gone,
		 size_t there, const struct device_live *live)
{
	lxm_auto(kv) struct lxm_kv changes = { 0 };
	struct lxm_err e = { 0 };

	while (there-- > 0)
		if (leave(d, now, was, p->fresh[there], live, &changes, &e) < 0)
			lxm_warn("instance '%s': going back to the old devices: %s", was->row.name, e.msg);
	for (; gone < p->ngone; gone++)
		if (come(d, was, p->gone[gone], live, &changes, &e) < 0)
			lxm_warn("instance '%s': going back to the old devices: %s", was->row.name, e.msg);
	(void)change_in_place(d, was, now, p->kept, p->nkept, true, live, &changes, &e);
}

int instance_devices_change(struct lxmd *d, const struct instance *was, const struct instance *now, const struct device_live *live,
			    struct lxm_kv *changes, struct lxm_err *e)
{
	lxm_auto(plan_of_change) struct plan_of_change p = { 0 };
	size_t gone, there = 0;
	int r;

	find_kept(was, now, &p);
	r = change_in_place(d, was, now, p.kept, p.nkept, false, live, changes, e);
	if (r < 0)
		return r;
	p.ngone = find_moving(was, now, &p, &p.gone);
	p.nfresh = find_moving(now, was, &p, &p.fresh);
	/* disks may lie above each other: the last one mounted leaves first */
	for (gone = p.ngone; gone > 0; gone--) {
		r = leave(d, was, now, p.gone[gone - 1], live, changes, e);
		if (r < 0)
			break;
	}
	while (r == 0 && there < p.nfresh) {
		r = come(d, now, p.fresh[there], live, changes, e);
		if (r == 0)
			there++;
	}
	if (r < 0)
		undo(d, was, now, &p, gone, there, live);
	return r;
}
