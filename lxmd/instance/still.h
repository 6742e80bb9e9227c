/* Keeping a running instance still for the moment in which its files are copied. */
#ifndef LXMD_INSTANCE_STILL_H
#define LXMD_INSTANCE_STILL_H

#include "lib/base/err.h"

struct instance;
struct lxmd;
struct op;
struct pool;
struct run;
struct volume_id;

/* Zeroed: nothing is held. */
struct still {
	struct lxmd *d;
	struct run *run; /* a reference; NULL when there was nothing to do */
};

/**
 * Freeze the instance if it runs and is not frozen already. The row says so meanwhile (volatile.lxm.frozen), for a
 * crash of lxmd must not leave it frozen.
 *
 * Worker threads; the caller holds the instance's lock. Returns 0, also for a stopped instance, or -errno.
 */
int still_hold(struct lxmd *d, const struct instance *i, struct still *out, struct lxm_err *e);

/** Let it go on. Safe on a zeroed struct and when it was called before. */
void still_release(struct still *s);
LXM_AUTO_STRUCT(still, struct still, still_release)

/**
 * Copy the volume of an instance, which stands still meanwhile if it runs.
 *
 * Worker threads; the caller holds the instance's lock. Returns 0 or -errno.
 */
int still_copy(struct lxmd *d, const struct instance *i, struct pool *pool, const struct volume_id *from, const struct volume_id *to,
	       struct op *op, struct lxm_err *e);

/** At start: an instance that was held when lxmd died goes on. */
void still_mend(struct lxmd *d, const struct instance *i);

#endif
