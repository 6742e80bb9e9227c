/* limits.*: from configuration to cgroup files, for a start and for a running instance. */
#ifndef LXMD_INSTANCE_LIMITS_H
#define LXMD_INSTANCE_LIMITS_H

#include <stdbool.h>

#include "lib/base/err.h"

struct instance;
struct lxmd;
struct plan;
struct run;

/**
 * Can this host do what the limits of an instance ask for? Looks at controllers, files, CPUs; changes nothing.
 *
 * @was  what it was before the change, whose unchanged keys pass unseen; NULL: a new instance or a start
 *
 * Any thread. Returns 0, -EINVAL (a bad value) or -EOPNOTSUPP (no such controller), naming the key.
 */
int limits_check(struct lxmd *d, const struct instance *i, const struct instance *was, struct lxm_err *e);

/**
 * Add the limits of an instance to its start plan.
 *
 * @run  it runs, and the plan is for its next reboot: its CPUs are those that it has; NULL: for a start
 *
 * Any thread. Returns 0, or as limits_check().
 */
int limits_plan(struct lxmd *d, const struct instance *i, const struct run *run, struct plan *p, struct lxm_err *e);

/** It runs: neighbours that have to move are moved, on a worker. Any thread. */
void limits_started(struct run *r, const struct instance *i);
/**
 * It runs on from an earlier lxmd: its CPUs are taken note of.
 *
 * @rebooted  it has rebooted from inside and so may have what its plan said then: everything is written anew
 */
void limits_adopted(struct run *r, const struct instance *i, bool rebooted);
/** It has rebooted from inside: what its plan cannot know (CPUs that others have left it, a plan that is late) is written again. Worker threads. */
void limits_rebooted(struct run *r, const struct instance *i);
/** It is gone, or never came up. Any thread. */
void limits_ended(struct run *r);

/**
 * Write the limits that differ from `was` to a running instance's cgroups; a key that is gone goes back to "no limit".
 *
 * Any thread. All or nothing: on failure what was written is taken back. Returns 0, or -errno naming the key (a memory limit
 * below what is used: -EBUSY).
 */
int limits_apply(struct run *r, const struct instance *now, const struct instance *was, struct lxm_err *e);
/** The way back from `now` to `was`, as far as it goes: what fails is logged. Any thread. */
void limits_revert(struct run *r, const struct instance *now, const struct instance *was);

/**
 * Hold an instance back that does nothing but wait for memory: few disk requests, little CPU under contention. Or let it go again.
 * Worker threads, with r->limits_lock held. Returns 0 or -errno.
 */
int limits_slow(struct run *r, const struct instance *i, bool slow, struct lxm_err *e);

#endif
