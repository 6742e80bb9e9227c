/* .../volumes/custom/V/snapshots: list, take, show, change, rename, delete, restore (contract section 9). */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/volume_json.h"
#include "lxmd/api/volumes.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/volumes.h"
#include "lxmd/storage/custom.h"

struct job {
	struct db_volume v;
	struct db_volsnap s; /* name; of an update also the rest */
	char *to;
	bool has_expiry;
};

static void job_free(void *arg)
{
	struct job *j = arg;

	if (!j)
		return;
	db_volume_deinit(&j->v);
	db_volsnap_deinit(&j->s);
	free(j->to);
	free(j);
}
LXM_AUTO_PTR(job, struct job, job_free)

/* The volume's lock, and the volume as it is now. */
static int enter(struct op *op, const struct job *j, const char *what, struct lock **lock, struct db_volume *v, struct lxm_err *e)
{
	int r = custom_lock(op_daemon(op), j->v.pool, j->v.project, j->v.name, what, 0, lock, e);

	if (r == 0)
		r = custom_load(op_daemon(op), j->v.pool, j->v.project, j->v.name, v, e);
	return r;
}

static int create_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(db_volume) struct db_volume v = { 0 };
	const struct job *j = arg;
	const struct volumes_snapshot_new n = { j->s.name, j->s.description, j->has_expiry, j->s.expires_at };
	int r = enter(op, j, "Snapshotting storage volume", &lock, &v, e);

	return r < 0 ? r : volumes_snapshot(op_daemon(op), &v, &n, op, op_caller(op), e);
}

static int delete_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(db_volume) struct db_volume v = { 0 };
	const struct job *j = arg;
	int r = enter(op, j, "Deleting snapshot", &lock, &v, e);

	return r < 0 ? r : custom_snapshot_delete(op_daemon(op), &v, j->s.name, op_caller(op), e);
}

static int rename_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(db_volume) struct db_volume v = { 0 };
	const struct job *j = arg;
	int r = enter(op, j, "Renaming snapshot", &lock, &v, e);

	return r < 0 ? r : custom_snapshot_rename(op_daemon(op), &v, j->s.name, j->to, op_caller(op), e);
}

static int update_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct job *j = arg;

	return custom_snapshot_update(op_daemon(op), &j->v, &j->s, op_caller(op), e);
}

static int begin(struct request *rq, struct job *j, const char *what, int (*run)(struct op *, void *, struct lxm_err *), struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = what, .run = run,
				.free_arg = job_free, .arg = j };
	lxm_auto(json) json_t *volume = volume_resources(&j->v);

	spec.resources = json_pack("{s:[o]}", "storage_volume_snapshots", volume_snapshot_url(&j->v, &j->s, false));
	json_object_update(spec.resources, volume);
	return reply_op_new(rq, &spec, e);
}

/* Clients take this PUT for one that answers when all is done. */
int volume_restore(struct request *rq, const struct db_volume *v, const char *snapshot, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	int r = custom_lock(rq->d, v->pool, v->project, v->name, "Restoring storage volume", 0, &lock, e);

	if (r == 0)
		r = volumes_check_unmounted(rq->d, v, e);
	if (r == 0)
		r = custom_restore(rq->d, v, snapshot, NULL, rq_caller(rq), e);
	return r < 0 ? r : reply_sync(rq, NULL);
}

int api_volume_snapshots_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_volume) struct db_volume v = { 0 };
	lxm_auto(db_volsnaps) struct db_volsnaps l = { 0 };
	json_t *out;
	size_t i;
	int r = volume_find_custom(rq, &v, e);

	if (r == 0)
		r = custom_snapshots(rq->d, &v, &l, e);
	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; i < l.n; i++) {
		json_t *o = rq_recursion(rq) ? volume_snapshot_json(&v, &l.v[i]) : volume_snapshot_url(&v, &l.v[i], false);

		/* in lists with the volume's name in front */
		if (rq_recursion(rq)) {
			lxm_auto(free) char *name = lxm_asprintf("%s/%s", v.name, l.v[i].name);

			json_object_set_new(o, "name", js_string(name));
		}
		json_array_append_new(out, o);
	}
	return reply_sync(rq, out);
}

/* "description" and "expires_at", which null or absence leaves to snapshots.expiry and year 1 makes never. */
static int read_body(json_t *body, struct job *j, struct lxm_err *e)
{
	const char *description = NULL;
	int r = js_get_str(body, "description", &description, e);

	j->has_expiry = js_get(body, "expires_at") != NULL;
	if (r == 0)
		r = js_get_time(body, "expires_at", &j->s.expires_at, e);
	if (r == 0 && description) {
		free(j->s.description);
		j->s.description = lxm_strdup(description);
	}
	return r;
}

int api_volume_snapshots_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_auto(db_volsnap) struct db_volsnap there = { 0 };
	json_t *body = rq_json(rq);
	const char *name = NULL;
	int r = volume_find_custom(rq, &j->v, e);

	if (r == 0)
		r = js_get_str(body, "name", &name, e);
	if (r == 0 && !lxm_empty(name))
		r = conf_name_snapshot(name, e);
	if (r == 0)
		r = read_body(body, j, e);
	if (r == 0 && !lxm_empty(name) && custom_snapshot_load(rq->d, &j->v, name, &there, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "snapshot '%s/%s' already exists", j->v.name, name);
	if (r < 0)
		return r;
	if (lxm_empty(name))
		r = volumes_snapshot_name(rq->d, &j->v, &j->s.name, e);
	else
		j->s.name = lxm_strdup(name);
	return r < 0 ? r : begin(rq, LXM_TAKE(j, NULL), "Snapshotting storage volume", create_run, e);
}

static int find(struct request *rq, struct job *j, struct lxm_err *e)
{
	int r = volume_find_custom(rq, &j->v, e);

	return r < 0 ? r : custom_snapshot_load(rq->d, &j->v, rq_arg(rq, 3), &j->s, e);
}

int api_volume_snapshot_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	int r = find(rq, j, e);

	return r < 0 ? r : reply_sync_etag(rq, volume_snapshot_json(&j->v, &j->s), volume_snapshot_editable(&j->s));
}

static int update(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_time was;
	json_t *body;
	int r = find(rq, j, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = rq_check_etag(rq, volume_snapshot_editable(&j->s), e);
	if (r < 0)
		return r;
	was = j->s.expires_at;
	j->s.expires_at = 0;
	r = read_body(body, j, e);
	if (r < 0)
		return r;
	if (patch && !j->has_expiry)
		j->s.expires_at = was;
	return begin(rq, LXM_TAKE(j, NULL), "Updating snapshot", update_run, e);
}

int api_volume_snapshot_put(struct request *rq, struct lxm_err *e)
{
	return update(rq, false, e);
}

int api_volume_snapshot_patch(struct request *rq, struct lxm_err *e)
{
	return update(rq, true, e);
}

int api_volume_snapshot_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_auto(db_volsnap) struct db_volsnap there = { 0 };
	const char *to = NULL;
	json_t *body;
	int r = find(rq, j, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = js_need_str(body, "name", &to, e);
	if (r == 0)
		r = conf_name_snapshot(to, e);
	if (r == 0 && custom_snapshot_load(rq->d, &j->v, to, &there, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "snapshot '%s/%s' already exists", j->v.name, to);
	if (r < 0)
		return r;
	j->to = lxm_strdup(to);
	return begin(rq, LXM_TAKE(j, NULL), "Renaming snapshot", rename_run, e);
}

int api_volume_snapshot_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	int r = find(rq, j, e);

	return r < 0 ? r : begin(rq, LXM_TAKE(j, NULL), "Deleting snapshot", delete_run, e);
}
