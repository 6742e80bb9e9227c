/* /1.0/instances/NAME/backups: list, make, show, rename, delete, download. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/image/fetch.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/instance.h"

struct job {
	int64_t id;	 /* of the instance */
	char *name, *to; /* backup; its new name */
	struct backup_new how;
};

static void job_free(void *arg)
{
	struct job *j = arg;

	if (!j)
		return;
	free(j->name);
	free(j->to);
	free(j);
}
LXM_AUTO_PTR(job, struct job, job_free)

static int create_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = instance_lock(op_daemon(op), j->id, "Backing up instance", &i, &lock, e);

	return r < 0 ? r : backup_create(op_daemon(op), &i, &j->how, op, op_caller(op), e);
}

/* Rows and files of whole backups need no lock of the instance. */
static int rename_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = instance_load_id(op_daemon(op), j->id, &i, e);

	return r < 0 ? r : backup_rename(op_daemon(op), &i, j->name, j->to, op_caller(op), e);
}

static int delete_run(struct op *op, void *arg, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct job *j = arg;
	int r = instance_load_id(op_daemon(op), j->id, &i, e);

	return r < 0 ? r : backup_delete(op_daemon(op), &i, j->name, op_caller(op), e);
}

static int start_job(struct request *rq, const struct instance *i, const char *what, bool may_cancel,
		     int (*run)(struct op *, void *, struct lxm_err *), struct job *j, struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = i->row.project, .description = what,
				.resources = instance_resources(i->row.name), .may_cancel = may_cancel, .run = run, .free_arg = job_free,
				.arg = j };

	j->id = i->row.id;
	/* clients take the name from just this form */
	json_object_set_new(spec.resources, "backups", json_pack("[o]", js_url("/1.0/backups/%s", j->name)));
	return reply_op_new(rq, &spec, e);
}

int api_instance_backups_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_backups) struct db_backups l = { 0 };
	json_t *out;
	size_t k;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = backup_list(rq->d, i.row.id, &l, e);
	if (r < 0)
		return r;
	out = json_array();
	for (k = 0; k < l.n; k++)
		json_array_append_new(out, rq_recursion(rq) ? backup_json(&l.v[k]) :
							      js_url(rq->containers ? "/1.0/containers/%s/backups/%s" :
										      "/1.0/instances/%s/backups/%s",
								     i.row.name, l.v[k].name));
	return reply_sync(rq, out);
}

/* What the caller asks for, else the project or the server. */
static int read_compression(const struct request *rq, json_t *body, struct backup_new *how, struct lxm_err *e)
{
	lxm_auto(free) char *set = NULL;
	const char *asked = NULL;
	int r = js_get_str(body, "compression_algorithm", &asked, e);

	if (r < 0)
		return r;
	if (lxm_empty(asked))
		set = image_setting(rq->d, rq_project(rq), "backups.compression_algorithm");
	return image_compression_parse(!lxm_empty(asked) ? asked : set ? set : "gzip", &how->compression, e);
}

static int read_new(struct request *rq, const struct instance *i, struct job *j, struct lxm_err *e)
{
	lxm_auto(db_backup) struct db_backup have = { 0 };
	json_t *body = rq_json(rq);
	const char *name = NULL;
	bool optimized = false; /* no driver here has a form of its own: an ordinary one is made, as LXD does */
	int r = js_get_str(body, "name", &name, e);

	if (r == 0)
		r = js_get_bool(body, "container_only", &j->how.instance_only, e);
	if (r == 0)
		r = js_get_bool(body, "instance_only", &j->how.instance_only, e);
	if (r == 0)
		r = js_get_bool(body, "optimized_storage", &optimized, e);
	if (r == 0)
		r = js_get_time(body, "expires_at", &j->how.expires_at, e);
	if (r == 0)
		r = read_compression(rq, body, &j->how, e);
	if (r == 0 && lxm_empty(name))
		r = backup_invent_name(rq->d, i, &j->name, e);
	else if (r == 0)
		j->name = lxm_strdup(name);
	if (r == 0)
		r = backup_name_check(j->name, e);
	if (r == 0 && backup_load(rq->d, i, j->name, &have, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "backup '%s' already exists", j->name);
	j->how.name = j->name;
	return r;
}

int api_instance_backups_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r == 0)
		r = read_new(rq, &i, j, e);
	return r < 0 ? r : start_job(rq, &i, "Backing up instance", true, create_run, LXM_TAKE(j, NULL), e);
}

/* The instance and the backup that the path names. */
static int find(struct request *rq, struct instance *i, struct db_backup *b, struct lxm_err *e)
{
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), i, e);

	return r < 0 ? r : backup_load(rq->d, i, rq_arg(rq, 1), b, e);
}

int api_instance_backup_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_backup) struct db_backup b = { 0 };
	int r = find(rq, &i, &b, e);

	return r < 0 ? r : reply_sync(rq, backup_json(&b));
}

int api_instance_backup_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_backup) struct db_backup b = { 0 }, other = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	const char *to = NULL;
	json_t *body;
	int r = find(rq, &i, &b, e);

	if (r == 0)
		r = rq_need_json(rq, &body, e);
	if (r == 0)
		r = js_need_str(body, "name", &to, e);
	if (r == 0)
		r = backup_name_check(to, e);
	if (r == 0 && backup_load(rq->d, &i, to, &other, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "backup '%s' already exists", to);
	if (r < 0)
		return r;
	j->name = lxm_strdup(b.name);
	j->to = lxm_strdup(to);
	return start_job(rq, &i, "Renaming backup", false, rename_run, LXM_TAKE(j, NULL), e);
}

int api_instance_backup_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_backup) struct db_backup b = { 0 };
	lxm_auto(job) struct job *j = lxm_alloc(sizeof(*j));
	int r = find(rq, &i, &b, e);

	if (r < 0)
		return r;
	j->name = lxm_strdup(b.name);
	return start_job(rq, &i, "Deleting backup", false, delete_run, LXM_TAKE(j, NULL), e);
}

int api_instance_backup_export_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(db_backup) struct db_backup b = { 0 };
	lxm_auto(free) char *url = NULL, *enc = NULL, *inst = NULL;
	uint64_t size = 0;
	int fd = -1, r = find(rq, &i, &b, e);

	if (r == 0)
		r = backup_open(rq->d, &b, &fd, &size, e);
	if (r < 0)
		return r;
	inst = instance_url(i.row.name);
	enc = lxm_url_encode(b.name, NULL);
	url = lxm_asprintf("%s/backups/%s", inst, enc);
	event_lifecycle(rq->d, i.row.project, "instance-backup-retrieved", url, NULL, rq_caller(rq));
	return reply_file(rq, fd, size, "application/octet-stream", NULL);
}
