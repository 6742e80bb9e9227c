/* /1.0/warnings. Worker threads. Raising and resolving them is the business of whoever meets the condition (db/warning.h). */
#include <string.h>

#include "db/warning.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"

static int not_found(const char *uuid, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "Warning \"%s\" not found", uuid);
}

static json_t *warning_json(const struct db_warning *w)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "uuid", js_string(w->uuid), "project",
			 js_string(w->project), "location", js_string(w->location), "type", js_string(w->type),
			 "status", db_warning_status_name(w->status), "severity", db_severity_name(w->severity), "count",
			 (json_int_t)w->count, "first_seen_at", js_time(w->first_seen_at), "last_seen_at",
			 js_time(w->last_seen_at), "last_message", js_string(w->last_message), "entity_url",
			 js_string(w->entity_url));
}

struct job {
	const char *project; /* NULL: all */
	const char *uuid;
	int status;
	struct db_warning *warning;
	struct db_warnings *list;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;

	return db_warning_list(tx, j->project, j->list, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_warning_get(tx, j->uuid, j->warning, e);

	return r == DB_NONE ? not_found(j->uuid, e) : r;
}

static int status_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_warning_set_status(tx, j->uuid, j->status, e);

	return r == DB_NONE ? not_found(j->uuid, e) : r;
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = db_warning_delete(tx, j->uuid, e);

	return r == DB_NONE ? not_found(j->uuid, e) : r;
}

int api_warnings_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_warnings) struct db_warnings l = { 0 };
	struct job j = { .project = rq_query(rq, "project"), .list = &l };
	json_t *out;
	size_t i;
	int r;

	if (j.project && !*j.project)
		j.project = NULL;
	r = db_read(rq->d->db, list_tx, &j, e);
	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; i < l.n; i++)
		json_array_append_new(out, rq_recursion(rq) ? warning_json(&l.v[i]) :
							      js_url("/1.0/warnings/%s", l.v[i].uuid));
	return reply_sync(rq, out);
}

int api_warning_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_warning) struct db_warning w = { 0 };
	struct job j = { .uuid = rq_arg(rq, 0), .warning = &w };
	int r = db_read(rq->d->db, get_tx, &j, e);

	return r < 0 ? r : reply_sync_etag(rq, warning_json(&w), json_pack("[s]", db_warning_status_name(w.status)));
}

/* PUT and PATCH: the status is all there is to change. */
int api_warning_put(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_warning) struct db_warning w = { 0 };
	struct job j = { .uuid = rq_arg(rq, 0), .warning = &w };
	const char *status = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "status", &status, e);
	if (r == 0)
		r = db_read(rq->d->db, get_tx, &j, e);
	if (r == 0)
		r = rq_check_etag(rq, json_pack("[s]", db_warning_status_name(w.status)), e);
	if (r < 0)
		return r;
	if (strcmp(status, "acknowledged") == 0)
		j.status = DB_WARN_ACKNOWLEDGED;
	else if (strcmp(status, "new") == 0)
		j.status = DB_WARN_NEW;
	else
		return lxm_err_set(e, EINVAL, "key 'status' must be new or acknowledged, not '%.40s'", status);
	r = db_write(rq->d->db, status_tx, &j, e);
	if (r < 0)
		return r;
	if (j.status == DB_WARN_ACKNOWLEDGED) {
		lxm_auto(free) char *url = lxm_url_encode(j.uuid, NULL);
		lxm_auto(buf) struct lxm_buf b = { 0 };

		lxm_buf_fmt(&b, "/1.0/warnings/%s", url);
		event_lifecycle(rq->d, NULL, "warning-acknowledged", b.data, NULL, rq_caller(rq));
	}
	return reply_sync(rq, NULL);
}

int api_warning_delete(struct request *rq, struct lxm_err *e)
{
	struct job j = { .uuid = rq_arg(rq, 0) };
	int r = db_write(rq->d->db, delete_tx, &j, e);

	return r < 0 ? r : reply_sync(rq, NULL);
}
