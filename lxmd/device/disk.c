/*
 * Disks: the root volume (checked here, mounted by the caller's own plan step) and host paths bound into instances.
 *
 * A source is an administrator's path. It is resolved here, once, to a real path without links; lxm-monitor opens it
 * outside before the instance runs. Binds into unprivileged instances carry nodev: the kernel would honour device
 * nodes on a mount that the host's root made.
 */
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <linux/mount.h>

#include "lib/base/log.h"
#include "lxmd/device/device_priv.h"

static int disk_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *source = lxm_kv_or(c->kv, "source", "");
	struct stat st;

	if (device_is_root(c->kv))
		return 0;
	if (!lxm_empty(lxm_kv_get(c->kv, "pool")))
		return lxm_err_http(e, 400, EOPNOTSUPP, "custom volumes cannot be attached yet (pool '%s', source '%s')",
				    lxm_kv_get(c->kv, "pool"), source);
	if (source[0] != '/')
		return lxm_err_http(e, 400, EOPNOTSUPP, "source '%s' is not supported yet: use an absolute path", source);
	if (lxm_kv_bool(c->kv, "required", true) && stat(source, &st) < 0)
		return lxm_err_sys(e, "source '%s'", source);
	return 0;
}

/* Word of `propagation` to the kernel's flag. */
static uint32_t propagation_of(const char *word)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} map[] = {
		{ "private", MS_PRIVATE },	     { "rprivate", MS_PRIVATE | MS_REC },
		{ "shared", MS_SHARED },	     { "rshared", MS_SHARED | MS_REC },
		{ "slave", MS_SLAVE },		     { "rslave", MS_SLAVE | MS_REC },
		{ "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE | MS_REC },
	};
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(map); i++)
		if (lxm_streq(map[i].word, word))
			return map[i].flag & ~(uint32_t)MS_REC; /* the plan knows single mounts only */
	return 0;
}

static int disk_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct plan_step step = { .kind = PLAN_MOUNT };
	const char *source = lxm_kv_or(c->kv, "source", "");
	char real[PATH_MAX];
	struct stat st;

	if (device_is_root(c->kv))
		return 0;
	if (!realpath(source, real) || stat(real, &st) < 0) {
		if (errno == ENOENT && !lxm_kv_bool(c->kv, "required", true)) {
			lxm_info("instance '%s': source '%s' of disk '%s' is missing and not required", c->instance_name,
				 source, c->name);
			return 0;
		}
		return lxm_err_sys(e, "source '%s'", source);
	}
	step.u.mount = (struct plan_mount){
		.source = real,
		.target = lxm_kv_get(c->kv, "path"),
		.flags = PLAN_MNT_BIND | PLAN_MNT_DIR_LINKS | (S_ISDIR(st.st_mode) ? PLAN_MNT_MKDIR : PLAN_MNT_MKFILE),
		.propagation = propagation_of(lxm_kv_or(c->kv, "propagation", "")),
	};
	if (lxm_kv_bool(c->kv, "readonly", false))
		step.u.mount.attrs |= MOUNT_ATTR_RDONLY;
	if (!c->privileged)
		step.u.mount.attrs |= MOUNT_ATTR_NODEV;
	if (lxm_kv_bool(c->kv, "recursive", false))
		step.u.mount.flags |= PLAN_MNT_RECURSIVE;
	if (lxm_kv_bool(c->kv, "shift", false) && !c->privileged)
		step.u.mount.flags |= PLAN_MNT_IDMAP;
	if (!lxm_kv_bool(c->kv, "required", true))
		step.u.mount.flags |= PLAN_MNT_OPTIONAL;
	return plan_add(plan, &step, e);
}

const struct device_type device_disk = {
	.name = "disk",
	.flags = DEVICE_ON_HOST,
	.validate = disk_validate,
	.start = disk_start,
};
