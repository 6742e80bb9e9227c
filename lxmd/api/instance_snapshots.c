/* /1.0/instances/NAME/snapshots: list, take, show, set the expiry, rename, delete. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_migrate.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/render.h"
#include "lxmd/instance/snapshot.h"

struct job {
	int64_t id;	  /* of the instance */
	char *name, *to;  /* snapshot; its new name */
	bool has_expiry;
	lxm_time expires_at;
};

static void job_free(void *arg)
{
	struct job *j = arg;

	if (!j)
		return;
	free(j->name);
	free(j->to);
	free(j);
}
LXM_AUTO_PTR(job, struct job, job_free)

static int begin(struct op *op, const struct job *j, const char *what, struct instance *i, struct lock **lock, struct lxm_err *e)
{
	struct lxmd *d = op_daemon(op);
	int r = instance_lock_id(d, j->id, what, 0, lock, e);

	return r < 0 ? r : instance_load_id(d, j->id, i, e);
}

static int create_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = begin(op, j, "Snapshotting instance", &i, &lock, e);

	return r < 0 ? r : snapshot_create(op_daemon(op), &i, &(struct snapshot_new){ j->name, j->has_expiry, j->expires_at }, op,
					   op_caller(op), e);
}

static int rename_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = begin(op, j, "Renaming snapshot", &i, &lock, e);

	return r < 0 ? r : snapshot_rename(op_daemon(op), &i, j->name, j->to, op_caller(op), e);
}

static int delete_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = begin(op, j, "Deleting snapshot", &i, &lock, e);

	return r < 0 ? r : snapshot_delete(op_daemon(op), &i, j->name, op_caller(op), e);
}

static int update_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = instance_load_id(op_daemon(op), j->id, &i, e);

	return r < 0 ? r : snapshot_set_expiry(op_daemon(op), &i, j->name, j->expires_at, op_caller(op), e);
}

static int start_job(struct request *rq, const struct instance *i, const char *what,
		     int (*run)(struct op *, void *, struct lxm_err *), struct job *j, struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = i->row.project, .description = what,
				.resources = instance_resources(i->row.name), .run = run, .free_arg = job_free, .arg = j };

	j->id = i->row.id;
	if (j->name)
		json_object_set_new(spec.resources, "instances_snapshots",
				    json_pack("[o]", js_url("/1.0/instances/%s/snapshots/%s", i->row.name, j->name)));
	return reply_op_new(rq, &spec, e);
}

static json_t *list_url(struct request *rq, const struct instance *i, const struct db_snapshot *s)
{
	return js_url(rq->containers ? "/1.0/containers/%s/snapshots/%s" : "/1.0/instances/%s/snapshots/%s", i->row.name, s->name);
}

int api_instance_snapshots_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_snapshots) struct db_snapshots l = { 0 };
	json_t *out;
	size_t k;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = snapshot_list(rq->d, i.row.id, &l, e);
	if (r < 0)
		return r;
	out = json_array();
	for (k = 0; k < l.n; k++)
		json_array_append_new(out, rq_recursion(rq) ? snapshot_json(rq->d, &i, &l.v[k], true) :
							      list_url(rq, &i, &l.v[k]));
	return reply_sync(rq, out);
}

/* "expires_at": null or absent leaves it to snapshots.expiry, year 1 is never. */
static int read_expiry(json_t *body, struct job *j, struct lxm_err *e)
{
	j->has_expiry = js_get(body, "expires_at") != NULL;
	return js_get_time(body, "expires_at", &j->expires_at, e);
}

int api_instance_snapshots_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_auto(db_snapshot) struct db_snapshot old = { 0 };
	json_t *body = rq_json(rq);
	const char *name = NULL;
	bool stateful = false;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = js_get_str(body, "name", &name, e);
	if (r == 0 && !lxm_empty(name))
		r = conf_name_snapshot(name, e);
	if (r == 0)
		r = js_get_bool(body, "stateful", &stateful, e);
	if (r == 0 && stateful)
		r = lxm_err_set(e, EOPNOTSUPP, "the running state of a container cannot be saved: leave out 'stateful'");
	if (r == 0)
		r = read_expiry(body, j, e);
	if (r == 0 && !lxm_empty(name) && snapshot_load(rq->d, &i, name, &old, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "snapshot '%s/%s' already exists", i.row.name, name);
	if (r < 0)
		return r;
	if (!lxm_empty(name))
		j->name = lxm_strdup(name);
	return start_job(rq, &i, "Snapshotting instance", create_run, LXM_TAKE(j, NULL), e);
}

/* The instance and the snapshot that the path names. */
static int find(struct request *rq, struct instance *i, struct db_snapshot *s, struct lxm_err *e)
{
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), i, e);

	return r < 0 ? r : snapshot_load(rq->d, i, rq_arg(rq, 1), s, e);
}

static json_t *etag(const struct db_snapshot *s)
{
	return json_pack("{s:o}", "expires_at", js_time_unset(s->expires_at));
}

int api_instance_snapshot_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	int r = find(rq, &i, &s, e);

	return r < 0 ? r : reply_sync_etag(rq, snapshot_json(rq->d, &i, &s, true), etag(&s));
}

static int update(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	json_t *body;
	int r = find(rq, &i, &s, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = rq_check_etag(rq, etag(&s), e);
	if (r == 0)
		r = read_expiry(body, j, e);
	if (r < 0)
		return r;
	if (patch && !j->has_expiry)
		j->expires_at = s.expires_at;
	j->name = lxm_strdup(s.name);
	return start_job(rq, &i, "Updating snapshot", update_run, LXM_TAKE(j, NULL), e);
}

int api_instance_snapshot_put(struct request *rq, struct lxm_err *e)
{
	return update(rq, false, e);
}

int api_instance_snapshot_patch(struct request *rq, struct lxm_err *e)
{
	return update(rq, true, e);
}

int api_instance_snapshot_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 }, other = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	const char *to = NULL;
	bool migration = false;
	json_t *body;
	int r = find(rq, &i, &s, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = js_get_bool(body, "migration", &migration, e);
	if (r == 0 && migration)
		return instance_migrate_source(rq, &i, s.name, body, e);
	if (r == 0)
		r = js_need_str(body, "name", &to, e);
	if (r == 0)
		r = conf_name_snapshot(to, e);
	if (r == 0 && snapshot_load(rq->d, &i, to, &other, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "snapshot '%s/%s' already exists", i.row.name, to);
	if (r < 0)
		return r;
	j->name = lxm_strdup(s.name);
	j->to = lxm_strdup(to);
	return start_job(rq, &i, "Renaming snapshot", rename_run, LXM_TAKE(j, NULL), e);
}

int api_instance_snapshot_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	int r = find(rq, &i, &s, e);

	if (r < 0)
		return r;
	j->name = lxm_strdup(s.name);
	return start_job(rq, &i, "Deleting snapshot", delete_run, LXM_TAKE(j, NULL), e);
}
