/* Taking out of an unpacked tree what an image must not bring. Inside this room only. */
#ifndef LXMD_IMAGE_CLEAN_H
#define LXMD_IMAGE_CLEAN_H

#include <stdint.h>

#include "lib/base/err.h"

/**
 * Remove device nodes and sockets, and every xattr but user.*, security.capability and ACLs, from a private tree.
 *
 * @rootfd       open directory; borrowed
 * @devices_out  receives how many nodes were removed
 *
 * Never follows a link. Returns 0, -ELOOP (nested over 1,000 deep) or another -errno.
 */
int tree_clean(int rootfd, uint64_t *devices_out, struct lxm_err *e);

#endif
