/* See unsynced.h. A sync of a fresh image takes as long as its unpacking; nobody should wait for it, so a worker does. */
#include "lxmd/storage/unsynced.h"

#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/storage/pool_priv.h"

#define MARK ".unsynced"

static void boot_id(struct lxm_buf *out)
{
	if (lxm_read_file("/proc/sys/kernel/random/boot_id", 64, out) < 0)
		lxm_buf_str(out, "unknown\n");
}

int unsynced_mark(int dirfd, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(dirfd, MARK, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	lxm_auto(buf) struct lxm_buf id = { 0 };
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "mark the image");
	boot_id(&id);
	r = lxm_write_all(fd, id.data, id.len);
	return r < 0 ? lxm_err_set(e, -r, "mark the image: %s", strerror(-r)) : 0;
}

struct job {
	struct pool *pool;
	char *mark;
};

static void sync_job(void *arg)
{
	struct job *j = arg;

	if (syncfs(j->pool->dirfd) == 0)
		(void)unlinkat(j->pool->dirfd, j->mark, 0);
	pool_unref(j->pool);
	free(j->mark);
	free(j);
}

void unsynced_sync_later(struct pool *pool, const char *path)
{
	struct job *j = lxm_alloc(sizeof(*j));

	j->pool = pool_ref(pool);
	j->mark = lxm_asprintf("%s/" MARK, path);
	workers_run(pool->d->workers, sync_job, j);
}

bool unsynced_doubtful(struct pool *pool, const char *path, bool *marked)
{
	lxm_auto(free) char *mark = lxm_asprintf("%s/" MARK, path);
	lxm_auto(buf) struct lxm_buf now = { 0 }, then = { 0 };

	*marked = lxm_read_regular_beneath(pool->dirfd, mark, 64, &then) == 0;
	if (!*marked)
		return false;
	boot_id(&now);
	return then.len != now.len || (now.len && memcmp(then.data, now.data, now.len) != 0);
}
