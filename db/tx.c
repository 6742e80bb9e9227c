/*
 * Transactions. Readers see one snapshot and never wait. Writers queue on a mutex, so SQLITE_BUSY comes only from
 * other processes (an administrator's sqlite3, a backup); then the whole body is repeated after a growing pause.
 */
#include "db/sql.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"

#define TRIES 8

enum mode { MODE_READ, MODE_WRITE, MODE_LAZY };

static void pause_ms(int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* One try: begin, body, commit or roll back. The body sees the same struct whichever database it is for. */
static int try_once(struct db_tx *tx, enum mode mode, db_fn fn, void *arg, struct lxm_err *e)
{
	int r, c;

	tx->busy = false;
	r = mode == MODE_READ ? sql_run(tx, e, "BEGIN", NULL) : sql_run(tx, e, "BEGIN IMMEDIATE", NULL);
	if (r < 0)
		return r;
	r = fn(tx, arg, e);
	if (r >= 0) {
		c = sql_run(tx, e, "COMMIT", NULL);
		if (c >= 0)
			return r;
		r = c;
	}
	/* some errors (disk full, I/O) have rolled back already */
	if (!sqlite3_get_autocommit(tx->c->h))
		(void)sql_run(tx, NULL, "ROLLBACK", NULL);
	return r;
}

static int run(struct sql_db *db, enum mode mode, db_fn fn, void *arg, struct lxm_err *e)
{
	struct db_tx tx = { 0 };
	struct lxm_err mine = { 0 };
	int r, i;

	if (mode != MODE_READ)
		pthread_mutex_lock(&db->writing);
	r = sql_conn_get(db, &tx.c, &mine);
	if (r == 0) {
		if (mode == MODE_LAZY)
			(void)sql_run(&tx, NULL, "PRAGMA synchronous = NORMAL", NULL);
		for (i = 0; i < TRIES; i++) {
			if (i)
				pause_ms(5 << i);
			lxm_err_clear(&mine);
			r = try_once(&tx, mode, fn, arg, &mine);
			if (r >= 0 || !tx.busy)
				break;
		}
		if (mode != MODE_READ)
			__atomic_add_fetch(&db->changes, 1, __ATOMIC_RELEASE);
		if (mode == MODE_LAZY)
			(void)sql_run(&tx, NULL, "PRAGMA synchronous = FULL", NULL);
		sql_conn_put(db, tx.c);
	}
	if (mode != MODE_READ)
		pthread_mutex_unlock(&db->writing);
	if (r < 0 && e)
		*e = mine;
	return r;
}

int db_read(struct db_cluster *db, db_fn fn, void *arg, struct lxm_err *e)
{
	return run(&db->s, MODE_READ, fn, arg, e);
}

int db_write(struct db_cluster *db, db_fn fn, void *arg, struct lxm_err *e)
{
	return run(&db->s, MODE_WRITE, fn, arg, e);
}

int db_write_lazy(struct db_cluster *db, db_fn fn, void *arg, struct lxm_err *e)
{
	return run(&db->s, MODE_LAZY, fn, arg, e);
}

/* The node's bodies take another type of transaction; this carries one through run(). */
struct node_call {
	db_node_fn fn;
	void *arg;
};

static int node_body(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct node_call *c = arg;
	struct db_ntx n = { .t = *tx };
	int r = c->fn(&n, c->arg, e);

	tx->busy |= n.t.busy;
	return r;
}

int db_node_read(struct db_node *db, db_node_fn fn, void *arg, struct lxm_err *e)
{
	struct node_call c = { fn, arg };

	return run(&db->s, MODE_READ, node_body, &c, e);
}

int db_node_write(struct db_node *db, db_node_fn fn, void *arg, struct lxm_err *e)
{
	struct node_call c = { fn, arg };

	return run(&db->s, MODE_WRITE, node_body, &c, e);
}

int db_cluster_open(const char *dir, struct db_cluster **out, struct lxm_err *e)
{
	lxm_auto(free) struct db_cluster *db = lxm_alloc(sizeof(*db));
	int r = sql_db_open(&db->s, dir, &schema_cluster, e);

	if (r < 0)
		return r;
	*out = LXM_TAKE(db, NULL);
	return 0;
}

void db_cluster_close(struct db_cluster *db)
{
	if (!db)
		return;
	sql_db_close(&db->s);
	free(db);
}

int db_node_open(const char *dir, struct db_node **out, struct lxm_err *e)
{
	lxm_auto(free) struct db_node *db = lxm_alloc(sizeof(*db));
	int r = sql_db_open(&db->s, dir, &schema_node, e);

	if (r < 0)
		return r;
	*out = LXM_TAKE(db, NULL);
	return 0;
}

void db_node_close(struct db_node *db)
{
	if (!db)
		return;
	sql_db_close(&db->s);
	free(db);
}

/*
 * Changes of this process are counted where they are made. SQLite tells a connection that others have changed something, but
 * not how often and not since when: each connection that sees it so counts it, some more than once, which costs a reading.
 */
int db_changes(struct db_cluster *db, uint64_t *out, struct lxm_err *e)
{
	struct db_tx tx = { 0 };
	int64_t version = 0;
	int r = sql_conn_get(&db->s, &tx.c, e);

	if (r < 0)
		return r;
	r = sql_int(&tx, &version, e, "PRAGMA data_version", NULL);
	if (r >= 0 && version != tx.c->version) {
		tx.c->version = version;
		__atomic_add_fetch(&db->s.changes, 1, __ATOMIC_RELEASE);
	}
	sql_conn_put(&db->s, tx.c);
	if (r < 0)
		return r;
	*out = __atomic_load_n(&db->s.changes, __ATOMIC_ACQUIRE);
	return 0;
}

void db_trim(struct db_node *node, struct db_cluster *cluster)
{
	sql_db_trim(&node->s);
	sql_db_trim(&cluster->s);
}

static int get_version(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return sql_int(tx, arg, e, "PRAGMA user_version", NULL);
}

int db_cluster_version(struct db_cluster *db)
{
	int64_t v = -1;

	(void)run(&db->s, MODE_READ, get_version, &v, NULL);
	return (int)v;
}

int db_node_version(struct db_node *db)
{
	int64_t v = -1;

	(void)run(&db->s, MODE_READ, get_version, &v, NULL);
	return (int)v;
}

/* ---- an administrator's own SQL */

struct free_sql {
	const char *sql;
	bool write;
	db_sql_row_fn row;
	void *arg;
};

static int sql_rows(struct db_tx *tx, sqlite3_stmt *st, const struct free_sql *f, struct lxm_err *e)
{
	int i, r, n = sqlite3_column_count(st);
	lxm_auto(free) const char **names = lxm_alloc((size_t)(n + 1) * sizeof(*names));
	lxm_auto(free) const char **values = lxm_alloc((size_t)(n + 1) * sizeof(*values));

	while ((r = sql_next(tx, st, e)) > 0) {
		for (i = 0; i < n; i++) {
			names[i] = sqlite3_column_name(st, i);
			values[i] = sql_text(st, i);
		}
		r = f->row ? f->row(n, names, values, f->arg) : 0;
		if (r < 0)
			return lxm_err_wrap(e, r, "sql");
	}
	return r;
}

/* Statements that would end our transaction or lead outside the file are refused, the rest runs as it stands. */
static int free_sql(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct free_sql *f = arg;
	const char *at = f->sql;

	while (*at) {
		sqlite3_stmt *st = NULL;
		int r, rc = sqlite3_prepare_v2(tx->c->h, at, -1, &st, &at);

		if (rc != SQLITE_OK) {
			r = sql_fail(tx->c->h, rc, e);
			return r == -EIO ? lxm_err_set(e, EINVAL, "%s", sqlite3_errmsg(tx->c->h)) : r;
		}
		if (!st)
			continue; /* blanks or a comment */
		r = 0;
		if (!f->write && !sqlite3_stmt_readonly(st))
			r = lxm_err_set(e, EROFS, "statement would change the database");
		if (r == 0)
			r = sql_rows(tx, st, f, e);
		sqlite3_finalize(st);
		if (r < 0)
			return r;
		if (sqlite3_get_autocommit(tx->c->h))
			return lxm_err_set(e, EINVAL, "transactions are lxmd's: no BEGIN, COMMIT, ROLLBACK");
	}
	return 0;
}

static int deny_outside(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
	return action == SQLITE_ATTACH || action == SQLITE_DETACH || action == SQLITE_TRANSACTION ? SQLITE_DENY :
												    SQLITE_OK;
}

static int guarded_sql(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	int r;

	sqlite3_set_authorizer(tx->c->h, deny_outside, NULL);
	r = free_sql(tx, arg, e);
	sqlite3_set_authorizer(tx->c->h, NULL, NULL);
	return r;
}

int db_cluster_sql(struct db_cluster *db, const char *sql, bool write, db_sql_row_fn row, void *arg,
		   struct lxm_err *e)
{
	struct free_sql f = { sql, write, row, arg };

	return run(&db->s, write ? MODE_WRITE : MODE_READ, guarded_sql, &f, e);
}

int db_node_sql(struct db_node *db, const char *sql, bool write, db_sql_row_fn row, void *arg, struct lxm_err *e)
{
	struct free_sql f = { sql, write, row, arg };

	return run(&db->s, write ? MODE_WRITE : MODE_READ, guarded_sql, &f, e);
}
