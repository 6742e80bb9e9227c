/* Image aliases. */
#include <string.h>

#include "db/image.h"
#include "db/sql.h"

#define SELECT                                                                                          \
	"SELECT a.id, p.name, a.name, a.description, i.fingerprint, i.type FROM aliases a"              \
	" JOIN projects p ON p.id = a.project_id JOIN images i ON i.id = a.image_id "

void db_alias_deinit(struct db_alias *a)
{
	free(a->project);
	free(a->name);
	free(a->description);
	free(a->fingerprint);
	memset(a, 0, sizeof(*a));
}

SQL_LIST_DEINIT(db_alias, db_aliases)

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_aliases *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_alias *a = SQL_MORE(out);

		a->id = sqlite3_column_int64(st, 0);
		a->project = sql_dup(st, 1);
		a->name = sql_dup(st, 2);
		a->description = sql_dup(st, 3);
		a->fingerprint = sql_dup(st, 4);
		a->type = sqlite3_column_int(st, 5);
	}
	return r;
}

int db_alias_list(struct db_tx *tx, const char *project, bool public_only, struct db_aliases *out,
		  struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_aliases_deinit(out);
	r = sql_open(tx, &st, e,
		     SELECT "WHERE (?1 IS NULL OR p.name = ?1) AND i.public >= ?2 ORDER BY p.name, a.name", "sd",
		     project, public_only);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_alias_get(struct db_tx *tx, const char *project, const char *name, struct db_alias *out, struct lxm_err *e)
{
	lxm_auto(db_aliases) struct db_aliases l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE p.name = ?1 AND a.name = ?2", "ss", project, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_alias_deinit);
}

static int taken(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "image alias '%s' already exists", name);
}

static int no_image(const char *fingerprint, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "image '%s' not found", fingerprint ? fingerprint : "");
}

int db_alias_create(struct db_tx *tx, const char *project, const char *name, const char *description,
		    const char *fingerprint, struct lxm_err *e)
{
	int r = sql_run1(tx, e,
			 "INSERT INTO aliases (project_id, name, description, image_id)"
			 " SELECT p.id, ?2, ?3, i.id FROM projects p JOIN images i ON i.project_id = p.id"
			 " WHERE p.name = ?1 AND i.fingerprint = ?4",
			 "sszs", project, name, description, fingerprint);

	if (r == DB_NONE)
		return no_image(fingerprint, e);
	return r == -EEXIST ? taken(name, e) : r;
}

int db_alias_update(struct db_tx *tx, const char *project, const char *name, const char *description,
		    const char *fingerprint, struct lxm_err *e)
{
	int64_t image;
	int r = sql_int(tx, &image, e,
			"SELECT i.id FROM projects p JOIN images i ON i.project_id = p.id"
			" WHERE p.name = ?1 AND i.fingerprint = ?2",
			"ss", project, fingerprint);

	if (r == DB_NONE)
		return no_image(fingerprint, e);
	if (r < 0)
		return r;
	return sql_run1(tx, e,
			"UPDATE aliases SET description = ?3, image_id = ?4 WHERE name = ?2"
			" AND project_id = (SELECT id FROM projects WHERE name = ?1)",
			"sszi", project, name, description, image);
}

int db_alias_rename(struct db_tx *tx, const char *project, const char *name, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e,
			 "UPDATE aliases SET name = ?3 WHERE name = ?2"
			 " AND project_id = (SELECT id FROM projects WHERE name = ?1)",
			 "sss", project, name, to);

	return r == -EEXIST ? taken(to, e) : r;
}

int db_alias_delete(struct db_tx *tx, const char *project, const char *name, struct lxm_err *e)
{
	return sql_run1(tx, e,
			"DELETE FROM aliases WHERE name = ?2"
			" AND project_id = (SELECT id FROM projects WHERE name = ?1)",
			"ss", project, name);
}

int db_alias_move(struct db_tx *tx, int64_t from_image, int64_t to_image, struct lxm_err *e)
{
	return sql_run(tx, e, "UPDATE aliases SET image_id = ?2 WHERE image_id = ?1", "ii", from_image, to_image);
}
