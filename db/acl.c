/* Network ACLs. Their rules are kept as the JSON of the API: nothing here looks into them. */
#include <string.h>

#include "db/network.h"
#include "db/sql.h"

static const struct sql_kv config = SQL_KV("acls_config");

/* security.acls is a comma list; a name is in it if ",name," is in ",list," */
#define IN_LIST(value, name) "instr(',' || replace(" value ", ' ', '') || ',', ',' || " name " || ',') > 0"

#define USED_BY                                                                                           \
	"SELECT a.id, 'networks' AS kind, p.name AS project, n.name, NULL FROM acls a"                    \
	" JOIN networks_config c ON c.key = 'security.acls' AND " IN_LIST("c.value", "a.name")            \
	" JOIN networks n ON n.id = c.owner AND n.project_id = a.project_id"                              \
	" JOIN projects p ON p.id = n.project_id WHERE a.id BETWEEN ?1 AND ?2 "                           \
	"UNION ALL SELECT DISTINCT a.id, 'instances', p.name, i.name, NULL FROM acls a"                   \
	" JOIN instances_devices d ON d.key = 'security.acls' AND " IN_LIST("d.value", "a.name")          \
	" JOIN instances i ON i.id = d.owner"                                                             \
	" JOIN project_homes h ON h.project = i.project_id AND h.networks = a.project_id"                 \
	" JOIN projects p ON p.id = i.project_id WHERE a.id BETWEEN ?1 AND ?2 "                           \
	"UNION ALL SELECT DISTINCT a.id, 'profiles', p.name, f.name, NULL FROM acls a"                    \
	" JOIN profiles_devices d ON d.key = 'security.acls' AND " IN_LIST("d.value", "a.name")           \
	" JOIN profiles f ON f.id = d.owner"                                                              \
	" JOIN project_homes h ON h.project = f.project_id AND h.networks = a.project_id"                 \
	" JOIN projects p ON p.id = f.project_id WHERE a.id BETWEEN ?1 AND ?2 "                           \
	"ORDER BY 1, 2, 3, 4"

#define SELECT                                                                              \
	"SELECT a.id, p.name, a.name, a.description, a.ingress, a.egress FROM acls a"       \
	" JOIN projects p ON p.id = a.project_id "

void db_acl_deinit(struct db_acl *a)
{
	free(a->project);
	free(a->name);
	free(a->description);
	free(a->ingress);
	free(a->egress);
	lxm_kv_deinit(&a->config);
	lxm_strv_deinit(&a->used_by);
	memset(a, 0, sizeof(*a));
}

SQL_LIST_DEINIT(db_acl, db_acls)

static int by_name(const void *a, const void *b)
{
	const struct db_acl *p = a, *q = b;
	int c = strcmp(p->project, q->project);

	return c ? c : strcmp(p->name, q->name);
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_acls *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_acl *a = SQL_MORE(out);

		a->id = sqlite3_column_int64(st, 0);
		a->project = sql_dup(st, 1);
		a->name = sql_dup(st, 2);
		a->description = sql_dup(st, 3);
		a->ingress = sql_dup(st, 4);
		a->egress = sql_dup(st, 5);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_acl, config, e);
	if (r == 0)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_acl, used_by, e);
	return r;
}

int db_acl_list(struct db_tx *tx, const char *project, struct db_acls *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_acls_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE ?1 IS NULL OR p.name = ?1 ORDER BY a.id", "s", project);
	if (r == 0)
		r = load(tx, st, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

int db_acl_get(struct db_tx *tx, const char *project, const char *name, struct db_acl *out, struct lxm_err *e)
{
	lxm_auto(db_acls) struct db_acls l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE p.name = ?1 AND a.name = ?2", "ss", project, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_acl_deinit);
}

static int taken(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "network ACL '%s' already exists", name);
}

static const char *rules(const char *json)
{
	return json ? json : "[]";
}

int db_acl_create(struct db_tx *tx, struct db_acl *a, struct lxm_err *e)
{
	int64_t project;
	int r = sql_project_id(tx, a->project, &project, e);

	if (r < 0)
		return r;
	r = sql_run(tx, e,
		    "INSERT INTO acls (project_id, name, description, ingress, egress) VALUES (?1, ?2, ?3, ?4, ?5)",
		    "iszss", project, a->name, a->description, rules(a->ingress), rules(a->egress));
	if (r == -EEXIST)
		return taken(a->name, e);
	if (r < 0)
		return r;
	a->id = sql_id(tx);
	return sql_save_kv(tx, &config, a->id, &a->config, true, e);
}

int db_acl_update(struct db_tx *tx, const struct db_acl *a, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE acls SET description = ?2, ingress = ?3, egress = ?4 WHERE id = ?1", "izss",
			 a->id, a->description, rules(a->ingress), rules(a->egress));

	return r ? r : sql_save_kv(tx, &config, a->id, &a->config, false, e);
}

int db_acl_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE acls SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? taken(to, e) : r;
}

int db_acl_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	lxm_auto(db_acls) struct db_acls l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE a.id = ?1", "i", id);

	if (r == 0)
		r = load(tx, st, &l, e);
	if (r < 0)
		return r;
	if (l.n && l.v[0].used_by.n)
		return lxm_err_set(e, EBUSY, "network ACL '%s' is in use by %s", l.v[0].name, l.v[0].used_by.v[0]);
	return sql_run1(tx, e, "DELETE FROM acls WHERE id = ?1", "i", id);
}
