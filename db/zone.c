/* DNS zones and their records. */
#include <string.h>

#include "db/network.h"
#include "db/sql.h"

static const struct sql_kv config = SQL_KV("zones_config");
static const struct sql_kv record_config = SQL_KV("records_config");

#define USED_BY                                                                                               \
	"SELECT DISTINCT z.id, 'networks', p.name, n.name, NULL FROM zones z"                                 \
	" JOIN networks_config c ON c.key IN ('dns.zone.forward', 'dns.zone.reverse.ipv4', 'dns.zone.reverse.ipv6')" \
	"   AND instr(',' || replace(c.value, ' ', '') || ',', ',' || z.name || ',') > 0"                     \
	" JOIN networks n ON n.id = c.owner JOIN projects p ON p.id = n.project_id"                           \
	" WHERE z.id BETWEEN ?1 AND ?2 ORDER BY 1, 3, 4"

#define SELECT \
	"SELECT z.id, p.name, z.name, z.description FROM zones z JOIN projects p ON p.id = z.project_id "
#define SELECT_RECORD "SELECT id, owner, name, description, entries FROM records "

void db_zone_deinit(struct db_zone *z)
{
	free(z->project);
	free(z->name);
	free(z->description);
	lxm_kv_deinit(&z->config);
	lxm_strv_deinit(&z->used_by);
	memset(z, 0, sizeof(*z));
}

void db_record_deinit(struct db_record *r)
{
	free(r->name);
	free(r->description);
	free(r->entries);
	lxm_kv_deinit(&r->config);
	memset(r, 0, sizeof(*r));
}

SQL_LIST_DEINIT(db_zone, db_zones)
SQL_LIST_DEINIT(db_record, db_records)

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_zones *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_zone *z = SQL_MORE(out);

		z->id = sqlite3_column_int64(st, 0);
		z->project = sql_dup(st, 1);
		z->name = sql_dup(st, 2);
		z->description = sql_dup(st, 3);
	}
	if (r == 0)
		r = SQL_LOAD_KV(tx, &config, out, struct db_zone, config, e);
	if (r == 0)
		r = SQL_LOAD_URLS(tx, USED_BY, out, struct db_zone, used_by, e);
	return r;
}

int db_zone_list(struct db_tx *tx, const char *project, struct db_zones *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_zones_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE ?1 IS NULL OR p.name = ?1 ORDER BY z.id", "s", project);
	return r < 0 ? r : load(tx, st, out, e);
}

int db_zone_get(struct db_tx *tx, const char *project, const char *name, struct db_zone *out, struct lxm_err *e)
{
	lxm_auto(db_zones) struct db_zones l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE p.name = ?1 AND z.name = ?2", "ss", project, name);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_zone_deinit);
}

int db_zone_create(struct db_tx *tx, struct db_zone *z, struct lxm_err *e)
{
	int64_t project;
	int r = sql_project_id(tx, z->project, &project, e);

	if (r < 0)
		return r;
	r = sql_run(tx, e, "INSERT INTO zones (project_id, name, description) VALUES (?1, ?2, ?3)", "isz", project,
		    z->name, z->description);
	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "network zone '%s' already exists", z->name);
	if (r < 0)
		return r;
	z->id = sql_id(tx);
	return sql_save_kv(tx, &config, z->id, &z->config, true, e);
}

int db_zone_update(struct db_tx *tx, const struct db_zone *z, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE zones SET description = ?2 WHERE id = ?1", "iz", z->id, z->description);

	return r ? r : sql_save_kv(tx, &config, z->id, &z->config, false, e);
}

int db_zone_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	lxm_auto(db_zones) struct db_zones l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "WHERE z.id = ?1", "i", id);

	if (r == 0)
		r = load(tx, st, &l, e);
	if (r < 0)
		return r;
	if (l.n && l.v[0].used_by.n)
		return lxm_err_set(e, EBUSY, "network zone '%s' is in use by %s", l.v[0].name, l.v[0].used_by.v[0]);
	return sql_run1(tx, e, "DELETE FROM zones WHERE id = ?1", "i", id);
}

static int load_records(struct db_tx *tx, sqlite3_stmt *st, struct db_records *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_record *d = SQL_MORE(out);

		d->id = sqlite3_column_int64(st, 0);
		d->zone_id = sqlite3_column_int64(st, 1);
		d->name = sql_dup(st, 2);
		d->description = sql_dup(st, 3);
		d->entries = sql_dup(st, 4);
	}
	return r < 0 ? r : SQL_LOAD_KV(tx, &record_config, out, struct db_record, config, e);
}

int db_record_list(struct db_tx *tx, int64_t zone_id, struct db_records *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_records_deinit(out);
	r = sql_open(tx, &st, e, SELECT_RECORD "WHERE owner = ?1 ORDER BY id", "i", zone_id);
	return r < 0 ? r : load_records(tx, st, out, e);
}

int db_record_get(struct db_tx *tx, int64_t zone_id, const char *name, struct db_record *out, struct lxm_err *e)
{
	lxm_auto(db_records) struct db_records l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT_RECORD "WHERE owner = ?1 AND name = ?2", "is", zone_id, name);

	if (r == 0)
		r = load_records(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_record_deinit);
}

int db_record_create(struct db_tx *tx, struct db_record *d, struct lxm_err *e)
{
	int r = sql_run(tx, e, "INSERT INTO records (owner, name, description, entries) VALUES (?1, ?2, ?3, ?4)", "iszs",
			d->zone_id, d->name, d->description, d->entries ? d->entries : "[]");

	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "zone record '%s' already exists", d->name);
	if (r < 0)
		return r;
	d->id = sql_id(tx);
	return sql_save_kv(tx, &record_config, d->id, &d->config, true, e);
}

int db_record_update(struct db_tx *tx, const struct db_record *d, struct lxm_err *e)
{
	int r = sql_run1(tx, e, "UPDATE records SET description = ?2, entries = ?3 WHERE id = ?1", "izs", d->id,
			 d->description, d->entries ? d->entries : "[]");

	return r ? r : sql_save_kv(tx, &record_config, d->id, &d->config, false, e);
}

int db_record_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM records WHERE id = ?1", "i", id);
}
