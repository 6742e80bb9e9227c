/* /1.0/instances: the list, creation, and state changes of all at once. */
#include <string.h>

#include "db/image.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lib/conf/conf.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_body.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/core/workers.h"
#include "lxmd/http/filter.h"
#include "lxmd/image/image.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/render.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"

static bool type_wanted(struct request *rq)
{
	const char *t = rq_query(rq, "instance-type");

	return lxm_empty(t) || lxm_streq(t, "container");
}

int api_instances_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	lxm_auto(filter_free) struct filter *f = NULL;
	lxm_auto(db_snapshots) struct db_snapshots snapshots = { 0 };
	json_t *out = json_array();
	int recursion = rq_recursion(rq);
	size_t k;
	int r = rq_filter(rq, &f, e);

	if (r == 0)
		r = instance_load_all(rq->d, rq_all_projects(rq) ? NULL : rq_project(rq), &l, e);
	if (r == 0 && recursion == 2)
		r = snapshot_list(rq->d, 0, &snapshots, e);
	if (r < 0) {
		json_decref(out);
		return r;
	}
	for (k = 0; k < l.n && type_wanted(rq); k++) {
		lxm_auto(run_unref) struct run *run = run_get(rq->d, l.v[k].row.id);
		lxm_auto(json) json_t *o = NULL;

		if (recursion || f)
			o = recursion == 2 ? instance_full_json(rq->d, &l.v[k], run, false, &snapshots) : instance_json(&l.v[k], run);
		if (f && !filter_match(f, o))
			continue;
		if (recursion)
			json_array_append(out, o);
		else
			json_array_append_new(out, instance_list_url(rq, &l.v[k]));
	}
	return reply_sync(rq, out);
}

/* ---- POST */

struct create_job {
	struct instance i;
	struct instance_new n;
	char fp[65];
};

static void create_free(void *arg)
{
	struct create_job *j = arg;

	instance_deinit(&j->i);
	free(j);
}

static int create_run(struct op *op, void *arg, struct lxm_err *e)
{
	struct create_job *j = arg;

	return instance_create(op_daemon(op), &j->n, op, op_caller(op), e);
}

/* A name for those who do not care: two words that nobody is offended by, and a check that it is free. */
static char *invent_name(struct lxmd *d, const char *project)
{
	static const char *const a[] = { "able", "apt",	  "bold",  "brave", "brisk", "calm",  "clear", "crisp",
					 "eager", "fair",  "fond",  "frank", "glad",  "grand", "happy", "keen",
					 "kind",  "light", "loyal", "merry", "neat",  "noble", "proud", "quick",
					 "ready", "sharp", "smart", "steady", "sunny", "swift", "warm",  "wise" };
	static const char *const b[] = { "ant",	  "badger", "beaver", "bison", "crane",	 "deer",  "dove",  "eagle",
					 "falcon", "finch",  "fox",   "gecko", "heron",	 "ibex",  "jay",   "koala",
					 "lark",   "lynx",   "marten", "mole",	"newt",	 "otter", "owl",   "panda",
					 "quail",  "raven",  "seal",  "stork", "swan",	 "tern",  "wren",  "yak" };
	unsigned int r[3];
	int tries;

	for (tries = 0; tries < 64; tries++) {
		lxm_auto(instance) struct instance i = { 0 };
		char *name;

		lxm_random(r, sizeof(r));
		name = tries < 8 ? lxm_asprintf("%s-%s", a[r[0] % 32], b[r[1] % 32]) :
				   lxm_asprintf("%s-%s-%u", a[r[0] % 32], b[r[1] % 32], r[2] % 100000);
		if (instance_load(d, project, name, &i, NULL) == -ENOENT)
			return name;
		free(name);
	}
	return lxm_random_hex(16);
}

/* What `source` of type image names: an alias, a fingerprint or properties of a local image. */
static int find_image(struct request *rq, json_t *source, struct create_job *j, struct lxm_err *e)
{
	const char *fp = NULL, *alias = NULL, *server = NULL;
	struct db_image im = { 0 };
	int r = js_get_str(source, "fingerprint", &fp, e);

	if (r == 0)
		r = js_get_str(source, "alias", &alias, e);
	if (r == 0)
		r = js_get_str(source, "server", &server, e);
	if (r < 0)
		return r;
	if (!lxm_empty(server))
		return lxm_err_set(e, EOPNOTSUPP,
				   "images of other servers cannot be fetched yet: import the image, then launch it by its alias");
	if (lxm_empty(fp) && lxm_empty(alias))
		return lxm_err_set(e, EINVAL, "source: name an image by 'alias' or 'fingerprint'");
	r = !lxm_empty(alias) ? image_get(rq->d, rq_project(rq), alias, &im, e) :
				image_get_fp(rq->d, rq_project(rq), fp, &im, e);
	if (r == 0) {
		snprintf(j->fp, sizeof(j->fp), "%s", im.fingerprint);
		j->n.image = j->fp;
		j->n.source = SOURCE_IMAGE;
		image_properties_to_config(&im, &j->i.row.config);
		free(j->i.row.architecture);
		j->i.row.architecture = lxm_strdup(im.architecture);
		if (!j->i.row.profiles.n && im.profiles.n && !js_get(rq_json(rq), "profiles"))
			lxm_strv_copy(&j->i.row.profiles, &im.profiles);
	}
	db_image_deinit(&im);
	return r;
}

static int read_source(struct request *rq, struct create_job *j, struct lxm_err *e)
{
	json_t *source = NULL;
	const char *type = NULL;
	int r = js_get_obj(rq_json(rq), "source", &source, e);

	if (r == 0)
		r = js_get_str(source, "type", &type, e);
	if (r < 0)
		return r;
	if (lxm_empty(type))
		return lxm_err_set(e, EINVAL, "key 'source.type' is required: image or none");
	if (lxm_streq(type, "none"))
		return 0;
	if (lxm_streq(type, "image"))
		return find_image(rq, source, j, e);
	if (lxm_streq(type, "copy") || lxm_streq(type, "migration") || lxm_streq(type, "backup"))
		return lxm_err_set(e, EOPNOTSUPP, "instances cannot be created from source type '%s' yet", type);
	return lxm_err_set(e, EINVAL, "source.type '%s' is unknown: use image or none", type);
}

static int read_new(struct request *rq, struct create_job *j, struct lxm_err *e)
{
	struct db_instance *row = &j->i.row;
	const char *name = NULL, *type = NULL;
	int r = js_get_str(rq_json(rq), "name", &name, e);

	row->project = lxm_strdup(rq_project(rq));
	row->location = lxm_strdup("none");
	if (r == 0)
		r = js_get_str(rq_json(rq), "type", &type, e);
	if (r == 0 && !lxm_empty(type) && !lxm_streq(type, "container"))
		r = lxm_err_set(e, EINVAL, "type '%s': lxm runs containers only", type);
	if (r == 0 && !lxm_empty(name))
		r = conf_name_instance(name, e);
	if (r < 0)
		return r;
	row->name = lxm_empty(name) ? invent_name(rq->d, row->project) : lxm_strdup(name);
	r = instance_body_read(rq_json(rq), row, e);
	/* volatile keys of a new instance are ours to choose */
	lxm_kv_del_prefix(&row->config, "volatile.");
	if (r == 0)
		r = read_source(rq, j, e);
	if (r == 0)
		r = js_get_bool(rq_json(rq), "start", &j->n.start, e);
	if (r < 0)
		return r;
	if (!row->architecture)
		row->architecture = lxm_strdup("x86_64");
	if (!row->description)
		row->description = lxm_strdup("");
	if (!row->profiles.n && !js_get(rq_json(rq), "profiles"))
		lxm_strv_add(&row->profiles, "default");
	conf_drop_empty(&row->config);
	j->n.i = &j->i;
	r = instance_expand(rq->d, &j->i, e);
	return r < 0 ? r : instance_check(rq->d, &j->i, NULL, e);
}

static int check_free(struct lxmd *d, const struct db_instance *row, struct lxm_err *e)
{
	lxm_auto(instance) struct instance old = { 0 };
	int r = instance_load(d, row->project, row->name, &old, NULL);

	return r == 0 ? lxm_err_set(e, EEXIST, "instance '%s' already exists", row->name) : 0;
}

int api_instances_post(struct request *rq, struct lxm_err *e)
{
	struct create_job *j;
	struct op *op;
	json_t *body;
	int r;

	if (rq_body_fd(rq, NULL) >= 0)
		return lxm_err_set(e, EOPNOTSUPP, "instances cannot be created from backups yet");
	r = rq_need_json(rq, &body, e);
	if (r < 0)
		return r;
	j = lxm_alloc(sizeof(*j));
	r = read_new(rq, j, e);
	if (r == 0)
		r = check_free(rq->d, &j->i.row, e);
	if (r < 0) {
		create_free(j);
		return r;
	}
	r = op_new(rq->d,
		   &(struct op_spec){ .cls = OP_TASK,
				      .project = rq_project(rq),
				      .description = "Creating instance",
				      .resources = instance_resources(j->i.row.name),
				      .may_cancel = true,
				      .caller = rq_caller(rq),
				      .run = create_run,
				      .free_arg = create_free,
				      .arg = j },
		   &op, e);
	return r < 0 ? r : reply_op_start(rq, op);
}

/* ---- PUT: one state for all */

struct bulk;

struct bulk_one {
	struct bulk *b;
	int64_t id;
	struct lxm_err err;
};

struct bulk {
	struct state_change change;
	char *project;
	struct op *op;
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t left; /* guarded by lock */
};

static void bulk_one(void *arg)
{
	struct bulk_one *o = arg;
	struct bulk *b = o->b;

	(void)state_change_run(op_daemon(b->op), o->id, &b->change, true, b->op, &o->err);
	pthread_mutex_lock(&b->lock);
	if (--b->left == 0)
		pthread_cond_signal(&b->done);
	pthread_mutex_unlock(&b->lock);
}

static int bulk_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	lxm_auto(free) struct bulk_one *v = NULL;
	struct bulk *b = arg;
	size_t k, bad = 0;
	int r = instance_load_all(op_daemon(op), b->project, &l, e);

	if (r < 0)
		return r;
	b->op = op;
	b->left = l.n;
	v = lxm_alloc(l.n * sizeof(*v));
	for (k = 0; k < l.n; k++) {
		v[k].b = b;
		v[k].id = l.v[k].row.id;
		workers_run(op_daemon(op)->workers, bulk_one, &v[k]);
	}
	pthread_mutex_lock(&b->lock);
	while (b->left)
		pthread_cond_wait(&b->done, &b->lock);
	pthread_mutex_unlock(&b->lock);
	for (k = 0; k < l.n; k++)
		if (v[k].err.code && bad++ == 0 && e)
			*e = v[k].err;
	if (bad > 1)
		return lxm_err_wrap(e, -e->code, "%zu of %zu instances failed, the first", bad, l.n);
	return bad ? -e->code : 0;
}

static void bulk_free(void *arg)
{
	struct bulk *b = arg;

	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->done);
	free(b->project);
	free(b);
}

int api_instances_put(struct request *rq, struct lxm_err *e)
{
	json_t *body, *state = NULL;
	struct bulk *b;
	struct op *op;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = js_get_obj(body, "state", &state, e);
	if (r == 0 && !state)
		r = lxm_err_set(e, EINVAL, "key 'state' is required");
	if (r < 0)
		return r;
	b = lxm_alloc(sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->done, NULL);
	b->project = lxm_strdup(rq_project(rq));
	r = state_change_read(state, &b->change, e);
	if (r < 0) {
		bulk_free(b);
		return r;
	}
	r = op_new(rq->d,
		   &(struct op_spec){ .cls = OP_TASK,
				      .project = rq_project(rq),
				      .description = "Changing the state of all instances",
				      .caller = rq_caller(rq),
				      .run = bulk_run,
				      .free_arg = bulk_free,
				      .arg = b },
		   &op, e);
	return r < 0 ? r : reply_op_start(rq, op);
}
