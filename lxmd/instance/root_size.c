/*
 * `size` of the root disk: the limit of the instance's volume, where the file system below the pool keeps one. Elsewhere the key counts only
 * for what the project allows in sum, as in LXD, and a warning says so: one for each project and pool.
 */
#include <string.h>

#include "db/project.h"
#include "db/warning.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lxmd/core/daemon.h"
#include "lxmd/device/device.h"
#include "lxmd/instance/instance.h"
#include "lxmd/storage/pool.h"

uint64_t instance_root_size(const struct instance *i)
{
	uint64_t bytes = 0;

	lxm_devs_each(d, &i->devices)
		if (device_is_root(&d->kv) && lxm_parse_bytes(lxm_kv_or(&d->kv, "size", "0"), &bytes) < 0)
			bytes = 0;
	return bytes;
}

/* ---- a size that nothing keeps */

static const char warning_type[] = "Size of root disks is not kept";

struct unkept {
	const char *project, *url, *message;
};

/* Who shares a host by such sums has nothing else that holds a neighbour back. */
static bool relies_on_it(const struct lxm_kv *config)
{
	lxm_kv_each(p, config)
		if (*p->value && (lxm_streq(p->key, "limits.disk") || lxm_starts(p->key, "limits.disk.pool.")))
			return true;
	return lxm_kv_bool(config, "restricted", false);
}

static int raise_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };
	const struct unkept *u = arg;
	int r = db_project_get_values(tx, u->project, &p, e);

	if (r < 0)
		return r;
	return db_warning_raise(tx, u->project, warning_type, relies_on_it(&p.config) ? DB_SEV_HIGH : DB_SEV_MODERATE, u->url, u->message, e);
}

static void tell(struct lxmd *d, const struct instance *i, const struct pool *pool, const char *message)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/storage-pools/%s", pool_name(pool));
	struct unkept u = { .project = i->row.project, .url = url, .message = message };
	struct lxm_err e = { 0 };

	lxm_warn("instance '%s': %s", i->row.name, message);
	if (db_write_lazy(d->db, raise_tx, &u, &e) < 0)
		lxm_warn("note warning about pool '%s': %s", pool_name(pool), e.msg);
}

static char *text_of(const struct pool *pool)
{
	return lxm_asprintf("nothing keeps the size of root disks in pool '%s': " POOL_QUOTA_HELP, pool_name(pool));
}

static int get_pool(struct lxmd *d, const struct instance *i, struct pool **out, struct lxm_err *e)
{
	return storage_pool_get(d, i->row.pool ? i->row.pool : instance_root_pool(i), out, e);
}

char *instance_root_unkept(struct lxmd *d, const struct instance *i)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;

	if (!instance_root_size(i) || get_pool(d, i, &pool, NULL) < 0 || pool_caps(pool) & POOL_CAP_QUOTA)
		return NULL;
	return text_of(pool);
}

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_warning_list(tx, NULL, arg, e);
}

static int resolve_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct db_warning *w = arg;

	return db_warning_resolve(tx, w->project, w->type, w->entity_url, e);
}

static bool is_over(struct lxmd *d, const struct db_warning *w)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	const char *name = strrchr(w->entity_url, '/');

	return lxm_streq(w->type, warning_type) && w->status != DB_WARN_RESOLVED && name && storage_pool_get(d, name + 1, &pool, NULL) == 0 &&
	       pool_caps(pool) & POOL_CAP_QUOTA;
}

void instance_root_sizes_settle(struct lxmd *d)
{
	lxm_auto(db_warnings) struct db_warnings list = { 0 };
	struct lxm_err e = { 0 };
	size_t k;
	int r = db_read(d->db, list_tx, &list, &e);

	for (k = 0; r == 0 && k < list.n; k++)
		if (is_over(d, &list.v[k]))
			r = db_write_lazy(d->db, resolve_tx, &list.v[k], &e);
	if (r < 0)
		lxm_warn("look at warnings about sizes: %s", e.msg);
}

/* ---- limits */

int instance_root_limit(struct lxmd *d, const struct instance *i, bool anyway, struct lxm_err *e)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(free) char *text = NULL;
	int r = get_pool(d, i, &pool, e);

	if (r < 0)
		return r;
	if (pool_caps(pool) & POOL_CAP_QUOTA)
		return pool_volume_limit(pool, VOLUME_OF_INSTANCE(i->row.project, i->row.name), instance_root_size(i), anyway, e);
	if (instance_root_size(i)) {
		text = text_of(pool);
		tell(d, i, pool, text);
	}
	return 0;
}

int instance_root_resize(struct lxmd *d, const struct instance *was, const struct instance *now, bool anyway, struct lxm_err *e)
{
	return instance_root_size(was) == instance_root_size(now) ? 0 : instance_root_limit(d, now, anyway, e);
}
