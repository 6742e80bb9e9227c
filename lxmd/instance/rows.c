/*
 * The rows of all instances, kept for who asks again. Whether they still hold is asked of the database each time, so it does not
 * matter who changed it; what was read while something changed counts as older than the change. Any thread.
 */
#include "lxmd/instance/rows.h"

#include <pthread.h>
#include <stdlib.h>

#include "db/db.h"
#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"

struct rows_cache {
	pthread_mutex_t lock;
	struct instance_rows *last; /* guarded by lock */
};

struct rows_cache *rows_cache_new(void)
{
	struct rows_cache *c = lxm_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void rows_cache_free(struct rows_cache *c)
{
	if (!c)
		return;
	instance_rows_unref(c->last);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct instance_rows *rows_ref(struct instance_rows *r)
{
	__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void instance_rows_unref(struct instance_rows *r)
{
	if (!r || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL))
		return;
	instance_list_deinit(&r->l);
	db_snapshots_deinit(&r->snapshots);
	db_backups_deinit(&r->backups);
	free(r->project);
	free(r);
}

/* Puts another one (or none) in the place of what is kept. */
static void keep(struct rows_cache *c, struct instance_rows *r)
{
	struct instance_rows *old;

	pthread_mutex_lock(&c->lock);
	old = c->last;
	c->last = r;
	pthread_mutex_unlock(&c->lock);
	instance_rows_unref(old);
}

int instance_rows_get(struct lxmd *d, const char *project, struct instance_rows **out, struct lxm_err *e)
{
	struct rows_cache *c = d->instances->rows;
	lxm_auto(instance_rows_unref) struct instance_rows *r = NULL;
	uint64_t changes;
	int rc = db_changes(d->db, &changes, e);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	if (c->last && c->last->changes == changes && lxm_streq(c->last->project, project))
		r = rows_ref(c->last);
	pthread_mutex_unlock(&c->lock);
	if (!r) {
		r = lxm_alloc(sizeof(*r));
		r->refs = 1;
		r->changes = changes;
		r->project = project ? lxm_strdup(project) : NULL;
		rc = instance_load_all(d, project, &r->l, e);
		if (rc == 0)
			rc = snapshot_list(d, 0, &r->snapshots, e);
		if (rc == 0)
			rc = backup_list(d, 0, &r->backups, e);
		if (rc < 0)
			return rc;
		keep(c, rows_ref(r));
	}
	*out = LXM_TAKE(r, NULL);
	return 0;
}

void instance_rows_rest(struct lxmd *d)
{
	keep(d->instances->rows, NULL);
}
