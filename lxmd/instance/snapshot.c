/*
 * Taking, renaming and deleting snapshots. Worker threads, under the instance's lock. As with instances the row comes
 * first, marked as unfinished, and goes last: whatever moment lxmd dies in, the row leads to what must be tidied up.
 */
#include "lxmd/instance/snapshot.h"

#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy.h"
#include "lxmd/instance/snaprule.h"
#include "lxmd/instance/still.h"
#include "lxmd/storage/pool.h"

#define UNFINISHED "volatile.lxm.unfinished"
#define RENAMED	   "volatile.lxm.renamed_from"

/* ---- rows */

struct row_arg {
	struct db_snapshot *row;
	struct db_snapshots *list;
	int64_t id;
	const char *name;
	lxm_time expires_at;
	const struct lxm_kv *keys;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_snapshot_list(tx, a->id, a->list, e);
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_snapshot_create(tx, a->row, e);
}

static int keys_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_snapshot_set_config_keys(tx, a->id, a->keys, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_snapshot_delete(tx, ((struct row_arg *)arg)->id, e);
}

/* The row takes the new name and remembers where its volume still lies. */
static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;
	int r = db_snapshot_rename(tx, a->id, a->name, e);

	return r ? r : db_snapshot_set_config_keys(tx, a->id, a->keys, e);
}

static int expiry_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_snapshot_update(tx, a->id, a->row->description, a->expires_at, e);
}

static int load_rows(struct lxmd *d, int64_t instance_id, struct db_snapshots *out, struct lxm_err *e)
{
	struct row_arg a = { .id = instance_id, .list = out };

	return db_read(d->db, list_tx, &a, e);
}

/* One volatile key; "" takes it away. */
static int set_key(struct lxmd *d, int64_t id, const char *key, const char *value, bool lazy, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct row_arg a = { .id = id, .keys = &keys };

	lxm_kv_set(&keys, key, value);
	return (lazy ? db_write_lazy : db_write)(d->db, keys_tx, &a, e);
}

static bool unfinished(const struct db_snapshot *s)
{
	return lxm_kv_get(&s->config, UNFINISHED) != NULL;
}

int snapshot_list(struct lxmd *d, int64_t instance_id, struct db_snapshots *out, struct lxm_err *e)
{
	size_t i, n = 0;
	int r = load_rows(d, instance_id, out, e);

	if (r < 0)
		return r;
	for (i = 0; i < out->n; i++) {
		if (unfinished(&out->v[i]))
			db_snapshot_deinit(&out->v[i]);
		else
			out->v[n++] = out->v[i];
	}
	out->n = n;
	return 0;
}

int snapshot_load(struct lxmd *d, const struct instance *i, const char *name, struct db_snapshot *out, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots l = { 0 };
	size_t k;
	int r = snapshot_list(d, i->row.id, &l, e);

	if (r < 0)
		return r;
	for (k = 0; k < l.n; k++) {
		if (strcmp(l.v[k].name, name) != 0)
			continue;
		*out = l.v[k];
		memset(&l.v[k], 0, sizeof(l.v[k]));
		return 0;
	}
	return lxm_err_set(e, ENOENT, "snapshot '%.100s' of instance '%s' not found", name, i->row.name);
}

int snapshot_as_instance(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, struct instance *out,
			 struct lxm_err *e)
{
	struct db_instance *row = &out->row;
	int r;

	row->project = lxm_strdup(i->row.project);
	row->name = lxm_strdup(i->row.name);
	row->pool = lxm_strdup(i->row.pool);
	row->location = lxm_strdup(i->row.location);
	row->description = lxm_strdup(s->description);
	row->architecture = lxm_strdup(s->architecture);
	row->ephemeral = s->ephemeral;
	row->stateful = s->stateful;
	row->created_at = s->created_at;
	lxm_kv_copy(&row->config, &s->config);
	lxm_devs_copy(&row->devices, &s->devices);
	lxm_strv_copy(&row->profiles, &s->profiles);
	r = instance_expand(d, out, NULL);
	if (r != -ENOENT)
		return r;
	/* a profile is gone: the rest still tells something */
	lxm_kv_copy(&out->config, &row->config);
	lxm_devs_copy(&out->devices, &row->devices);
	return 0;
}

/* ---- volumes */

static int get_pool(struct lxmd *d, const struct instance *i, struct pool **out, struct lxm_err *e)
{
	if (!i->row.pool)
		return lxm_err_set(e, ENOENT, "instance '%s' has no volume", i->row.name);
	return storage_pool_get(d, i->row.pool, out, e);
}

static void tell(struct lxmd *d, const struct instance *i, const char *name, const char *action, json_t *context,
		 const struct caller *caller)
{
	lxm_auto(free) char *inst = instance_url(i->row.name), *enc = lxm_url_encode(name, NULL);
	lxm_auto(free) char *url = lxm_asprintf("%s/snapshots/%s", inst, enc);

	event_lifecycle(d, i->row.project, action, url, context, caller);
}

/* Volume and row, in this order; safe to repeat. */
static int destroy(struct lxmd *d, struct pool *pool, const struct db_snapshot *s, struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_asprintf("%s/%s", s->instance, s->name);
	struct row_arg a = { .id = s->id };
	int r = pool_volume_delete(pool, VOLUME_ID(VOLUME_SNAPSHOT, s->project, name), e);

	if (r == 0)
		r = db_write(d->db, delete_tx, &a, e);
	return r < 0 ? r : 0;
}

/* A row that describes the instance as it is. */
static void fill(struct db_snapshot *s, const struct instance *i, const char *name)
{
	s->instance_id = i->row.id;
	s->project = lxm_strdup(i->row.project);
	s->instance = lxm_strdup(i->row.name);
	s->name = lxm_strdup(name);
	s->description = lxm_strdup("");
	s->architecture = lxm_strdup(i->row.architecture);
	s->ephemeral = i->row.ephemeral;
	s->created_at = lxm_now();
	lxm_kv_copy(&s->config, &i->row.config);
	lxm_kv_del_prefix(&s->config, "volatile.lxm.");
	lxm_devs_copy(&s->devices, &i->row.devices);
	lxm_strv_copy(&s->profiles, &i->row.profiles);
}

int snapshot_build(struct lxmd *d, struct db_snapshot *s, struct pool *pool, snapshot_fill_fn make, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_asprintf("%s/%s", s->instance, s->name);
	struct row_arg a = { .row = s };
	struct lxm_err e2 = { 0 };
	int r;

	lxm_kv_set(&s->config, UNFINISHED, "true");
	r = db_write_lazy(d->db, create_tx, &a, e);
	if (r < 0)
		return r;
	r = make(arg, pool, VOLUME_ID(VOLUME_SNAPSHOT, s->project, name), e);
	if (r == 0)
		r = set_key(d, s->id, UNFINISHED, "", false, e);
	if (r == 0)
		return 0;
	if (destroy(d, pool, s, &e2) < 0)
		lxm_error("undo snapshot '%s': %s", name, e2.msg);
	return r < 0 ? r : lxm_err_set(e, ENOENT, "snapshot '%s' was deleted meanwhile", name);
}

/* A snapshot's volume as the copy of another volume. */
struct copy_arg {
	struct lxmd *d;
	struct pool *from_pool;
	const struct volume_id *from;
	const struct instance *busy; /* to be kept still for it, NULL: nobody */
	struct op *op;
};

static int make_copy(void *arg, struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(still) struct still still = { 0 };
	struct copy_arg *a = arg;
	int r = a->busy ? still_hold(a->d, a->busy, &still, e) : 0;

	return r < 0 ? r : pool_volume_copy(a->from_pool, a->from, pool, v, a->op, e);
}

static int build(struct lxmd *d, struct db_snapshot *s, struct pool *from_pool, const struct volume_id *vol, struct pool *pool,
		 const struct instance *busy, struct op *op, struct lxm_err *e)
{
	struct copy_arg a = { d, from_pool, vol, busy, op };

	return snapshot_build(d, s, pool, make_copy, &a, e);
}

static int choose_name(struct lxmd *d, const struct instance *i, const struct snapshot_new *n, char **out, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots have = { 0 };
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t k;
	int r;

	if (!lxm_empty(n->name)) {
		r = conf_name_snapshot(n->name, e);
		if (r == 0)
			*out = lxm_strdup(n->name);
		return r;
	}
	r = load_rows(d, i->row.id, &have, e);
	for (k = 0; k < have.n; k++)
		lxm_strv_add(&names, have.v[k].name);
	return r < 0 ? r : snaprule_name(lxm_kv_or(&i->config, "snapshots.pattern", "snap%d"), lxm_now(), &names, out, e);
}

int snapshot_create(struct lxmd *d, const struct instance *i, const struct snapshot_new *n, struct op *op,
		    const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	lxm_auto(free) char *name = NULL;
	int r = policy_snapshots(d, i->row.project, e);

	if (r == 0)
		r = get_pool(d, i, &pool, e);
	if (r == 0)
		r = choose_name(d, i, n, &name, e);
	if (r == 0) {
		fill(&s, i, name);
		s.expires_at = n->has_expiry ? n->expires_at :
					       snaprule_expiry(lxm_kv_get(&i->config, "snapshots.expiry"), s.created_at);
		r = build(d, &s, pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), pool, i, op, e);
	}
	if (r < 0)
		return lxm_err_wrap(e, r, "snapshot of instance '%s'", i->row.name);
	tell(d, i, name, "instance-snapshot-created", NULL, caller);
	return 0;
}

int snapshot_delete(struct lxmd *d, const struct instance *i, const char *name, const struct caller *caller,
		    struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	int r = snapshot_load(d, i, name, &s, e);

	if (r == 0)
		r = get_pool(d, i, &pool, e);
	if (r == 0)
		r = set_key(d, s.id, UNFINISHED, "true", true, e);
	if (r == 0)
		r = destroy(d, pool, &s, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "delete snapshot '%s/%.100s'", i->row.name, name);
	tell(d, i, name, "instance-snapshot-deleted", NULL, caller);
	return 0;
}

static int rename_row(struct lxmd *d, int64_t id, const char *from, const char *to, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv keys = { 0 };
	struct row_arg a = { .id = id, .name = to, .keys = &keys };

	lxm_kv_set(&keys, RENAMED, from);
	return db_write(d->db, rename_tx, &a, e);
}

int snapshot_rename(struct lxmd *d, const struct instance *i, const char *from, const char *to,
		    const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(free) char *a = lxm_asprintf("%s/%s", i->row.name, from), *b = lxm_asprintf("%s/%s", i->row.name, to);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	struct lxm_err e2 = { 0 };
	int r = conf_name_snapshot(to, e);

	if (r == 0)
		r = snapshot_load(d, i, from, &s, e);
	if (r == 0)
		r = get_pool(d, i, &pool, e);
	if (r == 0)
		r = rename_row(d, s.id, from, to, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "rename snapshot '%.150s'", a);
	r = pool_volume_rename(pool, VOLUME_ID(VOLUME_SNAPSHOT, s.project, a), VOLUME_ID(VOLUME_SNAPSHOT, s.project, b), e);
	if (r < 0 && rename_row(d, s.id, to, from, &e2) < 0)
		lxm_error("undo rename of snapshot '%s': %s", a, e2.msg);
	if (set_key(d, s.id, RENAMED, "", false, &e2) < 0)
		lxm_warn("rename of snapshot '%s': %s", a, e2.msg);
	if (r < 0)
		return lxm_err_wrap(e, r, "rename snapshot '%.150s'", a);
	tell(d, i, to, "instance-snapshot-renamed", json_pack("{s:s}", "old_name", from), caller);
	return 0;
}

int snapshot_set_expiry(struct lxmd *d, const struct instance *i, const char *name, lxm_time expires_at,
			const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	struct row_arg a = { .row = &s, .expires_at = expires_at };
	int r = snapshot_load(d, i, name, &s, e);

	if (r < 0)
		return r;
	a.id = s.id;
	r = db_write(d->db, expiry_tx, &a, e);
	if (r == 0)
		tell(d, i, name, "instance-snapshot-updated", NULL, caller);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "snapshot '%.100s' not found", name) : r;
}

/* ---- copies */

static const struct db_snapshot *same_in(const struct db_snapshots *l, const struct db_snapshot *s)
{
	size_t k;

	for (k = 0; k < l->n; k++)
		if (strcmp(l->v[k].name, s->name) == 0 && l->v[k].created_at == s->created_at)
			return &l->v[k];
	return NULL;
}

void snapshot_row_for(const struct instance *to, const struct db_snapshot *s, struct db_snapshot *out)
{
	const char *image = lxm_kv_get(&s->config, "volatile.base_image");

	fill(out, to, s->name);
	free(out->architecture);
	free(out->description);
	out->architecture = lxm_strdup(s->architecture);
	out->description = lxm_strdup(s->description);
	out->ephemeral = s->ephemeral;
	out->created_at = s->created_at;
	out->expires_at = s->expires_at;
	/* addresses and ids belong to the one it was taken of */
	lxm_kv_copy(&out->config, &s->config);
	lxm_kv_del_prefix(&out->config, "volatile.");
	if (image)
		lxm_kv_set(&out->config, "volatile.base_image", image);
	lxm_devs_copy(&out->devices, &s->devices);
	lxm_strv_copy(&out->profiles, &s->profiles);
}

static int copy_one(struct lxmd *d, const struct db_snapshot *s, struct pool *from_pool, const struct instance *to,
		    struct pool *pool, struct op *op, struct lxm_err *e)
{
	lxm_auto(free) char *name = lxm_asprintf("%s/%s", s->instance, s->name);
	lxm_auto(db_snapshot) struct db_snapshot n = { 0 };

	snapshot_row_for(to, s, &n);
	return build(d, &n, from_pool, VOLUME_ID(VOLUME_SNAPSHOT, s->project, name), pool, NULL, op, e);
}

int snapshot_copy_all(struct lxmd *d, const struct instance *from, const struct instance *to, struct op *op,
		      struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots all = { 0 }, have = { 0 };
	lxm_auto(pool_unref) struct pool *from_pool = NULL, *pool = NULL;
	size_t k;
	int r = snapshot_list(d, from->row.id, &all, e);

	if (r == 0 && all.n)
		r = policy_snapshots(d, to->row.project, e);
	if (r == 0)
		r = snapshot_list(d, to->row.id, &have, e);
	if (r == 0)
		r = get_pool(d, from, &from_pool, e);
	if (r == 0)
		r = get_pool(d, to, &pool, e);
	for (k = 0; r == 0 && k < all.n; k++) {
		if (same_in(&have, &all.v[k]))
			continue;
		if (op_is_cancelled(op))
			return lxm_err_set(e, ECANCELED, "cancelled");
		r = copy_one(d, &all.v[k], from_pool, to, pool, op, e);
	}
	return lxm_err_wrap(e, r, "copy the snapshots of instance '%s'", from->row.name);
}

int snapshot_drop(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	int r = get_pool(d, i, &pool, e);

	if (r == 0)
		r = set_key(d, s->id, UNFINISHED, "true", true, e);
	return r < 0 ? r : destroy(d, pool, s, e);
}

int snapshot_drop_strays(struct lxmd *d, const struct instance *from, const struct instance *to, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots all = { 0 }, have = { 0 };
	size_t k;
	int r = snapshot_list(d, from->row.id, &all, e);

	if (r == 0)
		r = snapshot_list(d, to->row.id, &have, e);
	for (k = 0; r == 0 && k < have.n; k++)
		if (!same_in(&all, &have.v[k]))
			r = snapshot_drop(d, to, &have.v[k], e);
	return r;
}

/* ---- all of an instance; start */

int snapshot_destroy_volumes(struct lxmd *d, const struct instance *i, struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots all = { 0 };
	lxm_auto(pool_unref) struct pool *pool = NULL;
	size_t k;
	int r = load_rows(d, i->row.id, &all, e);

	if (r == 0 && all.n)
		r = get_pool(d, i, &pool, e);
	for (k = 0; r == 0 && k < all.n; k++) {
		lxm_auto(free) char *name = lxm_asprintf("%s/%s", i->row.name, all.v[k].name);

		r = pool_volume_delete(pool, VOLUME_ID(VOLUME_SNAPSHOT, i->row.project, name), e);
	}
	return r;
}

void snapshots_mend(struct lxmd *d)
{
	lxm_auto(db_snapshots) struct db_snapshots all = { 0 };
	struct lxm_err e = { 0 };
	size_t k;
	int r = load_rows(d, 0, &all, &e);

	for (k = 0; k < all.n; k++) {
		const struct db_snapshot *s = &all.v[k];
		bool renamed = lxm_kv_get(&s->config, RENAMED) != NULL;
		lxm_auto(instance) struct instance i = { 0 };
		lxm_auto(pool_unref) struct pool *pool = NULL;

		if (!unfinished(s) && !renamed)
			continue;
		lxm_err_clear(&e);
		r = instance_load_id(d, s->instance_id, &i, &e);
		if (r == 0)
			r = get_pool(d, &i, &pool, &e); /* without its pool nothing was mended: the marks stay */
		if (r == 0 && unfinished(s)) {
			lxm_info("snapshot '%s/%s' is not whole, removing it", s->instance, s->name);
			r = destroy(d, pool, s, &e);
		} else if (r == 0) {
			r = set_key(d, s->id, RENAMED, "", false, &e);
		}
		if (r < 0)
			lxm_error("snapshot '%s/%s': %s", s->instance, s->name, e.msg);
	}
	if (r < 0 && !all.n)
		lxm_error("snapshots: %s", e.msg);
}
