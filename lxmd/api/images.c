/* /1.0/images and one image: list, show, change, delete, refresh, secret. Request threads; see image_import.c for POST. */
#include <string.h>

#include "db/project.h"
#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/image_json.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lxmd/http/filter.h"
#include "lxmd/image/fetch.h"
#include "lxmd/image/image.h"
#include "lxmd/image/secret.h"

/* ---- list and show */

struct list_arg {
	const char *project; /* NULL: all */
	bool public_only;
	struct db_images *out;
};

static int list_rows(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct list_arg *a = arg;
	int r = a->project ? db_project_for(tx, a->project, DB_FEATURE_IMAGES, &home, e) : 0;

	if (r == DB_NONE) /* strangers are not told which projects there are */
		return a->public_only ? 0 : lxm_err_set(e, ENOENT, "project '%.100s' not found", a->project);
	return r < 0 ? r : db_image_list(tx, home, a->public_only, a->out, e);
}

int api_images_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_images) struct db_images rows = { 0 };
	lxm_auto(filter_free) struct filter *filter = NULL;
	struct list_arg a = { rq_all_projects(rq) ? NULL : rq_project(rq), rq_caller(rq)->trust < CALLER_RESTRICTED, &rows };
	json_t *list;
	size_t i;
	int r = rq_filter(rq, &filter, e);

	if (r == 0)
		r = db_read(rq->d->db, list_rows, &a, e);
	if (r < 0)
		return r;
	list = json_array();
	for (i = 0; i < rows.n; i++) {
		lxm_auto(json) json_t *o = filter || rq_recursion(rq) ? image_json(&rows.v[i]) : NULL;

		if (rq_all_projects(rq) && !scope_sees(rq, rows.v[i].project))
			continue;
		if (filter && !filter_match(filter, o))
			continue;
		json_array_append_new(list, rq_recursion(rq) ? json_incref(o) : image_url(&rows.v[i], rq_all_projects(rq)));
	}
	return reply_sync(rq, list);
}

int api_image_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	int r = image_of_request(rq, &im, e);

	return r < 0 ? r : reply_sync_etag(rq, image_json(&im), image_json_editable(&im));
}

/* ---- change */

static int update_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct db_image *im = arg;
	int r = db_image_update(tx, im, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "image '%.12s' not found", im->fingerprint) : r;
}

/* PUT replaces what it names and resets the rest; PATCH changes what it names. */
static int read_change(const json_t *o, bool patch, struct db_image *im, struct lxm_err *e)
{
	struct lxm_kv props = { 0 };
	bool present = false;
	int r;

	if (!patch) {
		im->public_ = im->auto_update = false;
		im->expires_at = 0;
		lxm_kv_deinit(&im->properties);
		lxm_strv_deinit(&im->profiles);
	}
	r = js_get_bool(o, "public", &im->public_, e);
	if (r == 0)
		r = js_get_bool(o, "auto_update", &im->auto_update, e);
	if (r == 0)
		r = js_get_time(o, "expires_at", &im->expires_at, e);
	if (r == 0)
		r = js_get_strv(o, "profiles", &im->profiles, &present, e);
	if (r == 0)
		r = js_get_kv(o, "properties", &props, &present, e);
	if (r == 0)
		lxm_kv_merge(&im->properties, &props);
	lxm_kv_deinit(&props);
	if (r == 0 && !im->profiles.n && !js_get(o, "profiles"))
		lxm_strv_add(&im->profiles, "default");
	return r;
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	lxm_auto(free) char *url = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = image_get_fp(rq->d, rq_project(rq), rq_arg(rq, 0), &im, e);
	if (r == 0)
		r = rq_check_etag(rq, image_json_editable(&im), e);
	if (r == 0)
		r = read_change(body, patch, &im, e);
	if (r == 0)
		r = db_write(rq->d->db, update_row, &im, e);
	if (r < 0)
		return r;
	url = lxm_asprintf("/1.0/images/%s", im.fingerprint);
	event_lifecycle(rq->d, rq_project(rq), "image-updated", url, NULL, rq_caller(rq));
	return reply_sync(rq, NULL);
}

int api_image_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_image_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

/* ---- work in the background */

struct job {
	char *project;
	char fp[65];
};

static void job_free(void *arg)
{
	struct job *j = arg;

	free(j->project);
	free(j);
}

static struct job *job_new(const struct request *rq, const struct db_image *im)
{
	struct job *j = lxm_alloc(sizeof(*j));

	j->project = lxm_strdup(rq_project(rq));
	snprintf(j->fp, sizeof(j->fp), "%s", im->fingerprint);
	return j;
}

static json_t *resources_of(const struct db_image *im)
{
	return json_pack("{s:[o]}", "images", js_url("/1.0/images/%s", im->fingerprint));
}

static int delete_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct job *j = arg;
	lxm_auto(free) char *url = lxm_asprintf("/1.0/images/%s", j->fp);
	int r = image_delete(op_daemon(op), j->project, j->fp, e);

	if (r == 0)
		event_lifecycle(op_daemon(op), j->project, "image-deleted", url, NULL, op_caller(op));
	return r;
}

int api_image_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Deleting image", .run = delete_run,
				.free_arg = job_free };
	int r = image_get_fp(rq->d, rq_project(rq), rq_arg(rq, 0), &im, e);

	if (r < 0)
		return r;
	spec.resources = resources_of(&im);
	spec.arg = job_new(rq, &im);
	return reply_op_new(rq, &spec, e);
}

static int refresh_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct job *j = arg;
	bool refreshed = false;
	int r = image_refresh(op_daemon(op), j->project, j->fp, op, &refreshed, e);

	if (r == 0)
		op_set_metadata_key(op, "refreshed", json_boolean(refreshed));
	return r;
}

int api_image_refresh_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Refreshing image", .may_cancel = true, .run = refresh_run,
				.free_arg = job_free };
	int r = image_get_fp(rq->d, rq_project(rq), rq_arg(rq, 0), &im, e);

	if (r < 0)
		return r;
	spec.resources = resources_of(&im);
	spec.arg = job_new(rq, &im);
	return reply_op_new(rq, &spec, e);
}

int api_image_secret_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	lxm_auto(free) char *secret = lxm_random_hex(32);
	struct op_spec spec = { .cls = OP_TOKEN, .project = rq_project(rq), .description = "Image download token", .may_cancel = true,
				.caller = rq_caller(rq) };
	struct op *op;
	int r = image_get_fp(rq->d, rq_project(rq), rq_arg(rq, 0), &im, e);

	if (r < 0)
		return r;
	spec.resources = resources_of(&im);
	spec.metadata = json_pack("{s:s}", "secret", secret);
	r = op_new(rq->d, &spec, &op, e);
	if (r < 0)
		return r;
	r = image_secret_add(rq->d, im.fingerprint, secret, op, e);
	if (r < 0) {
		op_finish(op, e);
		op_unref(op);
		return r;
	}
	return reply_op_start(rq, op);
}
