/* Instances: rows with config, devices and profiles. */
#include "db/instance.h"

#include <string.h>

#include "db/sql.h"
#include "lib/base/alloc.h"

static const struct sql_kv config = SQL_KV("instances_config");
static const struct sql_devs devices = SQL_DEVS("instances_devices");

#define PROFILES                                                                             \
	"SELECT ip.owner, f.name FROM instances_profiles ip JOIN profiles f ON f.id = ip.profile_id" \
	" WHERE ip.owner BETWEEN ?1 AND ?2 ORDER BY ip.owner, ip.position"

#define SELECT                                                                                             \
	"SELECT i.id, p.name, i.name, i.description, i.architecture, i.location, o.name, i.type, i.ephemeral," \
	" i.stateful, i.created_at, i.last_used_at FROM instances i JOIN projects p ON p.id = i.project_id" \
	" LEFT JOIN pools o ON o.id = i.pool_id "

void db_instance_deinit(struct db_instance *i)
{
	free(i->project);
	free(i->name);
	free(i->description);
	free(i->architecture);
	free(i->location);
	free(i->pool);
	lxm_kv_deinit(&i->config);
	lxm_devs_deinit(&i->devices);
	lxm_strv_deinit(&i->profiles);
	memset(i, 0, sizeof(*i));
}

SQL_LIST_DEINIT(db_instance, db_instances)

void db_instance_copy(struct db_instance *to, const struct db_instance *from)
{
	db_instance_deinit(to);
	*to = *from;
	to->project = lxm_strdup(from->project);
	to->name = lxm_strdup(from->name);
	to->description = lxm_strdup(from->description);
	to->architecture = lxm_strdup(from->architecture);
	to->location = lxm_strdup(from->location);
	to->pool = lxm_strdup(from->pool);
	memset(&to->config, 0, sizeof(to->config));
	memset(&to->devices, 0, sizeof(to->devices));
	memset(&to->profiles, 0, sizeof(to->profiles));
	lxm_kv_copy(&to->config, &from->config);
	lxm_devs_copy(&to->devices, &from->devices);
	lxm_strv_copy(&to->profiles, &from->profiles);
}

static int by_name(const void *a, const void *b)
{
	const struct db_instance *p = a, *q = b;
	int c = strcmp(p->project, q->project);

	return c ? c : strcmp(p->name, q->name);
}

/* Rows of an opened SELECT, by id, then their children. */
static int load(struct db_tx *tx, sqlite3_stmt *st, unsigned int with, struct db_instances *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_instance *i = SQL_MORE(out);

		i->id = sqlite3_column_int64(st, 0);
		i->project = sql_dup(st, 1);
		i->name = sql_dup(st, 2);
		i->description = sql_dup(st, 3);
		i->architecture = sql_dup(st, 4);
		i->location = sql_dup(st, 5);
		i->pool = sql_dup(st, 6);
		i->type = sqlite3_column_int(st, 7);
		i->ephemeral = sqlite3_column_int(st, 8);
		i->stateful = sqlite3_column_int(st, 9);
		i->created_at = sqlite3_column_int64(st, 10);
		i->last_used_at = sqlite3_column_int64(st, 11);
	}
	if (r == 0 && (with & DB_WITH_CONFIG))
		r = SQL_LOAD_KV(tx, &config, out, struct db_instance, config, e);
	if (r == 0 && (with & DB_WITH_DEVICES))
		r = SQL_LOAD_DEVS(tx, &devices, out, struct db_instance, devices, e);
	if (r == 0 && (with & DB_WITH_PROFILES))
		r = SQL_LOAD_NAMES(tx, PROFILES, out, struct db_instance, profiles, e);
	return r;
}

int db_instance_list(struct db_tx *tx, const char *project, int type, unsigned int with, struct db_instances *out,
		     struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_instances_deinit(out);
	r = sql_open(tx, &st, e,
		     SELECT "WHERE (?1 IS NULL OR p.name = ?1) AND (?2 < 0 OR i.type = ?2) ORDER BY i.id", "sd",
		     project, type);
	if (r == 0)
		r = load(tx, st, with, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

int db_instance_list_by_profile(struct db_tx *tx, int64_t profile_id, struct db_instances *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_instances_deinit(out);
	r = sql_open(tx, &st, e,
		     SELECT "WHERE i.id IN (SELECT owner FROM instances_profiles WHERE profile_id = ?1) ORDER BY i.id",
		     "i", profile_id);
	if (r == 0)
		r = load(tx, st, DB_WITH_ALL, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

int db_instance_get(struct db_tx *tx, const char *project, const char *name, struct db_instance *out,
		    struct lxm_err *e)
{
	lxm_auto(db_instances) struct db_instances l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE p.name = ?1 AND i.name = ?2", "ss", project, name);

	if (r == 0)
		r = load(tx, st, DB_WITH_ALL, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_instance_deinit);
}

int db_instance_get_id(struct db_tx *tx, int64_t id, struct db_instance *out, struct lxm_err *e)
{
	lxm_auto(db_instances) struct db_instances l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE i.id = ?1", "i", id);

	if (r == 0)
		r = load(tx, st, DB_WITH_ALL, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_instance_deinit);
}

int db_instance_find(struct db_tx *tx, const char *project, const char *name, int64_t *id_out, struct lxm_err *e)
{
	return sql_int(tx, id_out, e,
		       "SELECT i.id FROM projects p JOIN instances i ON i.project_id = p.id"
		       " WHERE p.name = ?1 AND i.name = ?2",
		       "ss", project, name);
}

int db_instance_names(struct db_tx *tx, const char *project, struct lxm_strv *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e,
			 "SELECT i.name FROM projects p JOIN instances i ON i.project_id = p.id"
			 " WHERE p.name = ?1 ORDER BY i.name",
			 "s", project);

	lxm_strv_deinit(out);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0)
		lxm_strv_add(out, sql_text(st, 0));
	return r;
}

/* Profiles are looked up where the instance's project keeps them. */
static int save_profiles(struct db_tx *tx, int64_t id, const struct lxm_strv *names, struct lxm_err *e)
{
	size_t k;
	int r = sql_run(tx, e, "DELETE FROM instances_profiles WHERE owner = ?1", "i", id);

	for (k = 0; r >= 0 && k < names->n; k++) {
		r = sql_run1(tx, e,
			     "INSERT INTO instances_profiles (owner, position, profile_id)"
			     " SELECT i.id, ?2, f.id FROM instances i JOIN project_homes h ON h.project = i.project_id"
			     " JOIN profiles f ON f.project_id = h.profiles WHERE i.id = ?1 AND f.name = ?3",
			     "ids", id, (int)k, names->v[k]);
		if (r == DB_NONE)
			return lxm_err_set(e, ENOENT, "profile '%s' not found", names->v[k]);
		if (r == -EEXIST)
			return lxm_err_set(e, EINVAL, "profile '%s' is named twice", names->v[k]);
	}
	return r;
}

static int save_children(struct db_tx *tx, const struct db_instance *i, bool fresh, struct lxm_err *e)
{
	int r = sql_save_kv(tx, &config, i->id, &i->config, fresh, e);

	if (r == 0)
		r = sql_save_devs(tx, &devices, i->id, &i->devices, fresh, e);
	if (r == 0)
		r = save_profiles(tx, i->id, &i->profiles, e);
	return r;
}

int db_instance_create(struct db_tx *tx, struct db_instance *i, struct lxm_err *e)
{
	int64_t project, pool;
	int r = sql_project_id(tx, i->project, &project, e);

	if (r == 0 && i->pool) {
		r = sql_int(tx, &pool, e, "SELECT id FROM pools WHERE name = ?1", "s", i->pool);
		if (r == DB_NONE)
			r = lxm_err_set(e, ENOENT, "storage pool '%s' not found", i->pool);
	}
	if (r < 0)
		return r;
	if (!i->created_at)
		i->created_at = lxm_now();
	r = sql_run(tx, e,
		    "INSERT INTO instances (project_id, name, description, architecture, location, pool_id, type,"
		    " ephemeral, stateful, created_at, last_used_at) VALUES (?1, ?2, ?3, ?4, ?5,"
		    " (SELECT id FROM pools WHERE name = ?6), ?7, ?8, ?9, ?10, ?11)",
		    "iszzssdddii", project, i->name, i->description, i->architecture,
		    i->location ? i->location : "none", i->pool, i->type, i->ephemeral, i->stateful, i->created_at,
		    i->last_used_at);
	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "instance '%s' already exists", i->name);
	if (r < 0)
		return r;
	i->id = sql_id(tx);
	return save_children(tx, i, true, e);
}

int db_instance_update(struct db_tx *tx, const struct db_instance *i, struct lxm_err *e)
{
	int r = sql_run1(tx, e,
			 "UPDATE instances SET description = ?2, architecture = ?3, ephemeral = ?4 WHERE id = ?1",
			 "izzd", i->id, i->description, i->architecture, i->ephemeral);

	return r ? r : save_children(tx, i, false, e);
}

int db_instance_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE instances SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? lxm_err_set(e, EEXIST, "instance '%s' already exists", to) : r;
}

int db_instance_set_project(struct db_tx *tx, int64_t id, const char *project, const char *name, struct lxm_err *e)
{
	int64_t project_id;
	int r = sql_project_id(tx, project, &project_id, e);

	if (r)
		return r;
	r = sql_run1(tx, e, "UPDATE instances SET project_id = ?2, name = ?3 WHERE id = ?1", "iis", id, project_id, name);
	return r == -EEXIST ? lxm_err_set(e, EEXIST, "instance '%s' already exists", name) : r;
}

int db_instance_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM instances WHERE id = ?1", "i", id);
}

int db_instance_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e)
{
	int64_t found;
	int r = sql_int(tx, &found, e, "SELECT id FROM instances WHERE id = ?1", "i", id);

	return r ? r : sql_set_keys(tx, &config, id, kv, e);
}

int db_instance_set_last_used(struct db_tx *tx, int64_t id, lxm_time t, struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE instances SET last_used_at = ?2 WHERE id = ?1", "ii", id, t);
}

int db_instance_set_stateful(struct db_tx *tx, int64_t id, bool stateful, struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE instances SET stateful = ?2 WHERE id = ?1", "id", id, stateful);
}

int db_instance_set_pool(struct db_tx *tx, int64_t id, const char *pool, struct lxm_err *e)
{
	int64_t pool_id;
	int r = sql_int(tx, &pool_id, e, "SELECT id FROM pools WHERE name = ?1", "s", pool);

	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "storage pool '%s' not found", pool ? pool : "");
	return r < 0 ? r : sql_run1(tx, e, "UPDATE instances SET pool_id = ?2 WHERE id = ?1", "ii", id, pool_id);
}
