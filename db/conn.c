/*
 * Connections: at most CONNS_MAX to a file, handed out last-in-first-out so that the warm one with its prepared
 * statements is used again. A connection belongs to one thread at a time, which is why SQLite's own locks are off.
 */
#include "db/sql.h"

#include <string.h>

#include "lib/base/alloc.h"

#define CONNS_MAX 4

static const char pragmas[] = "PRAGMA foreign_keys = ON;"
			      "PRAGMA synchronous = FULL;"
			      "PRAGMA temp_store = MEMORY;"
			      "PRAGMA cache_size = -1024;"
			      "PRAGMA journal_size_limit = 4194304;";

int sql_conn_open(const char *path, struct sql_conn **out, struct lxm_err *e)
{
	lxm_auto(sql_conn_close) struct sql_conn *c = lxm_alloc(sizeof(*c));
	int r, rc;

	rc = sqlite3_open_v2(path, &c->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK) {
		r = sql_fail(c->h, rc, e);
		return lxm_err_wrap(e, r, "open '%s'", path);
	}
	(void)sqlite3_db_config(c->h, SQLITE_DBCONFIG_LOOKASIDE, NULL, 256, 128);
	(void)sqlite3_db_config(c->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_busy_timeout(c->h, 2000);
	rc = sqlite3_exec(c->h, pragmas, NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		r = sql_fail(c->h, rc, e);
		return lxm_err_wrap(e, r, "open '%s'", path);
	}
	*out = LXM_TAKE(c, NULL);
	return 0;
}

void sql_conn_close(struct sql_conn *c)
{
	size_t i;

	for (i = 0; i < SQL_CACHE; i++)
		sqlite3_finalize(c->cache[i].st);
	(void)sqlite3_close(c->h);
	free(c);
}

int sql_conn_get(struct sql_db *db, struct sql_conn **out, struct lxm_err *e)
{
	bool open_new = false;
	int r;

	pthread_mutex_lock(&db->lock);
	while (!db->idle && db->conns >= CONNS_MAX)
		pthread_cond_wait(&db->returned, &db->lock);
	if (db->idle) {
		*out = db->idle;
		db->idle = db->idle->next;
	} else {
		db->conns++;
		open_new = true;
	}
	pthread_mutex_unlock(&db->lock);
	if (!open_new)
		return 0;

	r = sql_conn_open(db->path, out, e);
	if (r < 0) {
		pthread_mutex_lock(&db->lock);
		db->conns--;
		pthread_cond_signal(&db->returned);
		pthread_mutex_unlock(&db->lock);
	}
	return r;
}

void sql_conn_put(struct sql_db *db, struct sql_conn *c)
{
	pthread_mutex_lock(&db->lock);
	c->next = db->idle;
	db->idle = c;
	pthread_cond_signal(&db->returned);
	pthread_mutex_unlock(&db->lock);
}

void sql_db_trim(struct sql_db *db)
{
	struct sql_conn *c, *rest = NULL;

	pthread_mutex_lock(&db->lock);
	c = db->idle;
	if (c) {
		rest = LXM_TAKE(c->next, NULL);
		(void)sqlite3_db_release_memory(c->h);
	}
	for (c = rest; c; c = c->next)
		db->conns--;
	pthread_mutex_unlock(&db->lock);
	while (rest) {
		c = rest;
		rest = c->next;
		sql_conn_close(c);
	}
}

void sql_db_close(struct sql_db *db)
{
	while (db->idle) {
		struct sql_conn *c = db->idle;

		db->idle = c->next;
		sql_conn_close(c);
	}
	pthread_cond_destroy(&db->returned);
	pthread_mutex_destroy(&db->lock);
	pthread_mutex_destroy(&db->writing);
	free(db->path);
	db->path = NULL;
}

/* Its statistics of memory, which nobody reads, are a process-wide lock taken twice for each piece. Before its first use only. */
static void no_statistics(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int sql_db_open(struct sql_db *db, const char *dir, const struct sql_schema *schema, struct lxm_err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, schema->what);
	struct sql_conn *c;
	int r;

	(void)pthread_once(&once, no_statistics);
	r = sql_migrate(path, schema, e);
	if (r < 0)
		return r;
	memset(db, 0, sizeof(*db));
	pthread_mutex_init(&db->writing, NULL);
	pthread_mutex_init(&db->lock, NULL);
	pthread_cond_init(&db->returned, NULL);
	db->path = LXM_TAKE(path, NULL);
	/* the first connection now: what is wrong with the file shows at start-up, not at the first request */
	r = sql_conn_get(db, &c, e);
	if (r < 0) {
		sql_db_close(db);
		return r;
	}
	sql_conn_put(db, c);
	return 0;
}
