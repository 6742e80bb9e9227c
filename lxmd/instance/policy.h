/* What a project allows its instances to be. */
#ifndef LXMD_INSTANCE_POLICY_H
#define LXMD_INSTANCE_POLICY_H

#include "lib/base/err.h"

struct instance;
struct lxmd;

/**
 * Judge the final, merged configuration of an instance by the rules of its project.
 *
 * Called by instance_check() only. Any thread; one read transaction. Returns 0, or -EPERM naming the rule.
 */
int policy_check(struct lxmd *d, const struct instance *i, struct lxm_err *e);

/** May instances of the project have snapshots? Any thread; one read transaction. Returns 0, or -EPERM naming the rule. */
int policy_snapshots(struct lxmd *d, const char *project, struct lxm_err *e);

#endif
