/*
 * This host's allocations: ranges of ids and listening ports. Both are looked up and inserted in one write
 * transaction, and writers follow each other, so two instances never get the same ids or port.
 */
#include "db/node.h"

#include <string.h>

#include "db/sql.h"

void db_idranges_deinit(struct db_idranges *r)
{
	free(r->v);
	memset(r, 0, sizeof(*r));
}

int db_idrange_list(struct db_ntx *tx, struct db_idranges *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(&tx->t, &st, e, "SELECT instance_id, base, size FROM idranges ORDER BY base", NULL);

	db_idranges_deinit(out);
	while (r >= 0 && (r = sql_next(&tx->t, st, e)) > 0) {
		struct db_idrange *g = SQL_MORE(out);

		g->instance_id = sqlite3_column_int64(st, 0);
		g->base = sqlite3_column_int64(st, 1);
		g->size = sqlite3_column_int64(st, 2);
	}
	return r;
}

int db_idrange_get(struct db_ntx *tx, int64_t instance_id, struct db_idrange *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(&tx->t, &st, e, "SELECT instance_id, base, size FROM idranges WHERE instance_id = ?1", "i",
			 instance_id);

	if (r == 0)
		r = sql_next(&tx->t, st, e);
	if (r <= 0)
		return r < 0 ? r : DB_NONE;
	out->instance_id = sqlite3_column_int64(st, 0);
	out->base = sqlite3_column_int64(st, 1);
	out->size = sqlite3_column_int64(st, 2);
	return 0;
}

int db_idrange_free(struct db_ntx *tx, int64_t instance_id, struct lxm_err *e)
{
	return sql_run(&tx->t, e, "DELETE FROM idranges WHERE instance_id = ?1", "i", instance_id);
}

static int put(struct db_ntx *tx, int64_t instance_id, int64_t base, int64_t size, struct lxm_err *e)
{
	return sql_run(&tx->t, e,
		       "INSERT INTO idranges (instance_id, base, size) VALUES (?1, ?2, ?3)"
		       " ON CONFLICT DO UPDATE SET base = excluded.base, size = excluded.size",
		       "iii", instance_id, base, size);
}

/* First gap of `size` ids in [lo, hi) between the ranges of others; *base_out, or -ENOSPC. */
static int first_gap(struct db_ntx *tx, int64_t instance_id, int64_t lo, int64_t hi, int64_t size,
		     int64_t *base_out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int64_t at = lo, best = 0;
	int r = sql_open(&tx->t, &st, e,
			 "SELECT base, size FROM idranges WHERE instance_id != ?1 AND base < ?2 ORDER BY base", "ii",
			 instance_id, hi);

	while (r >= 0 && (r = sql_next(&tx->t, st, e)) > 0) {
		int64_t base = sqlite3_column_int64(st, 0), end = base + sqlite3_column_int64(st, 1);

		if (base - at >= size)
			break;
		if (base - at > best)
			best = base - at;
		if (end > at)
			at = end;
	}
	if (r < 0)
		return r;
	if (hi - at >= size) {
		*base_out = at;
		return 0;
	}
	if (hi - at > best)
		best = hi - at;
	return lxm_err_set(e, ENOSPC,
			   "no %lld free host ids in one piece between %lld and %lld (at most %lld are free): widen the "
			   "range of root in /etc/subuid and /etc/subgid, or delete instances",
			   (long long)size, (long long)lo, (long long)hi - 1, (long long)best);
}

int db_idrange_alloc(struct db_ntx *tx, int64_t instance_id, int64_t lo, int64_t hi, int64_t size,
		     int64_t *base_out, struct lxm_err *e)
{
	struct db_idrange has;
	int r = db_idrange_get(tx, instance_id, &has, e);

	if (r < 0)
		return r;
	if (r == 0 && has.size == size && has.base >= lo && has.base + size <= hi) {
		*base_out = has.base;
		return 0;
	}
	r = first_gap(tx, instance_id, lo, hi, size, base_out, e);
	return r < 0 ? r : put(tx, instance_id, *base_out, size, e);
}

int db_idrange_take(struct db_ntx *tx, int64_t instance_id, int64_t base, int64_t size, struct lxm_err *e)
{
	int64_t other;
	int r = sql_int(&tx->t, &other, e,
			"SELECT instance_id FROM idranges WHERE instance_id != ?1 AND base < ?3 AND base + size > ?2"
			" LIMIT 1",
			"iii", instance_id, base, base + size);

	if (r < 0)
		return r;
	if (r == 0)
		return lxm_err_set(e, EEXIST, "host ids %lld to %lld belong in part to the instance with id %lld",
				   (long long)base, (long long)(base + size - 1), (long long)other);
	return put(tx, instance_id, base, size, e);
}

int db_port_take(struct db_ntx *tx, const char *owner, const char *protocol, const char *address, int port,
		 struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(&tx->t, &st, e,
			 "SELECT owner FROM ports WHERE protocol = ?1 AND port = ?2"
			 " AND (?3 = '' OR address = '' OR address = ?3) AND owner != ?4",
			 "sdzs", protocol, port, address, owner);

	if (r == 0)
		r = sql_next(&tx->t, st, e);
	if (r < 0)
		return r;
	if (r > 0)
		return lxm_err_set(e, EEXIST, "%s port %d is in use by '%s'", protocol, port, sql_text(st, 0));
	return sql_run(&tx->t, e,
		       "INSERT INTO ports (protocol, port, address, owner) VALUES (?1, ?2, ?3, ?4)"
		       " ON CONFLICT DO NOTHING",
		       "sdzs", protocol, port, address, owner);
}

int db_port_free(struct db_ntx *tx, const char *owner, struct lxm_err *e)
{
	if (lxm_ends(owner, "/"))
		return sql_run(&tx->t, e, "DELETE FROM ports WHERE substr(owner, 1, length(?1)) = ?1", "s", owner);
	return sql_run(&tx->t, e, "DELETE FROM ports WHERE owner = ?1", "s", owner);
}
