/* /1.0/operations: inline handlers over the registry in memory. */
#include "lxmd/api/api.h"

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/core/ws.h"

int api_operations_get(struct request *rq, struct lxm_err *e)
{
	const char *project = rq_all_projects(rq) ? NULL : rq_project(rq);

	return reply_sync(rq, ops_list(rq->d->ops, project, rq_caller(rq), rq_recursion(rq)));
}

/* Strangers hear the same of every operation, others that there is none. */
static int hidden(struct request *rq, struct lxm_err *e)
{
	if (rq_caller(rq)->trust < CALLER_RESTRICTED)
		return lxm_err_http(e, 403, EPERM, "not authorized");
	return lxm_err_set(e, ENOENT, "Operation \"%s\" not found", rq_arg(rq, 0));
}

/* The operation of the path, if the caller may know of it or comes with a secret of that very operation. */
static int find(struct request *rq, struct op **out, struct lxm_err *e)
{
	lxm_auto(op_unref) struct op *op = ops_get(rq->d->ops, rq_arg(rq, 0));

	if (!op || (!op_visible(op, rq_caller(rq)) && !op_secret_ok(op, rq_query(rq, "secret"))))
		return hidden(rq, e);
	*out = LXM_TAKE(op, NULL);
	return 0;
}

int api_operation_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(op_unref) struct op *op = NULL;
	int r = find(rq, &op, e);

	return r < 0 ? r : reply_sync(rq, op_json(op));
}

int api_operation_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(op_unref) struct op *op = NULL;
	int r = find(rq, &op, e);

	if (r == 0)
		r = op_cancel(op, e);
	if (r < 0)
		return r;
	event_lifecycle(rq->d, op_project(op), "operation-cancelled", op_url(op), NULL, rq_caller(rq));
	return reply_sync(rq, NULL);
}

/* The operation is final or the client's time is up; on any thread. */
static void on_done(struct op *op, void *arg)
{
	struct request *rq = arg;

	reply_sync(rq, op_json(op));
	rq_resume(rq);
}

int api_operation_wait_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(op_unref) struct op *op = NULL;
	const char *text = rq_query(rq, "timeout");
	int64_t timeout_s = -1;
	int r = find(rq, &op, e);

	if (r < 0)
		return r;
	if (!lxm_empty(text) && lxm_parse_i64(text, &timeout_s) < 0)
		return lxm_err_set(e, EINVAL, "timeout=%s is not a number of seconds", text);
	if (timeout_s > 365 * 86400)
		timeout_s = -1;
	rq_defer(rq);
	op_when_done(op, timeout_s < 0 ? -1 : timeout_s * 1000, on_done, rq);
	return 0;
}

/* ---- websockets */

struct socket_claim {
	struct op *op; /* a reference */
	int index;
};

static void claim_free(void *arg)
{
	struct socket_claim *claim = arg;

	op_unref(claim->op);
	free(claim);
}

static void on_accept(struct ws *ws, void *arg)
{
	struct socket_claim *claim = arg;

	op_connect_socket(claim->op, claim->index, ws);
	claim_free(claim);
}

int api_operation_websocket_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(op_unref) struct op *op = NULL;
	struct socket_claim *claim;
	int r = find(rq, &op, e);

	if (r == 0)
		r = op_claim_socket(op, rq_query(rq, "secret"), e);
	if (r < 0)
		return r;
	claim = lxm_alloc(sizeof(*claim));
	claim->op = op_ref(op);
	claim->index = r;
	return reply_ws(rq, on_accept, claim_free, claim);
}
