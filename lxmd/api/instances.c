/* /1.0/instances: creation, and state changes of all at once; the list is in instance_list.c. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lib/conf/conf.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_body.h"
#include "lxmd/api/instance_source.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/core/workers.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/size.h"

/* ---- POST */

struct create_job {
	struct instance i;
	struct instance_new n;
	struct source source;
	int64_t refresh; /* id of the instance that is to be made equal to its source; 0: a new one */
};

static void create_free(void *arg)
{
	struct create_job *j = arg;

	instance_deinit(&j->i);
	source_deinit(&j->source);
	free(j);
}

/* The image of another server: what it says counts for the merged result, which is checked anew. */
static int create_fetch(struct lxmd *d, struct create_job *j, struct op *op, struct lxm_err *e)
{
	struct db_instance *row = &j->i.row;
	int r;

	if (!j->source.profiles_named)
		lxm_strv_deinit(&row->profiles);
	r = source_fetch(d, row->project, &j->source, row, op, e);
	if (r < 0)
		return r;
	if (!row->profiles.n && !j->source.profiles_named)
		lxm_strv_add(&row->profiles, "default");
	j->n.image = j->source.fp;
	r = instance_expand(d, &j->i, e);
	return r < 0 ? r : instance_check(d, &j->i, NULL, op_caller(op), e);
}

static int create_run(struct op *op, void *arg, struct lxm_err *e)
{
	struct create_job *j = arg;
	int r = j->source.fetch ? create_fetch(op_daemon(op), j, op, e) : 0;

	if (r == 0)
		r = instance_create(op_daemon(op), &j->n, op, op_caller(op), e);
	return j->source.type == SOURCE_MIGRATION ? migrate_finish(j->source.sink.link, r, e) : r;
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

static int read_new(struct request *rq, struct create_job *j, struct lxm_err *e)
{
	struct db_instance *row = &j->i.row;
	const char *name = NULL, *type = NULL, *size = NULL;
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
	source_keep_volatile(&row->config);
	if (r == 0)
		r = source_read(rq, row, &j->source, e);
	/* volatile keys of a new instance are ours to choose */
	if (j->source.type != SOURCE_MIGRATION)
		lxm_kv_del_prefix(&row->config, "volatile.");
	if (r == 0)
		r = js_get_bool(rq_json(rq), "start", &j->n.start, e);
	if (r == 0)
		r = js_get_str(rq_json(rq), "instance_type", &size, e);
	if (r == 0 && !lxm_empty(size))
		r = instance_size(size, &row->config, e);
	if (r < 0)
		return r;
	if (!row->architecture)
		row->architecture = lxm_strdup("x86_64");
	if (!row->description)
		row->description = lxm_strdup("");
	if (!row->profiles.n && !js_get(rq_json(rq), "profiles") && j->source.type != SOURCE_COPY)
		lxm_strv_add(&row->profiles, "default");
	conf_drop_empty(&row->config);
	j->n.i = &j->i;
	j->n.source = j->source.type;
	j->n.image = *j->source.fp ? j->source.fp : NULL;
	j->n.copy = &j->source.copy;
	j->n.sink = &j->source.sink;
	r = instance_expand(rq->d, &j->i, e);
	return r < 0 ? r : instance_check(rq->d, &j->i, NULL, rq_caller(rq), e);
}

static int refresh_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct create_job *j = arg;
	struct lxmd *d = op_daemon(op);
	int r = instance_lock_id(d, j->refresh, "Refreshing instance", 0, &lock, e);

	if (r == 0)
		r = instance_load_id(d, j->refresh, &i, e);
	if (j->source.type != SOURCE_MIGRATION)
		return r < 0 ? r : instance_refresh(d, &i, &j->source.copy, op, op_caller(op), e);
	if (r == 0)
		r = migrate_refresh(d, &i, &j->source.sink, op, op_caller(op), e);
	return migrate_finish(j->source.sink.link, r, e);
}

static void migration_cancel(struct op *op, void *arg)
{
	mig_link_stop(((struct create_job *)arg)->source.sink.link);
}

/* Mode push: the source opens our sockets. */
static int migration_connect(struct op *op, const char *name, struct ws *ws, void *arg)
{
	int which = mig_link_socket(name);

	return which < 0 ? which : mig_link_accept(((struct create_job *)arg)->source.sink.link, (enum mig_socket)which, ws);
}

/* With "refresh" an instance of that name is welcome, if it is not the source itself. */
static int find_refresh(struct request *rq, struct create_job *j, struct lxm_err *e)
{
	lxm_auto(instance) struct instance old = { 0 };
	lxm_auto(run_unref) struct run *run = NULL;

	if (!j->source.refresh ||
	    instance_load(rq->d, j->i.row.project, j->i.row.name, &old, NULL) < 0)
		return 0;
	if (j->source.type == SOURCE_COPY && lxm_streq(old.row.name, j->source.name) && lxm_streq(old.row.project, j->source.project))
		return lxm_err_set(e, EINVAL, "instance '%s' cannot be refreshed from itself", old.row.name);
	run = run_get(rq->d, old.row.id);
	if (run)
		return lxm_err_http(e, 400, EBUSY, "instance '%s' is running: stop it before you refresh it", old.row.name);
	j->refresh = old.row.id;
	return 0;
}

int api_instances_post(struct request *rq, struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .may_cancel = true, .caller = rq_caller(rq), .free_arg = create_free };
	struct create_job *j;
	struct op *op;
	json_t *body;
	int r;

	if (rq_body_fd(rq, NULL) >= 0)
		return api_instance_import(rq, e);
	r = rq_need_json(rq, &body, e);
	if (r < 0)
		return r;
	j = lxm_alloc(sizeof(*j));
	r = read_new(rq, j, e);
	if (r == 0)
		r = find_refresh(rq, j, e);
	if (r == 0 && !j->refresh)
		r = instance_check_free(rq->d, &j->i.row, e);
	if (r < 0) {
		create_free(j);
		return r;
	}
	spec.arg = j;
	spec.description = j->refresh ? "Refreshing instance" : "Creating instance";
	spec.resources = instance_resources(j->i.row.name);
	spec.run = j->refresh ? refresh_run : create_run;
	if (j->source.type == SOURCE_MIGRATION) {
		spec.cls = j->source.sink.peer ? OP_TASK : OP_WEBSOCKET;
		spec.cancel = migration_cancel;
		spec.connect = migration_connect;
	}
	r = op_new(rq->d, &spec, &op, e);
	if (r == 0 && spec.cls == OP_WEBSOCKET)
		migrate_add_sockets(op);
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
	char share[CALLER_SHARE_LEN];
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
		workers_run_share(op_daemon(op)->workers, caller_share(op_caller(op), CALLER_SHARE_PART, share), bulk_one, &v[k]);
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
	return reply_op_new(rq,
			    &(struct op_spec){ .cls = OP_TASK,
					       .project = rq_project(rq),
					       .description = "Changing the state of all instances",
					       .run = bulk_run,
					       .free_arg = bulk_free,
					       .arg = b },
			    e);
}
