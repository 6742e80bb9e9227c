/*
 * The schema's history and the way from any older file to the present. Each step is one numbered file in db/schema/,
 * only ever appended, run in a transaction of its own together with its version number, so a crash leaves a whole
 * version behind. Before the first step an existing file is copied; a file that we do not understand is not touched.
 */
#include "db/sql.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define MADE "/made" /* beside the databases */

static const char *const cluster_steps[] = {
#include "db/schema/cluster_001.sql.h"
	,
#include "db/schema/cluster_002.sql.h"
};

static const char *const node_steps[] = {
#include "db/schema/node_001.sql.h"
};

const struct sql_schema schema_cluster = { "cluster.db", cluster_steps, LXM_ARRAY_LEN(cluster_steps), 0x6c786d63 };
const struct sql_schema schema_node = { "node.db", node_steps, LXM_ARRAY_LEN(node_steps), 0x6c786d6e };

static int pragma_int(sqlite3 *h, const char *sql, int *out, struct lxm_err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(h, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : sql_fail(h, rc, e);
}

static int quick_check(sqlite3 *h, const char *path, struct lxm_err *e)
{
	sqlite3_stmt *st = NULL;
	int r = 0, rc = sqlite3_prepare_v2(h, "PRAGMA quick_check(1)", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		r = sql_fail(h, rc, e);
	else if (!lxm_streq(sql_text(st, 0), "ok"))
		r = lxm_err_set(e, EUCLEAN, "%.200s", sql_text(st, 0));
	sqlite3_finalize(st);
	if (r < 0)
		return lxm_err_wrap(e, r,
				    "database '%s' is damaged (left as it is; put a copy back or repair it with "
				    "sqlite3 .recover)",
				    path);
	return 0;
}

/* Both databases were whole once (db_note_made()): an empty one now is a loss, and no first start. */
static bool was_made(const char *path)
{
	lxm_auto(free) char *marker = lxm_asprintf("%.*s" MADE, (int)(strrchr(path, '/') - path), path);

	return access(marker, F_OK) == 0;
}

/* What is in the file? *version is 0 for an empty one. */
static int identify(sqlite3 *h, const char *path, const struct sql_schema *s, int *version, struct lxm_err *e)
{
	int r, app = 0, tables = 0;

	r = quick_check(h, path, e);
	if (r < 0)
		return r;
	r = pragma_int(h, "PRAGMA user_version", version, e);
	if (r == 0)
		r = pragma_int(h, "PRAGMA application_id", &app, e);
	if (r == 0)
		r = pragma_int(h, "SELECT count(*) FROM sqlite_master", &tables, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "read database '%s'", path);
	if (*version == 0 && !tables && was_made(path))
		return lxm_err_set(e, EUCLEAN,
				   "database '%s' is empty or gone, though this lxmd had one (left as it is; put a copy back, or move "
				   "the whole data directory away to start anew)",
				   path);
	if (tables && app != s->app_id)
		return lxm_err_set(e, EUCLEAN, "'%s' is not the %s of an lxmd (left as it is)", path, s->what);
	if (*version > s->version)
		return lxm_err_set(e, EPROTONOSUPPORT,
				   "database '%s' has schema version %d, this lxmd knows up to %d (left as it is; start "
				   "a newer lxmd, or put back the copy made before the upgrade)",
				   path, *version, s->version);
	return 0;
}

/* A copy beside the file, complete and on disk before it gets its name. */
static int backup(sqlite3 *h, const char *path, int version, struct lxm_err *e)
{
	lxm_auto(free) char *to = lxm_asprintf("%s.v%d.bak", path, version);
	lxm_auto(free) char *tmp = lxm_asprintf("%s.tmp", to);
	lxm_auto(fd_close) int fd = -1;
	sqlite3_backup *b;
	sqlite3 *copy = NULL;
	int rc;

	(void)unlink(tmp);
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return lxm_err_sys(e, "create '%s'", tmp);
	rc = sqlite3_open_v2(tmp, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		b = sqlite3_backup_init(copy, "main", h, "main");
		rc = b ? sqlite3_backup_step(b, -1) : sqlite3_errcode(copy);
		if (b)
			(void)sqlite3_backup_finish(b);
	}
	(void)sqlite3_close(copy);
	if (rc != SQLITE_DONE) {
		int r = sql_fail(NULL, rc, e);

		(void)unlink(tmp);
		return lxm_err_wrap(e, r, "copy '%s' before its migration", path);
	}
	if (fsync(fd) < 0 || rename(tmp, to) < 0) {
		int r = lxm_err_sys(e, "write '%s'", to);

		(void)unlink(tmp);
		return r;
	}
	lxm_info("database '%s' copied to '%s' before its migration", path, to);
	return 0;
}

static int exec(sqlite3 *h, const char *sql, struct lxm_err *e)
{
	int rc = sqlite3_exec(h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_fail(h, rc, e);
}

static int run_step(sqlite3 *h, const struct sql_schema *s, int to, struct lxm_err *e)
{
	lxm_auto(free) char *stamp =
		lxm_asprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", s->app_id, to);
	int broken = 0, r;

	r = exec(h, "BEGIN EXCLUSIVE", e);
	if (r < 0)
		return r;
	r = exec(h, s->steps[to - 1], e);
	if (r == 0)
		r = pragma_int(h, "SELECT count(*) FROM pragma_foreign_key_check", &broken, e);
	if (r == 0 && broken)
		r = lxm_err_set(e, EUCLEAN, "%d rows point to nothing", broken);
	if (r == 0)
		r = exec(h, stamp, e);
	if (r == 0)
		r = exec(h, "COMMIT", e);
	if (r < 0)
		(void)exec(h, "ROLLBACK", NULL);
	return r;
}

static int migrate(sqlite3 *h, const char *path, const struct sql_schema *s, struct lxm_err *e)
{
	int version, r;

	r = identify(h, path, s, &version, e);
	if (r < 0)
		return r;
	if (version > 0 && version < s->version)
		r = backup(h, path, version, e);
	if (r == 0)
		r = exec(h, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;", e);
	if (r < 0)
		return r;
	while (version < s->version) {
		r = run_step(h, s, ++version, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "migrate '%s' to schema version %d (nothing was changed)", path,
					    version);
	}
	return 0;
}

int db_note_made(const char *dir, struct lxm_err *e)
{
	lxm_auto(free) char *path = lxm_asprintf("%s" MADE, dir);
	lxm_auto(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? lxm_err_sys(e, "create '%s'", path) : 0;
}

int sql_migrate(const char *path, const struct sql_schema *schema, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	sqlite3 *h = NULL;
	int r, rc;

	if (fd < 0)
		return lxm_err_sys(e, "open database '%s'", path);
	/* POSIX locks go with any close of the file in this process: close before SQLite opens it */
	auto_fd_close(&fd);
	rc = sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(h, 5000);
		r = migrate(h, path, schema, e);
	} else {
		r = lxm_err_wrap(e, sql_fail(h, rc, e), "open database '%s'", path);
	}
	(void)sqlite3_close(h);
	return r;
}
