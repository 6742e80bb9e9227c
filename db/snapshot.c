/* Snapshots of instances. */
#include "db/snapshot.h"

#include <string.h>

#include "db/sql.h"

static const struct sql_kv config = SQL_KV("snapshots_config");
static const struct sql_devs devices = SQL_DEVS("snapshots_devices");

#define PROFILES \
	"SELECT owner, name FROM snapshots_profiles WHERE owner BETWEEN ?1 AND ?2 ORDER BY owner, position"

#define SELECT                                                                                              \
	"SELECT s.id, s.owner, p.name, i.name, s.name, s.description, s.architecture, s.ephemeral, s.stateful," \
	" s.created_at, s.expires_at FROM snapshots s JOIN instances i ON i.id = s.owner"                   \
	" JOIN projects p ON p.id = i.project_id "

void db_snapshot_deinit(struct db_snapshot *s)
{
	free(s->project);
	free(s->instance);
	free(s->name);
	free(s->description);
	free(s->architecture);
	lxm_kv_deinit(&s->config);
	lxm_devs_deinit(&s->devices);
	lxm_strv_deinit(&s->profiles);
	memset(s, 0, sizeof(*s));
}

SQL_LIST_DEINIT(db_snapshot, db_snapshots)

static int by_age(const void *a, const void *b)
{
	const struct db_snapshot *s = a, *t = b;

	if (s->instance_id != t->instance_id)
		return s->instance_id < t->instance_id ? -1 : 1;
	if (s->created_at != t->created_at)
		return s->created_at < t->created_at ? -1 : 1;
	return s->id < t->id ? -1 : s->id > t->id;
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_snapshots *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_snapshot *s = SQL_MORE(out);

		s->id = sqlite3_column_int64(st, 0);
		s->instance_id = sqlite3_column_int64(st, 1);
		s->project = sql_dup(st, 2);
		s->instance = sql_dup(st, 3);
		s->name = sql_dup(st, 4);
		s->description = sql_dup(st, 5);
		s->architecture = sql_dup(st, 6);
		s->ephemeral = sqlite3_column_int(st, 7);
		s->stateful = sqlite3_column_int(st, 8);
		s->created_at = sqlite3_column_int64(st, 9);
		s->expires_at = sqlite3_column_int64(st, 10);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_snapshot, config, e);
	if (r == 0)
		r = SQL_LOAD_DEVS(tx, &devices, out, struct db_snapshot, devices, e);
	if (r == 0)
		r = SQL_LOAD_NAMES(tx, PROFILES, out, struct db_snapshot, profiles, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_age);
	return r;
}

int db_snapshot_list(struct db_tx *tx, int64_t instance_id, struct db_snapshots *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_snapshots_deinit(out);
	r = instance_id ? sql_open(tx, &st, e, SELECT "WHERE s.owner = ?1 ORDER BY s.id", "i", instance_id) :
			  sql_open(tx, &st, e, SELECT "ORDER BY s.id", NULL);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_snapshot_list_expired(struct db_tx *tx, lxm_time now, struct db_snapshots *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_snapshots_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE s.expires_at > 0 AND s.expires_at <= ?1 ORDER BY s.id", "i", now);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_snapshot_get(struct db_tx *tx, int64_t instance_id, const char *name, struct db_snapshot *out,
		    struct lxm_err *e)
{
	lxm_auto(db_snapshots) struct db_snapshots l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE s.owner = ?1 AND s.name = ?2", "is", instance_id, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_snapshot_deinit);
}

int db_snapshot_create(struct db_tx *tx, struct db_snapshot *s, struct lxm_err *e)
{
	size_t k;
	int r;

	if (!s->created_at)
		s->created_at = lxm_now();
	r = sql_run(tx, e,
		    "INSERT INTO snapshots (owner, name, description, architecture, ephemeral, stateful, created_at,"
		    " expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
		    "iszzddii", s->instance_id, s->name, s->description, s->architecture, s->ephemeral, s->stateful,
		    s->created_at, s->expires_at);
	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "snapshot '%s' already exists", s->name);
	if (r < 0)
		return r;
	s->id = sql_id(tx);
	r = sql_save_kv(tx, &config, s->id, &s->config, true, e);
	if (r == 0)
		r = sql_save_devs(tx, &devices, s->id, &s->devices, true, e);
	for (k = 0; r == 0 && k < s->profiles.n; k++)
		r = sql_run(tx, e, "INSERT INTO snapshots_profiles (owner, position, name) VALUES (?1, ?2, ?3)", "ids",
			    s->id, (int)k, s->profiles.v[k]);
	return r;
}

int db_snapshot_update(struct db_tx *tx, int64_t id, const char *description, lxm_time expires_at,
		       struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE snapshots SET description = ?2, expires_at = ?3 WHERE id = ?1", "izi", id,
			description, expires_at);
}

int db_snapshot_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e)
{
	int64_t found;
	int r = sql_int(tx, &found, e, "SELECT id FROM snapshots WHERE id = ?1", "i", id);

	return r ? r : sql_set_keys(tx, &config, id, kv, e);
}

int db_snapshot_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE snapshots SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? lxm_err_set(e, EEXIST, "snapshot '%s' already exists", to) : r;
}

int db_snapshot_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM snapshots WHERE id = ?1", "i", id);
}
