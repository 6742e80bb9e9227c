/*
 * A volume as one tree for lxmd itself: a plain directory, or an overlay mount that is attached nowhere (fsmount) and lives as
 * long as its descriptor. Without id mapping: what the container sees as root is uid 0 here.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/pool_priv.h"

/* One setting of the mount: a directory through /proc/self/fd, so that no path needs quoting. */
static int set_dir(int fs, const char *key, int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fsconfig(fs, FSCONFIG_SET_STRING, key, path, 0);
}

static int set_lowers(int fs, int upper, int lower)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/self/fd/%d:/proc/self/fd/%d", upper, lower);
	return fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", path, 0);
}

static int mount_overlay(const struct volume_root *root, bool write, int *fd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int lower = open(root->lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(fd_close) int dir = open(root->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(fd_close) int upper = dir < 0 ? -1 : openat(dir, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lxm_auto(fd_close) int work = dir < 0 ? -1 : openat(dir, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lxm_auto(fd_close) int fs = -1;
	int fd;

	if (lower < 0 || upper < 0 || (write && work < 0))
		return lxm_err_sys(e, "open the layers of '%s'", root->dir);
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return lxm_err_sys(e, "open an overlay file system");
	if ((write ? set_dir(fs, "lowerdir", lower) || set_dir(fs, "upperdir", upper) || set_dir(fs, "workdir", work) :
		     set_lowers(fs, upper, lower)) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", write ? "on" : "follow", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return lxm_err_sys(e, "set up an overlay of '%s'", root->dir);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (write ? 0 : MOUNT_ATTR_RDONLY));
	if (fd < 0)
		return lxm_err_sys(e, "mount an overlay of '%s'", root->dir);
	*fd_out = fd;
	return 0;
}

int pool_volume_open_root(struct pool *pool, const struct volume_id *v, bool write, int *fd_out, struct lxm_err *e)
{
	lxm_auto(volume_root) struct volume_root root = { 0 };
	char base[65];
	int fd, r;

	/* reading must leave alone what prepare() clears: the instance may be running */
	r = write ? pool_volume_prepare(pool, v, e) : pool_volume_image(pool, v, base, e);
	if (r == 0 && !write && *base)
		r = pool_image_ensure(pool, base, NULL, e);
	if (r == 0 && pool->shifts) {
		lxm_auto(free) char *vol = volume_path(v);

		/* only copies are opened while an instance runs, and those are unshifted */
		r = volume_unshift(pool, vol, e);
	}
	if (r == 0)
		r = pool_volume_root(pool, v, &root, e);
	if (r < 0)
		return r;
	if (root.kind == VOLUME_ROOT_OVERLAY)
		return mount_overlay(&root, write, fd_out, e);
	fd = open(root.lower, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", root.lower);
	*fd_out = fd;
	return 0;
}
