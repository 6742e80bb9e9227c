/*
 * The sending side of a migration. Worker threads. The instance's lock is held from the offer to the sink's last word, so that nothing is
 * changed or deleted meanwhile; a running instance is copied to the side first (VOLUME_STAGED, which a next start of lxmd clears) and
 * frozen for just that long.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/migrate.h"
#include "lxmd/instance/migrate_talk.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/instance/still.h"
#include "lxmd/storage/pool.h"
#include "lxmd/storage/transfer.h"

int migrate_tick(struct transfer_progress *p, struct lxm_err *e)
{
	struct migrate_meter *m = p->arg;
	int64_t now = lxm_mono_ms();
	lxm_auto(free) char *size = NULL, *stage = NULL;

	if (m->started_ms == 0)
		m->started_ms = now;
	if (now - m->told_ms < 200)
		return 0;
	m->told_ms = now;
	if (op_is_cancelled(m->op))
		return lxm_err_set(e, ECANCELED, "cancelled");
	size = lxm_format_bytes(m->before + p->bytes);
	stage = lxm_asprintf("%s %s", m->name, size);
	op_progress(m->op, "fs_progress", stage, -1, (m->before + p->bytes) * 1000 / (uint64_t)(now - m->started_ms + 1));
	return 0;
}

/* ---- what is sent */

struct sending {
	struct lxmd *d;
	const struct copy_source *src;
	struct instance from;
	struct pool *pool;
	struct mig_link *l;
	struct migrate_meter meter;
	const struct volume_id *volume; /* of the instance itself, or its stand-in */
	struct mig_offer offer;
	struct mig_answer answer;
	struct transfer_have have;
};

static int io_put(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	return mig_link_put(arg, MIG_FS, data, n, e);
}

static int io_get(void *arg, void *data, size_t n, struct lxm_err *e)
{
	return mig_link_get(arg, MIG_FS, data, n, e);
}

/* The row of a snapshot without what belongs to this host. */
static void clean_row(struct db_snapshot *s)
{
	lxm_auto(free) char *image = lxm_strdup(lxm_kv_get(&s->config, "volatile.base_image"));

	lxm_kv_del_prefix(&s->config, "volatile.");
	if (image)
		lxm_kv_set(&s->config, "volatile.base_image", image);
}

static int make_offer(struct sending *s, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots all = { 0 };
	size_t k;
	int r = pool_volume_layer(s->pool, s->volume, s->offer.image, e);

	if (r < 0 || s->src->snapshot || s->src->instance_only)
		return r;
	s->offer.complete = true;
	r = snapshot_list(s->d, s->from.row.id, &all, e);
	if (r == 0 && all.n > MIG_SNAPSHOTS_MAX)
		r = lxm_err_set(e, E2BIG, "it has more than %d snapshots", MIG_SNAPSHOTS_MAX);
	s->offer.snapshots = lxm_alloc((all.n + 1) * sizeof(*s->offer.snapshots));
	for (k = 0; r == 0 && k < all.n; k++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", s->from.row.name, all.v[k].name);
		struct mig_snapshot *m = &s->offer.snapshots[s->offer.n_snapshots++];

		m->row = all.v[k];
		memset(&all.v[k], 0, sizeof(all.v[k]));
		clean_row(&m->row);
		r = pool_volume_layer(s->pool, VOLUME_ID(VOLUME_SNAPSHOT, s->from.row.project, name), m->image, e);
	}
	return r;
}

static int send_volume(struct sending *s, const struct volume_id *v, const char *image, const struct transfer_have *have, struct lxm_err *e)
{
	struct transfer_io io = { .put = io_put, .get = io_get, .arg = s->l };
	struct transfer_progress p = { .tick = migrate_tick, .arg = &s->meter };
	int r = pool_volume_send(s->pool, v, mig_as_layer(&s->answer, image) ? TRANSFER_LAYER : TRANSFER_TREE, have,
				 s->src->unsteady, &io, &p, e);

	s->meter.before += p.bytes;
	return mig_peer_reason(s->l, r, e);
}

static int send_all(struct sending *s, struct lxm_err *e)
{
	struct transfer_io io = { .put = io_put, .get = io_get, .arg = s->l };
	bool layer = mig_as_layer(&s->answer, s->offer.image);
	size_t k;
	int r = s->answer.have ? transfer_get_have(&io, &s->have, e) : 0;

	for (k = 0; r == 0 && k < s->offer.n_snapshots; k++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", s->from.row.name, s->offer.snapshots[k].row.name);

		if (s->answer.want[k])
			r = send_volume(s, VOLUME_ID(VOLUME_SNAPSHOT, s->from.row.project, name), s->offer.snapshots[k].image, NULL, e);
	}
	if (r == 0)
		r = send_volume(s, s->volume, s->offer.image, s->answer.have && s->answer.have_layer == layer ? &s->have : NULL, e);
	if (r == 0)
		r = mig_send_done(s->l, e);
	return r < 0 ? r : mig_read_done(s->l, e);
}

static int talk(struct sending *s, struct lxm_err *e)
{
	int r = make_offer(s, e);

	if (r == 0)
		r = mig_send_offer(s->l, &s->offer, e);
	if (r == 0)
		r = mig_read_answer(s->l, &s->offer, &s->answer, e);
	return r < 0 ? r : send_all(s, e);
}

/* A running instance stands still only while its files are copied on this host; what is sent is that copy. */
static int send_stand_in(struct sending *s, const struct volume_id *real, struct op *op, struct lxm_err *e)
{
	const struct volume_id *staged = VOLUME_OF_STAGED(s->from.row.project, s->from.row.name);
	struct lxm_err e2 = { 0 };
	int r = still_copy(s->d, &s->from, s->pool, real, staged, op, e);

	if (r < 0)
		return r;
	s->volume = staged;
	r = talk(s, e);
	if (pool_volume_delete(s->pool, staged, &e2) < 0)
		lxm_error("%s", e2.msg);
	return r;
}

static int send_instance(struct sending *s, struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *name = s->src->snapshot ? lxm_asprintf("%s/%s", s->src->name, s->src->snapshot) : lxm_strdup(s->src->name);
	lxm_auto(run_unref) struct run *run = run_get(s->d, s->from.row.id);
	const struct volume_id *v = VOLUME_ID(s->src->snapshot ? VOLUME_SNAPSHOT : VOLUME_INSTANCE, s->src->project, name);

	s->volume = v;
	if (run && !s->src->snapshot && !s->src->unsteady)
		return send_stand_in(s, v, op, e);
	return talk(s, e);
}

int migrate_send(struct lxmd *d, const struct copy_source *src, struct mig_link *l, struct op *op, struct lxm_err *e)
{
	struct sending s = { .d = d, .src = src, .l = l, .meter = { .op = op, .name = src->name } };
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(pool_unref) struct pool *pool = NULL;
	int r = copy_source_begin(d, src, &s.from, &lock, e);

	if (r == 0)
		r = storage_pool_get(d, s.from.row.pool, &pool, e);
	s.pool = pool;
	if (r == 0)
		r = send_instance(&s, op, e);
	instance_deinit(&s.from);
	mig_offer_deinit(&s.offer);
	mig_answer_deinit(&s.answer);
	transfer_have_deinit(&s.have);
	return lxm_err_wrap(e, r, "send instance '%s'", src->name);
}

/* ---- the operation */

struct source_job {
	struct copy_source src; /* strings below */
	char *project, *name, *snapshot;
	struct migrate_peer peer;
	struct mig_link *link;
};

static void job_free(void *arg)
{
	struct source_job *j = arg;

	mig_link_close(j->link); /* sockets of an operation that never began */
	mig_link_unref(j->link);
	migrate_peer_deinit(&j->peer);
	free(j->project);
	free(j->name);
	free(j->snapshot);
	free(j);
}

static int job_run(struct op *op, void *arg, struct lxm_err *e)
{
	struct source_job *j = arg;
	int r = j->peer.address ? migrate_connect(j->link, &j->peer, op_caller(op), e) : 0;

	if (r == 0)
		r = migrate_send(op_daemon(op), &j->src, j->link, op, e);
	/* the sink's done was the last word */
	if (r < 0)
		return migrate_finish(j->link, r, e);
	mig_link_close(j->link);
	return 0;
}

static void job_cancel(struct op *op, void *arg)
{
	mig_link_stop(((struct source_job *)arg)->link);
}

static int job_connect(struct op *op, const char *name, struct ws *ws, void *arg)
{
	int which = mig_link_socket(name);

	return which < 0 ? which : mig_link_accept(((struct source_job *)arg)->link, (enum mig_socket)which, ws);
}

int migrate_source(struct lxmd *d, const struct copy_source *src, struct migrate_peer *peer, const struct caller *caller,
		   struct op **op_out, struct lxm_err *e)
{
	struct source_job *j = lxm_alloc(sizeof(*j));
	struct op_spec spec = { .cls = peer->address ? OP_TASK : OP_WEBSOCKET, .project = src->project,
				.description = src->snapshot ? "Transferring snapshot" : "Migrating instance",
				.resources = instance_resources(src->name), .may_cancel = true, .caller = caller,
				.run = job_run, .cancel = job_cancel, .connect = job_connect, .free_arg = job_free, .arg = j };
	int r;

	j->src = *src;
	j->src.project = j->project = lxm_strdup(src->project);
	j->src.name = j->name = lxm_strdup(src->name);
	j->src.snapshot = j->snapshot = lxm_strdup(src->snapshot);
	j->peer = *peer;
	memset(peer, 0, sizeof(*peer));
	j->link = mig_link_new();
	r = op_new(d, &spec, op_out, e);
	if (r == 0 && spec.cls == OP_WEBSOCKET)
		migrate_add_sockets(*op_out);
	return r;
}
