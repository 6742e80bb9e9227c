/*
 * From a request to its handler: route, rights, project, then the handler on this thread (RT_INLINE) or on
 * a worker while the connection is suspended.
 */
#include <assert.h>
#include <string.h>

#include "db/db.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/workers.h"
#include "lxmd/http/conn.h"

static int check_access(const struct http_conn *c, struct lxm_err *e)
{
	static const enum caller_trust need[] = {
		[MAY_ALL] = CALLER_UNTRUSTED,
		[MAY_METRICS] = CALLER_METRICS,
		[MAY_PROJECT] = CALLER_RESTRICTED,
		[MAY_TRUSTED] = CALLER_RESTRICTED,
		[MAY_ADMIN] = CALLER_ADMIN,
	};

	if (c->rq.caller.trust < need[c->rq.route->access])
		return lxm_err_http(e, 403, EPERM, "not authorized");
	return 0;
}

static int route_it(struct http_conn *c, struct lxm_err *e)
{
	struct route_match m = { 0 };
	char *query = strchr(c->uri, '?');
	int r;

	if (query)
		*query++ = '\0';
	c->rq.path = c->uri;
	r = route_find(c->rq.method, c->uri, &m, e);
	if (r == ROUTE_NO_PATH)
		return lxm_err_set(e, ENOENT, "not found");
	if (r == ROUTE_NO_METHOD)
		return lxm_err_http(e, 501, ENOSYS, "not implemented");
	if (r < 0)
		return r;
	c->rq.route = m.route;
	c->rq.containers = m.containers;
	memcpy(c->rq.args, m.args, sizeof(m.args));
	r = route_parse_query(query, &c->rq.query, e);
	if (r < 0)
		return r;
	if ((m.route->flags & RT_ALLPROJECTS) && rq_all_projects(&c->rq) &&
	    !lxm_empty(rq_query(&c->rq, "project")))
		return lxm_err_set(e, EINVAL, "give either project= or all-projects=true, not both");
	return check_access(c, e);
}

void dispatch_begin(struct http_conn *c, const char *method)
{
	c->rq.method = method;
	c->rq.d = c->http->d;
	c->rq.conn = c;
	if (route_it(c, &c->failed) < 0)
		assert(c->failed.code);
	body_begin(c);
}

static int project_exists(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_project_exists(tx, arg, e);
}

static int check_project(struct request *rq, struct lxm_err *e)
{
	const char *name = rq_project(rq);
	int r;

	if (!(rq->route->flags & RT_PROJECT) || strcmp(name, "default") == 0)
		return 0;
	r = db_read(rq->d->db, project_exists, (void *)name, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "Project \"%s\" not found", name);
	return r;
}

/* Gives up one hold on the request; the last one wakes a suspended connection. False if others remain. */
static bool release(struct http_conn *c)
{
	bool suspended = c->suspended; /* c may be gone right after the decrement */
	struct MHD_Connection *mhd = c->mhd;

	if (atomic_fetch_sub(&c->holders, 1) > 1)
		return false;
	if (suspended)
		MHD_resume_connection(mhd);
	return true;
}

static void run(struct http_conn *c)
{
	struct request *rq = &c->rq;
	struct lxm_err e = { 0 };
	int r;

	body_end(c);
	r = c->failed.code ? -c->failed.code : check_project(rq, &c->failed);
	if (r < 0) {
		reply_error(rq, &c->failed);
		(void)release(c);
		return;
	}
	r = rq->route->handler(rq, &e);
	if (r < 0) {
		assert(!c->response);
		if (!e.code)
			lxm_err_wrap(&e, r, "%s", rq->route->help);
		reply_error(rq, &e);
	}
	/* A deferred request may be answered and freed by another thread from here on. */
	(void)release(c);
}

static void run_on_worker(void *arg)
{
	run(arg);
}

void dispatch_run(struct http_conn *c)
{
	atomic_init(&c->holders, 1);
	if (c->failed.code || (c->rq.route->flags & RT_INLINE)) {
		run(c);
		return;
	}
	c->suspended = true;
	MHD_suspend_connection(c->mhd);
	workers_run(c->rq.d->workers, run_on_worker, c);
}

void rq_defer(struct request *rq)
{
	struct http_conn *c = rq->conn;

	atomic_fetch_add(&c->holders, 1);
	if (!c->suspended) {
		c->suspended = true;
		MHD_suspend_connection(c->mhd);
	}
}

void rq_resume(struct request *rq)
{
	(void)release(rq->conn);
}
