/*
 * The one gate for the final, merged configuration of an instance. Whoever changes or starts an instance comes
 * through instance_check(), so that nothing depends on which verb carried a setting in (cve-replay rows 12 to 16).
 * Any thread of lxmd; changes nothing.
 */
#include "lxmd/instance/instance.h"

#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/conf/tables.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/devices.h"
#include "lxmd/instance/idmap.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/plan.h"
#include "lxmd/instance/policy.h"

static const struct lxm_dev *root_disk(const struct instance *i)
{
	lxm_devs_each(d, &i->devices)
		if (device_is_root(&d->kv))
			return d;
	return NULL;
}

const char *instance_root_pool(const struct instance *i)
{
	const struct lxm_dev *root = root_disk(i);

	return root ? lxm_kv_get(&root->kv, "pool") : NULL;
}

/* What one device alone cannot know. */
static int check_together(const struct instance *i, struct lxm_err *e)
{
	const struct lxm_dev *root = NULL;

	lxm_devs_each(d, &i->devices) {
		const char *path = lxm_kv_get(&d->kv, "path");

		if (!lxm_streq(lxm_kv_get(&d->kv, "type"), "disk") || !path)
			continue;
		if (device_is_root(&d->kv)) {
			if (root)
				return lxm_err_set(e, EINVAL, "devices '%s' and '%s' are both root disks: keep one", root->name,
						   d->name);
			root = d;
		}
		lxm_devs_each(o, &i->devices)
			if (o > d && lxm_streq(lxm_kv_get(&o->kv, "path"), path) &&
			    lxm_streq(lxm_kv_get(&o->kv, "type"), "disk"))
				return lxm_err_set(e, EINVAL, "devices '%s' and '%s' share the path '%s'", d->name, o->name, path);
	}
	lxm_devs_each(d, &i->devices) {
		const char *name = lxm_kv_get(&d->kv, "name");

		if (!lxm_streq(lxm_kv_get(&d->kv, "type"), "nic") || !name)
			continue;
		lxm_devs_each(o, &i->devices)
			if (o > d && lxm_streq(lxm_kv_get(&o->kv, "type"), "nic") &&
			    lxm_streq(lxm_kv_get(&o->kv, "name"), name))
				return lxm_err_set(e, EINVAL, "devices '%s' and '%s' share the interface name '%s'", d->name,
						   o->name, name);
	}
	if (!root)
		return lxm_err_set(e, EINVAL,
				   "instance '%s' has no root disk: add one to a profile or the instance (type=disk path=/ pool=POOL)",
				   i->row.name);
	return 0;
}

static int check_devices(struct lxmd *d, const struct instance *i, const struct instance *was, const struct caller *who,
			 struct lxm_err *e)
{
	lxm_devs_each(dev, &i->devices) {
		struct device_ctx c = instance_device(d, i, dev, NULL);
		const struct lxm_dev *old = was ? lxm_devs_get(&was->devices, dev->name) : NULL;
		bool same = old && lxm_kv_eq(&old->kv, &dev->kv);
		int r = same && lxm_streq(was->row.project, i->row.project) ? 0 : policy_volume(d, i->row.project, dev, who, e);

		if (r == 0 && !same)
			r = device_validate(&c, true, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A policy of its own is compiled to see whether it can be; the start then takes it from the cache. */
static int check_filter(struct lxmd *d, const struct instance *i, const struct instance *was, struct lxm_err *e)
{
	const char *raw = lxm_kv_get(&i->config, "raw.seccomp");
	struct wire_bytes bpf;

	if (lxm_empty(raw) || (was && lxm_streq(lxm_kv_get(&was->config, "raw.seccomp"), raw)))
		return 0;
	return instance_seccomp(d, i, false, &bpf, e);
}

bool instance_own_change(const struct instance *was, const struct instance *now)
{
	size_t k;

	if (!lxm_kv_eq(&was->row.config, &now->row.config) || !lxm_devs_eq(&was->row.devices, &now->row.devices) ||
	    was->row.profiles.n != now->row.profiles.n)
		return true;
	for (k = 0; k < now->row.profiles.n; k++)
		if (strcmp(was->row.profiles.v[k], now->row.profiles.v[k]) != 0)
			return true;
	return false;
}

int instance_check(struct lxmd *d, const struct instance *i, const struct instance *was, const struct caller *who,
		   struct lxm_err *e)
{
	static const struct lxm_kv no_kv;
	static const struct lxm_devs no_devs;
	struct idmap map = { 0 };
	int r;

	r = conf_check_size(&i->config, &i->devices, e);
	if (r == 0)
		r = conf_check_change(&conf_instance, was ? &was->config : &no_kv, &i->config, e);
	if (r == 0)
		r = conf_devices_check_change(was ? &was->devices : &no_devs, &i->devices, e);
	/* before a device is looked at: what is refused must not tell what the host has at a path */
	if (r == 0)
		r = policy_check(d, i, who, e);
	if (r == 0)
		r = check_together(i, e);
	if (r == 0 && who && (!was || instance_own_change(was, i)))
		r = policy_limits(d, i, e);
	if (r == 0)
		r = check_devices(d, i, was, who, e);
	if (r == 0)
		r = limits_check(d, i, was, e);
	if (r == 0)
		r = check_filter(d, i, was, e);
	if (r == 0)
		r = idmap_compose(0, 1, lxm_kv_get(&i->config, "raw.idmap"), &map, e);
	idmap_deinit(&map);
	return r;
}
