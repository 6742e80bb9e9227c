/*
 * /1.0/metrics: what instances use, for Prometheus, `incus top` and `lxmc top`. Worker threads. Who asks sees the projects that
 * are theirs; figures of the server as a whole are for those who may see all of it.
 */
#include <string.h>

#include "db/db.h"
#include "db/project.h"
#include "db/warning.h"
#include "lib/base/time.h"
#include "lxmd/api/api.h"
#include "lxmd/api/metrics_text.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/usage.h"

static int warnings_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_warnings) struct db_warnings list = { 0 };
	uint64_t *n = arg;
	size_t k;
	int r = db_warning_list(tx, NULL, &list, e);

	for (k = 0; k < list.n; k++)
		*n += list.v[k].status == DB_WARN_NEW;
	return r;
}

static int read_server(struct lxmd *d, struct metrics_server *s, struct lxm_err *e)
{
	static const struct caller everybody = { .trust = CALLER_ADMIN };
	lxm_auto(json) json_t *ops = ops_list(d->ops, NULL, &everybody, 0);

	s->operations = json_array_size(json_object_get(ops, "running"));
	s->uptime_ms = (uint64_t)(lxm_now() - d->started_at);
	return db_read(d->db, warnings_tx, &s->warnings, e);
}

static bool in_project(void *arg, const char *project)
{
	return strcmp(project, arg) == 0;
}

static bool may_see(void *arg, const char *project)
{
	return caller_may_project(arg, project);
}

static int project_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_project_exists(tx, arg, e);
}

/* Whoever may not see a project is not told whether it is there. */
static int choose_project(struct request *rq, const char *project, struct metrics_spec *spec, struct lxm_err *e)
{
	int r;

	/* strangers come this far only where everybody may see all */
	if (rq_caller(rq)->trust != CALLER_UNTRUSTED && !caller_may_project(rq_caller(rq), project))
		return lxm_err_http(e, 403, EPERM, "not authorized");
	r = db_read(rq->d->db, project_tx, (void *)project, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "Project \"%s\" not found", project);
	spec->shows = in_project;
	spec->arg = (void *)project;
	return r;
}

/* All that the caller may see; the server's own figures go to those who are confined to nothing. */
static int choose_all(struct request *rq, struct metrics_spec *spec, struct metrics_server *server, struct lxm_err *e)
{
	const struct caller *who = rq_caller(rq);

	if (who->projects || who->trust == CALLER_RESTRICTED) {
		spec->shows = may_see;
		spec->arg = (void *)who;
		return 0;
	}
	spec->server = server;
	return read_server(rq->d, server, e);
}

/* Incus's clients look for names of their own; anybody may ask for either. */
static int choose_prefix(const struct request *rq, const char **prefix_out, struct lxm_err *e)
{
	const char *asked = rq_query(rq, "names"), *agent = rq_raw_header(rq, "User-Agent");

	if (lxm_empty(asked))
		asked = agent && strncasecmp(agent, "incus", 5) == 0 ? "incus" : "lxd";
	if (strcmp(asked, "lxd") != 0 && strcmp(asked, "incus") != 0)
		return lxm_err_set(e, EINVAL, "names= must be lxd or incus, not '%.40s'", asked);
	*prefix_out = asked;
	return 0;
}

int api_metrics_get(struct request *rq, struct lxm_err *e)
{
	const char *accept = rq_raw_header(rq, "Accept"), *project = rq_query(rq, "project");
	bool open_metrics = accept && strstr(accept, "application/openmetrics-text");
	lxm_auto(usages_unref) struct usages *u = NULL;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct metrics_server server = { 0 };
	struct metrics_spec spec = { .open_metrics = open_metrics };
	int r = choose_prefix(rq, &spec.prefix, e);

	if (r == 0)
		r = lxm_empty(project) ? choose_all(rq, &spec, &server, e) : choose_project(rq, project, &spec, e);
	if (r == 0)
		r = usage_all(rq->d, &u, e);
	if (r < 0)
		return r;
	metrics_text(&spec, u, &text);
	return reply_bytes(rq, text.data, text.len,
			   open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" :
					  "text/plain; version=0.0.4; charset=utf-8",
			   NULL);
}
