/*
 * The unpacked images of a pool: each once, whoever asks at the same time; counted, so that an image that left the store goes with
 * the last volume on it. An image is built below tmp/ and renamed into images/, so images/FP is always whole - but for a power
 * cut before its blocks were written: until the background sync is done it carries a mark with the kernel's boot id.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/core/workers.h"
#include "lxmd/storage/pool_priv.h"
#include "lxmd/storage/unsynced.h"

/* The entry of an image, or NULL; lock held. */
static struct pool_image *find(struct pool *pool, const char *fp)
{
	size_t i;

	for (i = 0; i < pool->n_images; i++)
		if (strcmp(pool->images[i].fp, fp) == 0)
			return &pool->images[i];
	return NULL;
}

static struct pool_image *add(struct pool *pool, const char *fp, enum pool_image_state state)
{
	struct pool_image *im;

	if (pool->n_images == pool->cap_images) {
		pool->cap_images = pool->cap_images ? pool->cap_images * 2 : 8;
		pool->images = lxm_realloc_n(pool->images, pool->cap_images, sizeof(*pool->images));
	}
	im = &pool->images[pool->n_images++];
	memset(im, 0, sizeof(*im));
	snprintf(im->fp, sizeof(im->fp), "%s", fp);
	im->state = state;
	return im;
}

static void del(struct pool *pool, struct pool_image *im)
{
	*im = pool->images[--pool->n_images];
}

void pool_image_found(struct pool *pool, const char *fp)
{
	pthread_mutex_lock(&pool->lock);
	if (!find(pool, fp))
		add(pool, fp, IMAGE_READY);
	pthread_mutex_unlock(&pool->lock);
}

void pool_image_count(struct pool *pool, const char *fp)
{
	struct pool_image *im;

	if (!*fp)
		return;
	pthread_mutex_lock(&pool->lock);
	im = find(pool, fp);
	if (!im)
		im = add(pool, fp, IMAGE_MISSING);
	im->refs++;
	pthread_mutex_unlock(&pool->lock);
}

/* Builds images/FP. No lock held; the entry is BUSY. */
static int unpack(struct pool *pool, const char *fp, struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *tmp = pool_fresh_name("tmp", "image"), *path = lxm_asprintf("%s/%s", pool->path, tmp);
	lxm_auto(free) char *to = lxm_asprintf("images/%s", fp);
	lxm_auto(fd_close) int fd = -1;
	int r;

	if (!pool->s->unpack)
		return lxm_err_set(e, EOPNOTSUPP, "the image store is not running");
	if (pool->drv->image_begin)
		r = pool->drv->image_begin(pool, tmp, e);
	else
		r = mkdirat(pool->dirfd, tmp, 0700) < 0 ? lxm_err_sys(e, "make directory '%s'", path) : 0;
	if (r < 0)
		return r;
	fd = openat(pool->dirfd, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? lxm_err_sys(e, "open '%s'", path) : pool->s->unpack(pool->d, fp, fd, path, op, e);
	if (r == 0)
		r = unsynced_mark(fd, e);
	if (r == 0 && pool->drv->image_end)
		r = pool->drv->image_end(pool, tmp, e);
	if (r == 0 && renameat(pool->dirfd, tmp, pool->dirfd, to) < 0)
		r = lxm_err_sys(e, "rename '%s' to '%s'", tmp, to);
	if (r < 0) {
		if (pool->drv->release_volume)
			(void)pool->drv->release_volume(pool, tmp, NULL);
		(void)lxm_rm_tree_at(pool->dirfd, tmp);
		return r;
	}
	unsynced_sync_later(pool, to);
	return 0;
}

/* lock held; waits a while for another thread's work */
static void wait_changed(struct pool *pool)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 300000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&pool->changed, &pool->lock, &ts);
}

int pool_image_hold(struct pool *pool, const char *fp, struct op *op, struct lxm_err *e)
{
	struct pool_image *im;
	int r;

	if (!lxm_is_hex(fp, 64, 64))
		return lxm_err_set(e, EINVAL, "'%.80s' is no image fingerprint", fp);
	pthread_mutex_lock(&pool->lock);
	while ((im = find(pool, fp)) && im->state == IMAGE_BUSY) {
		wait_changed(pool);
		if (op_is_cancelled(op)) {
			pthread_mutex_unlock(&pool->lock);
			return lxm_err_set(e, ECANCELED, "cancelled");
		}
	}
	if (im && im->state == IMAGE_READY) {
		im->refs++;
		pthread_mutex_unlock(&pool->lock);
		return 0;
	}
	if (im)
		im->state = IMAGE_BUSY;
	else
		im = add(pool, fp, IMAGE_BUSY);
	im->refs++;
	pthread_mutex_unlock(&pool->lock);

	r = unpack(pool, fp, op, e);

	pthread_mutex_lock(&pool->lock);
	im = find(pool, fp);
	im->state = r < 0 ? IMAGE_MISSING : IMAGE_READY;
	if (r < 0 && --im->refs == 0)
		del(pool, im);
	else if (r == 0)
		im->doomed = false;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return lxm_err_wrap(e, r, "image '%.12s' in pool '%s'", fp, pool->name);
}

/* lock held on entry and exit, given up meanwhile: takes an unused image away */
static void remove_locked(struct pool *pool, const char *fp, enum pool_image_state was)
{
	lxm_auto(free) char *path = lxm_asprintf("images/%s", fp);
	struct lxm_err err = { 0 };
	struct pool_image *im;

	find(pool, fp)->state = IMAGE_BUSY;
	pthread_mutex_unlock(&pool->lock);
	if (was == IMAGE_READY && pool_trash(pool, path, &err) < 0)
		lxm_warn("%s", err.msg);
	pthread_mutex_lock(&pool->lock);
	im = find(pool, fp);
	if (im && im->refs == 0)
		del(pool, im);
	pthread_cond_broadcast(&pool->changed);
}

void pool_image_drop(struct pool *pool, const char *fp)
{
	struct pool_image *im;
	bool gone = false;

	if (!*fp)
		return;
	pthread_mutex_lock(&pool->lock);
	im = find(pool, fp);
	if (im && im->refs && --im->refs == 0 && im->state != IMAGE_BUSY && (im->doomed || im->state == IMAGE_MISSING)) {
		remove_locked(pool, fp, im->state);
		gone = true;
	}
	pthread_mutex_unlock(&pool->lock);
	if (gone)
		pool_trash_kick(pool);
}

void pool_image_forget(struct pool *pool, const char *fp)
{
	struct pool_image *im;
	bool gone = false;

	pthread_mutex_lock(&pool->lock);
	while ((im = find(pool, fp)) && im->state == IMAGE_BUSY)
		wait_changed(pool);
	if (im) {
		im->doomed = true;
		if (im->refs == 0) {
			remove_locked(pool, fp, im->state);
			gone = true;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	if (gone)
		pool_trash_kick(pool);
}

int pool_image_ensure(struct pool *pool, const char *fp, struct op *op, struct lxm_err *e)
{
	int r = pool_image_hold(pool, fp, op, e);

	if (r == 0)
		pool_image_drop(pool, fp);
	return r;
}

void pool_images(struct pool *pool, struct lxm_strv *out)
{
	size_t i;

	pthread_mutex_lock(&pool->lock);
	for (i = 0; i < pool->n_images; i++)
		if (pool->images[i].state == IMAGE_READY)
			lxm_strv_add(out, pool->images[i].fp);
	pthread_mutex_unlock(&pool->lock);
	lxm_strv_sort(out);
}
