/* Server configuration: one table of the same shape in either database. */
#include "db/config.h"

#include "db/node.h"
#include "db/sql.h"

static int load(struct db_tx *tx, struct lxm_kv *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, "SELECT key, value FROM config ORDER BY key", NULL);

	lxm_kv_deinit(out);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0)
		lxm_kv_set(out, sql_text(st, 0), sql_text(st, 1));
	return r;
}

static int set_keys(struct db_tx *tx, const struct lxm_kv *kv, struct lxm_err *e)
{
	lxm_kv_each(p, kv) {
		int r = lxm_empty(p->value) ?
				sql_run(tx, e, "DELETE FROM config WHERE key = ?1", "s", p->key) :
				sql_run(tx, e,
					"INSERT INTO config (key, value) VALUES (?1, ?2)"
					" ON CONFLICT DO UPDATE SET value = excluded.value",
					"ss", p->key, p->value);

		if (r < 0)
			return r;
	}
	return 0;
}

static int replace(struct db_tx *tx, const struct lxm_kv *kv, struct lxm_err *e)
{
	int r = sql_run(tx, e, "DELETE FROM config", NULL);

	return r < 0 ? r : set_keys(tx, kv, e);
}

int db_config_load(struct db_tx *tx, struct lxm_kv *out, struct lxm_err *e)
{
	return load(tx, out, e);
}

int db_config_replace(struct db_tx *tx, const struct lxm_kv *kv, struct lxm_err *e)
{
	return replace(tx, kv, e);
}

int db_config_set_keys(struct db_tx *tx, const struct lxm_kv *kv, struct lxm_err *e)
{
	return set_keys(tx, kv, e);
}

int db_node_config_load(struct db_ntx *tx, struct lxm_kv *out, struct lxm_err *e)
{
	return load(&tx->t, out, e);
}

int db_node_config_replace(struct db_ntx *tx, const struct lxm_kv *kv, struct lxm_err *e)
{
	return replace(&tx->t, kv, e);
}

int db_node_config_set_keys(struct db_ntx *tx, const struct lxm_kv *kv, struct lxm_err *e)
{
	return set_keys(&tx->t, kv, e);
}
