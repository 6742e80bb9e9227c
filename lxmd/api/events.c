/* GET /1.0/events: the websocket that every client opens before it asks for anything asynchronous. */
#include "lxmd/api/api.h"

#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/ws.h"

static void on_accept(struct ws *ws, void *arg)
{
	event_attach(arg, ws);
}

static void on_drop(void *arg)
{
	event_drop(arg);
}

int api_events_get(struct request *rq, struct lxm_err *e)
{
	int types = event_types_parse(rq_query(rq, "type"), e);
	struct event_listener *l;
	int r;

	if (types < 0)
		return types;
	if (rq_caller(rq)->trust != CALLER_ADMIN)
		types &= ~EVENT_LOGGING;
	/* registered before the 101 goes out: a client may act on it at once */
	r = event_listen(rq->d->events, types, rq_all_projects(rq) ? NULL : rq_project(rq), rq_caller(rq), &l, e);
	if (r < 0)
		return r;
	return reply_ws(rq, on_accept, on_drop, l);
}
