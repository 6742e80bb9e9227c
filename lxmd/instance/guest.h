/* The instances' side of the guest API: what it may see, and telling it of changes. */
#ifndef LXMD_INSTANCE_GUEST_H
#define LXMD_INSTANCE_GUEST_H

#include "lib/base/err.h"
#include "lxmd/guest/guest.h"
#include "lxmd/instance/instance.h"

struct run;

/** What guests_start() wants. */
extern const struct guest_ops instance_guest_ops;

/** True if the instance is to have /dev/lxd/sock. */
bool instance_guest_wanted(const struct instance *i);

/**
 * Bring /dev/lxd/sock of a running instance in line with security.devlxd.
 *
 * @was, @now  expanded
 *
 * Worker threads. Returns 0 or -errno.
 */
int instance_guest_apply(struct run *run, const struct instance *was, const struct instance *now, struct lxm_err *e);

/** Tell its guest what differs between the two, both expanded. Any thread. */
void instance_guest_tell(struct run *run, const struct instance *was, const struct instance *now);

#endif
