/* Projects. The home of each kind of object follows from features.*: view project_homes. */
#include "db/project.h"

#include <string.h>

#include "db/sql.h"
#include "lib/base/alloc.h"

static const struct sql_kv config = SQL_KV("projects_config");

/* what is in a project, seen through its own rows; its default profile comes and goes with it */
#define USED_BY                                                                                              \
	"SELECT p.id, x.kind, p.name, x.name, x.pool FROM projects p JOIN ("                                 \
	"  SELECT project_id AS project, 'instances' AS kind, name, NULL AS pool FROM instances"            \
	"  UNION ALL SELECT project_id, 'images', fingerprint, NULL FROM images"                            \
	"  UNION ALL SELECT project_id, 'profiles', name, NULL FROM profiles"                               \
	"    WHERE name != 'default' OR project_id = 1"                                                     \
	"  UNION ALL SELECT v.project_id, 'volumes', v.name, o.name FROM volumes v"                         \
	"    JOIN pools o ON o.id = v.pool_id WHERE v.type = 2"                                             \
	"  UNION ALL SELECT project_id, 'networks', name, NULL FROM networks"                               \
	"  UNION ALL SELECT project_id, 'network-acls', name, NULL FROM acls"                               \
	"  UNION ALL SELECT project_id, 'network-zones', name, NULL FROM zones"                             \
	") x ON x.project = p.id WHERE p.id BETWEEN ?1 AND ?2 ORDER BY p.id, x.kind, x.name"

void db_project_deinit(struct db_project *p)
{
	free(p->name);
	free(p->description);
	lxm_kv_deinit(&p->config);
	lxm_strv_deinit(&p->used_by);
	memset(p, 0, sizeof(*p));
}

SQL_LIST_DEINIT(db_project, db_projects)

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct db_project *)a)->name, ((const struct db_project *)b)->name);
}

/* All projects, or the one of that name. */
static int load(struct db_tx *tx, const char *name, bool used_by, struct db_projects *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_projects_deinit(out);
	r = sql_open(tx, &st, e,
		     "SELECT id, name, description FROM projects WHERE ?1 IS NULL OR name = ?1 ORDER BY id", "s", name);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0) {
		struct db_project *p = SQL_MORE(out);

		p->id = sqlite3_column_int64(st, 0);
		p->name = sql_dup(st, 1);
		p->description = sql_dup(st, 2);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_project, config, e);
	if (r == 0 && used_by)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_project, used_by, e);
	return r;
}

int db_project_list(struct db_tx *tx, struct db_projects *out, struct lxm_err *e)
{
	int r = load(tx, NULL, true, out, e);

	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

static int get(struct db_tx *tx, const char *name, bool used_by, struct db_project *out, struct lxm_err *e)
{
	lxm_auto(db_projects) struct db_projects l = { 0 };
	int r = load(tx, name, used_by, &l, e);

	return r < 0 ? r : SQL_ONLY(&l, out, db_project_deinit);
}

int db_project_get(struct db_tx *tx, const char *name, struct db_project *out, struct lxm_err *e)
{
	return get(tx, name, true, out, e);
}

int db_project_get_values(struct db_tx *tx, const char *name, struct db_project *out, struct lxm_err *e)
{
	return get(tx, name, false, out, e);
}

int db_project_exists(struct db_tx *tx, const char *name, struct lxm_err *e)
{
	int64_t id;

	return sql_int(tx, &id, e, "SELECT id FROM projects WHERE name = ?1", "s", name);
}

int sql_project_id(struct db_tx *tx, const char *name, int64_t *out, struct lxm_err *e)
{
	int r = sql_int(tx, out, e, "SELECT id FROM projects WHERE name = ?1", "s", name);

	return r == DB_NONE ? lxm_err_set(e, ENOENT, "project '%s' not found", name ? name : "") : r;
}

int db_project_for(struct db_tx *tx, const char *project, enum db_feature f, char **out, struct lxm_err *e)
{
#define HOME(column) "SELECT p.name FROM project_homes h JOIN projects p ON p.id = h." column " WHERE h.name = ?1"
	static const char *const homes[] = {
		[DB_FEATURE_IMAGES] = HOME("images"),	  [DB_FEATURE_PROFILES] = HOME("profiles"),
		[DB_FEATURE_VOLUMES] = HOME("volumes"),	  [DB_FEATURE_NETWORKS] = HOME("networks"),
		[DB_FEATURE_ZONES] = HOME("zones"),
	};
#undef HOME
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, homes[f], "s", project);

	if (r == 0)
		r = sql_next(tx, st, e);
	if (r <= 0)
		return r < 0 ? r : DB_NONE;
	*out = sql_dup(st, 0);
	return 0;
}

/* A project with profiles of its own has a `default` one from the start. */
static int own_default_profile(struct db_tx *tx, const char *name, struct lxm_err *e)
{
	return sql_run(tx, e,
		       "INSERT INTO profiles (project_id, name, description)"
		       " SELECT project, 'default', 'Default profile for project ' || name FROM project_homes"
		       " WHERE name = ?1 AND profiles = project ON CONFLICT DO NOTHING",
		       "s", name);
}

int db_project_create(struct db_tx *tx, struct db_project *p, struct lxm_err *e)
{
	int r = sql_run(tx, e, "INSERT INTO projects (name, description) VALUES (?1, ?2)", "sz", p->name,
			p->description);

	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "project '%s' already exists", p->name);
	if (r < 0)
		return r;
	p->id = sql_id(tx);
	r = sql_save_kv(tx, &config, p->id, &p->config, true, e);
	return r < 0 ? r : own_default_profile(tx, p->name, e);
}

int db_project_update(struct db_tx *tx, const struct db_project *p, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE projects SET description = ?2 WHERE id = ?1", "iz", p->id, p->description);

	if (r == 0)
		r = sql_save_kv(tx, &config, p->id, &p->config, false, e);
	return r ? r : own_default_profile(tx, p->name, e);
}

int db_project_rename(struct db_tx *tx, const char *name, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE projects SET name = ?2 WHERE name = ?1", "ss", name, to);

	return r == -EEXIST ? lxm_err_set(e, EEXIST, "project '%s' already exists", to) : r;
}

int db_project_delete(struct db_tx *tx, const char *name, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };
	int r = db_project_get(tx, name, &p, e);

	if (r)
		return r;
	if (p.used_by.n)
		return lxm_err_set(e, EBUSY, "project '%s' is not empty: %zu object%s in it, among them %s", name,
				   p.used_by.n, p.used_by.n == 1 ? " is" : "s are", p.used_by.v[0]);
	/* what remains: its default profile and rows that only the daemon knows of (instance and image volumes) */
	r = sql_run(tx, e, "DELETE FROM profiles WHERE project_id = ?1", "i", p.id);
	if (r == 0)
		r = sql_run1(tx, e, "DELETE FROM projects WHERE id = ?1", "i", p.id);
	return r == -EBUSY ? lxm_err_set(e, EBUSY, "project '%s' still holds volumes", name) : r;
}
