/* db/schema, db/tx: migrations from the first, files that must not be touched, retries, rollback, concurrency. */
#include "tests/unit/db_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "db/config.h"
#include "db/sql.h"

static const char *const steps[] = {
	"CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one');",
	"ALTER TABLE t ADD COLUMN w TEXT NOT NULL DEFAULT 'w';",
	"CREATE TABLE u (id INTEGER PRIMARY KEY); THIS IS NO SQL;",
};

struct made {
	char dir[SCRATCH_MAX], path[96];
	struct lxm_err e;
};

static void up(struct made *m)
{
	memset(m, 0, sizeof(*m));
	scratch(m->dir, "db");
	snprintf(m->path, sizeof(m->path), "%s/x.db", m->dir);
}

static void down(struct made *m)
{
	(void)lxm_rm_tree_at(-100 /* AT_FDCWD */, m->dir);
}

static struct sql_schema schema(int version)
{
	return (struct sql_schema){ "x.db", steps, version, 0x1234 };
}

/* First column of the first row as text; "" if there is none. */
static void ask(const char *path, const char *sql, char out[64])
{
	sqlite3_stmt *st = NULL;
	sqlite3 *h;

	*out = '\0';
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &h), SQLITE_OK);
	if (sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		snprintf(out, 64, "%s", sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(h);
}

static void steps_run_once_with_a_copy_before(void)
{
	struct sql_schema s1 = schema(1), s2 = schema(2);
	char text[64], bak[128];
	struct made m;

	up(&m);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), 0);
	snprintf(bak, sizeof(bak), "%s.v1.bak", m.path);
	CU_ASSERT_EQUAL(access(bak, F_OK), -1);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s2, &m.e), 0);
	ask(m.path, "SELECT w FROM t", text);
	CU_ASSERT_STRING_EQUAL(text, "w");
	ask(bak, "SELECT v FROM t", text);
	CU_ASSERT_STRING_EQUAL(text, "one");
	ask(bak, "PRAGMA user_version", text);
	CU_ASSERT_STRING_EQUAL(text, "1");
	down(&m);
}

static void failing_step_changes_nothing(void)
{
	struct sql_schema s2 = schema(2), s3 = schema(3);
	char text[64];
	struct made m;

	up(&m);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s2, &m.e), 0);
	CU_ASSERT(sql_migrate(m.path, &s3, &m.e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.e.msg, "to schema version 3"));
	ask(m.path, "PRAGMA user_version", text);
	CU_ASSERT_STRING_EQUAL(text, "2");
	ask(m.path, "SELECT count(*) FROM sqlite_master WHERE name = 'u'", text);
	CU_ASSERT_STRING_EQUAL(text, "0");
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s2, &m.e), 0);
	down(&m);
}

static void newer_file_is_left_alone(void)
{
	struct sql_schema s1 = schema(1), s2 = schema(2);
	struct made m;

	up(&m);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s2, &m.e), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), -EPROTONOSUPPORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.e.msg, "newer lxmd"));
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s2, &m.e), 0);
	down(&m);
}

static void foreign_file_is_left_alone(void)
{
	static const char text[] = "this is no database, but somebody may need it; it is long enough to hold a header of "
				   "sqlite, which has one hundred bytes";
	lxm_auto(buf) struct lxm_buf after = { 0 };
	struct sql_schema s1 = schema(1);
	char out[64];
	struct made m;

	up(&m);
	CU_ASSERT_EQUAL(lxm_write_file_atomic(-100, m.path, text, sizeof(text), 0600), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.e.msg, "left as it is"));
	CU_ASSERT_EQUAL(lxm_read_file(m.path, 4096, &after), 0);
	CU_ASSERT(after.len == sizeof(text) && memcmp(after.data, text, after.len) == 0);
	(void)unlink(m.path);
	ask(m.path, "CREATE TABLE theirs (id)", out);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.e.msg, "is not the x.db"));
	down(&m);
}

static void empty_file_where_one_was_is_refused(void)
{
	struct sql_schema s1 = schema(1);
	struct made m;

	up(&m);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), 0);
	CU_ASSERT_EQUAL(unlink(m.path), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), 0); /* a first start that was cut off begins again */
	CU_ASSERT_EQUAL(db_note_made(m.dir, &m.e), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), 0);
	CU_ASSERT_EQUAL(truncate(m.path, 0), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.e.msg, "empty or gone"));
	CU_ASSERT_EQUAL(unlink(m.path), 0);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), -EUCLEAN);
	down(&m);
}

static void damaged_file_is_said_to_be(void)
{
	struct sql_schema s1 = schema(1);
	char junk[4096];
	struct made m;
	int fd;

	up(&m);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), 0);
	memset(junk, 0x5a, sizeof(junk));
	fd = open(m.path, O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(pwrite(fd, junk, sizeof(junk), 4096), (ssize_t)sizeof(junk));
	close(fd);
	CU_ASSERT_EQUAL(sql_migrate(m.path, &s1, &m.e), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(m.e.msg, "damaged"));
	down(&m);
}

static void files_are_for_root_only(void)
{
	struct fixture f;
	char path[128];
	struct stat st;

	fixture_up(&f);
	snprintf(path, sizeof(path), "%s/cluster.db", f.dir);
	CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	CU_ASSERT(db_cluster_version(f.db) >= 1 && db_node_version(f.node) >= 1);
	fixture_down(&f);
}

static int set_and_fail(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	lxm_kv_set(&kv, "user.x", "1");
	TRY(db_config_set_keys(tx, &kv, e));
	return lxm_err_set(e, ECANCELED, "on purpose");
}

static int load(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_config_load(tx, arg, e);
}

static void failing_body_rolls_back(void)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	struct fixture f;

	fixture_up(&f);
	CU_ASSERT_EQUAL(db_write(f.db, set_and_fail, NULL, &f.e), -ECANCELED);
	CU_ASSERT_STRING_EQUAL(f.e.msg, "on purpose");
	RUN_OK(db_read(f.db, load, &kv, &f.e), &f);
	CU_ASSERT(kv.n == 0);
	fixture_down(&f);
}

/* The n-th try of the body is told that the database was busy. */
static int busy_twice(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	int *tries = arg;

	if (++*tries <= 2) {
		tx->busy = true;
		return lxm_err_set(e, EBUSY, "busy");
	}
	return 7;
}

static int busy_without_saying_so(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	++*(int *)arg;
	return lxm_err_set(e, EBUSY, "an answer, not a collision");
}

static void busy_is_tried_again_and_answers_are_not(void)
{
	struct fixture f;
	int tries = 0;

	fixture_up(&f);
	CU_ASSERT_EQUAL(db_write(f.db, busy_twice, &tries, &f.e), 7);
	CU_ASSERT_EQUAL(tries, 3);
	tries = 0;
	CU_ASSERT_EQUAL(db_write(f.db, busy_without_saying_so, &tries, &f.e), -EBUSY);
	CU_ASSERT_EQUAL(tries, 1);
	fixture_down(&f);
}

static int add_one(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	const char *was;

	TRY(db_config_load(tx, &kv, e));
	was = lxm_kv_get(&kv, "user.count");
	lxm_kv_setf(&kv, "user.count", "%d", (was ? atoi(was) : 0) + 1);
	return db_config_set_keys(tx, &kv, e);
}

static void *writer(void *arg)
{
	struct fixture *f = arg;
	struct lxm_err e;
	int i;

	for (i = 0; i < 25; i++)
		if ((i % 2 ? db_write(f->db, add_one, NULL, &e) : db_write_lazy(f->db, add_one, NULL, &e)) < 0)
			return arg;
	return NULL;
}

static void *reader(void *arg)
{
	struct fixture *f = arg;
	struct lxm_err e;
	int i;

	for (i = 0; i < 50; i++) {
		lxm_auto(kv) struct lxm_kv kv = { 0 };

		if (db_read(f->db, load, &kv, &e) < 0)
			return arg;
	}
	return NULL;
}

static void many_threads_lose_nothing(void)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	pthread_t t[12];
	struct fixture f;
	void *failed;
	int i;

	fixture_up(&f);
	for (i = 0; i < 12; i++)
		pthread_create(&t[i], NULL, i % 3 ? reader : writer, &f);
	for (i = 0; i < 12; i++) {
		pthread_join(t[i], &failed);
		CU_ASSERT_PTR_NULL(failed);
	}
	RUN_OK(db_read(f.db, load, &kv, &f.e), &f);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&kv, "user.count"), "100");
	fixture_down(&f);
}

/* A stranger that holds the write lock for a while. */
static void *let_go_later(void *arg)
{
	usleep(150000);
	CU_ASSERT_EQUAL(sqlite3_exec(arg, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	return NULL;
}

static void another_process_that_writes_is_waited_for(void)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };
	struct fixture f;
	char path[128];
	int64_t before;
	pthread_t t;
	sqlite3 *h;

	fixture_up(&f);
	snprintf(path, sizeof(path), "%s/cluster.db", f.dir);
	sqlite3_open(path, &h);
	CU_ASSERT_EQUAL(sqlite3_exec(h, "BEGIN IMMEDIATE; INSERT INTO config VALUES ('user.count', '41')", NULL, NULL,
				     NULL),
			SQLITE_OK);
	before = lxm_mono_ms();
	RUN_OK(db_read(f.db, load, &kv, &f.e), &f); /* readers see the state before, at once */
	CU_ASSERT(kv.n == 0);
	pthread_create(&t, NULL, let_go_later, h);
	RUN_OK(db_write(f.db, add_one, NULL, &f.e), &f);
	CU_ASSERT(lxm_mono_ms() - before >= 140);
	pthread_join(t, NULL);
	sqlite3_close(h);
	RUN_OK(db_read(f.db, load, &kv, &f.e), &f);
	CU_ASSERT_STRING_EQUAL(lxm_kv_get(&kv, "user.count"), "42");
	fixture_down(&f);
}

static int count_rows(int cols, const char *const *names, const char *const *values, void *arg)
{
	++*(int *)arg;
	return cols == 1 && lxm_streq(names[0], "name") ? 0 : -EINVAL;
}

static void sql_of_an_administrator_stays_inside(void)
{
	struct fixture f;
	int rows = 0;

	fixture_up(&f);
	CU_ASSERT_EQUAL(db_cluster_sql(f.db, "SELECT name FROM profiles; SELECT name FROM projects", false, count_rows,
				       &rows, &f.e),
			0);
	CU_ASSERT_EQUAL(rows, 2);
	CU_ASSERT_EQUAL(db_cluster_sql(f.db, "DELETE FROM config", false, NULL, NULL, &f.e), -EROFS);
	CU_ASSERT_EQUAL(db_cluster_sql(f.db, "DELETE FROM config", true, NULL, NULL, &f.e), 0);
	CU_ASSERT_EQUAL(db_cluster_sql(f.db, "SELEKT", false, NULL, NULL, &f.e), -EINVAL);
	CU_ASSERT(db_cluster_sql(f.db, "COMMIT", true, NULL, NULL, &f.e) < 0);
	CU_ASSERT(db_cluster_sql(f.db, "ATTACH '/tmp/other' AS o", true, NULL, NULL, &f.e) < 0);
	RUN_OK(db_write(f.db, add_one, NULL, &f.e), &f);
	fixture_down(&f);
}

UNIT_MAIN("db/schema", { "steps run once, with a copy before", steps_run_once_with_a_copy_before },
	  { "failing step changes nothing", failing_step_changes_nothing },
	  { "newer file is left alone", newer_file_is_left_alone },
	  { "foreign file is left alone", foreign_file_is_left_alone },
	  { "damaged file is said to be", damaged_file_is_said_to_be },
	  { "empty file where one was is refused", empty_file_where_one_was_is_refused },
	  { "files are for root only", files_are_for_root_only }, { "failing body rolls back", failing_body_rolls_back },
	  { "busy is tried again and answers are not", busy_is_tried_again_and_answers_are_not },
	  { "many threads lose nothing", many_threads_lose_nothing },
	  { "another process that writes is waited for", another_process_that_writes_is_waited_for },
	  { "sql of an administrator stays inside", sql_of_an_administrator_stays_inside })
