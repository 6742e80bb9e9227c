/*
 * Driver "dir": the last resort that works everywhere. A volume is a full copy of the unpacked image (metadata.yaml, templates/, rootfs/);
 * where the file system can share blocks between files (btrfs, xfs) the copy costs no data.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/fsquota.h"
#include "lxmd/storage/pool_priv.h"

static int dir_create_volume(struct pool *pool, const char *tmp, const char *image, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .skip = ".unsynced", .op = op, .progress_key = "create_instance_from_image_unpack_progress" };
	lxm_auto(free) char *root = lxm_asprintf("%s/rootfs", tmp);
	int r;

	if (image) {
		r = volume_tree_copy(pool, image, pool, tmp, &how, e);
	} else {
		r = fsquota_mkdir(pool, tmp, e);
		if (r == 0 && mkdirat(pool->dirfd, root, 0755) < 0)
			r = lxm_err_sys(e, "make directory '%s'", root);
	}
	if (r < 0)
		(void)lxm_rm_tree_at(pool->dirfd, tmp);
	return r;
}

static int dir_clone_volume(struct pool *pool, const char *from, const char *tmp, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .op = op };
	int r = volume_tree_copy(pool, from, pool, tmp, &how, e);

	if (r < 0)
		(void)lxm_rm_tree_at(pool->dirfd, tmp);
	return r;
}

const struct storage_driver driver_dir = {
	.name = "dir",
	.create_volume = dir_create_volume,
	.clone_volume = dir_clone_volume,
	.root = volume_root_bind,
	.usage = volume_usage_count,
};
