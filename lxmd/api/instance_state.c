/* /1.0/instances/NAME/state: looking, and start, stop, restart, freeze, unfreeze. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_body.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/render.h"
#include "lxmd/instance/run.h"

static const struct {
	const char *word, *text;
	int reached; /* status in which there is nothing to do */
} actions[] = {
	[STATE_START] = { "start", "Starting instance", API_RUNNING },
	[STATE_STOP] = { "stop", "Stopping instance", API_STOPPED },
	[STATE_RESTART] = { "restart", "Restarting instance", 0 },
	[STATE_FREEZE] = { "freeze", "Freezing instance", API_FROZEN },
	[STATE_UNFREEZE] = { "unfreeze", "Unfreezing instance", API_RUNNING },
};

const char *state_change_text(enum state_action a)
{
	return actions[a].text;
}

int state_change_read(json_t *o, struct state_change *out, struct lxm_err *e)
{
	const char *word = NULL;
	bool stateful = false;
	int64_t timeout = -1;
	size_t k;
	int r = js_need_str(o, "action", &word, e);

	memset(out, 0, sizeof(*out));
	if (r == 0)
		r = js_get_bool(o, "force", &out->force, e);
	if (r == 0)
		r = js_get_bool(o, "stateful", &stateful, e);
	if (r == 0)
		r = js_get_int(o, "timeout", &timeout, e);
	if (r < 0)
		return r;
	if (stateful)
		return lxm_err_set(e, EOPNOTSUPP, "stateful stop and start are not supported yet");
	for (k = 0; k < LXM_ARRAY_LEN(actions); k++)
		if (strcmp(actions[k].word, word) == 0)
			break;
	if (k == LXM_ARRAY_LEN(actions))
		return lxm_err_set(e, EINVAL, "action '%.40s' is unknown: use start, stop, restart, freeze or unfreeze", word);
	out->action = (enum state_action)k;
	out->timeout_ms = timeout <= 0 || timeout > INT32_MAX ? -1 : timeout * 1000;
	return 0;
}

static int act(struct lxmd *d, struct instance *i, const struct state_change *c, int status, struct op *op, struct lxm_err *e)
{
	const struct caller *who = op_caller(op);

	switch (c->action) {
	case STATE_START:
		/* LXD's start of a frozen instance lets it go on */
		return status == API_FROZEN ? instance_freeze(d, i, false, who, e) : instance_start(d, i, op, who, e);
	case STATE_STOP:
		return instance_stop(d, i, c->force, c->timeout_ms, false, op, who, e);
	case STATE_RESTART:
		return instance_restart(d, i, c->force, c->timeout_ms, op, who, e);
	case STATE_FREEZE:
	case STATE_UNFREEZE:
		return instance_freeze(d, i, c->action == STATE_FREEZE, who, e);
	}
	return lxm_err_set(e, EINVAL, "unknown action");
}

int state_change_run(struct lxmd *d, int64_t id, const struct state_change *c, bool skip, struct op *op, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(run_unref) struct run *run = NULL;
	int status, r;

	r = instance_lock(d, id, actions[c->action].text, &i, &lock, e);
	if (r < 0)
		return r;
	run = run_get(d, id);
	status = run_status(run);
	if (status == API_READY)
		status = API_RUNNING;
	if (skip && (status == actions[c->action].reached ||
		     (status == API_STOPPED && c->action != STATE_START && c->action != STATE_STOP)))
		return 0;
	return act(d, &i, c, status, op, e);
}

struct state_job {
	int64_t id;
	struct state_change change;
};

static int state_run(struct op *op, void *arg, struct lxm_err *e)
{
	struct state_job *j = arg;

	return state_change_run(op_daemon(op), j->id, &j->change, false, op, e);
}

int api_instance_state_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(run_unref) struct run *run = NULL;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r < 0)
		return r;
	run = run_get(rq->d, i.row.id);
	instance_state_write(&text, rq->d, &i, run, true);
	return reply_sync_text(rq, &text, NULL);
}

int api_instance_state_put(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct state_change c;
	struct state_job *j;
	json_t *body;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = state_change_read(body, &c, e);
	if (r < 0)
		return r;
	j = lxm_alloc(sizeof(*j));
	*j = (struct state_job){ i.row.id, c };
	return reply_op_new(rq,
			    &(struct op_spec){ .cls = OP_TASK,
					       .project = i.row.project,
					       .description = actions[c.action].text,
					       .resources = instance_resources(i.row.name),
					       .may_cancel = c.action == STATE_STOP || c.action == STATE_RESTART,
					       .run = state_run,
					       .free_arg = free,
					       .arg = j },
			    e);
}
