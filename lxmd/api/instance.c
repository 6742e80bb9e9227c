/* /1.0/instances/NAME: the object, its changes, rename, delete; exec and console sessions. */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_body.h"
#include "lxmd/api/instance_migrate.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/console.h"
#include "lxmd/instance/copy.h"
#include "lxmd/instance/exec.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/render.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/snapshot.h"
#include "lxmd/storage/pool.h"

#define PROFILES_MAX	100
#define DESCRIPTION_MAX 65536

json_t *instance_list_url(struct request *rq, const struct instance *i)
{
	if (rq_all_projects(rq) && strcmp(i->row.project, "default") != 0) {
		lxm_auto(free) char *project = lxm_url_encode(i->row.project, NULL);

		return json_sprintf("/1.0/%s/%s?project=%s", rq_collection(rq), i->row.name, project);
	}
	return json_sprintf("/1.0/%s/%s", rq_collection(rq), i->row.name);
}

static int replace_str(json_t *body, const char *key, char **out, struct lxm_err *e)
{
	const char *s = NULL;
	int r = js_get_str(body, key, &s, e);

	if (r == 0 && s && (*s || strcmp(key, "architecture") != 0)) {
		free(*out);
		*out = lxm_strdup(s);
	}
	return r;
}

int instance_body_read(json_t *body, struct db_instance *row, struct lxm_err *e)
{
	int r = replace_str(body, "architecture", &row->architecture, e);

	if (r == 0 && row->architecture && strcmp(row->architecture, "x86_64") != 0 && strcmp(row->architecture, "i686") != 0)
		r = lxm_err_set(e, EINVAL, "architecture '%.40s' does not run on this host", row->architecture);
	if (r == 0)
		r = replace_str(body, "description", &row->description, e);
	if (r == 0)
		r = js_get_bool(body, "ephemeral", &row->ephemeral, e);
	if (r == 0)
		r = js_get_kv(body, "config", &row->config, NULL, e);
	if (r == 0)
		r = js_get_devs(body, "devices", &row->devices, NULL, e);
	if (r == 0)
		r = js_get_strv(body, "profiles", &row->profiles, NULL, e);
	if (r == 0 && row->profiles.n > PROFILES_MAX)
		r = lxm_err_set(e, EINVAL, "key 'profiles' holds %zu entries, %d at most are possible", row->profiles.n, PROFILES_MAX);
	if (r == 0 && row->description && strlen(row->description) > DESCRIPTION_MAX)
		r = lxm_err_set(e, EINVAL, "key 'description' has more than %d bytes", DESCRIPTION_MAX);
	return r;
}

int instance_check_free(struct lxmd *d, const struct db_instance *row, struct lxm_err *e)
{
	lxm_auto(instance) struct instance old = { 0 };
	int r = instance_load(d, row->project, row->name, &old, NULL);

	return r == 0 ? lxm_err_set(e, EEXIST, "instance '%s' already exists", row->name) : 0;
}

int api_instance_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(run_unref) struct run *run = NULL;
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r < 0)
		return r;
	run = run_get(rq->d, i.row.id);
	if (rq_recursion(rq))
		instance_full_write(&text, rq->d, &i, run, true, NULL, NULL);
	else
		instance_write(&text, &i, run);
	return reply_sync_text(rq, &text, instance_etag_json(&i));
}

/* ---- jobs on one instance */

struct job {
	int64_t id;
	struct db_instance row; /* wanted, for updates */
	json_t *etag;		/* what the client's If-Match stood for; NULL: it sent none */
	char *name;		/* new, for renames; snapshot, for restores */
};

static void job_free(void *arg)
{
	struct job *j = arg;

	db_instance_deinit(&j->row);
	json_decref(j->etag);
	free(j->name);
	free(j);
}

/* Take the lock and load it anew: what the handler saw may be stale. */
static int begin(struct op *op, const struct job *j, const char *what, struct instance *i, struct lock **lock, struct lxm_err *e)
{
	return instance_lock(op_daemon(op), j->id, what, i, lock, e);
}

static int delete_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	int r = begin(op, arg, "Deleting instance", &i, &lock, e);

	return r < 0 ? r : instance_delete(op_daemon(op), &i, op_caller(op), e);
}

static int rename_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = begin(op, arg, "Renaming instance", &i, &lock, e);

	return r < 0 ? r : instance_rename(op_daemon(op), &i, j->name, op_caller(op), e);
}

/* Everything of `row` that a PUT replaces goes into a copy of what is there now. `op` may be NULL. */
static int apply_row(struct lxmd *d, const struct instance *was, const struct db_instance *row, struct op *op, const struct caller *who,
		     struct lxm_err *e)
{
	lxm_auto(instance) struct instance now = { 0 };
	lxm_auto(free) char *unkept = NULL;
	int r;

	db_instance_copy(&now.row, row);
	now.row.id = was->row.id;
	/* volatile keys are lxmd's: a client sends back what it saw, which may be old by now */
	lxm_kv_del_prefix(&now.row.config, "volatile.");
	lxm_kv_each(p, &was->row.config)
		if (strncmp(p->key, "volatile.", 9) == 0)
			lxm_kv_set(&now.row.config, p->key, p->value);
	r = instance_update(d, was, &now, who, e);
	if (r == 0 && op && instance_root_size(was) != instance_root_size(&now) && (unkept = instance_root_unkept(d, &now)))
		op_set_metadata_key(op, "warnings", json_pack("[s]", unkept));
	return r;
}

static int update_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = begin(op, arg, "Updating instance", &i, &lock, e);

	if (r == 0 && j->etag) {
		lxm_auto(json) json_t *now = instance_etag_json(&i);

		/* another change came in between the request and this */
		if (!json_equal(now, j->etag))
			return lxm_err_http(e, 412, ESTALE, "instance '%s' was changed meanwhile: read it again", i.row.name);
	}
	return r < 0 ? r : apply_row(op_daemon(op), &i, &j->row, op, op_caller(op), e);
}

static int start_job(struct request *rq, const struct instance *i, const char *what,
		     int (*run)(struct op *, void *, struct lxm_err *), struct job *j, struct lxm_err *e)
{
	j->id = i->row.id;
	return reply_op_new(rq,
			    &(struct op_spec){ .cls = OP_TASK,
					       .project = i->row.project,
					       .description = what,
					       .resources = instance_resources(i->row.name),
					       .run = run,
					       .free_arg = job_free,
					       .arg = j },
			    e);
}

static int restore_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = begin(op, arg, "Restoring instance", &i, &lock, e);

	return r < 0 ? r : instance_restore(op_daemon(op), &i, j->name, op, op_caller(op), e);
}

/* PUT {"restore": "c1/snap0" or "snap0", "stateful"} */
static int restore(struct request *rq, const struct instance *i, json_t *body, struct lxm_err *e)
{
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	const char *name = js_str(body, "restore"), *slash = strchr(name, '/');
	bool stateful = false;
	struct job *j;
	int r = js_get_bool(body, "stateful", &stateful, e);

	if (r == 0 && stateful)
		r = lxm_err_set(e, EOPNOTSUPP, "the running state of a container cannot be restored: leave out 'stateful'");
	/* URLs and paths of the snapshot are both accepted, as LXD does */
	if (slash)
		name = strrchr(name, '/') + 1;
	if (r == 0)
		r = snapshot_load(rq->d, i, name, &s, e);
	if (r < 0)
		return r;
	j = lxm_alloc(sizeof(*j));
	j->name = lxm_strdup(name);
	return start_job(rq, i, "Restoring snapshot", restore_run, j, e);
}

int api_instance_put(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j;
	json_t *body;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = rq_check_etag(rq, instance_etag_json(&i), e);
	if (r < 0)
		return r;
	if (!lxm_empty(js_str(body, "restore")))
		return restore(rq, &i, body, e);
	j = lxm_alloc(sizeof(*j));
	j->etag = rq_raw_header(rq, "if-match") ? instance_etag_json(&i) : NULL;
	db_instance_copy(&j->row, &i.row);
	/* PUT replaces: what the body leaves out is gone, except what can never be empty */
	lxm_kv_deinit(&j->row.config);
	lxm_devs_deinit(&j->row.devices);
	lxm_strv_deinit(&j->row.profiles);
	j->row.ephemeral = false;
	free(j->row.description);
	j->row.description = lxm_strdup("");
	r = instance_body_read(body, &j->row, e);
	if (r < 0) {
		job_free(j);
		return r;
	}
	return start_job(rq, &i, "Updating instance", update_run, j, e);
}

int api_instance_patch(struct request *rq, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_instance) struct db_instance row = { 0 };
	lxm_auto(kv) struct lxm_kv config = { 0 };
	lxm_auto(devs) struct lxm_devs devices = { 0 };
	json_t *body;
	int64_t id;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);
	if (r < 0)
		return r;
	id = i.row.id;
	instance_deinit(&i);
	memset(&i, 0, sizeof(i));
	r = instance_lock(rq->d, id, "Updating instance", &i, &lock, e);
	if (r == 0)
		r = rq_check_etag(rq, instance_etag_json(&i), e);
	if (r < 0)
		return r;
	db_instance_copy(&row, &i.row);
	r = instance_body_read(body, &row, e);
	if (r < 0)
		return r;
	/* maps are merged, key by key and device by device */
	lxm_kv_copy(&config, &i.row.config);
	lxm_kv_merge(&config, &row.config);
	lxm_kv_copy(&row.config, &config);
	lxm_devs_copy(&devices, &i.row.devices);
	lxm_devs_merge(&devices, &row.devices);
	lxm_devs_copy(&row.devices, &devices);
	r = apply_row(rq->d, &i, &row, NULL, rq_caller(rq), e);
	return r < 0 ? r : reply_sync(rq, NULL);
}

int api_instance_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(instance) struct instance other = { 0 };
	const char *name = NULL;
	bool migration = false;
	struct job *j;
	json_t *body;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = js_get_bool(body, "migration", &migration, e);
	if (r == 0 && migration)
		return instance_move_post(rq, &i, body, e);
	if (r == 0)
		r = js_need_str(body, "name", &name, e);
	if (r == 0)
		r = conf_name_instance(name, e);
	if (r == 0 && instance_load(rq->d, rq_project(rq), name, &other, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "instance '%s' already exists", name);
	if (r < 0)
		return r;
	j = lxm_alloc(sizeof(*j));
	j->name = lxm_strdup(name);
	return start_job(rq, &i, "Renaming instance", rename_run, j, e);
}

int api_instance_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(run_unref) struct run *run = NULL;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r < 0)
		return r;
	run = run_get_settled(rq->d, i.row.id);
	if (run)
		return lxm_err_http(e, 400, EBUSY, "instance '%s' is running: stop it before you delete it", i.row.name);
	return start_job(rq, &i, "Deleting instance", delete_run, lxm_alloc(sizeof(struct job)), e);
}

/* ---- exec */

static int read_id(json_t *body, const char *key, uint32_t *out, struct lxm_err *e)
{
	int64_t v = 0;
	int r = js_get_int(body, key, &v, e);

	if (r == 0 && (v < 0 || v >= UINT32_MAX))
		return lxm_err_set(e, EINVAL, "key '%s': %lld is not an id", key, (long long)v);
	*out = (uint32_t)v;
	return r;
}

static int read_size(json_t *body, uint32_t *cols, uint32_t *rows, struct lxm_err *e)
{
	int64_t w = 0, h = 0;
	int r = js_get_int(body, "width", &w, e);

	if (r == 0)
		r = js_get_int(body, "height", &h, e);
	if (r == 0 && (w < 0 || w > 65535 || h < 0 || h > 65535))
		r = lxm_err_set(e, EINVAL, "width and height must lie between 0 and 65535");
	*cols = (uint32_t)w;
	*rows = (uint32_t)h;
	return r;
}

static int read_exec(json_t *body, const struct instance *i, struct exec_request *x, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv env = { 0 };
	const char *cwd = NULL;
	int r = js_get_strv(body, "command", &x->argv, NULL, e);

	if (r == 0 && (!x->argv.n || !*x->argv.v[0]))
		r = lxm_err_set(e, EINVAL, "key 'command' must name a program");
	if (r == 0)
		r = js_get_kv(body, "environment", &env, NULL, e);
	if (r == 0)
		r = js_get_bool(body, "wait-for-websocket", &x->websockets, e);
	if (r == 0)
		r = js_get_bool(body, "interactive", &x->interactive, e);
	if (r == 0)
		r = js_get_bool(body, "record-output", &x->record, e);
	if (r == 0)
		r = read_size(body, &x->cols, &x->rows, e);
	if (r == 0)
		r = read_id(body, "user", &x->uid, e);
	if (r == 0)
		r = read_id(body, "group", &x->gid, e);
	if (r == 0)
		r = js_get_str(body, "cwd", &cwd, e);
	if (r < 0)
		return r;
	lxm_kv_each(p, &env)
		if (!*p->key || p->key[strcspn(p->key, "=\n\r")])
			return lxm_err_set(e, EINVAL, "environment: '%.60s' is not a variable's name", p->key);
	x->cwd = lxm_empty(cwd) ? NULL : lxm_strdup(cwd);
	if (!x->websockets)
		x->interactive = false;
	exec_env(i, x->uid, &env, &x->env);
	return 0;
}

int api_instance_exec_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct exec_request x = { 0 };
	struct op *op;
	json_t *body;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = read_exec(body, &i, &x, e);
	if (r == 0)
		r = instance_exec(rq->d, &i, &x, rq_caller(rq), &op, e);
	lxm_strv_deinit(&x.argv);
	lxm_kv_deinit(&x.env);
	free(x.cwd);
	return r < 0 ? r : reply_op_start(rq, op);
}

int api_instance_exec_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	return r < 0 ? r : reply_sync(rq, execs_list(rq->d, i.row.id));
}

/* ---- console */

int api_instance_console_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	uint32_t cols = 0, rows = 0;
	const char *type = NULL;
	bool force = false;
	struct op *op;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = js_get_str(rq_json(rq), "type", &type, e);
	if (r == 0 && !lxm_empty(type) && strcmp(type, "console") != 0)
		r = lxm_err_set(e, EINVAL, "type '%.20s': containers have a text console only", type);
	if (r == 0)
		r = js_get_bool(rq_json(rq), "force", &force, e);
	if (r == 0)
		r = read_size(rq_json(rq), &cols, &rows, e);
	if (r == 0)
		r = instance_console(rq->d, &i, cols, rows, force, rq_caller(rq), &op, e);
	return r < 0 ? r : reply_op_start(rq, op);
}

int api_instance_console_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct stat st;
	int fd = -1;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = instance_console_log(rq->d, &i, &fd, e);
	if (r < 0)
		return r;
	if (fd < 0)
		return reply_bytes(rq, "", 0, NULL, NULL);
	if (fstat(fd, &st) < 0) {
		r = lxm_err_sys(e, "console log of instance '%s'", i.row.name);
		(void)close(fd);
		return r;
	}
	return reply_file(rq, fd, (uint64_t)st.st_size, NULL, NULL);
}

int api_instance_console_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = instance_console_clear(rq->d, &i, e);
	return r < 0 ? r : reply_sync(rq, NULL);
}
