/* A pair of databases in a temporary directory, for the unit tests of db/. */
#ifndef LXM_TESTS_DB_FIXTURE_H
#define LXM_TESTS_DB_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "db/db.h"
#include "db/node.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

struct fixture {
	char dir[SCRATCH_MAX];
	struct db_cluster *db;
	struct db_node *node;
	struct lxm_err e;
};

static inline void fixture_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	scratch(f->dir, "db");
	CU_ASSERT_EQUAL_FATAL(db_cluster_open(f->dir, &f->db, &f->e), 0);
	CU_ASSERT_EQUAL_FATAL(db_node_open(f->dir, &f->node, &f->e), 0);
}

static inline void fixture_down(struct fixture *f)
{
	db_cluster_close(f->db);
	db_node_close(f->node);
	(void)lxm_rm_tree_at(-100 /* AT_FDCWD */, f->dir);
}

/* In a transaction's body: give up with the callee's error, saying where. */
#define TRY(x)                                                                              \
	do {                                                                                \
		int try_ = (x);                                                             \
		if (try_ < 0)                                                               \
			return lxm_err_wrap(e, try_, "%s:%d", __FILE__, __LINE__);          \
	} while (0)

/* In a transaction's body: a condition that must hold. */
#define MUST(x)                                                                               \
	do {                                                                                  \
		if (!(x))                                                                     \
			return lxm_err_set(e, ECANCELED, "%s:%d: %s", __FILE__, __LINE__, #x); \
	} while (0)

/* Run a body and fail the test with its message. */
#define RUN_OK(call, f)                                                         \
	do {                                                                    \
		int run_ = (call);                                              \
		if (run_ < 0)                                                   \
			fprintf(stderr, "\n    %s\n", (f)->e.msg);              \
		CU_ASSERT_FATAL(run_ >= 0);                                     \
	} while (0)

#endif
