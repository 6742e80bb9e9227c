/*
 * A pool at start: what a dead daemon left half done is taken away, what has no database row is set aside, images are counted. Nothing
 * that holds data is deleted: a lost database must not cost the instances.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lxmd/storage/pool_priv.h"
#include "lxmd/storage/unsynced.h"

/* Names in a directory of the pool, taken before anything is moved. */
static void list(struct pool *pool, const char *dir, struct lxm_strv *out)
{
	int fd = openat(pool->dirfd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		auto_fd_close(&fd);
		return;
	}
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			lxm_strv_take(out, lxm_asprintf("%s/%s", dir, de->d_name));
	closedir(d);
}

/* Everything below tmp/ was being built when lxmd died. */
static void clear_tmp(struct pool *pool)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	list(pool, "tmp", &names);
	for (i = 0; i < names.n; i++) {
		struct lxm_err e = { 0 };

		lxm_info("pool '%s': removing unfinished '%s'", pool->name, names.v[i]);
		if (pool->drv->release_volume)
			(void)pool->drv->release_volume(pool, names.v[i], NULL);
		if (pool_trash(pool, names.v[i], &e) < 0)
			lxm_warn("%s", e.msg);
	}
}

/* What pool_mend() left in staged/ replaces nothing. */
static void clear_staged(struct pool *pool)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	struct lxm_err e = { 0 };
	size_t i;

	list(pool, "staged", &names);
	for (i = 0; i < names.n; i++) {
		lxm_info("pool '%s': removing '%s', which was never put in place", pool->name, names.v[i]);
		if (pool_trash(pool, names.v[i], &e) < 0)
			lxm_warn("%s", e.msg);
	}
}

static void find_images(struct pool *pool)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	list(pool, "images", &names);
	for (i = 0; i < names.n; i++) {
		const char *fp = strrchr(names.v[i], '/') + 1;
		struct lxm_err e = { 0 };
		bool marked;

		if (!lxm_is_hex(fp, 64, 64) || unsynced_doubtful(pool, names.v[i], &marked)) {
			lxm_warn("pool '%s': '%s' may not be whole: it is unpacked again when it is needed", pool->name, names.v[i]);
			if (pool_trash(pool, names.v[i], &e) < 0)
				lxm_warn("%s", e.msg);
			continue;
		}
		pool_image_found(pool, fp);
		if (marked)
			unsynced_sync_later(pool, names.v[i]);
	}
}

/* Nothing was ever written into it. */
static bool is_untouched(struct pool *pool, const char *vol)
{
	lxm_auto(free) char *upper = lxm_asprintf("%s/upper", vol), *rootfs = lxm_asprintf("%s/rootfs", vol);
	lxm_auto(strv) struct lxm_strv inside = { 0 };
	struct stat st;
	bool layered = fstatat(pool->dirfd, upper, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (!layered && fstatat(pool->dirfd, rootfs, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	list(pool, layered ? upper : rootfs, &inside);
	return inside.n == 0;
}

static void set_aside(struct pool *pool, const char *vol)
{
	lxm_auto(free) char *to = lxm_asprintf("lost/%s-%lld", strchr(vol, '/') + 1, (long long)(lxm_now() / 1000));
	struct lxm_err e = { 0 };
	char *slash = strrchr(to, '/');

	if (slash != to + 4) /* a snapshot: INSTANCE@SNAPSHOT */
		*slash = '@';

	if (is_untouched(pool, vol)) {
		lxm_info("pool '%s': removing '%s', which belongs to nothing and was never written to", pool->name, vol);
		if (pool_trash(pool, vol, &e) < 0)
			lxm_warn("%s", e.msg);
		return;
	}
	if (renameat(pool->dirfd, vol, pool->dirfd, to) < 0)
		lxm_warn("pool '%s': '%s' belongs to nothing in the database and cannot be moved: %s", pool->name, vol, strerror(errno));
	else
		lxm_warn("pool '%s': '%s' belongs to nothing in the database; it was moved to '%s/%s'", pool->name, vol, pool->path, to);
}

static void count_base(struct pool *pool, const char *vol)
{
	char base[65];

	volume_base(pool, vol, base);
	pool_image_count(pool, base);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_volumes(struct pool *pool, const struct lxm_strv *known)
{
	lxm_auto(strv) struct lxm_strv vols = { 0 }, groups = { 0 };
	size_t i, k;

	list(pool, "instances", &vols);
	list(pool, "custom", &vols);
	for (i = 0; i < vols.n; i++) {
		const char *want = vols.v[i];

		if (known->n && bsearch(&want, known->v, known->n, sizeof(char *), by_name))
			count_base(pool, want);
		else
			set_aside(pool, want);
	}
	list(pool, "snapshots", &groups);
	for (i = 0; i < groups.n; i++) {
		lxm_auto(strv) struct lxm_strv snaps = { 0 };

		list(pool, groups.v[i], &snaps);
		for (k = 0; k < snaps.n; k++) {
			const char *want = snaps.v[k];

			if (known->n && bsearch(&want, known->v, known->n, sizeof(char *), by_name))
				count_base(pool, want);
			else
				set_aside(pool, want);
		}
		(void)unlinkat(pool->dirfd, groups.v[i], AT_REMOVEDIR);
	}
}

void pool_reconcile(struct pool *pool, const struct lxm_strv *known)
{
	clear_tmp(pool);
	clear_staged(pool);
	find_images(pool);
	find_volumes(pool, known);
	pool_trash_kick(pool);
}
