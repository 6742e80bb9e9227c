/* /1.0/images/aliases: names for images. They may hold '/', which comes percent-encoded in one path segment. Request threads. */
#include <string.h>

#include "db/image.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/image_json.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/image/image.h"

/* One body for every transaction of this file; each uses the fields that it needs. */
struct alias_tx {
	const char *project, *name, *to, *description, *fp;
	bool public_only;
	struct db_aliases *list;
	struct db_alias *one;
};

static int home_of(struct db_tx *tx, const char *project, char **out, struct lxm_err *e)
{
	int r = db_project_for(tx, project, DB_FEATURE_IMAGES, out, e);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "project '%.100s' not found", project) : r;
}

static int none(int r, const char *name, struct lxm_err *e)
{
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "image alias '%.200s' not found", name) : r;
}

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct alias_tx *a = arg;
	int r = db_project_for(tx, a->project, DB_FEATURE_IMAGES, &home, e);

	if (r == DB_NONE && a->public_only) /* strangers are not told which projects there are */
		return 0;
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "project '%.100s' not found", a->project);
	return r < 0 ? r : db_alias_list(tx, home, a->public_only, a->list, e);
}

/* DB_NONE for an alias of a private image too, when only public ones may be seen */
static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct alias_tx *a = arg;
	struct db_image im = { 0 };
	int r = a->public_only ? db_project_for(tx, a->project, DB_FEATURE_IMAGES, &home, e) : home_of(tx, a->project, &home, e);

	db_alias_deinit(a->one);
	if (r == 0)
		r = db_alias_get(tx, home, a->name, a->one, e);
	if (r == 0 && a->public_only) {
		r = db_image_get(tx, home, a->one->fingerprint, &im, e);
		if (r == 0 && !im.public_)
			r = DB_NONE;
		db_image_deinit(&im);
	}
	return none(r, a->name, e);
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct alias_tx *a = arg;
	int r = home_of(tx, a->project, &home, e);

	return r < 0 ? r : db_alias_create(tx, home, a->name, a->description, a->fp, e);
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct alias_tx *a = arg;
	int r = home_of(tx, a->project, &home, e);

	return none(r < 0 ? r : db_alias_update(tx, home, a->name, a->description, a->fp, e), a->name, e);
}

static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct alias_tx *a = arg;
	int r = home_of(tx, a->project, &home, e);

	return none(r < 0 ? r : db_alias_rename(tx, home, a->name, a->to, e), a->name, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct alias_tx *a = arg;
	int r = home_of(tx, a->project, &home, e);

	return none(r < 0 ? r : db_alias_delete(tx, home, a->name, e), a->name, e);
}

static void tell(struct request *rq, const char *action, const char *name)
{
	lxm_auto(free) char *segment = lxm_url_encode(name, NULL), *url = lxm_asprintf("/1.0/images/aliases/%s", segment);

	event_lifecycle(rq->d, rq_project(rq), action, url, NULL, rq_caller(rq));
}

static int reply_location(struct request *rq, const char *name)
{
	lxm_auto(free) char *segment = lxm_url_encode(name, NULL), *url = lxm_asprintf("/1.0/images/aliases/%s", segment);

	return reply_created(rq, url);
}

/* A body's target may be a prefix; aliases stand on the whole fingerprint. */
static int target_of(struct request *rq, const char *target, char out[65], struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	int r = image_get_fp(rq->d, rq_project(rq), target, &im, e);

	if (r == 0)
		snprintf(out, 65, "%s", im.fingerprint);
	return r;
}

int api_image_aliases_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_aliases) struct db_aliases rows = { 0 };
	struct alias_tx a = { .project = rq_project(rq), .public_only = rq_caller(rq)->trust < CALLER_RESTRICTED, .list = &rows };
	json_t *list;
	size_t i;
	int r = db_read(rq->d->db, list_tx, &a, e);

	if (r < 0)
		return r;
	list = json_array();
	for (i = 0; i < rows.n; i++)
		json_array_append_new(list, rq_recursion(rq) ? image_alias_json(&rows.v[i]) :
							       js_url("/1.0/images/aliases/%s", rows.v[i].name));
	return reply_sync(rq, list);
}

int api_image_aliases_post(struct request *rq, struct lxm_err *e)
{
	const char *name = NULL, *target = NULL, *description = "";
	struct alias_tx a = { .project = rq_project(rq) };
	char fp[65];
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &name, e);
	if (r == 0)
		r = js_need_str(body, "target", &target, e);
	if (r == 0)
		r = js_get_str(body, "description", &description, e);
	if (r == 0)
		r = conf_name_alias(name, e);
	if (r == 0)
		r = target_of(rq, target, fp, e);
	if (r < 0)
		return r;
	a.name = name;
	a.description = description;
	a.fp = fp;
	r = db_write(rq->d->db, create_tx, &a, e);
	if (r < 0)
		return r;
	tell(rq, "image-alias-created", name);
	return reply_location(rq, name);
}

static json_t *editable(const struct db_alias *a)
{
	return json_pack("{s:o, s:o}", "description", js_string(a->description), "target", js_string(a->fingerprint));
}

static int load(struct request *rq, struct db_alias *out, struct lxm_err *e)
{
	struct alias_tx a = { .project = rq_project(rq),
			      .name = rq_arg(rq, 0),
			      .public_only = rq_caller(rq)->trust < CALLER_RESTRICTED,
			      .one = out };

	return db_read(rq->d->db, get_tx, &a, e);
}

int api_image_alias_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_alias) struct db_alias row = { 0 };
	int r = load(rq, &row, e);

	return r < 0 ? r : reply_sync_etag(rq, image_alias_json(&row), editable(&row));
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_alias) struct db_alias row = { 0 };
	struct alias_tx a = { .project = rq_project(rq), .name = rq_arg(rq, 0) };
	const char *target = NULL;
	char fp[65];
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = load(rq, &row, e);
	if (r == 0)
		r = rq_check_etag(rq, editable(&row), e);
	a.description = patch ? row.description : "";
	if (r == 0)
		r = js_get_str(body, "description", &a.description, e);
	if (r == 0)
		r = js_get_str(body, "target", &target, e);
	if (r == 0)
		r = target_of(rq, lxm_empty(target) ? row.fingerprint : target, fp, e);
	if (r < 0)
		return r;
	a.fp = fp;
	r = db_write(rq->d->db, update_tx, &a, e);
	if (r < 0)
		return r;
	tell(rq, "image-alias-updated", a.name);
	return reply_sync(rq, NULL);
}

int api_image_alias_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_image_alias_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_image_alias_post(struct request *rq, struct lxm_err *e)
{
	struct alias_tx a = { .project = rq_project(rq), .name = rq_arg(rq, 0) };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &a.to, e);
	if (r == 0)
		r = conf_name_alias(a.to, e);
	if (r == 0)
		r = db_write(rq->d->db, rename_tx, &a, e);
	if (r < 0)
		return r;
	tell(rq, "image-alias-renamed", a.to);
	return reply_location(rq, a.to);
}

int api_image_alias_delete(struct request *rq, struct lxm_err *e)
{
	struct alias_tx a = { .project = rq_project(rq), .name = rq_arg(rq, 0) };
	int r = db_write(rq->d->db, delete_tx, &a, e);

	if (r < 0)
		return r;
	tell(rq, "image-alias-deleted", a.name);
	return reply_sync(rq, NULL);
}
