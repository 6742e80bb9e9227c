/* Copies of instances and snapshots on this host, and moves between its pools. */
#ifndef LXMD_INSTANCE_COPY_H
#define LXMD_INSTANCE_COPY_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lxmd/core/locks.h"
#include "lxmd/instance/instance.h"

struct caller;
struct op;
struct pool;
struct volume_id;

/* What is copied; borrowed strings. */
struct copy_source {
	const char *project, *name;
	const char *snapshot; /* NULL: the instance itself */
	bool instance_only;   /* without its snapshots */
	bool unsteady;	      /* allow_inconsistent: do not keep a running one still, bear files that change meanwhile */
};

/**
 * Load the source and take its lock, so that nobody changes or deletes it meanwhile.
 *
 * Worker threads. Returns 0, -ENOENT (also for the snapshot) or -EBUSY. The caller releases the lock.
 */
int copy_source_begin(struct lxmd *d, const struct copy_source *src, struct instance *from, struct lock **lock_out,
		      struct lxm_err *e);

/** Copy one volume, of the instance or (snapshot not NULL) of its snapshot, to any volume of any pool. */
int instance_copy_volume(struct pool *from_pool, const struct instance *from, const char *snapshot, struct pool *pool,
			 const struct volume_id *to, struct op *op, struct lxm_err *e);

/** The part of instance_create() for SOURCE_COPY: volume and snapshots of a new row. No event; the caller undoes. */
int instance_fill_copy(struct lxmd *d, const struct instance *to, const struct copy_source *src, struct op *op,
		       struct lxm_err *e);

/**
 * Make a stopped copy equal to its source again: data and snapshots, not the configuration.
 *
 * Worker threads; the caller holds the lock of `to`. Returns 0, -EBUSY (it runs, or the source is busy) or -errno; then
 * the data is as before, snapshots may be partly brought up to date.
 */
int instance_refresh(struct lxmd *d, const struct instance *to, const struct copy_source *src, struct op *op,
		     const struct caller *caller, struct lxm_err *e);

/**
 * Move a stopped instance with its snapshots into another pool; its root disk names it afterwards.
 *
 * Worker threads; the caller holds the lock. Returns 0, -EBUSY (running), -EINVAL (the same pool), -ENOENT or -errno.
 */
int instance_move_pool(struct lxmd *d, const struct instance *i, const char *pool, struct op *op,
		       const struct caller *caller, struct lxm_err *e);

#endif
