/* POST /1.0/instances/NAME/rebuild: a fresh root, with everything else kept. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_source.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/life.h"

struct job {
	int64_t id;
	char *project;
	struct source source;
	struct db_instance row; /* what the image gives: image.*, architecture */
};

static void job_free(void *arg)
{
	struct job *j = arg;

	if (!j)
		return;
	free(j->project);
	source_deinit(&j->source);
	db_instance_deinit(&j->row);
	free(j);
}
LXM_AUTO_PTR(job, struct job, job_free)

static int rebuild_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct lxmd *d = op_daemon(op);
	struct job *j = arg;
	struct rebuild b = { .image = j->source.type == SOURCE_IMAGE ? j->source.fp : NULL };
	int r = source_fetch(d, j->project, &j->source, &j->row, op, e);

	if (r == 0)
		r = instance_lock_id(d, j->id, "Rebuilding instance", 0, &lock, e);
	b.architecture = j->row.architecture;
	b.image_config = j->row.config;
	if (r == 0)
		r = instance_load_id(d, j->id, &i, e);
	return r < 0 ? r : instance_rebuild(d, &i, &b, op, op_caller(op), e);
}

int api_instance_rebuild_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	struct op_spec spec = { .cls = OP_TASK, .description = "Rebuilding instance", .may_cancel = true, .run = rebuild_run,
				.free_arg = job_free };
	json_t *body;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = source_read(rq, &j->row, &j->source, e);
	if (r == 0 && (j->source.type == SOURCE_COPY || j->source.type == SOURCE_MIGRATION))
		r = lxm_err_set(e, EINVAL, "an instance is rebuilt from source type image or none");
	if (r == 0)
		r = instance_need_stopped(rq->d, &i, "rebuild", e);
	if (r < 0)
		return r;
	j->id = i.row.id;
	j->project = lxm_strdup(i.row.project);
	spec.project = i.row.project;
	spec.resources = instance_resources(i.row.name);
	spec.arg = LXM_TAKE(j, NULL);
	return reply_op_new(rq, &spec, e);
}
