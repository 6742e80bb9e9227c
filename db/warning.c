/* Warnings. */
#include "db/warning.h"

#include <string.h>

#include "db/sql.h"

#define SELECT                                                                                             \
	"SELECT id, uuid, project, location, type, entity_url, last_message, status, severity, count,"    \
	" first_seen_at, last_seen_at FROM warnings "

void db_warning_deinit(struct db_warning *w)
{
	free(w->uuid);
	free(w->project);
	free(w->location);
	free(w->type);
	free(w->entity_url);
	free(w->last_message);
	memset(w, 0, sizeof(*w));
}

SQL_LIST_DEINIT(db_warning, db_warnings)

const char *db_warning_status_name(int status)
{
	switch (status) {
	case DB_WARN_ACKNOWLEDGED:
		return "acknowledged";
	case DB_WARN_RESOLVED:
		return "resolved";
	default:
		return "new";
	}
}

const char *db_severity_name(int severity)
{
	switch (severity) {
	case DB_SEV_HIGH:
		return "high";
	case DB_SEV_MODERATE:
		return "moderate";
	default:
		return "low";
	}
}

int db_warning_raise(struct db_tx *tx, const char *project, const char *type, int severity, const char *entity_url,
		     const char *message, struct lxm_err *e)
{
	lxm_time now = lxm_now();
	char uuid[37];

	lxm_uuid(uuid);
	return sql_run(tx, e,
		       "INSERT INTO warnings (uuid, project, type, entity_url, last_message, status, severity, count,"
		       " first_seen_at, last_seen_at) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, 1, ?7, ?7)"
		       " ON CONFLICT (location, project, type, entity_url) DO UPDATE SET count = count + 1,"
		       " last_seen_at = excluded.last_seen_at, last_message = excluded.last_message,"
		       " severity = excluded.severity, status = CASE status WHEN 3 THEN 1 ELSE status END",
		       "szszzdi", uuid, project, type, entity_url, message, severity, now);
}

int db_warning_resolve(struct db_tx *tx, const char *project, const char *type, const char *entity_url,
		       struct lxm_err *e)
{
	return sql_run(tx, e, "UPDATE warnings SET status = 3 WHERE project = ?1 AND type = ?2 AND entity_url = ?3",
		       "zsz", project, type, entity_url);
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_warnings *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_warning *w = SQL_MORE(out);

		w->id = sqlite3_column_int64(st, 0);
		w->uuid = sql_dup(st, 1);
		w->project = sql_dup(st, 2);
		w->location = sql_dup(st, 3);
		w->type = sql_dup(st, 4);
		w->entity_url = sql_dup(st, 5);
		w->last_message = sql_dup(st, 6);
		w->status = sqlite3_column_int(st, 7);
		w->severity = sqlite3_column_int(st, 8);
		w->count = sqlite3_column_int64(st, 9);
		w->first_seen_at = sqlite3_column_int64(st, 10);
		w->last_seen_at = sqlite3_column_int64(st, 11);
	}
	return r;
}

int db_warning_list(struct db_tx *tx, const char *project, struct db_warnings *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_warnings_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE ?1 IS NULL OR project IN (?1, '') ORDER BY last_seen_at, id", "s", project);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_warning_get(struct db_tx *tx, const char *uuid, struct db_warning *out, struct lxm_err *e)
{
	lxm_auto(db_warnings) struct db_warnings l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE uuid = ?1", "s", uuid);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_warning_deinit);
}

int db_warning_set_status(struct db_tx *tx, const char *uuid, int status, struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE warnings SET status = ?2 WHERE uuid = ?1", "sd", uuid, status);
}

int db_warning_delete(struct db_tx *tx, const char *uuid, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM warnings WHERE uuid = ?1", "s", uuid);
}

int db_warning_prune(struct db_tx *tx, lxm_time before, struct lxm_err *e)
{
	return sql_run(tx, e, "DELETE FROM warnings WHERE status = 3 AND last_seen_at < ?1", "i", before);
}
