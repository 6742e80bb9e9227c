/* The two databases of a host: handles, transactions, answers. Nobody outside db/ writes SQL. */
#ifndef LXM_DB_DB_H
#define LXM_DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

/* node.db: what belongs to this host only (local settings, id ranges, ports). */
struct db_node;
/* cluster.db: everything that the members of a cluster share; on one host a file as well. */
struct db_cluster;

/* An open transaction on either database; different types so that they cannot be mixed up. */
struct db_tx;  /* cluster.db */
struct db_ntx; /* node.db */

/* Answers besides 0 and -errno. */
enum {
	DB_NONE = 1, /* no such row; nothing was filled in or changed */
};

/**
 * Open the host's database, creating or migrating it.
 *
 * @dir    directory that holds the files (LXMD_DIR/database), which must exist
 * @out    receives the handle; db_node_close() it
 *
 * Before a migration the old file is copied to node.db.vN.bak. A file that is not a database, is damaged or was
 * written by a newer lxm is left as it is and gives an error that says what to do. Blocks on disk.
 * Returns 0 or -errno.
 */
int db_node_open(const char *dir, struct db_node **out, struct lxm_err *e);
/** Closes all connections; no transaction may be open. NULL is fine. */
void db_node_close(struct db_node *db);
LXM_AUTO_PTR(db_node_close, struct db_node, db_node_close)

/** The same for cluster.db. A new file holds project and profile `default`. */
int db_cluster_open(const char *dir, struct db_cluster **out, struct lxm_err *e);
void db_cluster_close(struct db_cluster *db);
LXM_AUTO_PTR(db_cluster_close, struct db_cluster, db_cluster_close)

/**
 * A number that is another one after each change, whoever made it: another process, too. What was read after this call is at
 * least as new as the number.
 *
 * Any thread; some microseconds. Returns 0 or -errno.
 */
int db_changes(struct db_cluster *db, uint64_t *out, struct lxm_err *e);

/** Of the connections that nobody uses keep one each, and forget cached pages. Any thread; nothing need be idle. */
void db_trim(struct db_node *node, struct db_cluster *cluster);

/**
 * Remember that both databases are there and whole: from now on one that is empty or gone is refused and not taken for a
 * first start.
 *
 * Main thread, after both were opened. Returns 0 or -errno.
 */
int db_note_made(const char *dir, struct lxm_err *e);

/*
 * A transaction's body. It touches the database and its own arg, nothing else, because it is repeated when the
 * database is busy: it starts by emptying what an earlier try may have filled in. 0 or > 0 commits, < 0 (with *e)
 * rolls back; the value is handed to the caller of db_read()/db_write().
 */
typedef int (*db_fn)(struct db_tx *tx, void *arg, struct lxm_err *e);
typedef int (*db_node_fn)(struct db_ntx *tx, void *arg, struct lxm_err *e);

/**
 * Run fn in a read transaction: one consistent snapshot, never waits for writers.
 *
 * Any thread; takes a connection from the pool, waiting for one while all are out. Do not nest: a body must not
 * open another transaction. Returns what fn returned, or -errno.
 */
int db_read(struct db_cluster *db, db_fn fn, void *arg, struct lxm_err *e);

/**
 * Run fn in a write transaction; writers follow each other. On return the change is on the disk (fsync).
 *
 * Any thread, blocks on disk; do not nest. Returns what fn returned, or -errno (nothing changed then).
 */
int db_write(struct db_cluster *db, db_fn fn, void *arg, struct lxm_err *e);

/**
 * As db_write() without the fsync: atomic, ordered and seen at once, survives a crash of lxmd, but the newest such
 * changes may be lost when the whole host loses power. For what is not promised to a client: volatile.*, last use.
 */
int db_write_lazy(struct db_cluster *db, db_fn fn, void *arg, struct lxm_err *e);

/** The same three on node.db. */
int db_node_read(struct db_node *db, db_node_fn fn, void *arg, struct lxm_err *e);
int db_node_write(struct db_node *db, db_node_fn fn, void *arg, struct lxm_err *e);

/** Schema version of the open file, for `lxmd sql` and tests. */
int db_cluster_version(struct db_cluster *db);
int db_node_version(struct db_node *db);

/**
 * Run any SQL for an administrator (`lxmd sql`).
 *
 * @write  false refuses statements that change something
 * @row    called for each row of each statement with the column names and the values as text (NULL for NULL);
 *         a return < 0 ends the run with that value
 *
 * Any thread; one transaction around everything. Returns 0 or -errno.
 */
typedef int (*db_sql_row_fn)(int cols, const char *const *names, const char *const *values, void *arg);
int db_cluster_sql(struct db_cluster *db, const char *sql, bool write, db_sql_row_fn row, void *arg,
		   struct lxm_err *e);
int db_node_sql(struct db_node *db, const char *sql, bool write, db_sql_row_fn row, void *arg, struct lxm_err *e);

#endif
