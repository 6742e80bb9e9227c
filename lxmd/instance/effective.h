/* What an instance starts with: its configuration, with the lines of raw.lxc as the keys that they mean. */
#ifndef LXM_INSTANCE_EFFECTIVE_H
#define LXM_INSTANCE_EFFECTIVE_H

#include <stdint.h>

#include "lib/base/kv.h"

struct instance;

/**
 * The configuration in force for start and exec. Lines of raw.lxc come last, as in LXD.
 *
 * @room  empty; the caller frees it after the result. Used only where there is a raw.lxc
 *
 * Any thread, no blocking.
 */
const struct lxm_kv *instance_effective(const struct instance *i, struct lxm_kv *room);

/** Capabilities that its processes may have. */
uint64_t instance_caps(const struct instance *i);

#endif
