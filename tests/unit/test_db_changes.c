/* db_changes(): another number after each change, by whomever; spare connections can go. */
#include <fcntl.h>
#include <stdlib.h>

#include "db/config.h"
#include "db/db.h"
#include "lib/base/fd.h"
#include "lib/base/kv.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static int set(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	lxm_kv_set(&kv, "user.test", arg);
	return db_config_set_keys(tx, &kv, e);
}

static int nothing(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return 0;
}

static uint64_t changes(struct db_cluster *db)
{
	uint64_t n = 0;

	CU_ASSERT_EQUAL(db_changes(db, &n, NULL), 0);
	return n;
}

static void watch(const char *dir)
{
	lxm_auto(db_cluster_close) struct db_cluster *db = NULL, *other = NULL;
	lxm_auto(db_node_close) struct db_node *node = NULL;
	uint64_t n;

	CU_ASSERT_EQUAL_FATAL(db_node_open(dir, &node, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(db_cluster_open(dir, &db, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(db_cluster_open(dir, &other, NULL), 0);
	n = changes(db);
	CU_ASSERT_EQUAL(changes(db), n);
	CU_ASSERT_EQUAL(db_read(db, nothing, NULL, NULL), 0);
	CU_ASSERT_EQUAL(changes(db), n);

	CU_ASSERT_EQUAL(db_write(db, set, "a", NULL), 0);
	CU_ASSERT_NOT_EQUAL(changes(db), n);
	n = changes(db);
	CU_ASSERT_EQUAL(db_write_lazy(db, set, "b", NULL), 0);
	CU_ASSERT_NOT_EQUAL(changes(db), n);
	n = changes(db);

	CU_ASSERT_EQUAL(db_write(other, set, "c", NULL), 0); /* as another process */
	CU_ASSERT_NOT_EQUAL(changes(db), n);
	n = changes(db);
	CU_ASSERT_EQUAL(changes(db), n);

	/* what the connection has seen does not go with its memory */
	CU_ASSERT_EQUAL(db_write(other, set, "d", NULL), 0);
	db_trim(node, db);
	CU_ASSERT_NOT_EQUAL(changes(db), n);
	db_trim(node, db);
	CU_ASSERT_EQUAL(db_read(db, nothing, NULL, NULL), 0);
}

static void test_own_and_foreign_changes_are_seen(void)
{
	char dir[SCRATCH_MAX];

	scratch(dir, "changes");
	watch(dir);
	CU_ASSERT_EQUAL(lxm_rm_tree_at(AT_FDCWD, dir), 0);
}

UNIT_MAIN("db/changes", { "own and foreign changes are seen", test_own_and_foreign_changes_are_seen })
