/* The pool object: references, its directories, its space. Any thread; fields are fixed once the pool is open. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/daemon.h"
#include "lxmd/storage/fsquota.h"
#include "lxmd/storage/pool_priv.h"

const char *const pool_dirs[] = { "images", "instances", "custom", "snapshots", "staged", "tmp", "trash", "lost", NULL };

struct pool *pool_new(struct lxmd *d, const char *name, const char *path, const struct storage_driver *drv,
		      const struct lxm_kv *config)
{
	struct pool *pool = lxm_alloc(sizeof(*pool));

	pool->d = d;
	pool->s = d->storage;
	__atomic_add_fetch(&pool->s->refs, 1, __ATOMIC_RELAXED);
	pool->refs = 1;
	pool->name = lxm_strdup(name);
	pool->path = lxm_strdup(path);
	pool->drv = drv;
	pool->dirfd = -1;
	lxm_kv_copy(&pool->config, config);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	return pool;
}

struct pool *pool_ref(struct pool *pool)
{
	__atomic_add_fetch(&pool->refs, 1, __ATOMIC_RELAXED);
	return pool;
}

void pool_unref(struct pool *pool)
{
	if (!pool || __atomic_sub_fetch(&pool->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (pool->dirfd >= 0 && pool->drv->close)
		pool->drv->close(pool);
	auto_fd_close(&pool->dirfd);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	lxm_kv_deinit(&pool->config);
	free(pool->images);
	free(pool->name);
	free(pool->path);
	free(pool->why);
	storage_unref(pool->s);
	free(pool);
}

int pool_open_dirs(struct pool *pool, bool create, struct lxm_err *e)
{
	struct stat st;
	size_t i;
	int r;

	pool->dirfd = open(pool->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pool->dirfd < 0)
		return lxm_err_sys(e, "open '%s'", pool->path);
	if (fstat(pool->dirfd, &st) < 0 || st.st_uid != 0)
		return lxm_err_set(e, EPERM, "'%s' does not belong to root", pool->path);
	if (!create && faccessat(pool->dirfd, "instances", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_set(e, ENOENT, "'%s' holds no pool (is its file system mounted?)", pool->path);
	/* unpacked trees hold setuid files: nobody but root may walk in (CVE-2024-6156 and its kin) */
	if (fchmod(pool->dirfd, 0700) < 0)
		return lxm_err_sys(e, "set the mode of '%s'", pool->path);
	for (i = 0; pool_dirs[i]; i++) {
		r = lxm_mkdir_at(pool->dirfd, pool_dirs[i], 0700);
		if (r < 0)
			return lxm_err_set(e, -r, "make directory '%s/%s': %s", pool->path, pool_dirs[i], strerror(-r));
	}
	pool->shifts = pool_must_shift(pool->dirfd);
	pool->quota = fsquota_works(pool->dirfd);
	return 0;
}

const char *pool_name(const struct pool *pool)
{
	return pool->name;
}

const char *pool_driver(const struct pool *pool)
{
	return pool->drv->name;
}

const char *pool_path(const struct pool *pool)
{
	return pool->path;
}

unsigned int pool_caps(const struct pool *pool)
{
	return pool->drv->caps | (pool->quota ? POOL_CAP_QUOTA : 0);
}

int pool_space(struct pool *pool, struct pool_space *out, struct lxm_err *e)
{
	struct statvfs v;

	if (fstatvfs(pool->dirfd, &v) < 0)
		return lxm_err_sys(e, "statvfs '%s'", pool->path);
	out->total = (uint64_t)v.f_blocks * v.f_frsize;
	out->free = (uint64_t)v.f_bavail * v.f_frsize;
	out->used = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize;
	out->inodes_total = v.f_files;
	out->inodes_used = v.f_files - v.f_ffree;
	return 0;
}
