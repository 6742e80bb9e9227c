/*
 * POST /1.0/instances with the tarball of a backup as its body. The index is read at once, so that what is plainly wrong is answered before
 * anything is unpacked; the final configuration passes the same gate as that of any new instance. Request threads.
 */
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/conf/conf.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/instance_body.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/backup.h"
#include "lxmd/instance/life.h"
#include "lxmd/storage/pool.h"

struct import_job {
	struct instance i;
	struct instance_new n;
	struct backup_source source;
	char *image;
};

static void import_free(void *arg)
{
	struct import_job *j = arg;

	if (!j)
		return;
	instance_deinit(&j->i);
	backup_index_deinit(&j->source.index);
	auto_fd_close(&j->source.fd);
	free(j->image);
	free(j);
}
LXM_AUTO_PTR(import_job, struct import_job, import_free)

static int import_run(struct op *op, void *arg, struct lxm_err *e)
{
	struct import_job *j = arg;

	return instance_create(op_daemon(op), &j->n, op, op_caller(op), e);
}

/* A MAC address that somebody has whom the caller may see: the instance gets another one. */
static bool mac_taken(const struct request *rq, const struct instance_list *l, const char *mac)
{
	size_t k;

	for (k = 0; k < l->n; k++) {
		if (!caller_may_project(rq_caller(rq), l->v[k].row.project))
			continue;
		lxm_kv_each(p, &l->v[k].row.config)
			if (lxm_ends(p->key, ".hwaddr") && strcasecmp(p->value, mac) == 0)
				return true;
	}
	return false;
}

static int drop_taken_macs(const struct request *rq, struct lxm_kv *config, struct lxm_err *e)
{
	lxm_auto(instance_list) struct instance_list l = { 0 };
	lxm_auto(strv) struct lxm_strv gone = { 0 };
	size_t k;
	int r = instance_load_all(rq->d, NULL, &l, e);

	if (r < 0)
		return r;
	lxm_kv_each(p, config)
		if (lxm_starts(p->key, "volatile.") && lxm_ends(p->key, ".hwaddr") && mac_taken(rq, &l, p->value))
			lxm_strv_add(&gone, p->key);
	for (k = 0; k < gone.n; k++)
		lxm_kv_del(config, gone.v[k]);
	return 0;
}

/* The pool of the default profile, for a backup of another host. */
static int default_pool(struct request *rq, char **out, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	int r;

	i.row.project = lxm_strdup(rq_project(rq));
	lxm_strv_add(&i.row.profiles, "default");
	r = instance_expand(rq->d, &i, e);
	if (r == 0 && !instance_root_pool(&i))
		r = lxm_err_set(e, EINVAL, "the backup's storage pool is not here and profile 'default' has no root disk: name a pool");
	if (r == 0)
		*out = lxm_strdup(instance_root_pool(&i));
	return r;
}

/* What the caller says, else the backup's own if there is one of that name, else the default profile's. */
static int choose_pool(struct request *rq, const struct backup_index *x, char **out, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	const char *asked = rq_header(rq, "pool");
	int r;

	if (!lxm_empty(asked)) {
		r = storage_pool_get(rq->d, asked, &pool, e);
		*out = r < 0 ? NULL : lxm_strdup(asked);
		return r;
	}
	if (!lxm_empty(x->pool) && storage_pool_get(rq->d, x->pool, &pool, NULL) == 0) {
		*out = lxm_strdup(x->pool);
		return 0;
	}
	return default_pool(rq, out, e);
}

static int fill_row(struct request *rq, struct import_job *j, struct lxm_err *e)
{
	struct db_instance *row = &j->i.row;
	const char *name = rq_header(rq, "name"), *image;
	lxm_auto(free) char *pool = NULL;
	int r = 0;

	*row = j->source.index.row;
	memset(&j->source.index.row, 0, sizeof(j->source.index.row));
	row->project = lxm_strdup(rq_project(rq));
	row->location = lxm_strdup("none");
	if (!lxm_empty(name)) {
		free(row->name);
		row->name = lxm_strdup(name);
		r = conf_name_instance(name, e);
	}
	if (r == 0)
		r = instance_check_free(rq->d, row, e);
	if (r == 0)
		r = drop_taken_macs(rq, &row->config, e);
	if (r == 0)
		r = choose_pool(rq, &j->source.index, &pool, e);
	conf_drop_empty(&row->config);
	if (r == 0)
		r = instance_expand(rq->d, &j->i, e);
	if (r < 0)
		return r;
	instance_pin_root(&j->i, pool);
	image = lxm_kv_get(&row->config, "volatile.base_image");
	if (image && lxm_is_hex(image, 64, 64))
		j->image = lxm_strdup(image);
	return instance_check(rq->d, &j->i, NULL, rq_caller(rq), e);
}

int api_instance_import(struct request *rq, struct lxm_err *e)
{
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Restoring backup", .may_cancel = true,
				.run = import_run, .free_arg = import_free };
	lxm_auto(import_job) struct import_job *j = lxm_alloc(sizeof(*j));
	int r;

	j->source.fd = rq_take_body_fd(rq, &j->source.size);
	r = backup_peek(&j->source, e);
	if (r == 0)
		r = fill_row(rq, j, e);
	if (r < 0)
		return r;
	j->n = (struct instance_new){ .i = &j->i, .source = SOURCE_BACKUP, .backup = &j->source, .image = j->image };
	spec.resources = instance_resources(j->i.row.name);
	spec.arg = LXM_TAKE(j, NULL);
	return reply_op_new(rq, &spec, e);
}
