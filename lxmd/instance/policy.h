/* What a project allows its instances to be. */
#ifndef LXMD_INSTANCE_POLICY_H
#define LXMD_INSTANCE_POLICY_H

#include <stdbool.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

struct caller;
struct db_profile;
struct instance;
struct lxm_dev;
struct lxmd;

/**
 * Judge the final, merged configuration of an instance by the rules of its project, and by who wants it: a caller with a
 * restricted certificate gets nothing that reaches the host, unless the project's restricted.* allows it.
 *
 * @who  NULL: the daemon itself
 *
 * Called by instance_check() only. Any thread; one read transaction. Returns 0, or -EPERM naming the rule.
 */
int policy_check(struct lxmd *d, const struct instance *i, const struct caller *who, struct lxm_err *e);

/**
 * Would the project be within its limits with this instance as it is wanted, new or in the place of what it is? A refusal before work is
 * done; the transaction that stores it judges again (lxmd/core/quota.h), so that two at once do not share the last place.
 *
 * Called by instance_check() only. Any thread; one read transaction. Returns 0, or -errno naming the limit.
 */
int policy_limits(struct lxmd *d, const struct instance *i, struct lxm_err *e);

/** policy_check() for a profile that a restricted caller writes; nothing is asked of others. Instances judge again what they get from it. */
int policy_check_profile(struct lxmd *d, const char *project, const struct db_profile *p, const struct caller *who, struct lxm_err *e);

/**
 * A project may look for its custom volumes in default: what lies there is not for restricted callers who have no right to default, neither in an
 * instance nor in a profile, which could reach an instance while that is being changed. @project: of the instance or the profile
 *
 * Any thread; one read transaction. Returns 0, or -EPERM.
 */
int policy_volume(struct lxmd *d, const char *project, const struct lxm_dev *dev, const struct caller *who, struct lxm_err *e);

/* Which networks a project may use, and so which it sees. Zeroed: none. */
struct policy_networks {
	bool managed, others;
	char *only; /* owned; comma list of names, NULL: all */
};
void policy_networks_deinit(struct policy_networks *n);
LXM_AUTO_STRUCT(policy_networks, struct policy_networks, policy_networks_deinit)

/** Any thread; one read transaction. Returns 0 or -errno; *out is valid either way. */
int policy_networks(struct lxmd *d, const char *project, struct policy_networks *out, struct lxm_err *e);
bool policy_networks_has(const struct policy_networks *n, const char *name, bool managed);

/** May instances of the project have snapshots? Any thread; one read transaction. Returns 0, or -EPERM naming the rule. */
int policy_snapshots(struct lxmd *d, const char *project, struct lxm_err *e);
/** And backups? */
int policy_backups(struct lxmd *d, const char *project, struct lxm_err *e);

#endif
