/* /1.0/projects/NAME/state: what a project uses of what can be limited, and its limits. Worker threads. */
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/quota.h"

struct job {
	const char *name;
	struct quota_list list;
};

static int load_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;

	return quota_state(tx, j->name, &j->list, e);
}

int api_project_state_get(struct request *rq, struct lxm_err *e)
{
	struct job j = { .name = rq_arg(rq, 0) };
	int r = db_read(rq->d->db, load_tx, &j, e);
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < j.list.n; i++)
		json_object_set_new(o, j.list.v[i].name, json_pack("{s:I, s:I}", "Limit", (json_int_t)j.list.v[i].limit, "Usage",
								    (json_int_t)j.list.v[i].usage));
	quota_list_deinit(&j.list);
	if (r == 0)
		return reply_sync(rq, json_pack("{s:o}", "resources", o));
	json_decref(o);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "Project \"%s\" not found", rq_arg(rq, 0)) : r;
}
