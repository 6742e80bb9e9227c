/* Snapshots of instances: a row with the configuration of that moment, and a copy of the volume. */
#ifndef LXMD_INSTANCE_SNAPSHOT_H
#define LXMD_INSTANCE_SNAPSHOT_H

#include <stdbool.h>

#include "db/snapshot.h"
#include "lib/base/err.h"
#include "lib/base/time.h"

struct caller;
struct instance;
struct lxmd;
struct op;
struct pool;
struct volume_id;

/*
 * A snapshot whose making or removal is not finished carries volatile.lxm.unfinished in its row: nobody is shown it,
 * and the next start of lxmd removes it. A renamed one carries volatile.lxm.renamed_from until its volume followed.
 *
 * Unless a comment says otherwise: worker threads; the caller holds the instance's lock; they block; on failure
 * everything is undone; the lifecycle event is sent. @caller may be NULL.
 */

/**
 * The snapshots of one instance (id 0: of all), oldest first, whole ones only.
 *
 * Any thread, no lock; one read transaction. Returns 0 or -errno.
 */
int snapshot_list(struct lxmd *d, int64_t instance_id, struct db_snapshots *out, struct lxm_err *e);
/** One of them; -ENOENT naming both. Any thread, no lock. */
int snapshot_load(struct lxmd *d, const struct instance *i, const char *name, struct db_snapshot *out, struct lxm_err *e);

/**
 * The snapshot as an instance: its configuration merged with its profiles as they are now; a profile that is gone
 * adds nothing. row.name is the instance's, row.id 0. Any thread; one read transaction. Returns 0 or -errno.
 */
int snapshot_as_instance(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, struct instance *out,
			 struct lxm_err *e);

/* A snapshot to be made. Zeroed: name by snapshots.pattern, expiry by snapshots.expiry. */
struct snapshot_new {
	const char *name;
	bool has_expiry;
	lxm_time expires_at; /* 0: never */
};

/**
 * Take a snapshot. A running instance is frozen while its files are copied.
 *
 * Returns 0, -EEXIST, -EINVAL (name), -EPERM (restricted.snapshots) or another -errno.
 */
int snapshot_create(struct lxmd *d, const struct instance *i, const struct snapshot_new *n, struct op *op,
		    const struct caller *caller, struct lxm_err *e);
/** -ENOENT. */
int snapshot_delete(struct lxmd *d, const struct instance *i, const char *name, const struct caller *caller,
		    struct lxm_err *e);
/** -ENOENT, -EEXIST, -EINVAL. */
int snapshot_rename(struct lxmd *d, const struct instance *i, const char *from, const char *to,
		    const struct caller *caller, struct lxm_err *e);
/** Set when it expires (0: never). No lock needed. -ENOENT. */
int snapshot_set_expiry(struct lxmd *d, const struct instance *i, const char *name, lxm_time expires_at,
			const struct caller *caller, struct lxm_err *e);

/**
 * Copy snapshots of another instance, which must not change meanwhile: rows and volumes, in order, those left out that
 * `to` has already by name and time of creation. No events. What was copied before a failure stays.
 *
 * Returns 0 or -errno.
 */
int snapshot_copy_all(struct lxmd *d, const struct instance *from, const struct instance *to, struct op *op,
		      struct lxm_err *e);
/** The row that a copy of a snapshot has in another instance: the same, but for what belongs to one instance or host. `out` is zeroed. */
void snapshot_row_for(const struct instance *to, const struct db_snapshot *s, struct db_snapshot *out);

/** Makes the volume of a snapshot. */
typedef int (*snapshot_fill_fn)(void *arg, struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/**
 * Make a snapshot of a row and whatever fills its volume. No event. What is not finished when lxmd dies goes at its next start.
 *
 * Returns 0, -EEXIST or another -errno.
 */
int snapshot_build(struct lxmd *d, struct db_snapshot *s, struct pool *pool, snapshot_fill_fn make, void *arg, struct lxm_err *e);
/** Remove one. No event. */
int snapshot_drop(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, struct lxm_err *e);
/** Remove those that `from` does not have (by name and time of creation). No events. */
int snapshot_drop_strays(struct lxmd *d, const struct instance *from, const struct instance *to, struct lxm_err *e);

/** Remove all volumes of snapshots, finished or not; the rows go with the instance's. Safe to repeat. No event. */
int snapshot_destroy_volumes(struct lxmd *d, const struct instance *i, struct lxm_err *e);

/** At start: remove what is unfinished, take marks away that storage has followed. Main thread. */
void snapshots_mend(struct lxmd *d);

#endif
