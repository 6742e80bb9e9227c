/* Storage pools. */
#include <string.h>

#include "db/sql.h"
#include "db/storage.h"

static const struct sql_kv config = SQL_KV("pools_config");

/* who lives on a pool: instances by their row, others by their volumes, profiles by a disk device that names it */
#define USED_BY                                                                                           \
	"SELECT x.pool_id, x.kind, p.name, x.name, x.pool FROM ("                                         \
	"  SELECT pool_id, 'instances' AS kind, project_id, name, NULL AS pool FROM instances"           \
	"    WHERE pool_id BETWEEN ?1 AND ?2"                                                            \
	"  UNION ALL SELECT v.pool_id, 'volumes', v.project_id, v.name, o.name FROM volumes v"           \
	"    JOIN pools o ON o.id = v.pool_id WHERE v.type = 2 AND v.pool_id BETWEEN ?1 AND ?2"          \
	"  UNION ALL SELECT pool_id, 'images', project_id, name, NULL FROM volumes"                      \
	"    WHERE type = 3 AND pool_id BETWEEN ?1 AND ?2"                                               \
	"  UNION ALL SELECT DISTINCT o.id, 'profiles', f.project_id, f.name, NULL FROM pools o"          \
	"    JOIN profiles_devices d ON d.key = 'pool' AND d.value = o.name"                             \
	"    JOIN profiles f ON f.id = d.owner WHERE o.id BETWEEN ?1 AND ?2"                             \
	") x JOIN projects p ON p.id = x.project_id ORDER BY x.pool_id, x.kind, p.name, x.name"

void db_pool_deinit(struct db_pool *p)
{
	free(p->name);
	free(p->description);
	free(p->driver);
	lxm_kv_deinit(&p->config);
	lxm_strv_deinit(&p->used_by);
	memset(p, 0, sizeof(*p));
}

SQL_LIST_DEINIT(db_pool, db_pools)

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct db_pool *)a)->name, ((const struct db_pool *)b)->name);
}

static int load(struct db_tx *tx, const char *name, struct db_pools *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_pools_deinit(out);
	r = sql_open(tx, &st, e,
		     "SELECT id, name, description, driver, state FROM pools WHERE ?1 IS NULL OR name = ?1 ORDER BY id",
		     "s", name);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0) {
		struct db_pool *p = SQL_MORE(out);

		p->id = sqlite3_column_int64(st, 0);
		p->name = sql_dup(st, 1);
		p->description = sql_dup(st, 2);
		p->driver = sql_dup(st, 3);
		p->state = sqlite3_column_int(st, 4);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_pool, config, e);
	if (r == 0)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_pool, used_by, e);
	return r;
}

int db_pool_list(struct db_tx *tx, struct db_pools *out, struct lxm_err *e)
{
	int r = load(tx, NULL, out, e);

	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

int db_pool_get(struct db_tx *tx, const char *name, struct db_pool *out, struct lxm_err *e)
{
	lxm_auto(db_pools) struct db_pools l = { 0 };
	int r = load(tx, name, &l, e);

	return r < 0 ? r : SQL_ONLY(&l, out, db_pool_deinit);
}

int db_pool_create(struct db_tx *tx, struct db_pool *p, struct lxm_err *e)
{
	int r = sql_run(tx, e, "INSERT INTO pools (name, description, driver, state) VALUES (?1, ?2, ?3, ?4)", "szsd",
			p->name, p->description, p->driver, p->state);

	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "storage pool '%s' already exists", p->name);
	if (r < 0)
		return r;
	p->id = sql_id(tx);
	return sql_save_kv(tx, &config, p->id, &p->config, true, e);
}

int db_pool_update(struct db_tx *tx, const struct db_pool *p, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE pools SET description = ?2 WHERE id = ?1", "iz", p->id, p->description);

	return r ? r : sql_save_kv(tx, &config, p->id, &p->config, false, e);
}

int db_pool_set_state(struct db_tx *tx, int64_t id, int state, struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE pools SET state = ?2 WHERE id = ?1", "id", id, state);
}

int db_pool_delete(struct db_tx *tx, const char *name, struct lxm_err *e)
{
	lxm_auto(db_pool) struct db_pool p = { 0 };
	size_t k;
	int r = db_pool_get(tx, name, &p, e);

	if (r)
		return r;
	for (k = 0; k < p.used_by.n; k++) {
		if (lxm_starts(p.used_by.v[k], "/1.0/images/"))
			continue; /* unpacked copies, made again when needed */
		return lxm_err_set(e, EBUSY, "storage pool '%s' is in use by %s", name, p.used_by.v[k]);
	}
	r = sql_run(tx, e, "DELETE FROM volumes WHERE pool_id = ?1 AND type = ?2", "id", p.id, (int)DB_VOL_IMAGE);
	if (r == 0)
		r = sql_run1(tx, e, "DELETE FROM pools WHERE id = ?1", "i", p.id);
	return r == -EBUSY ? lxm_err_set(e, EBUSY, "storage pool '%s' still holds volumes", name) : r;
}
