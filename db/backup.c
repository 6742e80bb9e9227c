/* Backups of instances. */
#include "db/backup.h"

#include <string.h>

#include "db/sql.h"

#define SELECT                                                                                                             \
	"SELECT b.id, b.owner, p.name, i.name, b.name, b.file, b.created_at, b.expires_at, b.instance_only FROM backups b" \
	" JOIN instances i ON i.id = b.owner JOIN projects p ON p.id = i.project_id "

void db_backup_deinit(struct db_backup *b)
{
	free(b->project);
	free(b->instance);
	free(b->name);
	free(b->file);
	memset(b, 0, sizeof(*b));
}

SQL_LIST_DEINIT(db_backup, db_backups)

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_backups *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_backup *b = SQL_MORE(out);

		b->id = sqlite3_column_int64(st, 0);
		b->instance_id = sqlite3_column_int64(st, 1);
		b->project = sql_dup(st, 2);
		b->instance = sql_dup(st, 3);
		b->name = sql_dup(st, 4);
		b->file = sql_dup(st, 5);
		b->created_at = sqlite3_column_int64(st, 6);
		b->expires_at = sqlite3_column_int64(st, 7);
		b->instance_only = sqlite3_column_int(st, 8);
	}
	return r;
}

int db_backup_list(struct db_tx *tx, int64_t instance_id, struct db_backups *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_backups_deinit(out);
	r = instance_id ? sql_open(tx, &st, e, SELECT "WHERE b.owner = ?1 ORDER BY b.id", "i", instance_id) :
			  sql_open(tx, &st, e, SELECT "ORDER BY b.owner, b.id", NULL);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_backup_list_expired(struct db_tx *tx, lxm_time now, struct db_backups *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_backups_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE b.expires_at > 0 AND b.expires_at <= ?1 ORDER BY b.id", "i", now);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_backup_get(struct db_tx *tx, int64_t instance_id, const char *name, struct db_backup *out, struct lxm_err *e)
{
	lxm_auto(db_backups) struct db_backups l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE b.owner = ?1 AND b.name = ?2", "is", instance_id, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_backup_deinit);
}

int db_backup_create(struct db_tx *tx, struct db_backup *b, struct lxm_err *e)
{
	int r = sql_run(tx, e,
			"INSERT INTO backups (owner, name, file, created_at, expires_at, instance_only)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			"issiid", b->instance_id, b->name, b->file, b->created_at, b->expires_at, b->instance_only);

	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "backup '%s' already exists", b->name);
	if (r == 0)
		b->id = sql_id(tx);
	return r;
}

int db_backup_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE backups SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? lxm_err_set(e, EEXIST, "backup '%s' already exists", to) : r;
}

int db_backup_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM backups WHERE id = ?1", "i", id);
}
