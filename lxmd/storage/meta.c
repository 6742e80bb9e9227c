/*
 * metadata.yaml and templates/ of a volume. Volumes on overlay share their image's until somebody edits them; the others have
 * their own from the beginning.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/pool_priv.h"

static int open_dir(struct pool *pool, const char *path)
{
	return openat(pool->dirfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int checked_path(struct pool *pool, const struct volume_id *v, char **path_out, struct lxm_err *e)
{
	int r = volume_id_check(v, e);

	if (r == 0)
		*path_out = volume_path(v);
	return r;
}

int pool_volume_open_meta(struct pool *pool, const struct volume_id *v, int *fd_out, bool *own, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL, *image = NULL;
	lxm_auto(fd_close) int fd = -1;
	char base[65];
	int r = checked_path(pool, v, &path, e);

	if (r < 0)
		return r;
	fd = open_dir(pool, path);
	if (fd < 0)
		return lxm_err_set(e, ENOENT, "pool '%s' has no volume '%s'", pool->name, path);
	if (own)
		*own = true;
	if (faccessat(fd, "metadata.yaml", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		volume_base(pool, path, base);
		if (!*base)
			return lxm_err_set(e, ENOENT, "volume '%s' was made without an image: it has no metadata", path);
		image = lxm_asprintf("images/%s", base);
		auto_fd_close(&fd);
		fd = open_dir(pool, image);
		if (fd < 0)
			return lxm_err_sys(e, "open '%s/%s'", pool->path, image);
		if (own)
			*own = false;
	}
	*fd_out = LXM_TAKE(fd, -1);
	return 0;
}

/* Copies templates/ first and metadata.yaml last, by rename: its presence says that the volume has its own. */
int pool_volume_own_meta(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL, *tmp = NULL, *to = NULL;
	lxm_auto(fd_close) int from = -1, dir = -1;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct pool sub = { .path = pool->path };
	struct tree_copy how = { 0 };
	bool own = false;
	int r = checked_path(pool, v, &path, e);

	if (r == 0)
		r = pool_volume_open_meta(pool, v, &from, &own, e);
	if (r < 0 || own)
		return r;
	dir = open_dir(pool, path);
	if (dir < 0)
		return lxm_err_sys(e, "open '%s'", path);
	to = lxm_asprintf("%s/templates", path);
	/* inside the volume: between projects of the file system's quotas nothing is renamed */
	tmp = lxm_asprintf("%s/templates.new", path);
	sub.dirfd = from;
	if (faccessat(from, "templates", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		(void)lxm_rm_tree_at(pool->dirfd, tmp);
		r = volume_tree_copy(&sub, "templates", pool, tmp, &how, e);
		if (r == 0 && (lxm_rm_tree_at(pool->dirfd, to) < 0 || renameat(pool->dirfd, tmp, pool->dirfd, to) < 0))
			r = lxm_err_sys(e, "rename '%s' to '%s'", tmp, to);
		if (r < 0) {
			(void)lxm_rm_tree_at(pool->dirfd, tmp);
			return r;
		}
	}
	r = lxm_read_regular_beneath(from, "metadata.yaml", 1024 * 1024, &text);
	if (r == 0)
		r = lxm_write_file_atomic(dir, "metadata.yaml", text.data, text.len, 0600);
	return r < 0 ? lxm_err_set(e, -r, "copy metadata.yaml to '%s': %s", path, strerror(-r)) : 0;
}
