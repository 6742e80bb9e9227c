/* backup/index.yaml: what a backup says of the instance in it, as LXD and Incus write it. */
#ifndef LXMD_INSTANCE_BACKUP_INDEX_H
#define LXMD_INSTANCE_BACKUP_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "db/instance.h"
#include "db/snapshot.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lxmd/image/unpack.h"

struct instance;
struct lxmd;

#define BACKUP_INDEX_MAX     (4u << 20) /* bytes of an index that we read */
#define BACKUP_SNAPSHOTS_MAX 1000
#define BACKUP_IDS_MAX	     200

/* How the owners in a tree are shifted (volatile.last_state.idmap): none for what we write, often some in what LXD does. */
struct backup_ids {
	struct unpack_ids *v; /* owned, n of them */
	size_t n;
};

/* Zeroed is empty. */
struct backup_index {
	char *pool;		  /* where the instance lay, "" unknown */
	struct db_instance row;	  /* without project, id and pool */
	struct db_snapshots snapshots; /* rows without project and instance, in the order of the index */
	struct backup_ids *ids;	  /* owned: of each snapshot's tree, and last of the instance's */
};

void backup_index_deinit(struct backup_index *x);
LXM_AUTO_STRUCT(backup_index, struct backup_index, backup_index_deinit)

/**
 * Read an index of any origin.
 *
 * Names are checked; config keys that no lxm knows are left out (and logged), of volatile.* only what an instance keeps when it
 * moves to another server stays. Nothing else is judged: the caller passes the final instance through instance_check().
 *
 * Any thread, no I/O. Returns 0, -EINVAL, or -EOPNOTSUPP (a virtual machine, the private format of a storage driver).
 */
int backup_index_parse(const char *text, size_t len, struct backup_index *out, struct lxm_err *e);

/**
 * Write both documents of a backup.
 *
 * @snapshots  that are in it; may be empty
 * @index      receives index.yaml
 * @config     receives backup.yaml, which is the `config` of the first
 *
 * Any thread; reads the database. Returns 0 or -errno.
 */
int backup_index_write(struct lxmd *d, const struct instance *i, const struct db_snapshots *snapshots, struct lxm_buf *index,
		       struct lxm_buf *config, struct lxm_err *e);

#endif
