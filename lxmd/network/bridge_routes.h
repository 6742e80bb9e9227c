/* ipv4.routes and ipv6.routes of a managed bridge. */
#ifndef LXMD_NETWORK_BRIDGE_ROUTES_H
#define LXMD_NETWORK_BRIDGE_ROUTES_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct network;

/**
 * Exactly these routes of its own by a bridge; those of NICs are not touched.
 *
 * @index  of the bridge, which is up
 * @made   it has just been made: none of n->routes is there any more
 *
 * Under the lock of changes; blocks. Returns 0, -EEXIST (somebody else leads that subnet elsewhere) or another -errno; on failure all is as before.
 */
int bridge_routes_ensure(int rtnl, struct network *n, int index, bool made, const struct lxm_strv *wanted, struct lxm_err *e);

#endif
