/* Inside db/ only: connections, cached statements, and the loaders that all table families share. */
#ifndef LXM_DB_SQL_H
#define LXM_DB_SQL_H

#include <pthread.h>
#include <sqlite3.h>

#include "db/db.h"

/* Statements a connection keeps prepared; each SQL text is one string literal, known by its address. */
#define SQL_CACHE 512

struct sql_conn {
	sqlite3 *h;
	struct sql_conn *next; /* in the pool's list of idle ones */
	struct {
		const char *sql;
		sqlite3_stmt *st;
	} cache[SQL_CACHE]; /* open addressing */
	unsigned int cached;
	int64_t version; /* PRAGMA data_version when it was last asked, see db_changes() */
};

/* One database file with its connections. */
struct sql_db {
	char *path;		   /* owned */
	pthread_mutex_t writing;   /* held by the one writer; taken before `lock` */
	pthread_mutex_t lock;	   /* guards the fields below */
	pthread_cond_t returned;   /* a connection became idle */
	struct sql_conn *idle;	   /* guarded by lock */
	unsigned int conns;	   /* open ones, idle or not; guarded by lock */
	uint64_t changes;	   /* atomic; see db_changes() */
};

struct db_tx {
	struct sql_conn *c;
	bool busy; /* SQLite said busy in here: worth another try */
};
struct db_ntx {
	struct db_tx t;
};
struct db_cluster {
	struct sql_db s;
};
struct db_node {
	struct sql_db s;
};

/* The steps from an empty file to the present; steps[0] makes version 1. */
struct sql_schema {
	const char *what;	  /* file name */
	const char *const *steps; /* SQL texts */
	int version;		  /* number of steps */
	int app_id;		  /* PRAGMA application_id that marks the file as ours */
};
extern const struct sql_schema schema_cluster, schema_node;

/** Open, check, migrate (db/schema.c). Leaves *db ready for use. Returns 0 or -errno. */
int sql_db_open(struct sql_db *db, const char *dir, const struct sql_schema *schema, struct lxm_err *e);
void sql_db_close(struct sql_db *db);
/** Bring a file to the schema's version; a copy of an older file is made first (db/schema.c). Returns 0 or -errno. */
int sql_migrate(const char *path, const struct sql_schema *schema, struct lxm_err *e);
/** One connection with our pragmas set (db/conn.c). Returns 0 or -errno. */
int sql_conn_open(const char *path, struct sql_conn **out, struct lxm_err *e);
void sql_conn_close(struct sql_conn *c);
LXM_AUTO_PTR(sql_conn_close, struct sql_conn, sql_conn_close)
/** An idle connection or a new one; waits while all are out. */
int sql_conn_get(struct sql_db *db, struct sql_conn **out, struct lxm_err *e);
void sql_conn_put(struct sql_db *db, struct sql_conn *c);
/** Close all idle connections but the warm one, and take its pages from that. */
void sql_db_trim(struct sql_db *db);
/** Fill e from the connection's last error; -EBUSY, -EEXIST (unique), -ENOENT (foreign key), -EIO ... */
int sql_fail(sqlite3 *h, int rc, struct lxm_err *e);

/* ---- statements (db/sql.c) */

/*
 * A prepared statement with its arguments bound; `lxm_auto(sql) sqlite3_stmt *st` gives it back.
 *
 * @sql  a string literal
 * @fmt  one letter for each argument: s text (NULL: NULL), z text (NULL: ""), i int64_t, d int (booleans too).
 *       Texts are borrowed until the statement is given back.
 */
int sql_open(struct db_tx *tx, sqlite3_stmt **st_out, struct lxm_err *e, const char *sql, const char *fmt, ...);
/** Bind anew and run once more; for inserting many rows. Returns 0 or -errno. */
int sql_again(struct db_tx *tx, sqlite3_stmt *st, struct lxm_err *e, const char *fmt, ...);
/** 1: a row is there, 0: no more, -errno. */
int sql_next(struct db_tx *tx, sqlite3_stmt *st, struct lxm_err *e);
/** Run a statement that gives no rows. Returns 0 or -errno. */
int sql_run(struct db_tx *tx, struct lxm_err *e, const char *sql, const char *fmt, ...);
/** The same; DB_NONE when no row was changed. */
int sql_run1(struct db_tx *tx, struct lxm_err *e, const char *sql, const char *fmt, ...);
/** First column of the first row; DB_NONE when there is none. */
int sql_int(struct db_tx *tx, int64_t *out, struct lxm_err *e, const char *sql, const char *fmt, ...);
/** Id of the last row inserted in this transaction. */
int64_t sql_id(struct db_tx *tx);

static inline void auto_sql(sqlite3_stmt **st)
{
	if (*st) {
		sqlite3_reset(*st);
		sqlite3_clear_bindings(*st);
	}
	*st = NULL;
}

/** Column as text, borrowed until the next step; NULL for NULL. */
static inline const char *sql_text(sqlite3_stmt *st, int col)
{
	return (const char *)sqlite3_column_text(st, col);
}
/** Column as a new string; NULL for NULL. */
char *sql_dup(sqlite3_stmt *st, int col);

/* ---- shared shapes (db/rows.c) */

/* The three statements of a table (owner, key, value); SQL_KV("x_config") spells them. */
struct sql_kv {
	const char *load, *wipe, *put, *drop;
};
#define SQL_KV(t)                                                                                  \
	{                                                                                          \
		"SELECT owner, key, value FROM " t " WHERE owner BETWEEN ?1 AND ?2 ORDER BY owner, key", \
		"DELETE FROM " t " WHERE owner = ?1",                                              \
		"INSERT INTO " t " (owner, key, value) VALUES (?1, ?2, ?3) "                       \
		"ON CONFLICT DO UPDATE SET value = excluded.value",                                \
		"DELETE FROM " t " WHERE owner = ?1 AND key = ?2",                                 \
	}
/* The same for (owner, device, key, value). */
struct sql_devs {
	const char *load, *wipe, *put;
};
#define SQL_DEVS(t)                                                                               \
	{                                                                                         \
		"SELECT owner, device, key, value FROM " t " WHERE owner BETWEEN ?1 AND ?2 "      \
		"ORDER BY owner, device, key",                                                    \
		"DELETE FROM " t " WHERE owner = ?1",                                             \
		"INSERT INTO " t " (owner, device, key, value) VALUES (?1, ?2, ?3, ?4)",          \
	}

/*
 * Loaders of children for many parents in one query. The parents are n structs of `size` bytes, sorted by the
 * int64_t id that each starts with; `off` is where in each struct the child map lies (offsetof).
 */
int sql_load_kv(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off, struct lxm_err *e);
int sql_load_devs(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off, struct lxm_err *e);
/** Rows (owner, name) into a vector. */
int sql_load_names(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off,
		   struct lxm_err *e);
/** Rows (owner, kind, project, name, pool) become URLs in a vector; kind is one of the names of db/rows.c. */
int sql_load_urls(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off,
		  struct lxm_err *e);

#define SQL_LOAD_KV(tx, t, list, type, field, e) \
	sql_load_kv(tx, (t)->load, (list)->v, (list)->n, sizeof(type), offsetof(type, field), e)
#define SQL_LOAD_DEVS(tx, t, list, type, field, e) \
	sql_load_devs(tx, (t)->load, (list)->v, (list)->n, sizeof(type), offsetof(type, field), e)
#define SQL_LOAD_NAMES(tx, sql, list, type, field, e) \
	sql_load_names(tx, sql, (list)->v, (list)->n, sizeof(type), offsetof(type, field), e)
#define SQL_LOAD_URLS(tx, sql, list, type, field, e) \
	sql_load_urls(tx, sql, (list)->v, (list)->n, sizeof(type), offsetof(type, field), e)

/** Replace all pairs of an owner (`fresh`: there are none yet). Pairs with an empty value are left out. */
int sql_save_kv(struct db_tx *tx, const struct sql_kv *t, int64_t owner, const struct lxm_kv *kv, bool fresh,
		struct lxm_err *e);
/** Set some pairs, "" deletes. */
int sql_set_keys(struct db_tx *tx, const struct sql_kv *t, int64_t owner, const struct lxm_kv *kv,
		 struct lxm_err *e);
/** Replace all devices of an owner. A device without a property is refused: it could not be stored. */
int sql_save_devs(struct db_tx *tx, const struct sql_devs *t, int64_t owner, const struct lxm_devs *devs, bool fresh,
		  struct lxm_err *e);

/** Room for one more struct at the end of a list {v, n}; zeroed. */
void *sql_vec_more(void *v, size_t n, size_t size);
#define SQL_MORE(list)                                                                  \
	({                                                                              \
		(list)->v = sql_vec_more((list)->v, (list)->n, sizeof(*(list)->v));    \
		&(list)->v[(list)->n++];                                                \
	})

/* Defines NAMEs_deinit() for a list {v, n} of structs with NAME_deinit(). */
#define SQL_LIST_DEINIT(one, many)                        \
	void many##_deinit(struct many *list)             \
	{                                                 \
		for (size_t i = 0; i < list->n; i++)      \
			one##_deinit(&list->v[i]);        \
		free(list->v);                            \
		list->v = NULL;                           \
		list->n = 0;                              \
	}

/** Move the only struct of a list to *out; DB_NONE for an empty list. For "get" built on "list". */
#define SQL_ONLY(list, out, deinit)                     \
	({                                              \
		int only_ = DB_NONE;                    \
		deinit(out);                            \
		if ((list)->n) {                        \
			*(out) = (list)->v[0];          \
			memset(&(list)->v[0], 0, sizeof(*(out))); \
			only_ = 0;                      \
		}                                       \
		only_;                                  \
	})

/** Id of a project; -ENOENT naming it. */
int sql_project_id(struct db_tx *tx, const char *name, int64_t *out, struct lxm_err *e);
/** Escapes nothing: -EINVAL unless prefix is 1-64 lowercase hex digits. *end_out: the first text after all with that prefix. */
int sql_hex_range(const char *what, const char *prefix, char end_out[68], struct lxm_err *e);

#endif
