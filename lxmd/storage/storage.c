/*
 * The daemon's set of pools. Pools come from the database at start and by storage_pool_create(); the set is guarded by one lock that is
 * held for pointers only. Lock order: storage, then pool.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "db/instance.h"
#include "db/snapshot.h"
#include "db/storage.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lxmd/core/daemon.h"
#include "lxmd/storage/pool_priv.h"

struct rows {
	struct db_pools pools;
	struct db_instances instances;
	struct db_snapshots snapshots;
	struct db_volumes customs;
	struct db_volsnaps volsnaps;
};

static int load_rows(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct rows *rows = arg;
	int r = db_pool_list(tx, &rows->pools, e);

	if (r == 0)
		r = db_instance_list(tx, NULL, DB_ANY_TYPE, DB_WITH_CONFIG, &rows->instances, e);
	if (r == 0)
		r = db_snapshot_list(tx, 0, &rows->snapshots, e);
	if (r == 0)
		r = db_volume_list(tx, NULL, NULL, DB_VOL_CUSTOM, &rows->customs, e);
	return r < 0 ? r : db_volsnap_list(tx, 0, &rows->volsnaps, e);
}

static char *path_of(struct lxmd *d, const char *name, const struct lxm_kv *config)
{
	const char *source = lxm_kv_get(config, "source");

	return lxm_empty(source) ? lxm_asprintf("%s/%s", d->dirs.pools.path, name) : lxm_strdup(source);
}

static void set_add(struct storage *s, struct pool *pool)
{
	pthread_mutex_lock(&s->lock);
	s->pools = lxm_realloc_n(s->pools, s->n + 1, sizeof(*s->pools));
	s->pools[s->n++] = pool;
	pthread_mutex_unlock(&s->lock);
}

/* Takes it out of the set; the caller has the set's reference now. */
static struct pool *set_take(struct storage *s, const char *name)
{
	struct pool *pool = NULL;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n && !pool; i++) {
		if (strcmp(s->pools[i]->name, name) != 0)
			continue;
		pool = s->pools[i];
		s->pools[i] = s->pools[--s->n];
	}
	pthread_mutex_unlock(&s->lock);
	return pool;
}

static void open_row(struct lxmd *d, const struct db_pool *row, const struct rows *rows, const struct lxm_strv *known)
{
	const struct storage_driver *drv = storage_driver_find(row->driver);
	lxm_auto(free) char *path = path_of(d, row->name, &row->config);
	struct pool *pool = pool_new(d, row->name, path, drv, &row->config);
	struct lxm_err e = { 0 };
	int r = 0;

	if (!drv)
		r = lxm_err_set(&e, EOPNOTSUPP, "this lxm has no storage driver '%s'", row->driver);
	if (r == 0)
		r = pool_open_dirs(pool, false, &e);
	if (r == 0 && drv->open)
		r = drv->open(pool, &e);
	if (r < 0) {
		lxm_error("storage pool '%s' is not available: %s", row->name, e.msg);
		auto_fd_close(&pool->dirfd);
		pool->why = lxm_strdup(e.msg);
	} else {
		pool_mend(pool, &rows->instances, &rows->snapshots);
		pool_mend_custom(pool, &rows->customs, &rows->volsnaps);
		pool_reconcile(pool, known);
	}
	set_add(d->storage, pool);
}

static void known_volsnaps(const struct rows *rows, const struct db_volume *v, struct lxm_strv *out)
{
	size_t i;

	for (i = 0; i < rows->volsnaps.n; i++) {
		lxm_auto(free) char *name = NULL;

		if (rows->volsnaps.v[i].volume_id != v->id)
			continue;
		name = lxm_asprintf("%s/%s", v->name, rows->volsnaps.v[i].name);
		lxm_strv_take(out, volume_path(VOLUME_ID(VOLUME_CUSTOM, v->project, name)));
	}
}

/* The volumes that rows stand for, as paths in the pool, sorted. */
static void known_paths(const struct rows *rows, const char *pool, struct lxm_strv *out)
{
	size_t i;

	for (i = 0; i < rows->instances.n; i++) {
		const struct db_instance *in = &rows->instances.v[i];

		if (!in->pool || strcmp(in->pool, pool) == 0)
			lxm_strv_take(out, volume_path(VOLUME_OF_INSTANCE(in->project, in->name)));
	}
	for (i = 0; i < rows->snapshots.n; i++) {
		const struct db_snapshot *s = &rows->snapshots.v[i];
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", s->instance, s->name);

		/* one that lies in another pool is not found here, which does no harm */
		lxm_strv_take(out, volume_path(VOLUME_ID(VOLUME_SNAPSHOT, s->project, name)));
	}
	for (i = 0; i < rows->customs.n; i++) {
		const struct db_volume *v = &rows->customs.v[i];

		if (strcmp(v->pool, pool) == 0) {
			lxm_strv_take(out, volume_path(VOLUME_ID(VOLUME_CUSTOM, v->project, v->name)));
			known_volsnaps(rows, v, out);
		}
	}
	lxm_strv_sort(out);
}

/* What a dead daemon left of a pool without a row: empty directories only. */
static void remove_leftover(const char *path)
{
	lxm_auto(fd_close) int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	size_t i;

	for (i = 0; fd >= 0 && pool_dirs[i]; i++)
		(void)unlinkat(fd, pool_dirs[i], AT_REMOVEDIR);
}

/* A daemon that died while it made or deleted a pool. Where anything is inside, nothing is touched. */
static void sweep_places(struct lxmd *d, const struct rows *rows)
{
	int fd = openat(d->dirs.pools.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	size_t i;

	if (!dir) {
		auto_fd_close(&fd);
		return;
	}
	while ((de = readdir(dir))) {
		lxm_auto(free) char *path = lxm_asprintf("%s/%s", d->dirs.pools.path, de->d_name);

		for (i = 0; i < rows->pools.n && strcmp(rows->pools.v[i].name, de->d_name) != 0; i++)
			;
		if (i < rows->pools.n || de->d_name[0] == '.')
			continue;
		remove_leftover(path);
		if (rmdir(path) == 0)
			lxm_info("'%s' belonged to no storage pool and was empty: removed", path);
	}
	closedir(dir);
}

int storage_start(struct lxmd *d, struct lxm_err *e)
{
	struct storage *s = lxm_alloc(sizeof(*s));
	struct rows rows = { 0 };
	size_t i;
	int r;

	pthread_mutex_init(&s->lock, NULL);
	s->refs = 1;
	d->storage = s;
	r = db_read(d->db, load_rows, &rows, e);
	for (i = 0; r >= 0 && i < rows.pools.n; i++) {
		lxm_auto(strv) struct lxm_strv paths = { 0 };

		known_paths(&rows, rows.pools.v[i].name, &paths);
		open_row(d, &rows.pools.v[i], &rows, &paths);
	}
	if (r >= 0)
		sweep_places(d, &rows);
	db_pools_deinit(&rows.pools);
	db_instances_deinit(&rows.instances);
	db_snapshots_deinit(&rows.snapshots);
	if (r >= 0) {
		custom_forget_marks(d, &rows.customs);
		custom_forget_snapshot_marks(d, &rows.volsnaps);
	}
	db_volumes_deinit(&rows.customs);
	db_volsnaps_deinit(&rows.volsnaps);
	return lxm_err_wrap(e, r < 0 ? r : 0, "start storage");
}

void storage_unref(struct storage *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(s->pools);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void storage_stop(struct lxmd *d)
{
	struct storage *s = LXM_TAKE(d->storage, NULL);
	size_t i, n;

	if (!s)
		return;
	/* jobs of the pools may still run: what they need lives until the last one's reference is gone */
	__atomic_store_n(&s->stopping, true, __ATOMIC_RELAXED);
	n = LXM_TAKE(s->n, 0);
	for (i = 0; i < n; i++)
		pool_unref(s->pools[i]);
	storage_unref(s);
}

void storage_set_unpacker(struct lxmd *d, pool_unpack_fn fn)
{
	d->storage->unpack = fn;
}

int storage_pool_get(struct lxmd *d, const char *name, struct pool **pool_out, struct lxm_err *e)
{
	struct storage *s = d->storage;
	struct pool *pool = NULL;
	size_t i;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n && !pool; i++)
		if (strcmp(s->pools[i]->name, name) == 0)
			pool = s->pools[i];
	if (!pool)
		r = lxm_err_set(e, ENOENT, "storage pool '%.100s' not found", name);
	else if (pool->dirfd < 0)
		r = lxm_err_http(e, 503, EHOSTDOWN, "storage pool '%s' is not available: %s", name, pool->why);
	else
		*pool_out = pool_ref(pool);
	pthread_mutex_unlock(&s->lock);
	return r;
}

struct row_arg {
	struct db_pool row;
	const char *name;
};

static int insert_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = db_pool_create(tx, &a->row, e);

	return r < 0 ? r : db_pool_set_state(tx, a->row.id, DB_CREATED, e);
}

static int delete_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = db_pool_delete(tx, a->name, e);

	return r == DB_NONE ? 0 : r;
}

/* The directory of a new pool: ours is made, one of the host must be empty. */
static int make_place(struct lxmd *d, const char *path, bool ours, bool *made, struct lxm_err *e)
{
	struct stat st;
	int r;

	if (!ours && (*path != '/' || strstr(path, "/../") || lxm_ends(path, "/..")))
		return lxm_err_set(e, EINVAL, "source '%.200s' must be an absolute path without '..'", path);
	if (mkdir(path, 0700) == 0) {
		*made = true;
		return 0;
	}
	if (errno != EEXIST)
		return lxm_err_sys(e, "make directory '%.200s'", path);
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return lxm_err_set(e, EINVAL, "'%.200s' is not a directory", path);
	if (ours)
		remove_leftover(path);
	/* an empty directory can be removed, and made again */
	if (rmdir(path) < 0)
		return lxm_err_set(e, EEXIST, "directory '%.200s' is not empty (or a mount point: use a directory inside it)", path);
	r = mkdir(path, 0700);
	*made = r == 0;
	return r < 0 ? lxm_err_sys(e, "make directory '%.200s'", path) : 0;
}

static int build_pool(struct lxmd *d, const char *name, const struct storage_driver *drv, const struct lxm_kv *config,
		      const char *description, struct pool **out, struct lxm_err *e)
{
	lxm_auto(free) char *path = path_of(d, name, config);
	lxm_auto(pool_unref) struct pool *pool = pool_new(d, name, path, drv, config);
	struct row_arg a = { .row = { .state = DB_CREATED } };
	bool made = false;
	int r = make_place(d, path, lxm_empty(lxm_kv_get(config, "source")), &made, e);

	if (r == 0)
		r = pool_open_dirs(pool, true, e);
	if (r == 0 && drv->create)
		r = drv->create(pool, e);
	if (r == 0 && drv->open)
		r = drv->open(pool, e);
	if (r == 0) {
		a.row.name = lxm_strdup(name);
		a.row.driver = lxm_strdup(drv->name);
		a.row.description = lxm_strdup(description ? description : "");
		lxm_kv_copy(&a.row.config, config);
		r = db_write(d->db, insert_row, &a, e);
		db_pool_deinit(&a.row);
	}
	if (r < 0) {
		if (made)
			(void)lxm_rm_tree_at(AT_FDCWD, path);
		return r;
	}
	*out = LXM_TAKE(pool, NULL);
	return 0;
}

int storage_pool_create(struct lxmd *d, const char *name, const char *driver, const char *description,
			const struct lxm_kv *config, struct lxm_err *e)
{
	const struct storage_driver *drv = storage_driver_find(driver);
	lxm_auto(pool_unref) struct pool *there = NULL;
	struct pool *pool = NULL;
	int r = conf_name_pool(name, e);

	if (r < 0)
		return r;
	if (!drv)
		return lxm_err_set(e, EINVAL, "there is no storage driver '%.50s'; this lxm has overlay and dir", driver);
	if (storage_pool_get(d, name, &there, NULL) != -ENOENT)
		return lxm_err_set(e, EEXIST, "storage pool '%s' already exists", name);
	r = build_pool(d, name, drv, config, description, &pool, e);
	if (r == 0)
		set_add(d->storage, pool);
	return lxm_err_wrap(e, r, "create storage pool '%s'", name);
}

int storage_pool_delete(struct lxmd *d, const char *name, struct lxm_err *e)
{
	struct row_arg a = { .name = name };
	struct pool *pool;
	int r = db_write(d->db, delete_row, &a, e);

	if (r < 0) {
		if (e && r == -EBUSY)
			e->http = 400;
		return r;
	}
	pool = set_take(d->storage, name);
	if (!pool)
		return lxm_err_set(e, ENOENT, "storage pool '%.100s' not found", name);
	/* of a pool that could not come up nothing is touched: who knows what lies there */
	if (pool->dirfd >= 0) {
		if (pool->drv->destroy)
			(void)pool->drv->destroy(pool, NULL);
		r = lxm_rm_tree_at(AT_FDCWD, pool->path);
		if (r < 0)
			lxm_warn("storage pool '%s': cannot remove '%s': %s", name, pool->path, strerror(-r));
	}
	pool_unref(pool);
	return 0;
}

/* A copy of the set with references, so that no lock is held while pools work. */
static struct pool **snapshot(struct storage *s, size_t *n_out)
{
	struct pool **v;
	size_t i;

	pthread_mutex_lock(&s->lock);
	v = lxm_alloc((s->n + 1) * sizeof(*v));
	for (i = 0; i < s->n; i++)
		v[i] = pool_ref(s->pools[i]);
	*n_out = s->n;
	pthread_mutex_unlock(&s->lock);
	return v;
}

void storage_image_forget(struct lxmd *d, const char *fp)
{
	size_t n, i;
	lxm_auto(free) struct pool **pools = snapshot(d->storage, &n);

	for (i = 0; i < n; i++) {
		if (pools[i]->dirfd >= 0)
			pool_image_forget(pools[i], fp);
		pool_unref(pools[i]);
	}
}

void storage_images(struct lxmd *d, struct lxm_strv *out)
{
	size_t n, i;
	lxm_auto(free) struct pool **pools = snapshot(d->storage, &n);

	for (i = 0; i < n; i++) {
		lxm_auto(strv) struct lxm_strv here = { 0 };
		size_t k;

		pool_images(pools[i], &here);
		for (k = 0; k < here.n; k++)
			if (!lxm_strv_has(out, here.v[k]))
				lxm_strv_add(out, here.v[k]);
		pool_unref(pools[i]);
	}
	lxm_strv_sort(out);
}
