/* What the database says of all instances, read once for as long as nothing in it changes. */
#ifndef LXMD_INSTANCE_ROWS_H
#define LXMD_INSTANCE_ROWS_H

#include "db/snapshot.h"
#include "db/backup.h"
#include "lxmd/instance/instance.h"

struct rows_cache;

/* Shared: never changes once made. */
struct instance_rows {
	struct instance_list l;
	struct db_snapshots snapshots; /* of all instances, sorted by instance */
	struct db_backups backups;
	char *project;	/* owned; NULL: all */
	uint64_t changes; /* db_changes() before it was read */
	int refs;	/* atomic */
};

/** An empty one; rows_cache_free() it. */
struct rows_cache *rows_cache_new(void);
/** NULL is fine. */
void rows_cache_free(struct rows_cache *c);

/**
 * The instances of a project (NULL: of all) with their snapshots and backups, as instance_load_all(), snapshot_list() and
 * backup_list() give them now. Those asked for last are kept until the daemon rests.
 *
 * @out  a reference; instance_rows_unref() it
 *
 * Any thread; reads the database where something has changed. Returns 0 or -errno.
 */
int instance_rows_get(struct lxmd *d, const char *project, struct instance_rows **out, struct lxm_err *e);
/** NULL is fine. */
void instance_rows_unref(struct instance_rows *r);
LXM_AUTO_PTR(instance_rows_unref, struct instance_rows, instance_rows_unref)

/** Forget what is kept: nobody has asked for a while. Any thread. */
void instance_rows_rest(struct lxmd *d);

#endif
