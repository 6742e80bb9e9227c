/*
 * Writing a backup: the index, the snapshots from the oldest on, the instance. Worker threads, under the instance's lock. Roots are
 * read through pool_volume_open_root(), as one tree with the ids that the instance sees, and never by a path.
 */
#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/op.h"
#include "lxmd/image/metadata.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/still.h"
#include "lxmd/storage/pool.h"

#define PROGRESS_KEY "create_backup_progress"
#define METADATA_MAX (1u << 20)

struct writing {
	struct lxmd *d;
	const struct instance *i;
	struct pool *pool;
	struct tar_out *tar;
};

/* metadata.yaml as it is, and templates/. */
static int put_meta(struct writing *w, const struct volume_id *v, const char *prefix, struct lxm_err *e)
{
	lxm_auto(free) char *meta = lxm_asprintf("%s/metadata.yaml", prefix), *tpl = lxm_asprintf("%s/templates", prefix);
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(fd_close) int dir = -1, templates = -1;
	int r = pool_volume_open_meta(w->pool, v, &dir, NULL, e);

	if (r == -ENOENT) {
		lxm_err_clear(e);
		return 0;
	}
	if (r == 0) {
		r = lxm_read_regular_beneath(dir, "metadata.yaml", METADATA_MAX, &text);
		if (r < 0)
			r = lxm_err_set(e, -r, "read metadata.yaml: %s", strerror(-r));
	}
	if (r == 0)
		r = tar_out_file(w->tar, meta, text.data, text.len, w->i->row.created_at, e);
	if (r < 0)
		return r;
	templates = lxm_open_beneath(dir, "templates", O_PATH | O_DIRECTORY, 0);
	return templates < 0 ? 0 : tar_out_tree(w->tar, templates, tpl, e);
}

static int put_volume(struct writing *w, const struct volume_id *v, const char *prefix, const struct lxm_buf *config, struct lxm_err *e)
{
	lxm_auto(free) char *root = lxm_asprintf("%s/rootfs", prefix), *yaml = lxm_asprintf("%s/backup.yaml", prefix);
	lxm_auto(fd_close) int fd = -1;
	int r = tar_out_dir(w->tar, prefix, 0711, w->i->row.created_at, e);

	if (r == 0 && config)
		r = tar_out_file(w->tar, yaml, config->data, config->len, w->i->row.created_at, e);
	if (r == 0)
		r = put_meta(w, v, prefix, e);
	if (r == 0)
		r = pool_volume_open_root(w->pool, v, false, &fd, e);
	return r < 0 ? r : tar_out_tree(w->tar, fd, root, e);
}

static int put_snapshots(struct writing *w, const struct db_snapshots *l, struct lxm_err *e)
{
	size_t k;
	int r = l->n ? tar_out_dir(w->tar, "backup/snapshots", 0711, w->i->row.created_at, e) : 0;

	for (k = 0; r == 0 && k < l->n; k++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", w->i->row.name, l->v[k].name);
		lxm_auto(free) char *prefix = lxm_asprintf("backup/snapshots/%s", l->v[k].name);

		r = put_volume(w, VOLUME_ID(VOLUME_SNAPSHOT, w->i->row.project, name), prefix, NULL, e);
	}
	return r;
}

static int put_all(struct writing *w, const struct volume_id *v, bool instance_only, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots l = { 0 };
	lxm_auto(buf) struct lxm_buf index = { 0 }, config = { 0 };
	int r = instance_only ? 0 : snapshot_list(w->d, w->i->row.id, &l, e);

	if (r == 0)
		r = backup_index_write(w->d, w->i, &l, &index, &config, e);
	if (r == 0)
		r = tar_out_file(w->tar, "backup/index.yaml", index.data, index.len, lxm_now(), e);
	if (r == 0)
		r = put_snapshots(w, &l, e);
	if (r == 0)
		r = put_volume(w, v, "backup/container", &config, e);
	return r < 0 ? r : tar_out_close(w->tar, e);
}

/* A running instance's files are copied aside first, and read from there. */
static int put_stand_in(struct writing *w, const struct volume_id *v, bool instance_only, struct op *op, struct lxm_err *e)
{
	const struct volume_id *staged = VOLUME_OF_STAGED(w->i->row.project, w->i->row.name);
	struct lxm_err e2 = { 0 };
	int r = still_copy(w->d, w->i, w->pool, v, staged, op, e);

	if (r < 0)
		return r;
	r = put_all(w, staged, instance_only, e);
	if (pool_volume_delete(w->pool, staged, &e2) < 0)
		lxm_error("%s", e2.msg);
	return r;
}

int backup_write(struct lxmd *d, const struct instance *i, const struct backup_new *n, int fd, struct op *op, struct lxm_err *e)
{
	struct tar_out_spec how = { .fd = fd, .compression = n->compression, .op = op, .progress_key = PROGRESS_KEY, .stage = "Exporting" };
	const struct volume_id *v = VOLUME_OF_INSTANCE(i->row.project, i->row.name);
	lxm_auto(tar_out_free) struct tar_out *tar = NULL;
	lxm_auto(run_unref) struct run *run = run_get(d, i->row.id);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct writing w = { .d = d, .i = i };
	int r = storage_pool_get(d, i->row.pool, &pool, e);

	if (r == 0)
		r = tar_out_open(&how, &tar, e);
	if (r < 0)
		return r;
	w.pool = pool;
	w.tar = tar;
	r = run ? put_stand_in(&w, v, n->instance_only, op, e) : put_all(&w, v, n->instance_only, e);
	op_progress(op, PROGRESS_KEY, NULL, -1, 0);
	return r;
}
