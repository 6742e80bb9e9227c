/* Running operations. */
#include "db/operation.h"

#include <string.h>

#include "db/sql.h"

void db_operation_deinit(struct db_operation *o)
{
	free(o->uuid);
	free(o->project);
	free(o->location);
	free(o->description);
	memset(o, 0, sizeof(*o));
}

SQL_LIST_DEINIT(db_operation, db_operations)

int db_operation_list(struct db_tx *tx, const char *project, struct db_operations *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_operations_deinit(out);
	r = sql_open(tx, &st, e,
		     "SELECT id, uuid, project, location, description, created_at FROM operations"
		     " WHERE ?1 IS NULL OR project = ?1 ORDER BY id",
		     "s", project);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0) {
		struct db_operation *o = SQL_MORE(out);

		o->id = sqlite3_column_int64(st, 0);
		o->uuid = sql_dup(st, 1);
		o->project = sql_dup(st, 2);
		o->location = sql_dup(st, 3);
		o->description = sql_dup(st, 4);
		o->created_at = sqlite3_column_int64(st, 5);
	}
	return r;
}

int db_operation_create(struct db_tx *tx, struct db_operation *o, struct lxm_err *e)
{
	int r;

	if (!o->created_at)
		o->created_at = lxm_now();
	r = sql_run(tx, e,
		    "INSERT INTO operations (uuid, project, location, description, created_at)"
		    " VALUES (?1, ?2, ?3, ?4, ?5)",
		    "szszi", o->uuid, o->project, o->location ? o->location : "none", o->description, o->created_at);
	if (r == 0)
		o->id = sql_id(tx);
	return r;
}

int db_operation_delete(struct db_tx *tx, const char *uuid, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM operations WHERE uuid = ?1", "s", uuid);
}

int db_operation_clear(struct db_tx *tx, const char *location, struct lxm_err *e)
{
	return sql_run(tx, e, "DELETE FROM operations WHERE location = ?1", "s", location ? location : "none");
}
