/*
 * An instance out of a backup. Worker threads, under the new instance's lock, on bytes of anybody. The archive is read once: every volume
 * is unpacked into a place without a name (the checks are those of images, lxmd/image/walk.c), and gets one when all of them are whole.
 * Until then the instance's row says that it is being made, and creation or the next start of lxmd undoes it.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/op.h"
#include "lxmd/image/unpack.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/storage/pool.h"
#include "lxmd/storage/transfer.h"

#define PROGRESS_KEY "create_instance_from_backup_unpack_progress"

int backup_peek(struct backup_source *s, struct lxm_err *e)
{
	struct unpack_spec spec = { .fd = s->fd, .size = s->size, .part = IMAGE_BACKUP, .name = "the backup" };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = backup_peek_index(&spec, BACKUP_INDEX_MAX, &text, e);

	return r < 0 ? r : backup_index_parse(text.data, text.len, &s->index, e);
}

/* One volume after the other; the last is the instance's. */
struct filling {
	struct unpack_volume *volumes;
	struct transfer_volume **made;
	size_t n;
};

static void filling_deinit(struct filling *f)
{
	size_t k;

	for (k = 0; k < f->n; k++) {
		free(f->volumes[k].prefix);
		auto_fd_close(&f->volumes[k].dirfd);
		transfer_drop(f->made[k]);
	}
	free(f->volumes);
	free(f->made);
}
LXM_AUTO_STRUCT(filling, struct filling, filling_deinit)

static int add_volume(struct filling *f, struct pool *pool, char *prefix, const struct backup_ids *ids, struct op *op, struct lxm_err *e)
{
	struct unpack_volume *v = &f->volumes[f->n];

	v->prefix = prefix;
	v->dirfd = -1;
	v->ids = ids->v;
	v->n_ids = ids->n;
	return transfer_begin(pool, op, &f->made[f->n++], &v->dirfd, e);
}

static int begin(struct filling *f, struct pool *pool, const struct backup_index *x, struct op *op, struct lxm_err *e)
{
	const struct db_snapshots *l = &x->snapshots;
	size_t k;
	int r = 0;

	f->volumes = lxm_alloc((l->n + 1) * sizeof(*f->volumes));
	f->made = lxm_alloc((l->n + 1) * sizeof(*f->made));
	for (k = 0; r == 0 && k < l->n; k++)
		r = add_volume(f, pool, lxm_asprintf("backup/snapshots/%s", l->v[k].name), &x->ids[k], op, e);
	return r < 0 ? r : add_volume(f, pool, lxm_strdup("backup/container"), &x->ids[l->n], op, e);
}

/* snapshot_fill_fn: what was unpacked gets its name. */
static int keep_snapshot(void *arg, struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	struct transfer_volume **made = arg;

	(void)pool;
	return transfer_keep(LXM_TAKE(*made, NULL), v, e);
}

static int keep(struct lxmd *d, struct filling *f, const struct instance *to, struct pool *pool, const struct db_snapshots *l,
		struct lxm_err *e)
{
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < l->n; k++) {
		lxm_auto(db_snapshot) struct db_snapshot row = { 0 };

		snapshot_row_for(to, &l->v[k], &row);
		r = snapshot_build(d, &row, pool, keep_snapshot, &f->made[k], e);
		if (r < 0)
			return lxm_err_wrap(e, r, "snapshot '%.100s'", l->v[k].name);
	}
	return transfer_keep(LXM_TAKE(f->made[l->n], NULL), VOLUME_OF_INSTANCE(to->row.project, to->row.name), e);
}

int backup_fill(struct lxmd *d, const struct instance *to, const struct backup_source *s, struct op *op, struct lxm_err *e)
{
	struct unpack_spec spec = { .d = d, .fd = s->fd, .size = s->size, .part = IMAGE_BACKUP, .name = "the backup", .op = op,
				    .progress_key = PROGRESS_KEY, .devices = op_caller(op)->trust == CALLER_ADMIN };
	const struct db_snapshots *l = &s->index.snapshots;
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(filling) struct filling f = { 0 };
	int r = l->n ? policy_snapshots(d, to->row.project, e) : 0;

	if (r == 0)
		r = storage_pool_get(d, to->row.pool, &pool, e);
	if (r == 0)
		r = begin(&f, pool, &s->index, op, e);
	if (r == 0) {
		spec.volumes = f.volumes;
		spec.n_volumes = f.n;
		r = backup_unpack(&spec, NULL, e);
		op_progress(op, PROGRESS_KEY, NULL, -1, 0);
	}
	return r < 0 ? r : keep(d, &f, to, pool, l, e);
}
