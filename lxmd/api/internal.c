/* What `lxmd waitready`, `lxmd reload` and `lxmd shutdown` ask for. Inline handlers but for reload. */
#include "lxmd/api/api.h"

#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/http/http.h"
#include "lxmd/instance/instances.h"
#include "lxmd/instance/run.h"

int api_internal_ready_get(struct request *rq, struct lxm_err *e)
{
	if (!__atomic_load_n(&rq->d->ready, __ATOMIC_ACQUIRE))
		return lxm_err_http(e, 503, EAGAIN, "the daemon is still starting");
	if (__atomic_load_n(&rq->d->stopping, __ATOMIC_ACQUIRE))
		return lxm_err_http(e, 503, ESHUTDOWN, "the daemon is stopping");
	return reply_sync(rq, NULL);
}

int api_internal_reload_put(struct request *rq, struct lxm_err *e)
{
	int r = http_reload(rq->d, e);

	return r < 0 ? r : reply_sync(rq, NULL);
}

/* Worker: takes as long as the slowest instance. */
static void shutdown_job(void *arg)
{
	if (instances_shutdown(arg))
		daemon_stop(arg);
}

int api_internal_shutdown_put(struct request *rq, struct lxm_err *e)
{
	if (rq_query_bool(rq, "instances"))
		worker_group_run(rq->d->instances->jobs, shutdown_job, rq->d);
	else
		daemon_stop(rq->d);
	return reply_sync(rq, NULL);
}
