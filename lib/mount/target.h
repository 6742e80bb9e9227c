/* Where a mount goes: a path inside a root that somebody else controls. */
#ifndef LXM_MOUNT_TARGET_H
#define LXM_MOUNT_TARGET_H

#include <stdbool.h>

enum target_make { TARGET_FOUND, TARGET_DIR, TARGET_FILE };

/**
 * Open the target of a mount.
 *
 * @root   directory; no link leads out of it
 * @path   absolute inside path
 * @links  follow links, inside the root; else any link is an error
 * @make   what to make when it is missing, with its parents: these are never made through a link
 *
 * Acts with the rights of the caller. Returns an O_PATH descriptor (caller closes) or -1 with errno.
 */
int target_open(int root, const char *path, bool links, enum target_make make);

#endif
