/* Managed networks. */
#include "db/network.h"

#include <string.h>

#include "db/sql.h"

static const struct sql_kv config = SQL_KV("networks_config");

/* A nic names its network by `network`, or the bridge itself by `parent`; from projects that look here. */
#define USED_BY                                                                                      \
	"SELECT DISTINCT n.id, 'instances' AS kind, p.name AS project, i.name, NULL FROM networks n" \
	" JOIN instances_devices d ON d.key IN ('network', 'parent') AND d.value = n.name"           \
	" JOIN instances i ON i.id = d.owner"                                                        \
	" JOIN project_homes h ON h.project = i.project_id AND h.networks = n.project_id"            \
	" JOIN projects p ON p.id = i.project_id WHERE n.id BETWEEN ?1 AND ?2 "                      \
	"UNION ALL SELECT DISTINCT n.id, 'profiles', p.name, f.name, NULL FROM networks n"           \
	" JOIN profiles_devices d ON d.key IN ('network', 'parent') AND d.value = n.name"            \
	" JOIN profiles f ON f.id = d.owner"                                                         \
	" JOIN project_homes h ON h.project = f.project_id AND h.networks = n.project_id"            \
	" JOIN projects p ON p.id = f.project_id WHERE n.id BETWEEN ?1 AND ?2 "                      \
	"ORDER BY 1, 2, 3, 4"

#define SELECT                                                                                       \
	"SELECT n.id, p.name, n.name, n.type, n.description, n.state FROM networks n"                \
	" JOIN projects p ON p.id = n.project_id "

void db_network_deinit(struct db_network *n)
{
	free(n->project);
	free(n->name);
	free(n->type);
	free(n->description);
	lxm_kv_deinit(&n->config);
	lxm_strv_deinit(&n->used_by);
	memset(n, 0, sizeof(*n));
}

SQL_LIST_DEINIT(db_network, db_networks)

static int by_name(const void *a, const void *b)
{
	const struct db_network *p = a, *q = b;
	int c = strcmp(p->project, q->project);

	return c ? c : strcmp(p->name, q->name);
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_networks *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_network *n = SQL_MORE(out);

		n->id = sqlite3_column_int64(st, 0);
		n->project = sql_dup(st, 1);
		n->name = sql_dup(st, 2);
		n->type = sql_dup(st, 3);
		n->description = sql_dup(st, 4);
		n->state = sqlite3_column_int(st, 5);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_network, config, e);
	if (r == 0)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_network, used_by, e);
	return r;
}

int db_network_list(struct db_tx *tx, const char *project, struct db_networks *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_networks_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE ?1 IS NULL OR p.name = ?1 ORDER BY n.id", "s", project);
	if (r == 0)
		r = load(tx, st, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return r;
}

int db_network_get(struct db_tx *tx, const char *project, const char *name, struct db_network *out,
		   struct lxm_err *e)
{
	lxm_auto(db_networks) struct db_networks l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE p.name = ?1 AND n.name = ?2", "ss", project, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_network_deinit);
}

static int taken(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "network '%s' already exists", name);
}

int db_network_create(struct db_tx *tx, struct db_network *n, struct lxm_err *e)
{
	int64_t project;
	int r = sql_project_id(tx, n->project, &project, e);

	if (r < 0)
		return r;
	r = sql_run(tx, e,
		    "INSERT INTO networks (project_id, name, type, description, state) VALUES (?1, ?2, ?3, ?4, ?5)",
		    "isszd", project, n->name, n->type, n->description, n->state);
	if (r == -EEXIST)
		return taken(n->name, e);
	if (r < 0)
		return r;
	n->id = sql_id(tx);
	return sql_save_kv(tx, &config, n->id, &n->config, true, e);
}

int db_network_update(struct db_tx *tx, const struct db_network *n, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE networks SET description = ?2 WHERE id = ?1", "iz", n->id, n->description);

	return r ? r : sql_save_kv(tx, &config, n->id, &n->config, false, e);
}

int db_network_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e)
{
	int64_t found;
	int r = sql_int(tx, &found, e, "SELECT id FROM networks WHERE id = ?1", "i", id);

	return r ? r : sql_set_keys(tx, &config, id, kv, e);
}

int db_network_set_state(struct db_tx *tx, int64_t id, int state, struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE networks SET state = ?2 WHERE id = ?1", "id", id, state);
}

int db_network_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE networks SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? taken(to, e) : r;
}

int db_network_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	lxm_auto(db_networks) struct db_networks l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE n.id = ?1", "i", id);

	if (r == 0)
		r = load(tx, st, &l, e);
	if (r < 0)
		return r;
	if (l.n && l.v[0].used_by.n)
		return lxm_err_set(e, EBUSY, "network '%s' is in use by %s", l.v[0].name, l.v[0].used_by.v[0]);
	return sql_run1(tx, e, "DELETE FROM networks WHERE id = ?1", "i", id);
}
