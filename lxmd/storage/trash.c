/*
 * Deleting in two steps: a rename into trash/ makes a thing gone at once and atomically, a worker frees its blocks. What a
 * dead daemon left there goes at the next start. One worker a pool.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/storage/pool_priv.h"

char *pool_fresh_name(const char *dir, const char *prefix)
{
	lxm_auto(free) char *rnd = lxm_random_hex(8);

	return lxm_asprintf("%s/%s-%s", dir, prefix, rnd);
}

int pool_trash(struct pool *pool, const char *path, struct lxm_err *e)
{
	lxm_auto(free) char *to = pool_fresh_name("trash", "old");

	if (renameat(pool->dirfd, path, pool->dirfd, to) < 0) {
		if (errno == ENOENT)
			return 1;
		return lxm_err_sys(e, "move '%s' into the trash of pool '%s'", path, pool->name);
	}
	return 0;
}

/* Removes what is in trash/ now. Returns how many entries went. */
static unsigned int empty_once(struct pool *pool)
{
	int fd = openat(pool->dirfd, "trash", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned int gone = 0;
	struct dirent *de;
	int r;

	if (!dir) {
		auto_fd_close(&fd);
		return 0;
	}
	while (!__atomic_load_n(&pool->s->stopping, __ATOMIC_RELAXED) && (de = readdir(dir))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (pool->drv->release_volume) {
			lxm_auto(free) char *vol = lxm_asprintf("trash/%s", de->d_name);

			(void)pool->drv->release_volume(pool, vol, NULL);
		}
		r = lxm_rm_tree_at(fd, de->d_name);
		if (r == 0)
			gone++;
		else
			lxm_warn("pool '%s': cannot empty the trash of '%s': %s", pool->name, de->d_name, strerror(-r));
	}
	closedir(dir);
	return gone;
}

static void empty_job(void *arg)
{
	struct pool *pool = arg;
	bool again;

	do {
		(void)empty_once(pool);
		pthread_mutex_lock(&pool->lock);
		again = pool->trash_again;
		pool->trash_again = false;
		pool->trash_running = again;
		pthread_mutex_unlock(&pool->lock);
	} while (again);
	pool_unref(pool);
}

void pool_trash_kick(struct pool *pool)
{
	bool start;

	pthread_mutex_lock(&pool->lock);
	start = !pool->trash_running;
	pool->trash_again = !start;
	pool->trash_running = true;
	pthread_mutex_unlock(&pool->lock);
	if (start)
		workers_run(pool->d->workers, empty_job, pool_ref(pool));
}
