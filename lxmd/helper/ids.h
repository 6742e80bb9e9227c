/* Which ids a process in an instance's user namespace can give to files. */
#ifndef LXM_HELPER_IDS_H
#define LXM_HELPER_IDS_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lxmd/helper/tree.h"

/**
 * Have these two a place in the id map of the user namespace that this process is in? chown(2) says EINVAL where they have not,
 * after the file was made.
 *
 * @t         entered
 * @uid,@gid  UINT32_MAX (leave alone, or the default) always has one
 *
 * The map is read once. Returns 0, -EINVAL with a text that names the id and what there is, or another -errno.
 */
int ids_check(const struct tree *t, uint32_t uid, uint32_t gid, struct lxm_err *e);

#endif
