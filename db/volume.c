/* Storage volumes. */
#include <string.h>

#include "db/sql.h"
#include "db/storage.h"

static const struct sql_kv config = SQL_KV("volumes_config");

/* Custom volumes are used by disk devices that name their pool and themselves, from projects that look here. */
#define USED_BY                                                                                           \
	"SELECT DISTINCT v.id, 'instances' AS kind, p.name AS project, i.name, NULL FROM volumes v"       \
	" JOIN pools o ON o.id = v.pool_id"                                                               \
	" JOIN instances_devices s ON s.key = 'source' AND s.value = v.name"                              \
	" JOIN instances_devices d ON d.owner = s.owner AND d.device = s.device AND d.key = 'pool'"       \
	"   AND d.value = o.name"                                                                         \
	" JOIN instances i ON i.id = s.owner"                                                             \
	" JOIN project_homes h ON h.project = i.project_id AND h.volumes = v.project_id"                  \
	" JOIN projects p ON p.id = i.project_id WHERE v.type = 2 AND v.id BETWEEN ?1 AND ?2 "            \
	"UNION ALL SELECT DISTINCT v.id, 'profiles', p.name, f.name, NULL FROM volumes v"                 \
	" JOIN pools o ON o.id = v.pool_id"                                                               \
	" JOIN profiles_devices s ON s.key = 'source' AND s.value = v.name"                               \
	" JOIN profiles_devices d ON d.owner = s.owner AND d.device = s.device AND d.key = 'pool'"        \
	"   AND d.value = o.name"                                                                         \
	" JOIN profiles f ON f.id = s.owner"                                                              \
	" JOIN project_homes h ON h.project = f.project_id AND h.volumes = v.project_id"                  \
	" JOIN projects p ON p.id = f.project_id WHERE v.type = 2 AND v.id BETWEEN ?1 AND ?2 "            \
	"ORDER BY 1, 2, 3, 4"

#define SELECT                                                                                            \
	"SELECT v.id, o.name, p.name, v.name, v.description, v.type, v.content, v.created_at FROM volumes v" \
	" JOIN pools o ON o.id = v.pool_id JOIN projects p ON p.id = v.project_id "

void db_volume_deinit(struct db_volume *v)
{
	free(v->pool);
	free(v->project);
	free(v->name);
	free(v->description);
	lxm_kv_deinit(&v->config);
	lxm_strv_deinit(&v->used_by);
	memset(v, 0, sizeof(*v));
}

SQL_LIST_DEINIT(db_volume, db_volumes)

static const char *const type_names[] = {
	[DB_VOL_CONTAINER] = "container",
	[DB_VOL_VM] = "virtual-machine",
	[DB_VOL_CUSTOM] = "custom",
	[DB_VOL_IMAGE] = "image",
};

const char *db_volume_type_name(int type)
{
	return type >= 0 && (size_t)type < LXM_ARRAY_LEN(type_names) ? type_names[type] : "unknown";
}

int db_volume_type_parse(const char *name)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(type_names); i++)
		if (lxm_streq(name, type_names[i]))
			return (int)i;
	return -EINVAL;
}

const char *db_content_name(int content)
{
	return content == DB_BLOCK ? "block" : "filesystem";
}

static int by_place(const void *a, const void *b)
{
	const struct db_volume *v = a, *w = b;
	int c = strcmp(v->pool, w->pool);

	if (!c)
		c = strcmp(v->project, w->project);
	if (!c)
		c = v->type - w->type;
	return c ? c : strcmp(v->name, w->name);
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_volumes *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_volume *v = SQL_MORE(out);

		v->id = sqlite3_column_int64(st, 0);
		v->pool = sql_dup(st, 1);
		v->project = sql_dup(st, 2);
		v->name = sql_dup(st, 3);
		v->description = sql_dup(st, 4);
		v->type = sqlite3_column_int(st, 5);
		v->content = sqlite3_column_int(st, 6);
		v->created_at = sqlite3_column_int64(st, 7);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_volume, config, e);
	if (r == 0)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_volume, used_by, e);
	return r;
}

int db_volume_list(struct db_tx *tx, const char *pool, const char *project, int type, struct db_volumes *out,
		   struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_volumes_deinit(out);
	r = sql_open(tx, &st, e,
		     SELECT "WHERE (?1 IS NULL OR o.name = ?1) AND (?2 IS NULL OR p.name = ?2)"
			    " AND (?3 < 0 OR v.type = ?3) ORDER BY v.id",
		     "ssd", pool, project, type);
	if (r == 0)
		r = load(tx, st, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_place);
	return r;
}

int db_volume_get(struct db_tx *tx, const char *pool, const char *project, int type, const char *name,
		  struct db_volume *out, struct lxm_err *e)
{
	lxm_auto(db_volumes) struct db_volumes l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE o.name = ?1 AND p.name = ?2 AND v.type = ?3 AND v.name = ?4", "ssds",
			 pool, project, type, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_volume_deinit);
}

static int taken(const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, EEXIST, "storage volume '%s' already exists", name);
}

static int place_ids(struct db_tx *tx, const char *pool, const char *project, int64_t *pool_id, int64_t *project_id, struct lxm_err *e)
{
	int r = sql_project_id(tx, project, project_id, e);

	if (r == 0)
		r = sql_int(tx, pool_id, e, "SELECT id FROM pools WHERE name = ?1", "s", pool);
	return r == DB_NONE ? lxm_err_set(e, ENOENT, "storage pool '%s' not found", pool ? pool : "") : r;
}

int db_volume_create(struct db_tx *tx, struct db_volume *v, struct lxm_err *e)
{
	int64_t project, pool;
	int r = place_ids(tx, v->pool, v->project, &pool, &project, e);

	if (r < 0)
		return r;
	if (!v->created_at)
		v->created_at = lxm_now();
	r = sql_run(tx, e,
		    "INSERT INTO volumes (pool_id, project_id, type, name, description, content, created_at)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		    "iidszdi", pool, project, v->type, v->name, v->description, v->content, v->created_at);
	if (r == -EEXIST)
		return taken(v->name, e);
	if (r < 0)
		return r;
	v->id = sql_id(tx);
	return sql_save_kv(tx, &config, v->id, &v->config, true, e);
}

int db_volume_update(struct db_tx *tx, const struct db_volume *v, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE volumes SET description = ?2 WHERE id = ?1", "iz", v->id, v->description);

	return r ? r : sql_save_kv(tx, &config, v->id, &v->config, false, e);
}

int db_volume_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e)
{
	int64_t found;
	int r = sql_int(tx, &found, e, "SELECT id FROM volumes WHERE id = ?1", "i", id);

	return r ? r : sql_set_keys(tx, &config, id, kv, e);
}

int db_volume_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE volumes SET name = ?2 WHERE id = ?1", "is", id, to);

	return r == -EEXIST ? taken(to, e) : r;
}

int db_volume_move(struct db_tx *tx, int64_t id, const char *pool, const char *project, const char *name, struct lxm_err *e)
{
	int64_t project_id, pool_id;
	int r = place_ids(tx, pool, project, &pool_id, &project_id, e);

	if (r < 0)
		return r;
	r = sql_run1(tx, e, "UPDATE volumes SET pool_id = ?2, project_id = ?3, name = ?4 WHERE id = ?1", "iiis", id, pool_id, project_id,
		     name);
	return r == -EEXIST ? taken(name, e) : r;
}

int db_volume_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM volumes WHERE id = ?1", "i", id);
}
