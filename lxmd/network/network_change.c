/*
 * Creating, editing, renaming and deleting managed networks.
 *
 * Worker threads. Each holds `change` from beginning to end, so that there is one change to networks at a time, and
 * leaves things as they were when a step fails. The row is written as pending before the host is touched: a crash in
 * between is undone at the next start.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lib/conf/conf.h"
#include "lxmd/core/quota.h"
#include "lxmd/network/network_priv.h"
#include "lxmd/network/subnet.h"

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct db_network *n = arg;
	int r = db_network_create(tx, n, e);

	return r == 0 ? quota_check(tx, n->project, QUOTA_OF_NETWORKS, e) : r;
}

static int update_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_network_update(tx, arg, e);
}

static int created_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_network_set_state(tx, *(const int64_t *)arg, DB_CREATED, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_network_delete(tx, *(const int64_t *)arg, e);
}

struct rename_job {
	int64_t id;
	const char *to;
};

static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct rename_job *j = arg;

	return db_network_rename(tx, j->id, j->to, e);
}

struct used_job {
	const char *name;
	size_t users;
	char first[200];
};

static int used_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_network) struct db_network row = { 0 };
	struct used_job *j = arg;
	int r = db_network_get(tx, "default", j->name, &row, e);

	j->users = 0;
	if (r == 0 && row.used_by.n) {
		j->users = row.used_by.n;
		(void)snprintf(j->first, sizeof(j->first), "%s", row.used_by.v[0]);
	}
	return r;
}

static int refuse_if_used(struct lxmd *d, const char *name, const char *what, struct lxm_err *e)
{
	struct used_job job = { .name = name };
	const char *s;
	int r = db_read(d->db, used_tx, &job, e);

	if (r < 0)
		return r;
	s = job.users == 1 ? "" : "s";
	if (job.users)
		return lxm_err_http(e, 400, EBUSY, "network '%s' cannot be %s: it is in use by %zu instance%s or profile%s, among them %s",
				    name, what, job.users, s, s, job.first);
	return 0;
}

static struct network *find(struct networks *ns, const char *name)
{
	struct network *n;

	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	pthread_mutex_unlock(&ns->lock);
	return n;
}

static int find_managed(struct lxmd *d, const char *name, struct network **out, struct lxm_err *e)
{
	*out = find(d->networks, name);
	if (*out)
		return 0;
	if (strlen(name) < IFNAMSIZ && if_nametoindex(name))
		return lxm_err_http(e, 400, EINVAL, "link '%s' is not managed by lxm", name);
	return lxm_err_set(e, ENOENT, "network '%s' not found", name);
}

static int name_is_free(struct lxmd *d, const char *name, struct lxm_err *e)
{
	if (find(d->networks, name))
		return lxm_err_set(e, EEXIST, "network '%s' already exists", name);
	if (if_nametoindex(name))
		return lxm_err_set(e, EEXIST, "a link '%s' exists on the host already: choose another name", name);
	return 0;
}

/* ---- create */

/* Row, host, final state; each undone when a later one fails. */
static int create_steps(struct lxmd *d, struct db_network *row, struct lxm_err *e)
{
	struct network *n = NULL;
	int r;

	r = db_write(d->db, create_tx, row, e);
	if (r < 0)
		return r;
	r = network_object(d, row, &n, e);
	if (r < 0)
		goto undo_row;
	networks_insert(d->networks, n);
	r = network_bring_up(n, e);
	if (r == 0)
		r = db_write(d->db, created_tx, &row->id, e);
	if (r == 0)
		return 0;
	(void)n->type->stop(n, NULL);
	network_warn(d, n->name, "Network unavailable", NULL);
	networks_remove(d->networks, n);
	network_object_free(n);
undo_row:
	(void)lxm_rm_tree_at(d->dirs.networks.fd, row->name);
	(void)db_write(d->db, delete_tx, &row->id, NULL);
	return r;
}

static int create_locked(struct lxmd *d, struct db_network *row, const struct network_type *type,
			 struct lxm_err *e)
{
	lxm_auto(fd_close) int subnets = -1;
	int r = name_is_free(d, row->name, e);

	if (r < 0)
		return r;
	subnets = subnet_lock();
	r = type->fill(d, true, &row->config, e);
	return r < 0 ? r : create_steps(d, row, e);
}

int network_create(struct lxmd *d, const char *name, const char *type, const char *description,
		   const struct lxm_kv *config, struct lxm_err *e)
{
	const struct network_type *t = network_type_find(type);
	lxm_auto(db_network) struct db_network row = { .state = DB_PENDING };
	int r = conf_name_network(name, e);

	if (r < 0)
		return r;
	if (!t)
		return lxm_err_http(e, 400, EOPNOTSUPP, "network type '%s' is not supported: use bridge, macvlan or physical", type);
	row.project = lxm_strdup("default");
	row.name = lxm_strdup(name);
	row.type = lxm_strdup(t->name);
	row.description = lxm_strdup(description ? description : "");
	lxm_kv_copy(&row.config, config);
	conf_drop_empty(&row.config);
	r = t->validate(name, &row.config, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "network '%s'", name);
	pthread_mutex_lock(&d->networks->change);
	r = create_locked(d, &row, t, e);
	pthread_mutex_unlock(&d->networks->change);
	return r < 0 ? lxm_err_wrap(e, r, "create network '%s'", name) : 0;
}

/* ---- update */

/* Swap configuration and description between object and row. */
static void swap(struct network *n, struct lxm_kv *config, char **description)
{
	struct networks *ns = n->d->networks;
	struct lxm_kv kv;
	char *text;

	pthread_mutex_lock(&ns->lock);
	kv = n->config;
	n->config = *config;
	*config = kv;
	text = n->description;
	n->description = *description;
	*description = text;
	pthread_mutex_unlock(&ns->lock);
}

/* Host first, then the row; back again when either fails. */
static int apply(struct network *n, const struct db_network *row, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv next = { 0 };
	lxm_auto(free) char *text = lxm_strdup(row->description);
	int r;

	lxm_kv_copy(&next, &row->config);
	swap(n, &next, &text);
	r = network_bring_up(n, e);
	if (r == 0)
		r = db_write(n->d->db, update_tx, (void *)row, e);
	if (r < 0) {
		swap(n, &next, &text);
		(void)network_bring_up(n, NULL);
	}
	return r;
}

static int update_locked(struct lxmd *d, const char *name, const char *description, const struct lxm_kv *config,
			 struct lxm_err *e)
{
	lxm_auto(db_network) struct db_network row = { 0 };
	lxm_auto(fd_close) int subnets = -1;
	struct network *n;
	int r;

	r = find_managed(d, name, &n, e);
	if (r < 0)
		return r;
	row.id = n->id;
	row.project = lxm_strdup("default");
	row.name = lxm_strdup(name);
	row.type = lxm_strdup(n->type->name);
	row.description = lxm_strdup(description ? description : "");
	lxm_kv_copy(&row.config, config);
	conf_drop_empty(&row.config);
	r = n->type->validate(name, &row.config, e);
	if (r < 0)
		return r;
	subnets = subnet_lock();
	r = n->type->fill(d, false, &row.config, e);
	if (r < 0)
		return r;
	return apply(n, &row, e);
}

int network_update(struct lxmd *d, const char *name, const char *description, const struct lxm_kv *config,
		   struct lxm_err *e)
{
	int r;

	pthread_mutex_lock(&d->networks->change);
	r = update_locked(d, name, description, config, e);
	pthread_mutex_unlock(&d->networks->change);
	return r < 0 ? lxm_err_wrap(e, r, "network '%s'", name) : 0;
}

/* ---- rename, delete */

/* The object under its new name, or the old one back. n is consumed. */
static int rename_steps(struct lxmd *d, struct network *n, const char *to, struct lxm_err *e)
{
	struct rename_job job = { n->id, to };
	lxm_auto(db_network) struct db_network row = { .id = n->id };
	struct network *fresh = NULL;
	int r;

	row.name = lxm_strdup(n->name);
	row.type = lxm_strdup(n->type->name);
	row.description = lxm_strdup(n->description);
	lxm_kv_copy(&row.config, &n->config);
	networks_remove(d->networks, n);
	network_object_free(n);
	r = db_write(d->db, rename_tx, &job, e);
	if (r == 0) {
		(void)lxm_rm_tree_at(d->dirs.networks.fd, row.name);
		network_warn(d, row.name, "Network unavailable", NULL);
		free(row.name);
		row.name = lxm_strdup(to);
	}
	if (network_object(d, &row, &fresh, r == 0 ? e : NULL) < 0)
		return r < 0 ? r : -EIO;
	networks_insert(d->networks, fresh);
	if (network_bring_up(fresh, r == 0 ? e : NULL) < 0 && r == 0)
		r = -EIO;
	return r;
}

static int rename_locked(struct lxmd *d, const char *name, const char *to, struct lxm_err *e)
{
	struct network *n;
	int r;

	r = find_managed(d, name, &n, e);
	if (r == 0)
		r = name_is_free(d, to, e);
	if (r == 0)
		r = refuse_if_used(d, name, "renamed", e);
	if (r == 0)
		r = n->type->stop(n, e);
	return r < 0 ? r : rename_steps(d, n, to, e);
}

int network_rename(struct lxmd *d, const char *name, const char *new_name, struct lxm_err *e)
{
	int r = conf_name_network(new_name, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&d->networks->change);
	r = rename_locked(d, name, new_name, e);
	pthread_mutex_unlock(&d->networks->change);
	return r;
}

static int delete_locked(struct lxmd *d, const char *name, struct lxm_err *e)
{
	struct network *n;
	int r;

	r = find_managed(d, name, &n, e);
	if (r == 0)
		r = refuse_if_used(d, name, "deleted", e);
	if (r < 0)
		return r;
	r = n->type->stop(n, e);
	if (r == 0)
		r = db_write(d->db, delete_tx, &n->id, e);
	if (r < 0) {
		(void)network_bring_up(n, NULL);
		return r;
	}
	network_warn(d, name, "Network unavailable", NULL);
	networks_remove(d->networks, n);
	(void)lxm_rm_tree_at(d->dirs.networks.fd, n->name);
	network_object_free(n);
	return 0;
}

int network_delete(struct lxmd *d, const char *name, struct lxm_err *e)
{
	int r;

	pthread_mutex_lock(&d->networks->change);
	r = delete_locked(d, name, e);
	pthread_mutex_unlock(&d->networks->change);
	return r;
}

int network_free_name(struct lxmd *d, char out[IFNAMSIZ], struct lxm_err *e)
{
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		(void)snprintf(out, IFNAMSIZ, "lxmbr%u", i % 1000);
		if (name_is_free(d, out, NULL) == 0)
			return 0;
	}
	return lxm_err_set(e, EEXIST, "no free name lxmbr0 ... lxmbr999 for a bridge");
}
