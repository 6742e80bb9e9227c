/*
 * Custom volumes as a whole: create, copy, move, delete. See custom.h for the order of things. Snapshots are custom_snapshot.c's.
 */
#include "lxmd/storage/custom.h"

#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/quota.h"
#include "lxmd/storage/custom_priv.h"

/* ---- rows */

struct row_arg {
	const char *pool, *project, *name;
	char *home;
	int64_t id;
	struct db_volume *row;
	struct db_volsnaps *snaps, *drop;
	const struct lxm_kv *keys;
	struct db_pool found;
};

static int home_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r;

	free(a->home);
	a->home = NULL;
	r = db_project_for(tx, a->project, DB_FEATURE_VOLUMES, &a->home, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "project '%.100s' not found", a->project) : r;
}

int custom_home(struct lxmd *d, const char *project, char **home_out, struct lxm_err *e)
{
	struct row_arg a = { .project = project };
	int r = db_read(d->db, home_tx, &a, e);

	if (r == 0)
		*home_out = LXM_TAKE(a.home, NULL);
	free(a.home);
	return r;
}

static int load_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	db_volume_deinit(a->row);
	return db_volume_get(tx, a->pool, a->project, DB_VOL_CUSTOM, a->name, a->row, e);
}

int custom_load(struct lxmd *d, const char *pool, const char *home, const char *name, struct db_volume *out, struct lxm_err *e)
{
	struct row_arg a = { .pool = pool, .project = home, .name = name, .row = out };
	int r = db_read(d->db, load_tx, &a, e);

	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "storage volume '%.100s' not found in pool '%.100s'", name, pool);
	return r;
}

static int pool_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	db_pool_deinit(&a->found);
	return db_pool_get(tx, a->pool, &a->found, e);
}

int custom_defaults(struct lxmd *d, const char *pool, struct lxm_kv *config, struct lxm_err *e)
{
	struct row_arg a = { .pool = pool };
	int r = db_read(d->db, pool_tx, &a, e);

	if (r == 0)
		lxm_kv_each(p, &a.found.config)
			if (lxm_starts(p->key, "volume.") && !lxm_kv_get(config, p->key + 7) &&
			    conf_check_one(conf_volume(a.found.driver), p->key + 7, p->value, NULL) == 0)
				lxm_kv_set(config, p->key + 7, p->value);
	db_pool_deinit(&a.found);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "storage pool '%.100s' not found", pool) : r;
}

int custom_lock(struct lxmd *d, const char *pool, const char *home, const char *name, const char *what, int timeout_ms,
		struct lock **out, struct lxm_err *e)
{
	lxm_auto(free) char *key = lxm_asprintf("volume/%s/%s/%s", pool, home, name);

	return timeout_ms ? lock_take(d->locks, key, what, timeout_ms, out, e) : lock_try(d->locks, key, what, out, e);
}

void custom_tell(struct lxmd *d, const struct db_volume *v, const char *action, const char *snapshot, const struct caller *caller)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/storage-pools/%s/volumes/custom/%s%s%s", v->pool, v->name, snapshot ? "/snapshots/" : "",
						snapshot ? snapshot : "");

	event_lifecycle(d, v->project, action, url, NULL, caller);
}

/* ---- size */

int custom_limit(struct pool *pool, const struct volume_id *v, const struct lxm_kv *config, bool anyway, struct lxm_err *e)
{
	const char *size = lxm_kv_or(config, "size", "");
	uint64_t bytes = 0;

	if (*size && lxm_parse_bytes(size, &bytes) < 0)
		return lxm_err_set(e, EINVAL, "size: '%s' is no number of bytes", size);
	return pool_caps(pool) & POOL_CAP_QUOTA ? pool_volume_limit(pool, v, bytes, anyway, e) : 0;
}

int custom_resize(struct lxmd *d, const struct db_volume *v, const struct lxm_kv *config, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	int r;

	if (lxm_streq(lxm_kv_or(&v->config, "size", ""), lxm_kv_or(config, "size", "")))
		return 0;
	r = storage_pool_get(d, v->pool, &pool, e);
	return r < 0 ? r : custom_limit(pool, CUSTOM_ID(v, v->name), config, false, e);
}

/* ---- create */

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = db_volume_create(tx, a->row, e);

	return r == 0 ? quota_check(tx, a->row->project, QUOTA_OF_DISK, e) : r;
}

int custom_create(struct lxmd *d, struct db_volume *v, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct row_arg a = { .row = v };
	int r = storage_pool_get(d, v->pool, &pool, e);

	if (r == 0)
		r = pool_volume_create_empty(pool, CUSTOM_ID(v, v->name), e);
	if (r < 0)
		return r;
	r = custom_limit(pool, CUSTOM_ID(v, v->name), &v->config, false, e);
	if (r == 0)
		r = db_write(d->db, create_tx, &a, e);
	if (r < 0)
		(void)pool_volume_delete(pool, CUSTOM_ID(v, v->name), NULL);
	else
		custom_tell(d, v, "storage-volume-created", NULL, caller);
	return r;
}

/* ---- copy */

/* A copy under way: what is staged in `pool` for `to`. */
struct copying {
	struct pool *from_pool, *pool;
	const struct db_volume *from;
	struct db_volume *to;
	struct db_volsnaps snaps; /* that come; volume_id 0 */
	struct db_volsnaps gone;  /* refresh: that leave */
	struct op *op;
	size_t placed; /* snapshots that have their place */
};

static int stage(struct copying *c, const char *from, const char *to, struct lxm_err *e)
{
	return pool_volume_copy(c->from_pool, CUSTOM_ID(c->from, from), c->pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, c->to->project, to), c->op,
				e);
}

/* Each snapshot, oldest first, and then the volume as it is now. */
static int stage_all(struct copying *c, const char *snapshot, struct lxm_err *e)
{
	lxm_auto(free) char *source = snapshot ? lxm_asprintf("%s/%s", c->from->name, snapshot) : lxm_strdup(c->from->name);
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < c->snaps.n; i++) {
		lxm_auto(free) char *from = lxm_asprintf("%s/%s", c->from->name, c->snaps.v[i].name);
		lxm_auto(free) char *to = lxm_asprintf("%s/%s", c->to->name, c->snaps.v[i].name);

		r = stage(c, from, to, e);
	}
	if (r == 0)
		r = stage(c, source, c->to->name, e);
	return r < 0 ? r : custom_limit(c->pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, c->to->project, c->to->name), &c->to->config, false, e);
}

static void unstage_all(struct copying *c)
{
	size_t i;

	for (i = 0; i < c->snaps.n; i++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", c->to->name, c->snaps.v[i].name);

		(void)pool_volume_delete(c->pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, c->to->project, name), NULL);
		if (i < c->placed)
			(void)pool_volume_delete(c->pool, CUSTOM_ID(c->to, name), NULL);
	}
	(void)pool_volume_delete(c->pool, VOLUME_ID(VOLUME_CUSTOM_STAGED, c->to->project, c->to->name), NULL);
}

static int place_snapshots(struct copying *c, struct lxm_err *e)
{
	int r = 0;

	for (; r == 0 && c->placed < c->snaps.n; c->placed += r == 0) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", c->to->name, c->snaps.v[c->placed].name);

		r = pool_custom_place(c->pool, CUSTOM_ID(c->to, name), e);
	}
	return r;
}

static int copied_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct copying *c = arg;
	size_t i;
	int r = 0;

	if (!c->gone.v && !c->to->id)
		r = db_volume_create(tx, c->to, e);
	if (r == 0)
		r = quota_check(tx, c->to->project, QUOTA_OF_DISK, e);
	for (i = 0; r == 0 && i < c->gone.n; i++) {
		r = db_volsnap_delete(tx, c->gone.v[i].id, e);
		r = r == DB_NONE ? 0 : r;
	}
	for (i = 0; r == 0 && i < c->snaps.n; i++) {
		c->snaps.v[i].volume_id = c->to->id;
		r = db_volsnap_create(tx, &c->snaps.v[i], e);
	}
	return r;
}

static bool has(const struct db_volsnaps *l, const struct db_volsnap *s)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, s->name) == 0 && l->v[i].created_at == s->created_at)
			return true;
	return false;
}

/* Leaves in `l` what is not in `other`. */
static void subtract(struct db_volsnaps *l, const struct db_volsnaps *other)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (has(other, &l->v[i]))
			db_volsnap_deinit(&l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

/* Which snapshots come, and with refresh which leave: those of a name and time that the other side has not. */
static int choose_snapshots(struct lxmd *d, const struct custom_copy *how, struct copying *c, struct lxm_err *e)
{
	lxm_auto(db_volsnaps) struct db_volsnaps all = { 0 };
	int r = how->snapshot || how->volume_only ? 0 : custom_snapshots(d, how->from, &c->snaps, e);

	if (r < 0 || !how->refresh || how->snapshot || how->volume_only)
		return r;
	r = custom_snapshots(d, c->to, &c->gone, e);
	if (r == 0)
		r = custom_snapshots(d, how->from, &all, e);
	if (r < 0)
		return r;
	subtract(&c->snaps, &c->gone);
	subtract(&c->gone, &all);
	return 0;
}

/* Snapshots that leave first: one that comes may have such a one's name. */
static void drop_gone(struct copying *c)
{
	size_t i;

	for (i = 0; i < c->gone.n; i++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", c->to->name, c->gone.v[i].name);

		(void)pool_volume_delete(c->pool, CUSTOM_ID(c->to, name), NULL);
	}
}

static int put(struct lxmd *d, struct copying *c, bool refresh, struct lxm_err *e)
{
	int r;

	drop_gone(c);
	r = place_snapshots(c, e);
	if (r == 0)
		r = refresh ? pool_custom_swap(c->pool, CUSTOM_ID(c->to, c->to->name), e) :
			      pool_custom_place(c->pool, CUSTOM_ID(c->to, c->to->name), e);
	if (r < 0)
		return r;
	r = db_write(d->db, copied_tx, c, e);
	if (r < 0 && !refresh)
		(void)pool_volume_delete(c->pool, CUSTOM_ID(c->to, c->to->name), NULL);
	return r;
}

int custom_copy(struct lxmd *d, const struct custom_copy *how, struct db_volume *to, struct op *op, const struct caller *caller,
		struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *from_pool = NULL, *pool = NULL;
	struct copying c = { .from = how->from, .to = to, .op = op };
	int r = storage_pool_get(d, how->from->pool, &from_pool, e);

	if (r == 0)
		r = storage_pool_get(d, to->pool, &pool, e);
	c.from_pool = from_pool;
	c.pool = pool;
	if (r == 0)
		r = choose_snapshots(d, how, &c, e);
	if (r == 0) {
		r = stage_all(&c, how->snapshot, e);
		if (r == 0)
			r = put(d, &c, how->refresh, e);
		if (r < 0)
			unstage_all(&c);
	}
	if (r == 0)
		custom_tell(d, to, how->refresh ? "storage-volume-updated" : "storage-volume-created", NULL, caller);
	db_volsnaps_deinit(&c.snaps);
	db_volsnaps_deinit(&c.gone);
	return lxm_err_wrap(e, r, "copy volume '%s'", how->from->name);
}

/* ---- move */

static int used(const struct db_volume *v, struct lxm_err *e)
{
	return lxm_err_http(e, 400, EBUSY, "volume '%s' is in use: detach it first", v->name);
}

/* Whoever attached it between the caller's look and this one is seen here. */
static int check_unused(struct db_tx *tx, const struct db_volume *v, struct lxm_err *e)
{
	lxm_auto(db_volume) struct db_volume now = { 0 };
	int r = db_volume_get(tx, v->pool, v->project, DB_VOL_CUSTOM, v->name, &now, e);

	if (r == DB_NONE || (r == 0 && now.id != v->id))
		return lxm_err_set(e, ENOENT, "storage volume '%s' not found", v->name);
	return r == 0 && now.used_by.n ? used(v, e) : r;
}

static int move_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = check_unused(tx, a->row, e);

	if (r == 0)
		r = db_volume_move(tx, a->row->id, a->pool, a->project, a->name, e);
	if (r == 0)
		r = quota_check(tx, a->project, QUOTA_OF_DISK, e);
	return r || !a->keys ? r : db_volume_set_config_keys(tx, a->row->id, a->keys, e);
}

static int keys_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = db_volume_set_config_keys(tx, a->id, a->keys, e);

	return r == DB_NONE ? 0 : r;
}

static void forget_mark(struct lxmd *d, int64_t id)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct row_arg a = { .id = id, .keys = &keys };
	struct lxm_err e = { 0 };

	lxm_kv_set(&keys, CUSTOM_RENAMED, "");
	if (db_write_lazy(d->db, keys_tx, &a, &e) < 0)
		lxm_warn("custom volume: %s", e.msg);
}

void custom_forget_marks(struct lxmd *d, const struct db_volumes *customs)
{
	size_t i;

	for (i = 0; i < customs->n; i++)
		if (lxm_kv_get(&customs->v[i].config, CUSTOM_RENAMED))
			forget_mark(d, customs->v[i].id);
}

static int undo_move_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_volume_move(tx, a->row->id, a->row->pool, a->row->project, a->row->name, e);
}

/* Inside a pool: the row first, with a mark that leads to the data if lxmd dies before they have followed. */
static int rename_inside(struct lxmd *d, struct pool *pool, struct row_arg *a, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	int r;

	lxm_kv_setf(&keys, CUSTOM_RENAMED, "%s/%s", a->row->project, a->row->name);
	a->keys = &keys;
	r = db_write(d->db, move_tx, a, e);
	if (r < 0)
		return r;
	r = pool_volume_rename(pool, CUSTOM_ID(a->row, a->row->name), VOLUME_ID(VOLUME_CUSTOM, a->project, a->name), e);
	if (r < 0)
		(void)db_write(d->db, undo_move_tx, a, NULL);
	forget_mark(d, a->row->id);
	return r;
}

/* To another pool: a copy gets its place, the row changes, the old data go. */
static int move_across(struct lxmd *d, struct pool *from, struct pool *to, struct row_arg *a, struct op *op, struct lxm_err *e)
{
	struct db_volume target = { .pool = (char *)a->pool, .project = (char *)a->project, .name = (char *)a->name,
				    .config = a->row->config };
	struct copying c = { .from_pool = from, .pool = to, .from = a->row, .to = &target, .op = op };
	size_t i;
	int r = custom_snapshots(d, a->row, &c.snaps, e);

	if (r == 0)
		r = stage_all(&c, NULL, e);
	if (r == 0)
		r = pool_sync(to, e);
	if (r == 0)
		r = place_snapshots(&c, e);
	if (r == 0)
		r = pool_custom_place(to, CUSTOM_ID(&target, target.name), e);
	if (r == 0) {
		r = db_write(d->db, move_tx, a, e);
		if (r < 0)
			(void)pool_volume_delete(to, CUSTOM_ID(&target, target.name), NULL);
	}
	if (r < 0) {
		unstage_all(&c);
	} else {
		for (i = 0; i < c.snaps.n; i++) {
			lxm_auto(free) char *name = lxm_asprintf("%s/%s", a->row->name, c.snaps.v[i].name);

			(void)pool_volume_delete(from, CUSTOM_ID(a->row, name), NULL);
		}
		(void)pool_volume_delete(from, CUSTOM_ID(a->row, a->row->name), NULL);
	}
	db_volsnaps_deinit(&c.snaps);
	return r;
}

int custom_move(struct lxmd *d, const struct db_volume *v, const char *pool, const char *home, const char *name, struct op *op,
		const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *from = NULL, *to = NULL;
	lxm_auto(db_volume) struct db_volume there = { 0 };
	struct row_arg a = { .pool = pool, .project = home, .name = name, .row = (struct db_volume *)v };
	struct db_volume now = { .pool = (char *)pool, .project = (char *)home, .name = (char *)name };
	int r = v->used_by.n ? used(v, e) : storage_pool_get(d, v->pool, &from, e);

	if (r == 0)
		r = storage_pool_get(d, pool, &to, e);
	if (r == 0 && custom_load(d, pool, home, name, &there, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "storage volume '%s' already exists", name);
	if (r == 0)
		r = from == to ? rename_inside(d, from, &a, e) : move_across(d, from, to, &a, op, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "move volume '%s'", v->name);
	custom_tell(d, &now, "storage-volume-renamed", NULL, caller);
	return 0;
}

/* ---- delete */

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = check_unused(tx, a->row, e);

	return r < 0 ? r : db_volume_delete(tx, a->row->id, e);
}

int custom_delete(struct lxmd *d, const struct db_volume *v, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(db_volsnaps) struct db_volsnaps snaps = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	struct row_arg a = { .row = (struct db_volume *)v };
	size_t i;
	int r = storage_pool_get(d, v->pool, &pool, e);

	if (r == 0)
		r = custom_snapshots(d, v, &snaps, e);
	if (r == 0)
		r = db_write(d->db, delete_tx, &a, e);
	for (i = 0; r == 0 && i < snaps.n; i++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", v->name, snaps.v[i].name);

		r = pool_volume_delete(pool, CUSTOM_ID(v, name), e);
	}
	if (r == 0)
		r = pool_volume_delete(pool, CUSTOM_ID(v, v->name), e);
	if (r == 0)
		custom_tell(d, v, "storage-volume-deleted", NULL, caller);
	return r;
}
