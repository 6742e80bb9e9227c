/* What projects may use altogether (limits.*), and what they do use. */
#ifndef LXMD_CORE_QUOTA_H
#define LXMD_CORE_QUOTA_H

#include "db/instance.h"
#include "db/project.h"
#include "lib/base/err.h"

/* What a change has touched, and so which limits it may have passed. */
enum {
	QUOTA_OF_INSTANCES = 1, /* their number, type, configuration or root disk */
	QUOTA_OF_DISK = 2,	/* custom volumes, images */
	QUOTA_OF_NETWORKS = 4,
};

/*
 * All of these run in a transaction of the caller's and judge what it sees: a change writes its rows and has them judged behind
 * that, before it commits. Writers follow each other, so two changes at once never share the last place, and a refusal takes the
 * rows back. A project without limits costs one look-up.
 *
 * Counted: instances, with every value from their profiles or themselves; for disk the sizes of root disks and custom volumes and
 * the project's own images. A limited value must be there, and absolute, in each instance and volume.
 */

/** Is the project within its limits? Returns 0, -EPERM (403) naming the limit, or -errno. DB_NONE never. */
int quota_check(struct db_tx *tx, const char *project, unsigned int of, struct lxm_err *e);

/**
 * Would it be with this instance in the place of the one of its id or name, or as a new one? For refusing early what takes long;
 * the transaction that stores it asks quota_check() again.
 */
int quota_check_row(struct db_tx *tx, const struct db_instance *wanted, struct lxm_err *e);

/**
 * May the project's limits become those of `now`? Only those that differ from `was` are asked.
 *
 * Returns 0, -EINVAL (400) naming the use that a limit is below, or the instance without a value; -errno.
 */
int quota_check_limits(struct db_tx *tx, const struct lxm_kv *was, const struct db_project *now, struct lxm_err *e);

/** Does the project limit disk space? For sizes that count for that alone. Returns 0 or -errno. */
int quota_counts_disk(struct db_tx *tx, const char *project, bool *out, struct lxm_err *e);

struct quota {
	char *name; /* owned; "cpu", "disk.POOL" */
	int64_t limit; /* -1: none */
	int64_t usage; /* what has no value counts nothing */
};

struct quota_list {
	struct quota *v; /* owned, n of them, by name */
	size_t n;
};

void quota_list_deinit(struct quota_list *l);
LXM_AUTO_STRUCT(quota_list, struct quota_list, quota_list_deinit)

/** What the project uses of all that can be limited. Returns 0, DB_NONE or -errno. */
int quota_state(struct db_tx *tx, const char *project, struct quota_list *out, struct lxm_err *e);

#endif
