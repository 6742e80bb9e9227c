/*
 * /1.0/projects. Worker threads. A project's features.* decide where its images, profiles, volumes and networks
 * live (db_project_for()); they can change only while nothing is in it, so that no object changes its home.
 */
#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/core/quota.h"
#include "lxmd/core/trust.h"

static int not_found(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "Project \"%s\" not found", name);
}

static char *url_of(const char *name)
{
	lxm_auto(free) char *n = lxm_url_encode(name, NULL);

	return lxm_asprintf("/1.0/projects/%s", n);
}

static json_t *project_json(const struct db_project *p)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "name", js_string(p->name), "description", js_string(p->description),
			 "config", js_from_kv(&p->config), "used_by", js_from_strv(&p->used_by));
}

static json_t *etag_json(const struct db_project *p)
{
	return json_pack("[o, o, o]", js_string(p->name), js_string(p->description), js_from_kv(&p->config));
}

/* ---- transactions */

struct job {
	const char *name;
	struct db_project *project;
	const struct db_project *was;
	struct db_projects *list;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;

	return db_project_list(tx, j->list, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_project_get(tx, j->name, j->project, e);

	return r == DB_NONE ? not_found(j->name, e) : r;
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	static const struct lxm_kv nothing;
	struct job *j = arg;
	int r = db_project_create(tx, j->project, e);

	return r == 0 ? quota_check_limits(tx, &nothing, j->project, e) : r;
}

static bool is_feature(const char *key)
{
	return lxm_starts(key, "features.");
}

/* The one place that judges a change against what is in the project, in the transaction that stores it. */
static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project there = { 0 };
	lxm_auto(strv) struct lxm_strv changed = { 0 };
	struct job *j = arg;
	size_t i;
	int r = db_project_get(tx, j->name, &there, e);

	if (r == DB_NONE)
		return not_found(j->name, e);
	if (r < 0)
		return r;
	if (!lxm_kv_eq(&there.config, &j->was->config) || !lxm_streq(there.description, j->was->description))
		return lxm_err_http(e, 412, ESTALE, "project '%s' was changed by somebody else meanwhile: read it again",
				    j->name);
	conf_changed(&there.config, &j->project->config, &changed);
	for (i = 0; i < changed.n; i++) {
		if (!is_feature(changed.v[i]))
			continue;
		if (strcmp(j->name, DB_DEFAULT_PROJECT) == 0)
			return lxm_err_http(e, 400, EINVAL, "project 'default' has all features: '%s' cannot change",
					    changed.v[i]);
		if (there.used_by.n)
			return lxm_err_http(e, 400, EBUSY, "'%s' can change in an empty project only: '%s' holds %s", changed.v[i],
					    j->name, there.used_by.v[0]);
	}
	r = quota_check_limits(tx, &there.config, j->project, e);
	return r < 0 ? r : db_project_update(tx, j->project, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_project_delete(tx, j->name, e);

	return r == DB_NONE ? not_found(j->name, e) : r;
}

/* ---- bodies */

static int read_body(json_t *body, struct db_project *p, struct lxm_err *e)
{
	const char *description = NULL;
	int r = js_get_str(body, "description", &description, e);

	if (r == 0 && description && (strlen(description) > 4096))
		r = lxm_err_set(e, EINVAL, "key 'description' has 4096 bytes at most");
	if (r == 0 && description) {
		free(p->description);
		p->description = lxm_strdup(description);
	}
	return r < 0 ? r : js_get_kv(body, "config", &p->config, NULL, e);
}

static int check(const struct db_project *was, const struct db_project *p, struct lxm_err *e)
{
	static const char *const shared[] = { "features.networks", "features.networks.zones" };
	int r = conf_check_change(&conf_project, &was->config, &p->config, e);
	size_t i;

	/* networks are links of this host; until their names are told apart by project they stay in `default` */
	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(shared); i++)
		if (!lxm_kv_bool(&was->config, shared[i], false) && lxm_kv_bool(&p->config, shared[i], false))
			r = lxm_err_set(e, EOPNOTSUPP, "project key '%s': networks per project are not there yet: unset it",
					shared[i]);
	return r;
}

/* ---- handlers */

int api_projects_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_projects) struct db_projects l = { 0 };
	struct job j = { .list = &l };
	json_t *out;
	size_t i;
	int r = db_read(rq->d->db, list_tx, &j, e);

	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; i < l.n; i++)
		if (scope_sees(rq, l.v[i].name))
			json_array_append_new(out, rq_recursion(rq) ? project_json(&l.v[i]) :
								      js_url("/1.0/projects/%s", l.v[i].name));
	return reply_sync(rq, out);
}

int api_projects_post(struct request *rq, struct lxm_err *e)
{
	static const char *const usual[] = { "features.images", "features.profiles", "features.storage.volumes" };
	static const struct db_project nothing;
	lxm_auto(db_project) struct db_project p = { 0 };
	lxm_auto(free) char *url = NULL;
	struct job j = { .project = &p };
	const char *name = NULL;
	json_t *body;
	size_t i;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &name, e);
	if (r == 0)
		r = conf_name_project(name, e);
	if (r == 0)
		r = read_body(body, &p, e);
	if (r < 0)
		return r;
	p.name = lxm_strdup(name);
	conf_drop_empty(&p.config);
	for (i = 0; i < LXM_ARRAY_LEN(usual); i++)
		if (!lxm_kv_get(&p.config, usual[i]))
			lxm_kv_set(&p.config, usual[i], "true");
	r = check(&nothing, &p, e);
	if (r == 0)
		r = db_write(rq->d->db, create_tx, &j, e);
	if (r < 0)
		return r;
	url = url_of(name);
	event_lifecycle(rq->d, name, "project-created", url, NULL, rq_caller(rq));
	return reply_created(rq, url);
}

int api_project_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };
	struct job j = { .name = rq_arg(rq, 0), .project = &p };
	int r = db_read(rq->d->db, get_tx, &j, e);

	return r < 0 ? r : reply_sync_etag(rq, project_json(&p), etag_json(&p));
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project was = { 0 };
	lxm_auto(db_project) struct db_project now = { 0 };
	lxm_auto(kv) struct lxm_kv merged = { 0 };
	lxm_auto(free) char *url = NULL;
	struct job j = { .name = rq_arg(rq, 0), .project = &was, .was = &was };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = db_read(rq->d->db, get_tx, &j, e);
	if (r == 0)
		r = rq_check_etag(rq, etag_json(&was), e);
	if (r < 0)
		return r;
	now.id = was.id;
	now.name = lxm_strdup(was.name);
	if (patch) {
		now.description = lxm_strdup(was.description);
		lxm_kv_copy(&merged, &was.config);
	}
	r = read_body(body, &now, e);
	if (r < 0)
		return r;
	lxm_kv_merge(&merged, &now.config);
	conf_drop_empty(&merged);
	lxm_kv_copy(&now.config, &merged);
	r = check(&was, &now, e);
	j.project = &now;
	if (r == 0)
		r = db_write(rq->d->db, update_tx, &j, e);
	if (r < 0)
		return r;
	url = url_of(was.name);
	event_lifecycle(rq->d, was.name, "project-updated", url, NULL, rq_caller(rq));
	return reply_sync(rq, NULL);
}

int api_project_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_project_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_project_delete(struct request *rq, struct lxm_err *e)
{
	struct job j = { .name = rq_arg(rq, 0) };
	lxm_auto(free) char *url = url_of(j.name);
	int r = 0;

	if (strcmp(j.name, DB_DEFAULT_PROJECT) == 0)
		r = lxm_err_http(e, 403, EPERM, "project 'default' cannot be deleted");
	if (r == 0)
		r = db_write(rq->d->db, delete_tx, &j, e);
	if (r == 0)
		r = trust_reload(rq->d, e);
	if (r < 0)
		return r;
	event_lifecycle(rq->d, j.name, "project-deleted", url, NULL, rq_caller(rq));
	return reply_sync(rq, NULL);
}

/* ---- rename: an operation, though a quick one, because clients wait for it */

struct rename {
	char *name, *to; /* owned */
};

static void rename_free(void *arg)
{
	struct rename *n = arg;

	free(n->name);
	free(n->to);
	free(n);
}

static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project there = { 0 };
	const struct rename *n = arg;
	int r = db_project_get(tx, n->name, &there, e);

	if (r == DB_NONE)
		return not_found(n->name, e);
	/* volumes of instances lie below the project's name */
	if (r == 0 && there.used_by.n)
		return lxm_err_http(e, 400, EBUSY, "an empty project only can be renamed: '%s' holds %s", n->name,
				    there.used_by.v[0]);
	return r < 0 ? r : db_project_rename(tx, n->name, n->to, e);
}

static int rename_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct rename *n = arg;
	lxm_auto(free) char *url = url_of(n->to);
	int r = db_write(op_daemon(op)->db, rename_tx, arg, e);

	if (r == 0) /* certificates name their projects by id */
		r = trust_reload(op_daemon(op), e);
	if (r < 0)
		return r;
	event_lifecycle(op_daemon(op), n->to, "project-renamed", url, NULL, op_caller(op));
	return 0;
}

int api_project_post(struct request *rq, struct lxm_err *e)
{
	const char *name = rq_arg(rq, 0), *to = NULL;
	lxm_auto(db_project) struct db_project p = { 0 };
	struct job j = { .name = name, .project = &p };
	struct op_spec spec = { .cls = OP_TASK,
				.description = "Renaming project",
				.run = rename_run,
				.free_arg = rename_free };
	struct rename *n;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &to, e);
	if (r == 0)
		r = conf_name_project(to, e);
	if (r == 0 && strcmp(name, DB_DEFAULT_PROJECT) == 0)
		r = lxm_err_http(e, 403, EPERM, "project 'default' cannot be renamed");
	if (r == 0)
		r = db_read(rq->d->db, get_tx, &j, e);
	if (r < 0)
		return r;
	n = lxm_alloc(sizeof(*n));
	n->name = lxm_strdup(name);
	n->to = lxm_strdup(to);
	spec.arg = n;
	return reply_op_new(rq, &spec, e);
}
