/* Moves of instances on this host that change what they are: project, name, configuration. */
#ifndef LXMD_INSTANCE_MOVE_H
#define LXMD_INSTANCE_MOVE_H

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

struct caller;
struct instance;
struct lxmd;

/* Where to and as what; borrowed. NULL leaves things as they are. */
struct instance_move {
	const char *project, *name;
	const struct lxm_kv *config;	 /* its own keys, volatile.* left alone */
	const struct lxm_devs *devices;	 /* its own */
	const struct lxm_strv *profiles; /* of the new project */
};

/**
 * Move a stopped instance with its snapshots into another project, and change what is asked for. Constant time: its volume stays
 * in its pool. Addresses, ids and everything volatile stay. The final configuration passes instance_check() in the new project.
 *
 * @who  needs the right to both projects: the caller's business
 *
 * Worker threads; the caller holds the instance's lock. Returns 0, -EBUSY (running), -EEXIST, -ENOENT (project, profile), -EPERM
 * (policy) or another -errno; then it is where it was.
 */
int instance_move(struct lxmd *d, const struct instance *i, const struct instance_move *to, const struct caller *who, struct lxm_err *e);

#endif
