/*
 * `size` of the root disk: the limit of the instance's volume, where the file system below the pool keeps one. Elsewhere the key counts only
 * for what the project allows in sum, as in LXD.
 */
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lxmd/core/daemon.h"
#include "lxmd/device/device.h"
#include "lxmd/instance/instance.h"
#include "lxmd/storage/pool.h"

uint64_t instance_root_size(const struct instance *i)
{
	uint64_t bytes = 0;

	lxm_devs_each(d, &i->devices)
		if (device_is_root(&d->kv) && lxm_parse_bytes(lxm_kv_or(&d->kv, "size", "0"), &bytes) < 0)
			bytes = 0;
	return bytes;
}

int instance_root_limit(struct lxmd *d, const struct instance *i, bool anyway, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	int r = storage_pool_get(d, i->row.pool ? i->row.pool : instance_root_pool(i), &pool, e);

	if (r < 0)
		return r;
	if (pool_caps(pool) & POOL_CAP_QUOTA)
		return pool_volume_limit(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), instance_root_size(i), anyway, e);
	if (instance_root_size(i))
		lxm_warn("instance '%s': nothing keeps the size of its root disk: " POOL_QUOTA_HELP, i->row.name);
	return 0;
}

int instance_root_resize(struct lxmd *d, const struct instance *was, const struct instance *now, bool anyway, struct lxm_err *e)
{
	return instance_root_size(was) == instance_root_size(now) ? 0 : instance_root_limit(d, now, anyway, e);
}
