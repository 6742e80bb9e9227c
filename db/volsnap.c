/* Snapshots of storage volumes. */
#include <string.h>

#include "db/sql.h"
#include "db/storage.h"

static const struct sql_kv config = SQL_KV("volsnaps_config");

#define SELECT "SELECT id, owner, name, description, created_at, expires_at FROM volsnaps "

void db_volsnap_deinit(struct db_volsnap *s)
{
	free(s->name);
	free(s->description);
	lxm_kv_deinit(&s->config);
	memset(s, 0, sizeof(*s));
}

SQL_LIST_DEINIT(db_volsnap, db_volsnaps)

static int by_age(const void *a, const void *b)
{
	const struct db_volsnap *s = a, *t = b;

	if (s->volume_id != t->volume_id)
		return s->volume_id < t->volume_id ? -1 : 1;
	if (s->created_at != t->created_at)
		return s->created_at < t->created_at ? -1 : 1;
	return s->id < t->id ? -1 : s->id > t->id;
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_volsnaps *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_volsnap *s = SQL_MORE(out);

		s->id = sqlite3_column_int64(st, 0);
		s->volume_id = sqlite3_column_int64(st, 1);
		s->name = sql_dup(st, 2);
		s->description = sql_dup(st, 3);
		s->created_at = sqlite3_column_int64(st, 4);
		s->expires_at = sqlite3_column_int64(st, 5);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_volsnap, config, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_age);
	return r;
}

int db_volsnap_list(struct db_tx *tx, int64_t volume_id, struct db_volsnaps *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_volsnaps_deinit(out);
	r = volume_id ? sql_open(tx, &st, e, SELECT "WHERE owner = ?1 ORDER BY id", "i", volume_id) :
			sql_open(tx, &st, e, SELECT "ORDER BY id", NULL);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_volsnap_list_expired(struct db_tx *tx, lxm_time now, struct db_volsnaps *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_volsnaps_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE expires_at > 0 AND expires_at <= ?1 ORDER BY id", "i", now);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_volsnap_get(struct db_tx *tx, int64_t volume_id, const char *name, struct db_volsnap *out,
		   struct lxm_err *e)
{
	lxm_auto(db_volsnaps) struct db_volsnaps l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE owner = ?1 AND name = ?2", "is", volume_id, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_volsnap_deinit);
}

static int taken(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "volume snapshot '%s' already exists", name);
}

int db_volsnap_create(struct db_tx *tx, struct db_volsnap *s, struct lxm_err *e)
{
	int r;

	if (!s->created_at)
		s->created_at = lxm_now();
	r = sql_run(tx, e,
		    "INSERT INTO volsnaps (owner, name, description, created_at, expires_at)"
		    " VALUES (?1, ?2, ?3, ?4, ?5)",
		    "iszii", s->volume_id, s->name, s->description, s->created_at, s->expires_at);
	if (r == -EEXIST)
		return taken(s->name, e);
	if (r < 0)
		return r;
	s->id = sql_id(tx);
	return sql_save_kv(tx, &config, s->id, &s->config, true, e);
}

int db_volsnap_update(struct db_tx *tx, int64_t id, const char *description, lxm_time expires_at,
		      struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE volsnaps SET description = ?2, expires_at = ?3 WHERE id = ?1", "izi", id,
			description, expires_at);
}

int db_volsnap_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE volsnaps SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? taken(to, e) : r;
}

int db_volsnap_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e)
{
	int64_t found;
	int r = sql_int(tx, &found, e, "SELECT id FROM volsnaps WHERE id = ?1", "i", id);

	return r ? r : sql_set_keys(tx, &config, id, kv, e);
}

int db_volsnap_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM volsnaps WHERE id = ?1", "i", id);
}
