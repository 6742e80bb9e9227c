/*
 * Disks of running instances, by lxm-helper (lxmd/helper/hot.c). Worker threads.
 */
#include <string.h>

#include "lib/conf/tables.h"
#include "lib/wire/hot.h"
#include "lxmd/device/disk.h"

int disk_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(disk_mount) struct disk_mount m = { 0 };
	struct hot_job job = { .verb = HOT_MOUNT };
	int r = disk_path_check(c, &m.literal, e);

	if (r == 0 && !device_is_root(c->kv))
		r = disk_find(c, &m, e);

	if (r < 0 || !m.source)
		return r;
	job.source = m.source;
	job.target = lxm_kv_get(c->kv, "path");
	job.flags = (m.directory ? HOT_MKDIR : HOT_MKFILE) | (m.recursive ? HOT_RECURSIVE : 0) | (m.idmap ? HOT_IDMAP : 0) | (m.plain ? HOT_PLAIN : 0) |
		    (c->privileged ? HOT_PRIVILEGED : 0);
	job.attrs = m.attrs;
	job.propagation = m.propagation;
	job.fstype = m.fstype;
	job.options = m.options.data;
	return device_hot_run(live, &job, e);
}

/* Another disk that shows the same: what of it the instance has moved about cannot be told apart. */
static bool has_twin(const struct device_ctx *c)
{
	if (conf_disk_is_own(c->kv))
		return false;
	lxm_devs_each(o, c->devices)
		if (!lxm_streq(o->name, c->name) && lxm_streq(lxm_kv_get(&o->kv, "type"), "disk") &&
		    lxm_streq(lxm_kv_or(&o->kv, "pool", NULL), lxm_kv_or(c->kv, "pool", NULL)) &&
		    lxm_streq(lxm_kv_or(&o->kv, "source", NULL), lxm_kv_or(c->kv, "source", NULL)))
			return true;
	return false;
}

int disk_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(disk_mount) struct disk_mount m = { 0 };
	struct hot_job job = { .verb = HOT_UMOUNT };
	int r = device_is_root(c->kv) ? 0 : disk_find(c, &m, e);

	if (r < 0 || !m.source)
		return r;
	job.source = m.source;
	job.target = lxm_kv_get(c->kv, "path");
	job.fstype = m.fstype;
	job.flags = (c->privileged ? HOT_PRIVILEGED : 0) | (has_twin(c) || conf_disk_is_tmpfs(c->kv) ? 0 : HOT_SEARCH);
	return device_hot_run(live, &job, e);
}
