/*
 * Driver "overlay": works on any file system that can hold an upper layer. A volume made from an image is a directory with `base` (a
 * link whose text is the fingerprint), `upper` and `work`: a handful of calls whatever the image's size. Volumes without an image
 * are plain trees in `rootfs`. Mounting is the runtime's business; nothing is mounted here.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/fsquota.h"
#include "lxmd/storage/pool_priv.h"

#define OVERLAYFS_MAGIC 0x794c7630

/* Can this file system hold an upper layer? It needs trusted xattrs and must not be an overlay itself. */
static int overlay_create(struct pool *pool, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(pool->dirfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return lxm_err_sys(e, "statfs '%s'", pool->path);
	if (fs.f_type == OVERLAYFS_MAGIC)
		return lxm_err_set(e, EINVAL, "'%s' lies on an overlay file system, which cannot hold another one: use driver 'dir'", pool->path);
	if (fsetxattr(fd, "trusted.overlay.lxm", "y", 1, 0) < 0)
		return lxm_err_set(e, EINVAL, "the file system of '%s' has no trusted xattrs (%s): use driver 'dir'", pool->path, strerror(errno));
	(void)fremovexattr(fd, "trusted.overlay.lxm");
	return 0;
}

static int make_dir(int up, const char *vol, const char *name, mode_t mode, struct lxm_err *e)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", vol, name);
	return mkdirat(up, path, mode) < 0 ? lxm_err_sys(e, "make directory '%s'", path) : 0;
}

/* The root of the mount takes its owner and mode from the upper directory. */
static int make_upper(struct pool *pool, const char *tmp, const char *image, struct lxm_err *e)
{
	lxm_auto(free) char *lower = lxm_asprintf("%s/rootfs", image), *upper = lxm_asprintf("%s/upper", tmp);
	struct stat st;

	if (fstatat(pool->dirfd, lower, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return lxm_err_set(e, ENOENT, "image '%s' has no root file system", image);
	if (mkdirat(pool->dirfd, upper, 0700) < 0)
		return lxm_err_sys(e, "make directory '%s'", upper);
	if (fchownat(pool->dirfd, upper, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(pool->dirfd, upper, st.st_mode & 07777, 0) < 0)
		return lxm_err_sys(e, "set owner and mode of '%s'", upper);
	return 0;
}

static int overlay_create_volume(struct pool *pool, const char *tmp, const char *image, struct op *op, struct lxm_err *e)
{
	int r = fsquota_mkdir(pool, tmp, e);

	if (r < 0)
		return r;
	if (!image) {
		r = make_dir(pool->dirfd, tmp, "rootfs", 0755, e);
	} else {
		r = volume_set_base(pool, tmp, image, e);
		if (r == 0)
			r = make_upper(pool, tmp, image, e);
		if (r == 0)
			r = make_dir(pool->dirfd, tmp, "work", 0700, e);
	}
	if (r < 0)
		(void)lxm_rm_tree_at(pool->dirfd, tmp);
	return r;
}

static int overlay_clone_volume(struct pool *pool, const char *from, const char *tmp, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .skip = "work", .op = op };
	char base[65];
	int r = volume_tree_copy(pool, from, pool, tmp, &how, e);

	volume_base(pool, from, base);
	if (r == 0 && *base)
		r = make_dir(pool->dirfd, tmp, "work", 0700, e);
	if (r < 0)
		(void)lxm_rm_tree_at(pool->dirfd, tmp);
	return r;
}

/* After a crash with a volatile mount the kernel refuses the directory until this mark is gone. */
static int overlay_prepare(struct pool *pool, const char *vol, struct lxm_err *e)
{
	lxm_auto(free) char *work = lxm_asprintf("%s/work/work", vol);
	lxm_auto(fd_close) int fd = openat(pool->dirfd, work, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && faccessat(fd, "incompat", F_OK, AT_SYMLINK_NOFOLLOW) == 0 && lxm_rm_tree_at(fd, "incompat") < 0)
		return lxm_err_set(e, EIO, "cannot clear what a volatile mount left in '%s'", work);
	return 0;
}

static int overlay_root(struct pool *pool, const char *vol, struct volume_root *out, struct lxm_err *e)
{
	char base[65];

	volume_base(pool, vol, base);
	if (!*base)
		return volume_root_bind(pool, vol, out, e);
	out->kind = VOLUME_ROOT_OVERLAY;
	out->lower = lxm_asprintf("%s/images/%s/rootfs", pool->path, base);
	out->dir = lxm_asprintf("%s/%s", pool->path, vol);
	return 0;
}

const struct storage_driver driver_overlay = {
	.name = "overlay",
	.caps = POOL_CAP_CLONE | POOL_CAP_OVERLAY_ROOT,
	.create = overlay_create,
	.create_volume = overlay_create_volume,
	.clone_volume = overlay_clone_volume,
	.prepare = overlay_prepare,
	.root = overlay_root,
	.usage = volume_usage_count,
};
