/* Sizes of instances by one word: "c2-m4" is two processors and 4 GiB. */
#ifndef LXMD_INSTANCE_SIZE_H
#define LXMD_INSTANCE_SIZE_H

#include "lib/base/err.h"
#include "lib/base/kv.h"

/**
 * Turn an instance_type into limits.cpu, limits.cpu.allowance (a part of a processor) and limits.memory.
 *
 * @type    "c2-m4", "c0.5", "m1.5": processors and GiB, either may be left out
 * @config  receives the keys; one that is set already wins
 *
 * Any thread. Returns 0 or -EINVAL (names the word and how one looks).
 */
int instance_size(const char *type, struct lxm_kv *config, struct lxm_err *e);

#endif
