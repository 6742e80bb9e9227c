/*
 * One look at all running instances, kept for a moment, see usage.h. Whoever comes while a look is taken waits for it and
 * shares it, so many scrapers cost as much as one.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "db/db.h"
#include "db/instance.h"
#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/usage_read.h"
#include "lxmd/storage/pool.h"

struct usage_cache {
	pthread_mutex_t lock; /* held while a look is taken */
	struct usages *last;  /* guarded by lock */
};

struct usage_cache *usage_cache_new(void)
{
	struct usage_cache *c = lxm_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void usage_cache_free(struct usage_cache *c)
{
	if (!c)
		return;
	usages_unref(c->last);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void usages_unref(struct usages *u)
{
	size_t k;

	if (!u || __atomic_sub_fetch(&u->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (k = 0; k < u->n; k++) {
		free(u->v[k].project);
		free(u->v[k].name);
		free(u->v[k].cpu);
		free(u->v[k].disk);
		free(u->v[k].link);
	}
	for (k = 0; k < u->n_project; k++)
		free(u->project[k].name);
	free(u->project);
	free(u->v);
	free(u);
}

/* ---- names of disks and file systems: looked up once for each look, there are few */

/* "8:0" becomes "sda"; a device without a name keeps its numbers. */
static void name_disk(char device[USAGE_NAME])
{
	char path[USAGE_NAME + 32], target[256];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/block/%s", device);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	if (slash && slash[1] && strlen(slash + 1) < USAGE_NAME)
		strcpy(device, slash + 1);
}

/* Type and source of the mount that a device number belongs to, from /proc/self/mountinfo. */
static void name_fs(dev_t dev, struct usage_fs *fs)
{
	lxm_auto(fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
	lxm_auto(free) char *line = NULL;
	char want[32];
	size_t cap = 0;

	snprintf(want, sizeof(want), "%u:%u", major(dev), minor(dev));
	while (f && getline(&line, &cap, f) > 0) {
		const char *dash = strstr(line, " - ");
		char number[32];

		if (!dash || sscanf(line, "%*d %*d %31s", number) != 1 || strcmp(number, want) != 0)
			continue;
		(void)sscanf(dash + 3, "%31s %63s", fs->type, fs->device);
		return;
	}
}

struct pool_fs {
	char *pool; /* owned */
	struct usage_fs fs;
};

struct pools_fs {
	struct pool_fs *v;
	size_t n;
};

/* Space of the file system that a pool's volumes lie on. Borrowed until the next call. */
static const struct usage_fs *fs_of(struct lxmd *d, struct pools_fs *known, const char *name)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct usage_fs fs = { 0 };
	struct statvfs sv;
	struct stat st;
	size_t k;

	for (k = 0; k < known->n; k++)
		if (strcmp(known->v[k].pool, name) == 0)
			return &known->v[k].fs;
	if (storage_pool_get(d, name, &pool, NULL) == 0 && statvfs(pool_path(pool), &sv) == 0 &&
	    stat(pool_path(pool), &st) == 0) {
		fs.size = (uint64_t)sv.f_blocks * sv.f_frsize;
		fs.free = (uint64_t)sv.f_bfree * sv.f_frsize;
		fs.avail = (uint64_t)sv.f_bavail * sv.f_frsize;
		name_fs(st.st_dev, &fs);
	}
	known->v = lxm_realloc_n(known->v, known->n + 1, sizeof(*known->v));
	known->v[known->n] = (struct pool_fs){ lxm_strdup(name), fs };
	return &known->v[known->n++].fs;
}

static void pools_fs_deinit(struct pools_fs *p)
{
	size_t k;

	for (k = 0; k < p->n; k++)
		free(p->v[k].pool);
	free(p->v);
}
LXM_AUTO_STRUCT(pools_fs, struct pools_fs, pools_fs_deinit)

/* ---- the look */

static int rows_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_instance_list(tx, NULL, DB_ANY_TYPE, 0, arg, e);
}

/* Rows come by project. */
static void count_instance(struct usages *u, const char *project)
{
	if (!u->n_project || strcmp(u->project[u->n_project - 1].name, project) != 0) {
		u->project = lxm_realloc_n(u->project, u->n_project + 1, sizeof(*u->project));
		u->project[u->n_project++] = (struct usage_project){ lxm_strdup(project), 0 };
	}
	u->project[u->n_project - 1].instances++;
}

static const struct db_instance *row_of(const struct db_instances *rows, int64_t id)
{
	size_t k;

	for (k = 0; k < rows->n; k++)
		if (rows->v[k].id == id)
			return &rows->v[k];
	return NULL;
}

static int look(struct lxmd *d, struct usages **out, struct lxm_err *e)
{
	lxm_auto(db_instances) struct db_instances rows = { 0 };
	lxm_auto(pools_fs) struct pools_fs pools = { 0 };
	struct run **runs = NULL;
	struct usages *u;
	size_t n, k, i;
	int r = db_read(d->db, rows_tx, &rows, e);

	if (r < 0)
		return r;
	u = lxm_alloc(sizeof(*u));
	u->refs = 1;
	for (k = 0; k < rows.n; k++)
		count_instance(u, rows.v[k].project);
	n = run_list(d, &runs);
	u->v = lxm_alloc((n + 1) * sizeof(*u->v));
	for (k = 0; k < n; k++) {
		const struct db_instance *row = row_of(&rows, runs[k]->id);
		struct usage *o = &u->v[u->n];

		if (row && run_status(runs[k]) != API_STOPPED) {
			usage_read(runs[k], o);
			for (i = 0; i < o->n_disk; i++)
				name_disk(o->disk[i].device);
			if (row->pool)
				o->fs = *fs_of(d, &pools, row->pool);
			u->n++;
		}
		run_unref(runs[k]);
	}
	free(runs);
	u->taken_ms = lxm_mono_ms();
	*out = u;
	return 0;
}

int usage_all(struct lxmd *d, struct usages **out, struct lxm_err *e)
{
	struct usage_cache *c = d->instances->usages;
	struct usages *fresh = NULL;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->last || lxm_mono_ms() - c->last->taken_ms > USAGE_MAX_AGE_MS) {
		r = look(d, &fresh, e);
		if (r == 0) {
			usages_unref(c->last);
			c->last = fresh;
		}
	}
	if (r == 0) {
		__atomic_add_fetch(&c->last->refs, 1, __ATOMIC_RELAXED);
		*out = c->last;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}
