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
#include "lxmd/core/idle.h"
#include "lxmd/core/workers.h"
#include "lxmd/http/conn.h"
#include "lxmd/image/slot.h"

/* The text says nothing of what there is: it is the same whatever the request names. */
static int refuse(struct lxm_err *e)
{
	return lxm_err_http(e, 403, EPERM, "not authorized");
}

/* The certificate that the caller comes with, by a prefix as the handlers take it. */
static bool is_self(const struct request *rq)
{
	const char *fp = rq->args[0];

	return rq->caller.fingerprint[0] && !lxm_empty(fp) && lxm_starts(rq->caller.fingerprint, fp);
}

/*
 * THE check of rights, before anything is looked up: what a caller may not use is refused alike whether it is there
 * or not. Handlers add only what needs the object: public images, secrets of operations.
 */
static int check_access(const struct request *rq, struct lxm_err *e)
{
	static const enum caller_trust need[] = {
		[MAY_ALL] = CALLER_UNTRUSTED,	   [MAY_METRICS] = CALLER_METRICS,    [MAY_PROJECT] = CALLER_RESTRICTED,
		[MAY_TRUSTED] = CALLER_RESTRICTED, [MAY_SELF] = CALLER_RESTRICTED, [MAY_ADMIN] = CALLER_ADMIN,
	};
	const struct route *t = rq->route;
	const struct caller *who = &rq->caller;
	bool all = (t->flags & RT_ALLPROJECTS) && rq_all_projects(rq);

	if (t->access == MAY_METRICS && edge_metrics_open(rq->conn))
		return 0;
	if (who->trust < need[t->access]) {
		/* before its body is read: a stranger's image is for a slot that waits for it */
		bool slot = (t->flags & RT_SLOT) && image_slot_fits(rq->d, rq_header(rq, "fingerprint"), rq_header(rq, "secret"));

		return slot ? 0 : refuse(e);
	}
	if (who->trust == CALLER_ADMIN)
		return 0;
	if (t->access == MAY_SELF && !is_self(rq))
		return refuse(e);
	/* of all projects the handlers show those of the caller; strangers have none */
	if (who->trust < CALLER_RESTRICTED && t->access != MAY_METRICS)
		return all ? refuse(e) : 0;
	if ((t->flags & (RT_PROJECT | RT_ALLPROJECTS)) && !all && !caller_may_project(who, rq_project(rq)))
		return refuse(e);
	if ((t->flags & RT_NAMED) && !caller_may_project(who, rq->args[0]))
		return refuse(e);
	return 0;
}

static int route_it(struct http_conn *c, const char *query, struct lxm_err *e)
{
	struct route_match m = { 0 };
	int r;

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
	return check_access(&c->rq, e);
}

void dispatch_begin(struct http_conn *c, const char *method)
{
	char *query = strchr(c->uri, '?');

	c->rq.method = method;
	c->rq.d = c->http->d;
	c->rq.conn = c;
	if (query)
		*query++ = '\0';
	c->rq.path = c->uri;
	if (edge_begin(c, &c->failed) < 0 || (!c->preflight && route_it(c, query, &c->failed) < 0))
		assert(c->failed.code);
	body_begin(c);
}

struct project_job {
	const char *name;
	int feature; /* enum db_feature, -1: only whether the project is there */
	char *home;  /* owned */
};

static int project_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct project_job *j = arg;

	free(LXM_TAKE(j->home, NULL));
	return j->feature < 0 ? db_project_exists(tx, j->name, e) : db_project_for(tx, j->name, (enum db_feature)j->feature, &j->home, e);
}

/* Whose home must be looked at before this request; -1: none. */
static int feature_of(const struct request *rq)
{
	unsigned int f = rq->route->flags;

	if (rq->caller.trust != CALLER_RESTRICTED)
		return -1;
	return f & RT_OF_IMAGES ? DB_FEATURE_IMAGES : f & RT_OF_PROFILES ? DB_FEATURE_PROFILES : f & RT_OF_VOLUMES ? DB_FEATURE_VOLUMES : -1;
}

static int check_project(struct request *rq, struct lxm_err *e)
{
	struct project_job j = { .name = rq_project(rq), .feature = feature_of(rq) };
	int r;

	if (!(rq->route->flags & RT_PROJECT))
		return 0;
	/* strangers are not told which projects there are: for them an unknown one is empty */
	if (rq->caller.trust < CALLER_RESTRICTED || (j.feature < 0 && strcmp(j.name, DB_DEFAULT_PROJECT) == 0))
		return 0;
	r = db_read(rq->d->db, project_tx, &j, e);
	if (r == DB_NONE)
		r = lxm_err_set(e, ENOENT, "Project \"%s\" not found", j.name);
	if (r == 0 && j.home && !caller_may_project(&rq->caller, j.home))
		r = refuse(e);
	free(j.home);
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
	if (c->preflight && !c->failed.code) {
		reply_bytes(rq, "", 0, "text/plain", NULL);
		(void)release(c);
		return;
	}
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
	char share[CALLER_SHARE_LEN];

	idle_note(c->rq.d->idle);
	atomic_init(&c->holders, 1);
	if (c->failed.code || c->preflight || (c->rq.route->flags & RT_INLINE)) {
		run(c);
		return;
	}
	c->suspended = true;
	MHD_suspend_connection(c->mhd);
	workers_run_share(c->rq.d->workers, caller_share(&c->rq.caller, CALLER_SHARE_REQUEST, share), run_on_worker, c);
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
