/* Profiles. */
#include "db/profile.h"

#include <string.h>

#include "db/sql.h"

static const struct sql_kv config = SQL_KV("profiles_config");
static const struct sql_devs devices = SQL_DEVS("profiles_devices");

#define USED_BY                                                                            \
	"SELECT ip.profile_id, 'instances', p.name, i.name, NULL FROM instances_profiles ip" \
	" JOIN instances i ON i.id = ip.owner JOIN projects p ON p.id = i.project_id"      \
	" WHERE ip.profile_id BETWEEN ?1 AND ?2 ORDER BY ip.profile_id, p.name, i.name"

void db_profile_deinit(struct db_profile *p)
{
	free(p->project);
	free(p->name);
	free(p->description);
	lxm_kv_deinit(&p->config);
	lxm_devs_deinit(&p->devices);
	lxm_strv_deinit(&p->used_by);
	memset(p, 0, sizeof(*p));
}

SQL_LIST_DEINIT(db_profile, db_profiles)

static int by_name(const void *a, const void *b)
{
	const struct db_profile *p = a, *q = b;
	int c = strcmp(p->project, q->project);

	return c ? c : strcmp(p->name, q->name);
}

static int load(struct db_tx *tx, const char *project, const char *name, bool used_by, struct db_profiles *out,
		struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_profiles_deinit(out);
	if (name)
		r = sql_open(tx, &st, e,
			     "SELECT f.id, p.name, f.name, f.description FROM projects p"
			     " JOIN profiles f ON f.project_id = p.id WHERE p.name = ?1 AND f.name = ?2",
			     "ss", project, name);
	else
		r = sql_open(tx, &st, e,
			     "SELECT f.id, p.name, f.name, f.description FROM profiles f"
			     " JOIN projects p ON p.id = f.project_id WHERE ?1 IS NULL OR p.name = ?1 ORDER BY f.id",
			     "s", project);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0) {
		struct db_profile *p = SQL_MORE(out);

		p->id = sqlite3_column_int64(st, 0);
		p->project = sql_dup(st, 1);
		p->name = sql_dup(st, 2);
		p->description = sql_dup(st, 3);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_profile, config, e);
	if (r == 0)
		r = SQL_LOAD_DEVS(tx, &devices, out, struct db_profile, devices, e);
	if (r == 0 && used_by)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_profile, used_by, e);
	return r;
}

static int list(struct db_tx *tx, const char *project, bool used_by, struct db_profiles *out, struct lxm_err *e)
{
	int r = load(tx, project, NULL, used_by, out, e);

	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

int db_profile_list(struct db_tx *tx, const char *project, struct db_profiles *out, struct lxm_err *e)
{
	return list(tx, project, true, out, e);
}

int db_profile_list_values(struct db_tx *tx, const char *project, struct db_profiles *out, struct lxm_err *e)
{
	return list(tx, project, false, out, e);
}

static int get(struct db_tx *tx, const char *project, const char *name, bool used_by, struct db_profile *out, struct lxm_err *e)
{
	lxm_auto(db_profiles) struct db_profiles l = { 0 };
	int r = load(tx, project, name, used_by, &l, e);

	return r < 0 ? r : SQL_ONLY(&l, out, db_profile_deinit);
}

int db_profile_get(struct db_tx *tx, const char *project, const char *name, struct db_profile *out, struct lxm_err *e)
{
	return get(tx, project, name, true, out, e);
}

int db_profile_get_values(struct db_tx *tx, const char *project, const char *name, struct db_profile *out, struct lxm_err *e)
{
	return get(tx, project, name, false, out, e);
}

int db_profile_names(struct db_tx *tx, const char *project, struct lxm_strv *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e,
			 "SELECT f.name FROM projects p JOIN profiles f ON f.project_id = p.id"
			 " WHERE p.name = ?1 ORDER BY f.name",
			 "s", project);

	lxm_strv_deinit(out);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0)
		lxm_strv_add(out, sql_text(st, 0));
	return r;
}

static int taken(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "profile '%s' already exists", name);
}

int db_profile_create(struct db_tx *tx, struct db_profile *p, struct lxm_err *e)
{
	int64_t project;
	int r = sql_project_id(tx, p->project, &project, e);

	if (r < 0)
		return r;
	r = sql_run(tx, e, "INSERT INTO profiles (project_id, name, description) VALUES (?1, ?2, ?3)", "isz", project,
		    p->name, p->description);
	if (r == -EEXIST)
		return taken(p->name, e);
	if (r < 0)
		return r;
	p->id = sql_id(tx);
	r = sql_save_kv(tx, &config, p->id, &p->config, true, e);
	return r < 0 ? r : sql_save_devs(tx, &devices, p->id, &p->devices, true, e);
}

int db_profile_update(struct db_tx *tx, const struct db_profile *p, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE profiles SET description = ?2 WHERE id = ?1", "iz", p->id, p->description);

	if (r == 0)
		r = sql_save_kv(tx, &config, p->id, &p->config, false, e);
	if (r == 0)
		r = sql_save_devs(tx, &devices, p->id, &p->devices, false, e);
	return r;
}

int db_profile_rename(struct db_tx *tx, const char *project, const char *name, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e,
			 "UPDATE profiles SET name = ?3 WHERE name = ?2"
			 " AND project_id = (SELECT id FROM projects WHERE name = ?1)",
			 "sss", project, name, to);

	return r == -EEXIST ? taken(to, e) : r;
}

int db_profile_delete(struct db_tx *tx, const char *project, const char *name, struct lxm_err *e)
{
	int64_t id, users;
	int r = sql_int(tx, &id, e,
			"SELECT f.id FROM projects p JOIN profiles f ON f.project_id = p.id"
			" WHERE p.name = ?1 AND f.name = ?2",
			"ss", project, name);

	if (r)
		return r;
	r = sql_int(tx, &users, e, "SELECT count(*) FROM instances_profiles WHERE profile_id = ?1", "i", id);
	if (r < 0)
		return r;
	if (users)
		return lxm_err_set(e, EBUSY, "profile '%s' is in use by %lld instance%s", name, (long long)users,
				   users == 1 ? "" : "s");
	return sql_run1(tx, e, "DELETE FROM profiles WHERE id = ?1", "i", id);
}
