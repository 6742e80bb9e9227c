/*
 * Volumes: checks names, keeps count of images, builds under tmp/ and renames into place, so that a volume under its name is always
 * whole. Callers see to it that one volume is worked on by one operation at a time (the instance's lock).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/storage/fsquota.h"
#include "lxmd/storage/pool_priv.h"

void volume_base(struct pool *pool, const char *vol, char out[65])
{
	char path[600];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/base", vol);
	n = readlinkat(pool->dirfd, path, out, 65);
	if (n != 64 || (out[64] = 0, !lxm_is_hex(out, 64, 64)))
		out[0] = 0;
}

int volume_set_base(struct pool *pool, const char *vol, const char *image, struct lxm_err *e)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/base", vol);
	const char *slash = strrchr(image, '/');

	/* only the link's text is used: no path is ever made of it that was not checked to be a fingerprint */
	return symlinkat(slash ? slash + 1 : image, pool->dirfd, path) < 0 ? lxm_err_sys(e, "make '%s'", path) : 0;
}

static int exists(struct pool *pool, const char *vol, struct lxm_err *e)
{
	struct stat st;

	if (fstatat(pool->dirfd, vol, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return lxm_err_set(e, ENOENT, "pool '%s' has no volume '%s'", pool->name, vol);
	return 0;
}

/* The checked path of a volume that exists. */
static int find(struct pool *pool, const struct volume_id *v, char **path_out, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	int r = volume_id_check(v, e);

	if (r < 0)
		return r;
	path = volume_path(v);
	r = exists(pool, path, e);
	if (r == 0)
		*path_out = LXM_TAKE(path, NULL);
	return r;
}

/* tmp gets its name; snapshots have a directory of their own in between. */
int volume_put_in_place(struct pool *pool, const char *tmp, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *path = volume_path(v);
	char *slash = strrchr(path, '/');

	if (lxm_starts(path, "snapshots/")) {
		*slash = 0;
		if (lxm_mkdir_at(pool->dirfd, path, 0700) < 0)
			return lxm_err_sys(e, "make directory '%s'", path);
		*slash = '/';
	}
	if (renameat2(pool->dirfd, tmp, pool->dirfd, path, RENAME_NOREPLACE) < 0) {
		if (errno == EEXIST || errno == ENOTEMPTY)
			return lxm_err_set(e, EEXIST, "pool '%s' already has a volume '%s'", pool->name, v->name);
		return lxm_err_sys(e, "rename '%s' to '%s'", tmp, path);
	}
	return 0;
}

void volume_undo_tmp(struct pool *pool, const char *tmp)
{
	if (pool->drv->release_volume)
		(void)pool->drv->release_volume(pool, tmp, NULL);
	if (pool_trash(pool, tmp, NULL) == 0)
		pool_trash_kick(pool);
}

static int create(struct pool *pool, const struct volume_id *v, const char *image, struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *tmp = pool_fresh_name("tmp", "vol");
	int r = pool->drv->create_volume(pool, tmp, image, op, e);

	if (r < 0)
		return r;
	r = volume_put_in_place(pool, tmp, v, e);
	if (r < 0)
		volume_undo_tmp(pool, tmp);
	return r;
}

int pool_volume_create_from_image(struct pool *pool, const struct volume_id *v, const char *fp, struct op *op,
				  struct lxm_err *e)
{
	char image[80];
	int r = volume_id_check(v, e);

	if (r == 0)
		r = pool_image_hold(pool, fp, op, e);
	if (r < 0)
		return r;
	snprintf(image, sizeof(image), "images/%s", fp);
	r = create(pool, v, image, op, e);
	/* with POOL_CAP_CLONE the hold stays as the volume's own */
	if (r < 0 || !(pool->drv->caps & POOL_CAP_OVERLAY_ROOT))
		pool_image_drop(pool, fp);
	return r;
}

int pool_volume_create_empty(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	int r = volume_id_check(v, e);

	return r < 0 ? r : create(pool, v, NULL, NULL, e);
}

int pool_volume_clone(struct pool *pool, const struct volume_id *from, const struct volume_id *to, struct op *op,
		      struct lxm_err *e)
{
	lxm_auto(free) char *tmp = pool_fresh_name("tmp", "vol"), *src = NULL;
	char base[65];
	int r = find(pool, from, &src, e);

	if (r == 0)
		r = volume_id_check(to, e);
	if (r < 0)
		return r;
	volume_base(pool, src, base);
	pool_image_count(pool, base);
	r = pool->drv->clone_volume(pool, src, tmp, op, e);
	if (r == 0) {
		r = pool->shifts ? volume_unshift(pool, tmp, e) : 0;
		if (r == 0)
			r = volume_put_in_place(pool, tmp, to, e);
		if (r < 0)
			volume_undo_tmp(pool, tmp);
	}
	if (r < 0)
		pool_image_drop(pool, base);
	return lxm_err_wrap(e, r, "copy volume '%s' to '%s'", from->name, to->name);
}

int pool_volume_delete(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	char base[65];
	int r = volume_id_check(v, e);

	if (r < 0)
		return r;
	path = volume_path(v);
	volume_base(pool, path, base);
	fsquota_drop(pool, path);
	r = pool_trash(pool, path, e);
	if (r)
		return r < 0 ? r : 0;
	pool_image_drop(pool, base);
	if (lxm_starts(path, "snapshots/")) {
		*strrchr(path, '/') = 0;
		(void)unlinkat(pool->dirfd, path, AT_REMOVEDIR); /* the last snapshot's directory */
	}
	/* even a few unlinks can wait for the journal behind somebody else's sync: not in the caller's time */
	pool_trash_kick(pool);
	return 0;
}

int pool_volume_rename(struct pool *pool, const struct volume_id *from, const struct volume_id *to, struct lxm_err *e)
{
	lxm_auto(free) char *a = NULL, *b = NULL, *snaps_a = NULL, *snaps_b = NULL;
	int r = find(pool, from, &a, e);

	if (r == 0)
		r = volume_id_check(to, e);
	if (r < 0)
		return r;
	b = volume_path(to);
	r = volume_put_in_place(pool, a, to, e);
	if (r < 0 || from->kind == VOLUME_SNAPSHOT)
		return r;
	/* instances/c1 has snapshots/c1/, custom/p@v has snapshots/@p@v/ */
	snaps_a = lxm_asprintf("snapshots/%s%s", from->kind == VOLUME_CUSTOM ? "@" : "", strchr(a, '/') + 1);
	snaps_b = lxm_asprintf("snapshots/%s%s", from->kind == VOLUME_CUSTOM ? "@" : "", strchr(b, '/') + 1);
	if (renameat(pool->dirfd, snaps_a, pool->dirfd, snaps_b) < 0 && errno != ENOENT) {
		r = lxm_err_sys(e, "rename '%s' to '%s'", snaps_a, snaps_b);
		(void)renameat(pool->dirfd, b, pool->dirfd, a);
	}
	return r;
}

/* In two renames, not by an exchange: whether staged/ still holds it then tells a next start how far this came. */
int pool_volume_replace(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *staged = NULL, *path = NULL;
	char base[65];
	int r = find(pool, VOLUME_OF_STAGED(v->project, v->name), &staged, e);

	if (r < 0)
		return r;
	path = volume_path(v);
	volume_base(pool, path, base);
	fsquota_drop(pool, path);
	r = pool_trash(pool, path, e);
	if (r < 0)
		return r;
	if (r == 0) {
		pool_image_drop(pool, base);
		pool_trash_kick(pool);
	}
	return volume_put_in_place(pool, staged, v, e);
}

int pool_custom_place(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *staged = NULL;
	int r = find(pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, v->project, v->name), &staged, e);

	return r < 0 ? r : volume_put_in_place(pool, staged, v, e);
}

int pool_custom_swap(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *staged = NULL, *path = NULL;
	int r = find(pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, v->project, v->name), &staged, e);

	if (r == 0)
		r = find(pool, v, &path, e);
	if (r < 0)
		return r;
	if (renameat2(pool->dirfd, staged, pool->dirfd, path, RENAME_EXCHANGE) < 0)
		return lxm_err_sys(e, "exchange '%s' and '%s'", staged, path);
	return pool_volume_delete(pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, v->project, v->name), e);
}

int pool_sync(struct pool *pool, struct lxm_err *e)
{
	return syncfs(pool->dirfd) < 0 ? lxm_err_sys(e, "sync '%s'", pool->path) : 0;
}

int pool_volume_root(struct pool *pool, const struct volume_id *v, struct volume_root *out, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	int r = find(pool, v, &path, e);

	return r < 0 ? r : pool->drv->root(pool, path, out, e);
}

int pool_volume_prepare(struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	char base[65];
	int r = find(pool, v, &path, e);

	if (r < 0)
		return r;
	volume_base(pool, path, base);
	if (*base) {
		/* unpacked again if it was lost */
		r = pool_image_ensure(pool, base, NULL, e);
		if (r < 0)
			return r;
	}
	return pool->drv->prepare ? pool->drv->prepare(pool, path, e) : 0;
}

int pool_volume_limit(struct pool *pool, const struct volume_id *v, uint64_t bytes, bool anyway, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	int r = find(pool, v, &path, e);

	if (r == 0)
		r = pool->drv->quota ? pool->drv->quota(pool, path, bytes, e) : fsquota_set(pool, path, bytes, anyway, e);
	return lxm_err_wrap(e, r, "size of volume '%s'", v->name);
}

int pool_volume_usage(struct pool *pool, const struct volume_id *v, struct volume_usage *out, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	int r = find(pool, v, &path, e);

	if (r == 0 && fsquota_usage(pool, path, out) == 0)
		return 0;
	if (r == 0 && !pool->drv->usage)
		r = lxm_err_set(e, EOPNOTSUPP, "driver '%s' cannot tell the size of a volume", pool->drv->name);
	return r < 0 ? r : pool->drv->usage(pool, path, out, e);
}

int pool_volume_image(struct pool *pool, const struct volume_id *v, char out[65], struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	int r = find(pool, v, &path, e);

	if (r == 0)
		volume_base(pool, path, out);
	return r;
}

/* ---- what drivers of plain directories have in common */

int volume_root_bind(struct pool *pool, const char *vol, struct volume_root *out, struct lxm_err *e)
{
	out->kind = VOLUME_ROOT_BIND;
	out->lower = lxm_asprintf("%s/%s/rootfs", pool->path, vol);
	out->dir = NULL;
	return 0;
}

int volume_usage_count(struct pool *pool, const char *vol, struct volume_usage *out, struct lxm_err *e)
{
	uint64_t n = 0;
	int r = lxm_du_at(pool->dirfd, vol, &n);

	if (r < 0)
		return lxm_err_set(e, -r, "count the space of '%s': %s", vol, strerror(-r));
	out->used = n;
	out->total = 0;
	return 0;
}
