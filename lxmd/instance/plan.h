/* From a checked instance to the start plan that lxm-monitor runs. */
#ifndef LXMD_INSTANCE_PLAN_H
#define LXMD_INSTANCE_PLAN_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/wire/exec.h"
#include "lib/wire/wire.h"
#include "lxmd/instance/idmap.h"

struct instance;
struct lxmd;
struct plan;
struct run;

/**
 * Build the plan of one start and prepare the host side of its devices.
 *
 * @i         checked; borrowed
 * @run       it runs, and the plan is for its next reboot: the host stays as it is; NULL: for a start
 * @map       its id map, empty when privileged; borrowed
 * @changes   receives volatile keys that the start brings ("" deletes)
 * @plan_out  receives the plan, plan_free() it; on failure no device is left started
 *
 * Any thread; reads the image's templates, may touch the network. Returns 0 or -errno.
 */
int instance_plan(struct lxmd *d, const struct instance *i, const struct run *run, const struct idmap *map, struct lxm_kv *changes,
		  struct plan **plan_out, struct lxm_err *e);

/** limits.kernel.* of an instance, for its init and for every exec. Returns 0 or -EINVAL naming the key. */
int instance_rlimits(struct lxmd *d, const struct instance *i, struct exec_rlimit out[EXEC_RLIMITS], size_t *n_out, struct lxm_err *e);

/**
 * The seccomp filter of an instance, for its init and for every exec; *bpf_out borrows from the cache.
 *
 * @intercept  with the calls that its configuration has answered by us: the filter then needs a listener
 */
int instance_seccomp(struct lxmd *d, const struct instance *i, bool intercept, struct wire_bytes *bpf_out, struct lxm_err *e);

#endif
