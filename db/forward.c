/* Network forwards. Their ports are kept as the JSON of the API: nothing here looks into them. */
#include <string.h>

#include "db/network.h"
#include "db/sql.h"

static const struct sql_kv config = SQL_KV("forwards_config");

#define SELECT "SELECT id, owner, listen_address, description, ports FROM forwards "

void db_forward_deinit(struct db_forward *f)
{
	free(f->listen_address);
	free(f->description);
	free(f->ports);
	lxm_kv_deinit(&f->config);
	memset(f, 0, sizeof(*f));
}

SQL_LIST_DEINIT(db_forward, db_forwards)

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_forwards *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_forward *f = SQL_MORE(out);

		f->id = sqlite3_column_int64(st, 0);
		f->network_id = sqlite3_column_int64(st, 1);
		f->listen_address = sql_dup(st, 2);
		f->description = sql_dup(st, 3);
		f->ports = sql_dup(st, 4);
	}
	return r < 0 ? r : SQL_LOAD_KV(tx, &config, out, struct db_forward, config, e);
}

int db_forward_list(struct db_tx *tx, int64_t network_id, struct db_forwards *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_forwards_deinit(out);
	r = network_id ? sql_open(tx, &st, e, SELECT "WHERE owner = ?1 ORDER BY id", "i", network_id) :
			 sql_open(tx, &st, e, SELECT "ORDER BY id", NULL);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_forward_get(struct db_tx *tx, int64_t network_id, const char *address, struct db_forward *out,
		   struct lxm_err *e)
{
	lxm_auto(db_forwards) struct db_forwards l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE owner = ?1 AND listen_address = ?2", "is", network_id, address);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_forward_deinit);
}

int db_forward_create(struct db_tx *tx, struct db_forward *f, struct lxm_err *e)
{
	int r = sql_run(tx, e,
			"INSERT INTO forwards (owner, listen_address, description, ports) VALUES (?1, ?2, ?3, ?4)",
			"iszs", f->network_id, f->listen_address, f->description, f->ports ? f->ports : "[]");

	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "network forward '%s' already exists", f->listen_address);
	if (r < 0)
		return r;
	f->id = sql_id(tx);
	return sql_save_kv(tx, &config, f->id, &f->config, true, e);
}

int db_forward_update(struct db_tx *tx, const struct db_forward *f, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE forwards SET description = ?2, ports = ?3 WHERE id = ?1", "izs", f->id,
			 f->description, f->ports ? f->ports : "[]");

	return r ? r : sql_save_kv(tx, &config, f->id, &f->config, false, e);
}

int db_forward_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM forwards WHERE id = ?1", "i", id);
}
