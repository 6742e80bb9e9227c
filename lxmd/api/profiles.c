/*
 * /1.0/profiles. Worker threads. A change is checked against every instance that uses the profile, stored in one
 * transaction that makes sure nobody else changed it meanwhile, and then applied.
 */
#include <string.h>

#include "db/profile.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"
#include "lxmd/api/profile_users.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/device/device.h"
#include "lxmd/instance/policy.h"

static int not_found(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "Profile \"%s\" not found", name);
}

/* What a transaction of this file works on. */
struct job {
	const char *project;	      /* as asked for */
	const char *name, *to;
	bool all;
	struct db_profile *profile;   /* read into, or to be written */
	const struct db_profile *was; /* an update's base */
	const struct caller *who;     /* an update that must keep to the limits of its users' projects; NULL: it may pass them */
	struct db_profiles *list;
	char *home; /* project that holds the profiles; owned by the job */
};

static void job_deinit(struct job *j)
{
	free(j->home);
	j->home = NULL;
}
LXM_AUTO_STRUCT(job, struct job, job_deinit)

static int go_home(struct db_tx *tx, struct job *j, struct lxm_err *e)
{
	int r;

	job_deinit(j);
	r = db_project_for(tx, j->project, DB_FEATURE_PROFILES, &j->home, e);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "Project \"%s\" not found", j->project) : r;
}

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = go_home(tx, j, e);

	return r < 0 ? r : db_profile_list(tx, j->all ? NULL : j->home, j->list, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = go_home(tx, j, e);

	if (r == 0)
		r = db_profile_get(tx, j->home, j->name, j->profile, e);
	return r == DB_NONE ? not_found(j->name, e) : r;
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = go_home(tx, j, e);

	if (r < 0)
		return r;
	free(j->profile->project);
	j->profile->project = lxm_strdup(j->home);
	return db_profile_create(tx, j->profile, e);
}

static bool same(const struct db_profile *a, const struct db_profile *b)
{
	return a->id == b->id && lxm_streq(a->description, b->description) && lxm_kv_eq(&a->config, &b->config) &&
	       lxm_devs_eq(&a->devices, &b->devices);
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_profile) struct db_profile there = { 0 };
	struct job *j = arg;
	int r = db_profile_get(tx, j->was->project, j->was->name, &there, e);

	if (r == DB_NONE)
		return not_found(j->was->name, e);
	if (r == 0 && !same(&there, j->was))
		return lxm_err_http(e, 412, ESTALE, "profile '%s' was changed by somebody else meanwhile: read it again",
				    j->was->name);
	if (r == 0)
		r = db_profile_update(tx, j->profile, e);
	return r == 0 && j->who ? profile_users_limits(tx, j->profile, j->who, e) : r;
}

static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = go_home(tx, j, e);

	if (r == 0)
		r = db_profile_rename(tx, j->home, j->name, j->to, e);
	return r == DB_NONE ? not_found(j->name, e) : r;
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct job *j = arg;
	int r = go_home(tx, j, e);

	if (r == 0)
		r = db_profile_delete(tx, j->home, j->name, e);
	return r == DB_NONE ? not_found(j->name, e) : r;
}

/* ---- objects */

static json_t *profile_json(struct request *rq, const struct db_profile *p)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "name", js_string(p->name), "description",
			 js_string(p->description), "config", js_from_kv(&p->config), "devices",
			 js_from_devs(&p->devices), "used_by", scope_urls(rq, &p->used_by), "project",
			 js_string(p->project));
}

/* What a PUT can change. */
static json_t *etag_json(const struct db_profile *p)
{
	return json_pack("[o, o, o, o]", js_string(p->name), js_string(p->description), js_from_kv(&p->config),
			 js_from_devs(&p->devices));
}

static void tell(struct request *rq, const char *project, const char *action, const char *name)
{
	lxm_auto(free) char *n = lxm_url_encode(name, NULL);
	lxm_auto(free) char *url = lxm_asprintf("/1.0/profiles/%s", n);

	event_lifecycle(rq->d, project, action, url, NULL, rq_caller(rq));
}

static int created(struct request *rq, const char *name)
{
	lxm_auto(free) char *n = lxm_url_encode(name, NULL);
	lxm_auto(free) char *url = lxm_asprintf("/1.0/profiles/%s", n);

	return reply_created(rq, url);
}

/* Everything a body may say about a profile, over what p holds. */
static int read_body(json_t *body, struct db_profile *p, struct lxm_err *e)
{
	const char *description = NULL;
	int r = js_get_str(body, "description", &description, e);

	if (r == 0 && description) {
		free(p->description);
		p->description = lxm_strdup(description);
	}
	if (r == 0)
		r = js_get_kv(body, "config", &p->config, NULL, e);
	if (r == 0)
		r = js_get_devs(body, "devices", &p->devices, NULL, e);
	return r;
}

static void drop_empty(struct db_profile *p)
{
	size_t i;

	conf_drop_empty(&p->config);
	for (i = 0; i < p->devices.n; i++)
		conf_drop_empty(&p->devices.v[i].kv);
}

/* Keys and devices by themselves; what is as it was passes unseen. */
static int check(struct request *rq, const struct db_profile *was, const struct db_profile *p, struct lxm_err *e)
{
	int r = conf_check_size(&p->config, &p->devices, e);

	if (r == 0)
		r = conf_check_change(&conf_profile, &was->config, &p->config, e);
	if (r == 0 && p->description && (strlen(p->description) > 4096 || !lxm_utf8_ok(p->description,
										       strlen(p->description))))
		r = lxm_err_set(e, EINVAL, "key 'description' must be UTF-8 of 4096 bytes at most");
	if (r == 0)
		r = conf_devices_check_change(&was->devices, &p->devices, e);
	/* before a device is looked at: what is refused must not tell what the host has at a path */
	if (r == 0)
		r = policy_check_profile(rq->d, rq_project(rq), p, rq_caller(rq), e);
	if (r < 0)
		return r;
	lxm_devs_each(dev, &p->devices) {
		const struct lxm_dev *old = lxm_devs_get(&was->devices, dev->name);
		struct device_ctx c = { .d = rq->d, .project = rq_project(rq), .name = dev->name, .kv = &dev->kv };

		if (old && lxm_kv_eq(&old->kv, &dev->kv))
			continue;
		r = policy_volume(rq->d, rq_project(rq), dev, rq_caller(rq), e);
		if (r == 0)
			r = device_validate(&c, false, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- handlers */

int api_profiles_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_profiles) struct db_profiles l = { 0 };
	lxm_auto(job) struct job j = { .project = rq_project(rq), .all = rq_all_projects(rq), .list = &l };
	json_t *out;
	size_t i;
	int r = db_read(rq->d->db, list_tx, &j, e);

	if (r < 0)
		return r;
	out = json_array();
	for (i = 0; i < l.n; i++)
		if (j.all && !scope_sees(rq, l.v[i].project))
			continue;
		else if (rq_recursion(rq))
			json_array_append_new(out, profile_json(rq, &l.v[i]));
		else if (j.all && strcmp(l.v[i].project, "default") != 0)
			json_array_append_new(out, js_url("/1.0/profiles/%s?project=%s", l.v[i].name, l.v[i].project));
		else
			json_array_append_new(out, js_url("/1.0/profiles/%s", l.v[i].name));
	return reply_sync(rq, out);
}

int api_profiles_post(struct request *rq, struct lxm_err *e)
{
	static const struct db_profile nothing;
	lxm_auto(db_profile) struct db_profile p = { 0 };
	lxm_auto(job) struct job j = { .project = rq_project(rq), .profile = &p };
	const char *name = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &name, e);
	if (r == 0)
		r = conf_name_profile(name, e);
	if (r < 0)
		return r;
	p.name = lxm_strdup(name);
	r = read_body(body, &p, e);
	drop_empty(&p);
	if (r == 0)
		r = check(rq, &nothing, &p, e);
	if (r == 0)
		r = db_write(rq->d->db, create_tx, &j, e);
	if (r < 0)
		return r;
	tell(rq, j.home, "profile-created", name);
	return created(rq, name);
}

int api_profile_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_profile) struct db_profile p = { 0 };
	lxm_auto(job) struct job j = { .project = rq_project(rq), .name = rq_arg(rq, 0), .profile = &p };
	int r = db_read(rq->d->db, get_tx, &j, e);

	return r < 0 ? r : reply_sync_etag(rq, profile_json(rq, &p), etag_json(&p));
}

static void copy(struct db_profile *to, const struct db_profile *from)
{
	to->id = from->id;
	to->project = lxm_strdup(from->project);
	to->name = lxm_strdup(from->name);
	to->description = lxm_strdup(from->description);
	lxm_kv_copy(&to->config, &from->config);
	lxm_devs_copy(&to->devices, &from->devices);
}

/* PUT starts from nothing, PATCH from what is there: keys and devices that the body leaves out stay. */
static int wanted(json_t *body, const struct db_profile *was, bool patch, struct db_profile *now, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv config = { 0 };
	lxm_auto(devs) struct lxm_devs devices = { 0 };
	int r;

	copy(now, was);
	if (patch) {
		lxm_kv_copy(&config, &was->config);
		lxm_devs_copy(&devices, &was->devices);
	} else {
		free(now->description);
		now->description = NULL;
	}
	lxm_kv_deinit(&now->config);
	lxm_devs_deinit(&now->devices);
	r = read_body(body, now, e);
	if (r < 0)
		return r;
	lxm_kv_merge(&config, &now->config);
	lxm_devs_merge(&devices, &now->devices);
	lxm_kv_copy(&now->config, &config);
	lxm_devs_copy(&now->devices, &devices);
	drop_empty(now);
	return 0;
}

/* Stores the change and has all users follow, or none. */
static int apply(struct request *rq, struct job *j, struct instance_list *users, struct lxm_err *e)
{
	const struct db_profile *was = j->was;
	struct db_profile *now = j->profile;
	struct job back = { .was = now, .profile = (struct db_profile *)was };
	struct lxm_err e2 = { 0 };
	size_t done = 0;
	int r = db_write(rq->d->db, update_tx, j, e);

	if (r < 0)
		return r;
	r = profile_users_update(rq->d, was->name, users, rq_caller(rq), &done, e);
	if (r == 0)
		return 0;
	if (db_write(rq->d->db, update_tx, &back, &e2) < 0)
		return lxm_err_wrap(e, r, "profile '%s' is changed and could not be put back (%s)", was->name, e2.msg);
	profile_users_undo(rq->d, was->name, users, done);
	return r;
}

static int change(struct request *rq, bool patch, struct lxm_err *e)
{
	lxm_auto(db_profile) struct db_profile was = { 0 };
	lxm_auto(db_profile) struct db_profile now = { 0 };
	lxm_auto(instance_list) struct instance_list users = { 0 };
	lxm_auto(job) struct job j = { .project = rq_project(rq), .name = rq_arg(rq, 0), .profile = &was };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = db_read(rq->d->db, get_tx, &j, e);
	if (r == 0)
		r = rq_check_etag(rq, etag_json(&was), e);
	if (r == 0)
		r = wanted(body, &was, patch, &now, e);
	if (r == 0)
		r = check(rq, &was, &now, e);
	if (r == 0)
		r = profile_users_check(rq->d, &now, rq_caller(rq), &users, e);
	if (r < 0)
		return r;
	j.was = &was;
	j.profile = &now;
	j.who = rq_caller(rq);
	r = apply(rq, &j, &users, e);
	if (r < 0)
		return r;
	tell(rq, was.project, "profile-updated", was.name);
	return reply_sync(rq, NULL);
}

int api_profile_put(struct request *rq, struct lxm_err *e)
{
	return change(rq, false, e);
}

int api_profile_patch(struct request *rq, struct lxm_err *e)
{
	return change(rq, true, e);
}

int api_profile_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job j = { .project = rq_project(rq), .name = rq_arg(rq, 0) };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_need_str(body, "name", &j.to, e);
	if (r == 0)
		r = conf_name_profile(j.to, e);
	if (r == 0 && strcmp(j.name, "default") == 0)
		r = lxm_err_http(e, 403, EPERM, "profile 'default' cannot be renamed");
	if (r == 0)
		r = db_write(rq->d->db, rename_tx, &j, e);
	if (r < 0)
		return r;
	tell(rq, j.home, "profile-renamed", j.to);
	return created(rq, j.to);
}

int api_profile_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(job) struct job j = { .project = rq_project(rq), .name = rq_arg(rq, 0) };
	int r = 0;

	if (strcmp(j.name, "default") == 0)
		r = lxm_err_http(e, 403, EPERM, "profile 'default' cannot be deleted");
	if (r == 0)
		r = db_write(rq->d->db, delete_tx, &j, e);
	if (r < 0)
		return r;
	tell(rq, j.home, "profile-deleted", j.name);
	return reply_sync(rq, NULL);
}
