/* limits.*: from configuration to cgroup files, for a start and for a running instance. */
#ifndef LXMD_INSTANCE_LIMITS_H
#define LXMD_INSTANCE_LIMITS_H

#include "lib/base/err.h"
#include "lib/base/kv.h"

struct instance;
struct lxmd;
struct plan;
struct run;

/** Add the limits of an instance to its start plan. Any thread. Returns 0 or -EINVAL naming the key. */
int limits_plan(struct lxmd *d, const struct instance *i, struct plan *p, struct lxm_err *e);

/**
 * Write the limits to a running instance's cgroups; a key that is gone goes back to "no limit".
 *
 * @was  expanded configuration before the change: only keys that differ are written
 *
 * Any thread. Returns 0, or -errno naming the key (a memory limit below what is used: -EBUSY).
 */
int limits_apply(struct run *r, const struct instance *i, const struct lxm_kv *was, struct lxm_err *e);

#endif
