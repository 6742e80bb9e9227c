/*
 * Copies and moves of custom volumes between pools and projects (contract sections 9 and 11): the request is checked here, an operation
 * does the work. Renaming answers at once.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"
#include "lxmd/api/volume_json.h"
#include "lxmd/api/volumes.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/core/quota.h"
#include "lxmd/instance/policy.h"
#include "lxmd/instance/volumes.h"
#include "lxmd/storage/custom.h"
#include "lxmd/storage/pool.h"

struct job {
	struct db_volume from;	/* as it was when the request came */
	char *snapshot;
	struct db_volume to;	/* pool, project, name; of a copy also description and config */
	bool volume_only, refresh;
};

static void job_free(void *arg)
{
	struct job *j = arg;

	if (!j)
		return;
	db_volume_deinit(&j->from);
	db_volume_deinit(&j->to);
	free(j->snapshot);
	free(j);
}
LXM_AUTO_PTR(job, struct job, job_free)

struct counted {
	const char *project;
	bool disk;
};

static int counted_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct counted *c = arg;

	return quota_counts_disk(tx, c->project, &c->disk, e);
}

/* A limit that nobody keeps is worse than none; where the project counts space, it is what the volume takes of that. */
static int check_size(struct lxmd *d, struct pool *pool, const char *project, struct lxm_err *e)
{
	struct counted c = { .project = project };
	int r = pool_caps(pool) & POOL_CAP_QUOTA ? 0 : db_read(d->db, counted_tx, &c, e);

	if (r < 0 || c.disk || (pool_caps(pool) & POOL_CAP_QUOTA))
		return r;
	return lxm_err_http(e, 400, EOPNOTSUPP, "pool '%s' cannot limit the size of a volume: unset size, or " POOL_QUOTA_HELP, pool_name(pool));
}

int volume_check_config(struct lxmd *d, struct pool *pool, const char *project, const struct lxm_kv *was, struct lxm_kv *config,
			struct lxm_err *e)
{
	const struct conftable *table = conf_volume(pool_driver(pool));
	int r = 0;

	conf_drop_empty(config);
	if (!table)
		return lxm_err_set(e, EOPNOTSUPP, "driver '%s' has no volumes", pool_driver(pool));
	if (lxm_kv_bool(config, "security.shifted", false) && lxm_kv_bool(config, "security.unmapped", false))
		return lxm_err_set(e, EINVAL, "security.shifted and security.unmapped exclude each other");
	if (lxm_kv_get(config, "size") && !(was && lxm_streq(lxm_kv_get(was, "size"), lxm_kv_get(config, "size"))))
		r = check_size(d, pool, project, e);
	if (r < 0)
		return r;
	return was ? conf_check_change(table, was, config, e) : conf_check(table, config, e);
}

void volume_tell(struct request *rq, const char *action, const struct db_volume *v)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/storage-pools/%s/volumes/custom/%s", v->pool, v->name);

	event_lifecycle(rq->d, v->project, action, url, NULL, rq_caller(rq));
}

json_t *volume_resources(const struct db_volume *v)
{
	return json_pack("{s:[o]}", "storage_volumes", js_url("/1.0/storage-pools/%s/volumes/custom/%s", v->pool, v->name));
}

static int begin(struct request *rq, struct job *j, const char *what, int (*run)(struct op *, void *, struct lxm_err *), struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = what, .may_cancel = true,
				.resources = volume_resources(&j->to), .run = run, .free_arg = job_free, .arg = j };

	return reply_op_new(rq, &spec, e);
}

/* Both locks, and the source as it is now. */
static int lock_both(struct lxmd *d, const struct job *j, const char *what, struct lock *locks[2], struct db_volume *from, struct lxm_err *e)
{
	int r = custom_lock(d, j->from.pool, j->from.project, j->from.name, what, 0, &locks[0], e);

	if (r == 0)
		r = custom_lock(d, j->to.pool, j->to.project, j->to.name, what, 0, &locks[1], e);
	return r < 0 ? r : custom_load(d, j->from.pool, j->from.project, j->from.name, from, e);
}

/* ---- copy */

static int copy_locked(struct op *op, struct job *j, const struct db_volume *from, struct lxm_err *e)
{
	struct lxmd *d = op_daemon(op);
	lxm_auto(db_volume) struct db_volume there = { 0 };
	lxm_auto(db_volsnaps) struct db_volsnaps snaps = { 0 };
	struct custom_copy how = { .from = from, .snapshot = j->snapshot, .volume_only = j->volume_only };
	int r = custom_load(d, j->to.pool, j->to.project, j->to.name, &there, NULL);

	if (r == 0 && !j->refresh)
		return lxm_err_set(e, EEXIST, "storage volume '%s' already exists", j->to.name);
	how.refresh = r == 0;
	r = how.refresh ? volumes_check_unmounted(d, &there, e) : 0;
	if (r == 0 && !j->snapshot && !j->volume_only)
		r = custom_snapshots(d, from, &snaps, e);
	if (r == 0 && snaps.n)
		r = policy_snapshots(d, j->to.project, e);
	return r < 0 ? r : custom_copy(d, &how, how.refresh ? &there : &j->to, op, op_caller(op), e);
}

static int copy_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(db_volume) struct db_volume from = { 0 };
	struct lock *locks[2] = { NULL, NULL };
	struct job *j = arg;
	int r = lock_both(op_daemon(op), j, "Copying storage volume", locks, &from, e);

	if (r == 0)
		r = copy_locked(op, j, &from, e);
	lock_release(locks[0]);
	lock_release(locks[1]);
	return r;
}

/* "v" or "v/s" of a pool and a project, which default to the target's. */
static int find_source(struct request *rq, json_t *source, struct job *j, struct lxm_err *e)
{
	const char *name = NULL, *pool = NULL, *project = NULL, *slash;
	lxm_auto(free) char *volume = NULL, *home = NULL;
	lxm_auto(db_volsnap) struct db_volsnap snap = { 0 };
	int r = js_need_str(source, "name", &name, e);

	if (r == 0)
		r = js_get_str(source, "pool", &pool, e);
	if (r == 0)
		r = js_get_str(source, "project", &project, e);
	if (r == 0)
		r = js_get_bool(source, "volume_only", &j->volume_only, e);
	if (r == 0)
		r = js_get_bool(source, "refresh", &j->refresh, e);
	if (r < 0)
		return r;
	project = lxm_empty(project) ? rq_project(rq) : project;
	if (!caller_may_project(rq_caller(rq), project))
		return lxm_err_http(e, 403, EPERM, "not authorized");
	slash = strchr(name, '/');
	volume = slash ? lxm_strndup(name, (size_t)(slash - name)) : lxm_strdup(name);
	r = custom_home(rq->d, project, &home, e);
	if (r == 0)
		r = custom_load(rq->d, lxm_empty(pool) ? rq_arg(rq, 0) : pool, home, volume, &j->from, e);
	if (r == 0 && slash) {
		j->snapshot = lxm_strdup(slash + 1);
		r = custom_snapshot_load(rq->d, &j->from, j->snapshot, &snap, e);
	}
	return r;
}

/* What the body leaves open is as in the source. */
static void inherit(struct job *j)
{
	if (!j->to.config.n) {
		lxm_kv_copy(&j->to.config, &j->from.config);
		lxm_kv_del_prefix(&j->to.config, "volatile.");
	}
	if (lxm_empty(j->to.description)) {
		free(j->to.description);
		j->to.description = lxm_strdup(j->from.description);
	}
}

int volume_copy_post(struct request *rq, json_t *source, struct pool *pool, struct db_volume *row, struct lxm_err *e)
{
	const char *type = js_str(source, "type");
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_auto(db_volume) struct db_volume there = { 0 };
	int r;

	if (strcmp(type, "migration") == 0)
		return lxm_err_http(e, 501, EOPNOTSUPP, "custom volumes cannot be taken from another server yet");
	if (strcmp(type, "copy") != 0)
		return lxm_err_set(e, EINVAL, "source type '%.50s' is none of copy, migration", type);
	j->to = *row;
	memset(row, 0, sizeof(*row));
	r = find_source(rq, source, j, e);
	if (r < 0)
		return r;
	inherit(j);
	r = volume_check_config(rq->d, pool, j->to.project, NULL, &j->to.config, e);
	if (r == 0 && !j->refresh && custom_load(rq->d, j->to.pool, j->to.project, j->to.name, &there, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "storage volume '%s' already exists", j->to.name);
	return r < 0 ? r : begin(rq, LXM_TAKE(j, NULL), "Copying storage volume", copy_run, e);
}

/* ---- move and rename */

static int move_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(db_volume) struct db_volume from = { 0 };
	lxm_auto(db_volsnaps) struct db_volsnaps snaps = { 0 };
	struct lock *locks[2] = { NULL, NULL };
	struct lxmd *d = op_daemon(op);
	struct job *j = arg;
	int r = lock_both(d, j, "Moving storage volume", locks, &from, e);

	if (r == 0 && strcmp(from.project, j->to.project) != 0)
		r = custom_snapshots(d, &from, &snaps, e);
	if (r == 0 && snaps.n)
		r = policy_snapshots(d, j->to.project, e);
	if (r == 0)
		r = custom_move(d, &from, j->to.pool, j->to.project, j->to.name, op, op_caller(op), e);
	lock_release(locks[0]);
	lock_release(locks[1]);
	return r;
}

static int rename_now(struct request *rq, const struct db_volume *v, const char *to, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(free) char *url = lxm_asprintf("/1.0/storage-pools/%s/volumes/custom/%s", v->pool, to);
	int r = custom_lock(rq->d, v->pool, v->project, v->name, "Renaming storage volume", 0, &lock, e);

	if (r == 0)
		r = custom_move(rq->d, v, v->pool, v->project, to, NULL, rq_caller(rq), e);
	return r < 0 ? r : reply_created(rq, url);
}

/* Where it goes: what the body leaves open stays. */
static int read_place(struct request *rq, json_t *body, struct job *j, struct lxm_err *e)
{
	const char *name = NULL, *pool = NULL, *project = NULL;
	int r = js_get_str(body, "name", &name, e);

	if (r == 0)
		r = js_get_str(body, "pool", &pool, e);
	if (r == 0)
		r = js_get_str(body, "project", &project, e);
	if (r == 0 && lxm_empty(name) && lxm_empty(pool) && lxm_empty(project))
		r = js_need_str(body, "name", &name, e);
	if (r == 0 && !lxm_empty(name))
		r = conf_name_volume(name, e);
	if (r < 0)
		return r;
	j->to.name = lxm_strdup(lxm_empty(name) ? j->from.name : name);
	j->to.pool = lxm_empty(pool) && lxm_empty(project) ? NULL : lxm_strdup(lxm_empty(pool) ? j->from.pool : pool);
	if (lxm_empty(project))
		j->to.project = lxm_strdup(j->from.project);
	else
		r = custom_home(rq->d, project, &j->to.project, e);
	/* the same answer for a project that is not there and for one that is not the caller's */
	if ((r < 0 || !lxm_empty(project)) && (!caller_may_project(rq_caller(rq), project) ||
					       (r == 0 && !caller_may_project(rq_caller(rq), j->to.project))))
		return lxm_err_http(e, 403, EPERM, "not authorized");
	return r;
}

int api_volume_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_auto(pool_unref) struct pool *pool = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = volume_find_custom(rq, &j->from, e);
	if (r == 0)
		r = read_place(rq, body, j, e);
	if (r < 0)
		return r;
	if (js_bool(body, "migration", false) && !j->to.pool)
		return lxm_err_http(e, 501, EOPNOTSUPP, "custom volumes cannot be sent to another server yet");
	if (j->from.used_by.n)
		return lxm_err_http(e, 400, EBUSY, "volume '%s' is in use: detach it first", j->from.name);
	if (!j->to.pool)
		return rename_now(rq, &j->from, j->to.name, e);
	r = storage_pool_get(rq->d, j->to.pool, &pool, e);
	if (r == 0 && strcmp(j->to.pool, j->from.pool) == 0 && strcmp(j->to.name, j->from.name) == 0 &&
	    strcmp(j->to.project, j->from.project) == 0)
		r = lxm_err_set(e, EEXIST, "storage volume '%s' already exists", j->to.name);
	return r < 0 ? r : begin(rq, LXM_TAKE(j, NULL), "Moving storage volume", move_run, e);
}
