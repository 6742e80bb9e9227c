/*
 * What was under way with an instance's volume when lxmd died. Whoever moves a volume in more than one step first writes
 * a mark into the row (volatile.lxm.*); here each mark is followed to one end, before anything without a row is set
 * aside. Every step may be repeated: lxmd may die here as well. The instance room takes the marks away later.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "db/instance.h"
#include "db/snapshot.h"
#include "db/storage.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/storage/pool_priv.h"

static bool there(struct pool *pool, const char *path)
{
	struct stat st;

	return fstatat(pool->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A rename that may have happened already. */
static void finish_rename(struct pool *pool, const char *from, const char *to)
{
	if (there(pool, to) || !there(pool, from))
		return;
	if (renameat2(pool->dirfd, from, pool->dirfd, to, RENAME_NOREPLACE) < 0)
		lxm_error("pool '%s': rename '%s' to '%s': %s", pool->name, from, to, strerror(errno));
	else
		lxm_info("pool '%s': '%s' is '%s' now, as its row says", pool->name, from, to);
}

static bool name_taken(const struct db_instances *all, const struct db_instance *but, const char *project, const char *name)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (&all->v[i] != but && strcmp(all->v[i].name, name) == 0 && strcmp(all->v[i].project, project) == 0)
			return true;
	return false;
}

/* The row was renamed, or (the mark is PROJECT/NAME then) given to another project; its volume, and then the directory of its snapshots, follow. */
static void finish_instance_rename(struct pool *pool, const struct db_instances *all, const struct db_instance *in)
{
	const char *old = lxm_kv_get(&in->config, "volatile.lxm.renamed_from");
	const char *slash = old ? strrchr(old, '/') : NULL;
	lxm_auto(free) char *project = slash ? lxm_strndup(old, (size_t)(slash - old)) : lxm_strdup(in->project);
	lxm_auto(free) char *from = NULL, *to = NULL, *snaps_from = NULL, *snaps_to = NULL;

	if (slash)
		old = slash + 1;
	if (lxm_empty(old) || volume_id_check(VOLUME_OF_INSTANCE(project, old), NULL) < 0 || name_taken(all, in, project, old))
		return;
	from = volume_path(VOLUME_OF_INSTANCE(project, old));
	to = volume_path(VOLUME_OF_INSTANCE(in->project, in->name));
	snaps_from = lxm_asprintf("snapshots/%s", strchr(from, '/') + 1);
	snaps_to = lxm_asprintf("snapshots/%s", strchr(to, '/') + 1);
	finish_rename(pool, from, to);
	finish_rename(pool, snaps_from, snaps_to);
}

/* The row describes what is staged: it takes the place of what there was. */
static void finish_replace(struct pool *pool, const struct db_instance *in)
{
	lxm_auto(free) char *staged = volume_path(VOLUME_OF_STAGED(in->project, in->name));
	lxm_auto(free) char *path = volume_path(VOLUME_OF_INSTANCE(in->project, in->name));
	struct lxm_err e = { 0 };

	if (!lxm_kv_get(&in->config, "volatile.lxm.replacing") || !there(pool, staged))
		return;
	if (pool_trash(pool, path, &e) < 0)
		lxm_error("%s", e.msg);
	else
		finish_rename(pool, staged, path);
}

/* A move between pools was cut off: this pool is the side that the row does not name. */
static void undo_move(struct pool *pool, const struct db_instance *in)
{
	const char *to = lxm_kv_get(&in->config, "volatile.lxm.moving_to");
	const char *from = lxm_kv_get(&in->config, "volatile.lxm.moved_from");
	lxm_auto(free) char *path = volume_path(VOLUME_OF_INSTANCE(in->project, in->name));
	lxm_auto(free) char *snaps = lxm_asprintf("snapshots/%s", strchr(path, '/') + 1);
	struct lxm_err e = { 0 };

	if (lxm_streq(in->pool, pool->name) || (!lxm_streq(to, pool->name) && !lxm_streq(from, pool->name)))
		return;
	if (pool_trash(pool, path, &e) < 0 || pool_trash(pool, snaps, &e) < 0)
		lxm_error("%s", e.msg);
}

static void finish_snapshot_rename(struct pool *pool, const struct db_snapshot *s)
{
	const char *old = lxm_kv_get(&s->config, "volatile.lxm.renamed_from");
	lxm_auto(free) char *a = NULL, *b = NULL, *from = NULL, *to = NULL;

	if (lxm_empty(old))
		return;
	a = lxm_asprintf("%s/%s", s->instance, old);
	b = lxm_asprintf("%s/%s", s->instance, s->name);
	if (volume_id_check(VOLUME_ID(VOLUME_SNAPSHOT, s->project, a), NULL) < 0)
		return;
	from = volume_path(VOLUME_ID(VOLUME_SNAPSHOT, s->project, a));
	to = volume_path(VOLUME_ID(VOLUME_SNAPSHOT, s->project, b));
	finish_rename(pool, from, to);
}

void pool_mend(struct pool *pool, const struct db_instances *instances, const struct db_snapshots *snapshots)
{
	size_t i;

	for (i = 0; i < instances->n; i++) {
		const struct db_instance *in = &instances->v[i];

		if (lxm_streq(in->pool, pool->name)) {
			finish_instance_rename(pool, instances, in);
			finish_replace(pool, in);
		}
		undo_move(pool, in);
	}
	/* a snapshot lies where its instance does: elsewhere neither path is there */
	for (i = 0; i < snapshots->n; i++)
		finish_snapshot_rename(pool, &snapshots->v[i]);
}

/* The row was renamed or given to another project (the mark is PROJECT/NAME); the volume and its snapshots follow. */
static void finish_custom_rename(struct pool *pool, const struct db_volume *v)
{
	const char *old = lxm_kv_get(&v->config, "volatile.lxm.renamed_from"), *slash = old ? strchr(old, '/') : NULL;
	lxm_auto(free) char *project = slash ? lxm_strndup(old, (size_t)(slash - old)) : NULL;
	lxm_auto(free) char *from = NULL, *to = NULL, *snaps_from = NULL, *snaps_to = NULL;

	if (!slash || volume_id_check(VOLUME_ID(VOLUME_CUSTOM, project, slash + 1), NULL) < 0)
		return;
	from = volume_path(VOLUME_ID(VOLUME_CUSTOM, project, slash + 1));
	to = volume_path(VOLUME_ID(VOLUME_CUSTOM, v->project, v->name));
	snaps_from = lxm_asprintf("snapshots/@%s", strchr(from, '/') + 1);
	snaps_to = lxm_asprintf("snapshots/@%s", strchr(to, '/') + 1);
	finish_rename(pool, from, to);
	finish_rename(pool, snaps_from, snaps_to);
}

static void finish_volsnap_rename(struct pool *pool, const struct db_volume *v, const struct db_volsnap *s)
{
	const char *old = lxm_kv_get(&s->config, "volatile.lxm.renamed_from");
	lxm_auto(free) char *a = lxm_asprintf("%s/%s", v->name, old ? old : ""), *b = lxm_asprintf("%s/%s", v->name, s->name);
	lxm_auto(free) char *from = NULL, *to = NULL;

	if (lxm_empty(old) || volume_id_check(VOLUME_ID(VOLUME_CUSTOM, v->project, a), NULL) < 0)
		return;
	from = volume_path(VOLUME_ID(VOLUME_CUSTOM, v->project, a));
	to = volume_path(VOLUME_ID(VOLUME_CUSTOM, v->project, b));
	finish_rename(pool, from, to);
}

void pool_mend_custom(struct pool *pool, const struct db_volumes *customs, const struct db_volsnaps *snaps)
{
	size_t i, k;

	for (i = 0; i < customs->n; i++) {
		const struct db_volume *v = &customs->v[i];

		if (strcmp(v->pool, pool->name) != 0)
			continue;
		finish_custom_rename(pool, v);
		for (k = 0; k < snaps->n; k++)
			if (snaps->v[k].volume_id == v->id)
				finish_volsnap_rename(pool, v, &snaps->v[k]);
	}
}
