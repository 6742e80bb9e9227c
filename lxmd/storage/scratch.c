/*
 * Scratch directories: VOLUME/scratch/NAME, beside what the root file system is made of and not part of it. What lies there is on the
 * pool's own file system, so that it can hold the upper layer of a nested overlay, which an overlay root cannot.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/conf/names.h"
#include "lxmd/storage/pool_priv.h"

static int make_dir(int up, const char *name, mode_t mode, uint32_t owner, struct lxm_err *e)
{
	if (mkdirat(up, name, mode) < 0)
		return errno == EEXIST ? 0 : lxm_err_sys(e, "make directory '%s'", name);
	if (owner && fchownat(up, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "set the owner of '%s'", name);
	return 0;
}

int pool_volume_scratch(struct pool *pool, const struct volume_id *v, const char *name, char **path_out, struct lxm_err *e)
{
	lxm_auto(free) char *vol = NULL;
	lxm_auto(fd_close) int fd = -1, up = -1;
	uint32_t owner = 0;
	int r = conf_name_device(name, e);

	if (r == 0)
		r = volume_id_check(v, e);
	if (r < 0)
		return r;
	vol = volume_path(v);
	fd = openat(pool->dirfd, vol, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_set(e, ENOENT, "pool '%s' has no volume '%s'", pool->name, vol);
	if (pool->shifts)
		volume_owner(fd, &owner);
	r = make_dir(fd, "scratch", 0700, 0, e);
	if (r < 0)
		return r;
	up = openat(fd, "scratch", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (up < 0)
		return lxm_err_sys(e, "open 'scratch' of volume '%s'", vol);
	r = make_dir(up, name, 0755, owner, e);
	if (r == 0)
		*path_out = lxm_asprintf("%s/%s/scratch/%s", pool->path, vol, name);
	return r;
}
