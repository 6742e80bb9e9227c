/* lxcfs: what /proc and /sys tell inside instances agrees with their limits. */
#ifndef LXMD_INSTANCE_LXCFS_H
#define LXMD_INSTANCE_LXCFS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/*
 * One lxcfs process for each daemon, of its own: the one that a package may run as a service has options that we do not know, and nobody
 * tells us when it ends. It is watched through a pidfd, outlives lxmd, and is adopted by the next one. When it dies, the next one takes
 * its place in every running instance within some tens of milliseconds, whatever mount namespaces these have made meanwhile: see
 * lxmd/instance/lxcfs_view.h.
 *
 * LXMD_LXCFS in the environment of lxmd names the program; empty: none is wanted.
 */

struct lxmd;
struct plan;
struct lxcfs;

/**
 * Adopt the process that an earlier lxmd left, or start one in the background.
 *
 * Main thread. Never fails: without the program, or when it does not come up, instances start all the same, and a warning says why.
 * Returns the object; lxcfs_stop() it.
 */
struct lxcfs *lxcfs_start(struct lxmd *d);

/** Stop watching. @end  no instance runs: end the process and remove its mounts; else they stay for the next lxmd. NULL is fine. Main thread, while the loop runs. */
void lxcfs_stop(struct lxcfs *l, bool end);

/** Changes whenever an lxcfs goes or comes; to be asked before lxcfs_plan(). Workers: waits up to a second for one that is just being started. */
uint32_t lxcfs_generation(struct lxcfs *l);
/** Add the mounts that an instance needs, if there is an lxcfs; never touches its filesystem. Any thread. Returns 0 or -EINVAL. */
int lxcfs_plan(struct lxcfs *l, struct plan *p, struct lxm_err *e);
/** An instance that was planned after that generation runs now: if it has changed since, all instances get their mounts anew. Any thread. */
void lxcfs_recheck(struct lxcfs *l, uint32_t generation);

#endif
