/*
 * Copies between pools. Between two overlay pools the image is unpacked in the other one and the upper layer copied; in all other
 * cases what the instance would see is copied as one tree.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/op.h"
#include "lxmd/storage/fsquota.h"
#include "lxmd/storage/pool_priv.h"

/* Both sides keep layers, and the image can be had over there: *base stays filled; else it is emptied. */
static void common_base(struct pool *from, struct pool *to, char base[65], struct op *op)
{
	if (from->drv != to->drv || !(to->drv->caps & POOL_CAP_OVERLAY_ROOT) || (*base && pool_image_hold(to, base, op, NULL) < 0))
		*base = 0;
}

/* The volume directory as it is, layers and own metadata; the work directory is made new. */
static int copy_layers(struct pool *from, const char *src, struct pool *to, const char *tmp, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .skip = "work", .op = op, .progress_key = "fs_progress" };
	lxm_auto(free) char *work = lxm_asprintf("%s/work", tmp);
	int r = volume_tree_copy(from, src, to, tmp, &how, e);

	if (r == 0 && mkdirat(to->dirfd, work, 0700) < 0)
		r = lxm_err_sys(e, "make directory '%s'", work);
	return r;
}

/* As it is on disk, whatever owners it has: the instance may be running. */
static int open_plain(struct pool *pool, const struct volume_id *v, int *fd_out, struct lxm_err *e)
{
	lxm_auto(volume_root) struct volume_root root = { 0 };
	int r = pool_volume_root(pool, v, &root, e);

	if (r < 0)
		return r;
	*fd_out = open(root.lower, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd_out < 0 ? lxm_err_sys(e, "open '%s'", root.lower) : 0;
}

/* rootfs/ as the instance sees it, and the metadata that count for it. */
static int copy_merged(struct pool *from, const struct volume_id *v, struct pool *to, const char *tmp, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .op = op, .progress_key = "fs_progress" };
	lxm_auto(free) char *root = lxm_asprintf("%s/rootfs", tmp), *templates = lxm_asprintf("%s/templates", tmp);
	lxm_auto(fd_close) int tree = -1, src = -1, dst = -1, meta = -1, dir = -1;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct pool sub = { .path = from->path };
	int r = from->shifts ? open_plain(from, v, &tree, e) : pool_volume_open_root(from, v, false, &tree, e);

	if (r < 0)
		return r;
	r = fsquota_mkdir(to, tmp, e);
	if (r < 0)
		return r;
	if (mkdirat(to->dirfd, root, 0700) < 0)
		return lxm_err_sys(e, "make directory '%s'", root);
	src = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst = openat(to->dirfd, root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = openat(to->dirfd, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (src < 0 || dst < 0 || dir < 0)
		return lxm_err_sys(e, "open '%s'", root);
	r = tree_copy(src, dst, &how, e);
	if (r < 0 || pool_volume_open_meta(from, v, &meta, NULL, NULL) < 0)
		return r;
	sub.dirfd = meta;
	if (faccessat(meta, "templates", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = volume_tree_copy(&sub, "templates", to, templates, &how, e);
	if (r == 0 && lxm_read_regular_beneath(meta, "metadata.yaml", 1024 * 1024, &text) == 0) {
		r = lxm_write_file_atomic(dir, "metadata.yaml", text.data, text.len, 0600);
		if (r < 0)
			r = lxm_err_set(e, -r, "write metadata.yaml: %s", strerror(-r));
	}
	return r;
}

/* What scratch.c made, if there is any; copy_layers() has it already. */
static int copy_scratch(struct pool *from, const char *src, struct pool *to, const char *tmp, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .op = op };
	lxm_auto(free) char *a = lxm_asprintf("%s/scratch", src), *b = lxm_asprintf("%s/scratch", tmp);

	return faccessat(from->dirfd, a, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : volume_tree_copy(from, a, to, b, &how, e);
}

int pool_volume_copy(struct pool *from_pool, const struct volume_id *from, struct pool *to_pool, const struct volume_id *to,
		     struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *tmp = pool_fresh_name("tmp", "vol"), *src = NULL;
	char base[65];
	int r;

	if (from_pool == to_pool)
		return pool_volume_clone(from_pool, from, to, op, e);
	r = pool_volume_image(from_pool, from, base, e);
	if (r == 0)
		r = volume_id_check(to, e);
	if (r < 0)
		return r;
	src = volume_path(from);
	common_base(from_pool, to_pool, base, op);
	if (*base)
		r = copy_layers(from_pool, src, to_pool, tmp, op, e);
	else
		r = copy_merged(from_pool, from, to_pool, tmp, op, e);
	if (r == 0 && !*base)
		r = copy_scratch(from_pool, src, to_pool, tmp, op, e);
	if (r == 0 && from_pool->shifts)
		r = volume_unshift_as(to_pool, tmp, from_pool, src, e);
	if (r == 0)
		r = volume_put_in_place(to_pool, tmp, to, e);
	if (r < 0) {
		pool_image_drop(to_pool, base);
		volume_undo_tmp(to_pool, tmp);
	}
	return lxm_err_wrap(e, r, "copy volume '%s' to pool '%s'", from->name, to_pool->name);
}
