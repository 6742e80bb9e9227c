/* POST instances/NAME with "migration": moves on this server; what names no place here goes to another server. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/instance_migrate.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/copy.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/move.h"
#include "lxmd/storage/pool.h"

struct job {
	int64_t id;
	char *project, *name, *pool; /* NULL: as it is */
	struct lxm_kv config;
	struct lxm_devs devices;
	struct lxm_strv profiles;
	bool has_config, has_devices, has_profiles;
};

static void job_free(void *arg)
{
	struct job *j = arg;

	free(j->project);
	free(j->name);
	free(j->pool);
	lxm_kv_deinit(&j->config);
	lxm_devs_deinit(&j->devices);
	lxm_strv_deinit(&j->profiles);
	free(j);
}
LXM_AUTO_PTR(job, struct job, job_free)

static int move_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 }, moved = { 0 };
	struct lxmd *d = op_daemon(op);
	struct job *j = arg;
	struct instance_move to = { j->project, j->name, j->has_config ? &j->config : NULL, j->has_devices ? &j->devices : NULL,
				    j->has_profiles ? &j->profiles : NULL };
	int r = instance_lock(d, j->id, "Moving instance", &i, &lock, e);

	if (r == 0 && j->pool)
		r = instance_move_pool(d, &i, j->pool, op, op_caller(op), e);
	if (r == 0)
		r = instance_load_id(d, j->id, &moved, e);
	if (r < 0 || !(j->project || j->name || to.config || to.devices || to.profiles))
		return r;
	return instance_move(d, &moved, &to, op_caller(op), e);
}

/* Only what differs from what it is. */
static int read_place(json_t *body, const struct instance *i, struct job *j, struct lxm_err *e)
{
	const char *name = NULL, *pool = NULL, *project = NULL;
	int r = js_get_str(body, "name", &name, e);

	if (r == 0)
		r = js_get_str(body, "pool", &pool, e);
	if (r == 0)
		r = js_get_str(body, "project", &project, e);
	if (r == 0)
		r = js_get_kv(body, "config", &j->config, &j->has_config, e);
	if (r == 0)
		r = js_get_devs(body, "devices", &j->devices, &j->has_devices, e);
	if (r == 0)
		r = js_get_strv(body, "profiles", &j->profiles, &j->has_profiles, e);
	if (r == 0 && !lxm_empty(name))
		r = conf_name_instance(name, e);
	if (r < 0)
		return r;
	if (!lxm_empty(name) && strcmp(name, i->row.name) != 0)
		j->name = lxm_strdup(name);
	if (!lxm_empty(project) && strcmp(project, i->row.project) != 0)
		j->project = lxm_strdup(project);
	if (!lxm_empty(pool))
		j->pool = lxm_strdup(pool);
	return 0;
}

int instance_move_post(struct request *rq, const struct instance *i, json_t *body, struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = i->row.project, .description = "Moving instance", .run = move_run,
				.free_arg = job_free };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	lxm_auto(instance) struct instance other = { 0 };
	lxm_auto(pool_unref) struct pool *to = NULL;
	int r = read_place(body, i, j, e);

	if (r < 0)
		return r;
	if (js_get(body, "target") || !(j->pool || j->project || j->has_config || j->has_devices || j->has_profiles))
		return instance_migrate_source(rq, i, NULL, body, e);
	if (j->project && !caller_may_project(rq_caller(rq), j->project))
		return lxm_err_http(e, 403, EPERM, "not authorized");
	r = instance_need_stopped(rq->d, i, "move", e);
	/* with a project a client may name the pool that it is in */
	if (r == 0 && j->pool && (j->project || j->has_config || j->has_devices || j->has_profiles) && lxm_streq(j->pool, i->row.pool)) {
		free(j->pool);
		j->pool = NULL;
	}
	if (r == 0 && j->pool)
		r = storage_pool_get(rq->d, j->pool, &to, e);
	if (r == 0 && (j->name || j->project) &&
	    instance_load(rq->d, j->project ? j->project : i->row.project, j->name ? j->name : i->row.name, &other, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "instance '%s' already exists", other.row.name);
	if (r < 0)
		return r;
	j->id = i->row.id;
	spec.resources = instance_resources(j->name ? j->name : i->row.name);
	spec.arg = LXM_TAKE(j, NULL);
	return reply_op_new(rq, &spec, e);
}
