/* What the verbs about remotes share. */
#ifndef LXM_LXMC_REMOTE_H
#define LXM_LXMC_REMOTE_H

#include <stdbool.h>

#include "lib/base/err.h"

/**
 * An address as people write it ("host", "[::1]:8443", "https://host", "unix:/path") into the one for the configuration.
 *
 * @image_server  port 443 and a path are left as they are
 * @out           free() it
 *
 * Returns 0, -EINVAL or a usage error.
 */
int remote_normalise(const char *address, bool image_server, char **out, struct lxm_err *e);

#endif
