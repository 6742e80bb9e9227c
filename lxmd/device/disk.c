/*
 * Disks: the root volume (checked here, mounted by the caller's own plan step), host paths and custom volumes that appear in
 * instances. lxm-monitor opens the source outside before the instance runs; disk_hot.c is for running ones.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/conf/tables.h"
#include "lxmd/device/disk.h"
#include "lxmd/device/disk_io.h"

/* Limits of an instance's disk: is there a block device that the kernel could limit? */
static int check_limits(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	struct disk_io io;

	return instance && disk_io_wanted(c->kv) ? disk_io_read(c, &io, e) : 0;
}

static int disk_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", ""), *path = lxm_kv_or(c->kv, "path", "");
	lxm_auto(disk_mount) struct disk_mount m = { 0 };
	struct stat st;
	int r;

	if (device_is_root(c->kv))
		return check_limits(c, instance, e);
	if (path[strspn(path, "/")] == 0)
		return lxm_err_set(e, EINVAL, "only the root disk, which has a pool and no source, can have the path '/'");
	if (conf_disk_is_own(c->kv))
		return check_limits(c, instance, e);
	if (disk_is_volume(c->kv)) {
		r = disk_volume_check(c, instance, e);
		return r < 0 ? r : check_limits(c, instance, e);
	}
	if (source[0] != '/')
		return lxm_err_http(e, 400, EOPNOTSUPP, "source '%s' is not supported yet: use an absolute path", source);
	r = instance ? disk_path_check(c, &m.literal, e) : 0;
	if (r < 0)
		return r;
	if (lxm_kv_bool(c->kv, "required", true) && stat(source, &st) < 0)
		return lxm_err_sys(e, "source '%s'", source);
	r = instance ? disk_find(c, &m, e) : 0;
	return r < 0 ? r : check_limits(c, instance, e);
}

/* What is in memory would be lost by taking it away and giving it anew. */
static int disk_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live, struct lxm_err *e)
{
	if (!conf_disk_is_tmpfs(c->kv) || !conf_disk_is_tmpfs(old) || !lxm_streq(lxm_kv_get(c->kv, "path"), lxm_kv_get(old, "path")))
		return DEVICE_ANEW;
	return lxm_err_http(e, 400, EBUSY, "what is in memory would be lost: stop the instance first, or remove the device");
}

/* Memory is the instance's own filesystem; one on a block device is the host's to mount. */
static uint32_t how_of(const struct disk_mount *m)
{
	return !m->fstype ? PLAN_MNT_BIND : *m->source ? PLAN_MNT_HOST : 0;
}

static int disk_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct plan_step step = { .kind = PLAN_MOUNT };
	lxm_auto(disk_mount) struct disk_mount m = { 0 };
	int r = disk_path_check(c, &m.literal, e);

	if (r == 0 && !device_is_root(c->kv))
		r = disk_find(c, &m, e);
	if (r < 0 || !m.source)
		return r;
	step.u.mount = (struct plan_mount){
		.source = m.source,
		.target = lxm_kv_get(c->kv, "path"),
		.fstype = m.fstype,
		.options = m.options.data,
		.flags = how_of(&m) | PLAN_MNT_DIR_LINKS | (m.directory ? PLAN_MNT_MKDIR : PLAN_MNT_MKFILE) |
			 (m.recursive ? PLAN_MNT_RECURSIVE : 0) | (m.plain ? PLAN_MNT_PLAIN : 0) | (m.idmap ? PLAN_MNT_IDMAP : 0) |
			 (lxm_kv_bool(c->kv, "required", true) ? 0 : PLAN_MNT_OPTIONAL),
		.attrs = m.attrs,
		.propagation = m.propagation,
	};
	return plan_add(plan, &step, e);
}

const struct device_type device_disk = {
	.name = "disk",
	.flags = DEVICE_ON_HOST | DEVICE_HOT_ADD | DEVICE_HOT_REMOVE | DEVICE_HOT_UPDATE,
	.validate = disk_validate,
	.start = disk_start,
	.hot_add = disk_hot_add,
	.hot_remove = disk_hot_remove,
	.hot_update = disk_hot_update,
};
