/*
 * The receiving side of a migration. Worker threads, under the new instance's lock. Volumes are built without a name and get one when they
 * are whole: a snapshot at once (with its row), the instance itself only after the source's last word and when everything is
 * on the disk, because the source may be deleted then. Whatever goes wrong before, the row of a new instance still says that it is
 * being made, and creation or the next start of lxmd undoes it; an instance that is refreshed still has its own root.
 */
#include <string.h>

#include "db/image.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/image/image.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/migrate.h"
#include "lxmd/instance/migrate_talk.h"
#include "lxmd/instance/policy.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/storage/pool.h"
#include "lxmd/storage/transfer.h"

struct receiving {
	struct lxmd *d;
	const struct instance *to;
	const struct migrate_sink *sink;
	struct op *op;
	struct pool *pool;
	struct mig_link *l;
	struct migrate_meter meter;
	struct mig_offer offer;
	struct mig_answer answer;
	struct db_snapshots have;	/* snapshots that are there before */
	const struct volume_id *old;	/* the volume that is refreshed, NULL: a new one */
	struct transfer_volume *volume; /* of the instance, whole */
};

static int io_put(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	return mig_link_put(arg, MIG_FS, data, n, e);
}

static int io_get(void *arg, void *data, size_t n, struct lxm_err *e)
{
	return mig_link_get(arg, MIG_FS, data, n, e);
}

static struct transfer_io io_of(struct receiving *s)
{
	return (struct transfer_io){ .put = io_put, .get = io_get, .arg = s->l };
}

/* ---- the answer */

/* An image of the offer may lie below a layer if this project has it too: no other project's images are told apart. */
static void consider_image(struct receiving *s, const char *fp)
{
	struct db_image im = { 0 };

	if (!*fp || !(pool_caps(s->pool) & POOL_CAP_OVERLAY_ROOT) || lxm_strv_has(&s->answer.layers, fp))
		return;
	if (image_get_fp(s->d, s->to->row.project, fp, &im, NULL) == 0 && lxm_streq(im.fingerprint, fp) &&
	    pool_image_ensure(s->pool, fp, s->op, NULL) == 0)
		lxm_strv_add(&s->answer.layers, fp);
	db_image_deinit(&im);
}

static const struct db_snapshot *same_snapshot(const struct receiving *s, const struct db_snapshot *o)
{
	size_t k;

	for (k = 0; k < s->have.n; k++)
		if (strcmp(s->have.v[k].name, o->name) == 0 && s->have.v[k].created_at == o->created_at)
			return &s->have.v[k];
	return NULL;
}

static int make_answer(struct receiving *s, struct lxm_err *e)
{
	bool wants = !s->sink->instance_only, layer;
	char base[65];
	size_t k;
	int r = 0;

	if (wants && s->offer.n_snapshots)
		r = policy_snapshots(s->d, s->to->row.project, e);
	if (r < 0)
		return r;
	s->answer.n_want = s->offer.n_snapshots;
	s->answer.want = lxm_alloc((s->answer.n_want + 1) * sizeof(*s->answer.want));
	for (k = 0; k < s->answer.n_want; k++) {
		s->answer.want[k] = wants && !same_snapshot(s, &s->offer.snapshots[k].row);
		if (s->answer.want[k])
			consider_image(s, s->offer.snapshots[k].image);
	}
	consider_image(s, s->offer.image);
	if (!s->old)
		return 0;
	/* what is there can be built upon if it lies on the same image, or neither does */
	r = pool_volume_layer(s->pool, s->old, base, e);
	layer = mig_as_layer(&s->answer, s->offer.image);
	s->answer.have = r == 0 && (layer ? strcmp(base, s->offer.image) == 0 : !*base);
	s->answer.have_layer = layer;
	return r;
}

/* ---- volumes */

static int take(struct receiving *s, struct pool *pool, const char *image, const struct volume_id *old, struct transfer_volume **out,
		struct lxm_err *e)
{
	const struct caller *who = op_caller(s->op);
	struct transfer_take how = { .form = mig_as_layer(&s->answer, image) ? TRANSFER_LAYER : TRANSFER_TREE, .image = image,
				     .devices = who->trust == CALLER_ADMIN, .have = old };
	struct transfer_progress p = { .tick = migrate_tick, .arg = &s->meter };
	struct transfer_io io = io_of(s);
	int r = pool_volume_take(pool, &how, &io, &p, s->op, out, e);

	s->meter.before += p.bytes;
	return mig_peer_reason(s->l, r, e);
}

struct snap_arg {
	struct receiving *s;
	const char *image;
};

static int fill_snapshot(void *arg, struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	struct snap_arg *a = arg;
	struct transfer_volume *t = NULL;
	int r = take(a->s, pool, a->image, NULL, &t, e);

	return r < 0 ? r : transfer_keep(t, v, e);
}

static int take_snapshot(struct receiving *s, const struct mig_snapshot *m, struct lxm_err *e)
{
	lxm_auto(db_snapshot) struct db_snapshot row = { 0 };
	struct snap_arg a = { s, m->image };
	size_t k;
	int r = 0;

	/* one of that name that is another one has to make room */
	for (k = 0; r == 0 && k < s->have.n; k++)
		if (strcmp(s->have.v[k].name, m->row.name) == 0)
			r = snapshot_drop(s->d, s->to, &s->have.v[k], e);
	snapshot_row_for(s->to, &m->row, &row);
	if (r == 0)
		r = snapshot_build(s->d, &row, s->pool, fill_snapshot, &a, e);
	return lxm_err_wrap(e, r, "snapshot '%.100s'", m->row.name);
}

/* Everything up to the source's word that this was all, and right. */
static int receive(struct receiving *s, struct lxm_err *e)
{
	struct transfer_io io = io_of(s);
	size_t k;
	int r = storage_pool_get(s->d, s->to->row.pool, &s->pool, e);

	if (r == 0 && s->sink->peer)
		r = migrate_connect(s->l, s->sink->peer, op_caller(s->op), e);
	if (r == 0)
		r = mig_read_offer(s->l, &s->offer, e);
	if (r == 0)
		r = snapshot_list(s->d, s->to->row.id, &s->have, e);
	if (r == 0)
		r = make_answer(s, e);
	if (r == 0)
		r = mig_send_answer(s->l, &s->answer, e);
	if (r == 0 && s->answer.have)
		r = transfer_send_have(s->pool, s->old, s->answer.have_layer ? TRANSFER_LAYER : TRANSFER_TREE, &io, e);
	for (k = 0; r == 0 && k < s->offer.n_snapshots; k++)
		if (s->answer.want[k])
			r = take_snapshot(s, &s->offer.snapshots[k], e);
	if (r == 0)
		r = take(s, s->pool, s->offer.image, s->answer.have ? s->old : NULL, &s->volume, e);
	if (r == 0)
		r = mig_read_done(s->l, e);
	if (r == 0)
		r = pool_sync(s->pool, e);
	return r == 0 && op_is_cancelled(s->op) ? lxm_err_set(e, ECANCELED, "cancelled") : r;
}

static void receiving_deinit(struct receiving *s)
{
	transfer_drop(s->volume);
	db_snapshots_deinit(&s->have);
	mig_offer_deinit(&s->offer);
	mig_answer_deinit(&s->answer);
	pool_unref(s->pool);
}
LXM_AUTO_STRUCT(receiving, struct receiving, receiving_deinit)

int migrate_fill(struct lxmd *d, const struct instance *to, const struct migrate_sink *sink, struct op *op, struct lxm_err *e)
{
	lxm_auto(receiving) struct receiving s = { .d = d, .to = to, .sink = sink, .op = op, .l = sink->link,
						   .meter = { .op = op, .name = to->row.name } };
	int r = receive(&s, e);

	return r < 0 ? r : transfer_keep(LXM_TAKE(s.volume, NULL), VOLUME_OF_INSTANCE(to->row.project, to->row.name), e);
}

/* ---- refresh */

/* Snapshots that the source does not have (any more). */
static int drop_strays(struct receiving *s, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots all = { 0 };
	size_t k, i;
	int r = snapshot_list(s->d, s->to->row.id, &all, e);

	for (k = 0; r == 0 && k < all.n; k++) {
		for (i = 0; i < s->offer.n_snapshots; i++)
			if (strcmp(s->offer.snapshots[i].row.name, all.v[k].name) == 0)
				break;
		if (i == s->offer.n_snapshots)
			r = snapshot_drop(s->d, s->to, &all.v[k], e);
	}
	return r;
}

static int put_in_place(struct receiving *s, struct lxm_err *e)
{
	lxm_auto(instance) struct instance now = { 0 };
	struct lxm_err e2 = { 0 };
	int r;

	db_instance_copy(&now.row, &s->to->row);
	lxm_kv_set(&now.row.config, "volatile.apply_template", "copy");
	r = instance_expand(s->d, &now, e);
	if (r == 0)
		r = transfer_keep(LXM_TAKE(s->volume, NULL), VOLUME_OF_STAGED(s->to->row.project, s->to->row.name), e);
	if (r == 0)
		r = instance_take_over(s->d, s->pool, s->to, &now, e);
	if (r == 0 && s->offer.complete && !s->sink->instance_only && drop_strays(s, &e2) < 0)
		lxm_warn("instance '%s': snapshots that its source does not have: %s", s->to->row.name, e2.msg);
	return r;
}

int migrate_refresh(struct lxmd *d, const struct instance *to, const struct migrate_sink *sink, struct op *op,
		    const struct caller *caller, struct lxm_err *e)
{
	const struct volume_id *old = VOLUME_OF_INSTANCE(to->row.project, to->row.name);
	lxm_auto(receiving) struct receiving s = { .d = d, .to = to, .sink = sink, .op = op, .l = sink->link, .old = old,
						   .meter = { .op = op, .name = to->row.name } };
	lxm_auto(free) char *url = instance_url(to->row.name);
	int r = instance_need_stopped(d, to, "refresh", e);

	if (r == 0)
		r = receive(&s, e);
	if (r == 0)
		r = put_in_place(&s, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "refresh instance '%s'", to->row.name);
	event_lifecycle(d, to->row.project, "instance-updated", url, NULL, caller);
	return 0;
}
