/* The root filesystem of an instance as a detached mount. */
#ifndef LXM_MOUNT_ROOT_H
#define LXM_MOUNT_ROOT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define ROOT_LOWERS 64

enum root_flag {
	ROOT_OVERLAY = 1,  /* dir holds `upper` and `work`, over the lower layers; else dir is the root itself */
	ROOT_VOLATILE = 2, /* overlay: no sync */
	ROOT_NOSYNC = 4,   /* overlay: the same for a mount that lives shortly: it leaves no mark that would forbid the next one */
};

/* What to mount. All borrowed. */
struct root_spec {
	const char *dir;		 /* host path */
	const char *lower[ROOT_LOWERS];	 /* host paths, topmost first */
	size_t nlower;
	uint32_t flags;			 /* enum root_flag */
	int userns;			 /* ids on disk are shifted by the map of this user namespace; -1: not shifted */
	uint32_t uid0, gid0;		 /* host ids of root inside; used with userns */
	unsigned int attrs;		 /* MOUNT_ATTR_* */
};

/* Detached mounts that nobody needs any more. Zeroed is none. */
struct root_rest {
	int fd[ROOT_LOWERS + 1];
	size_t n;
};

/** Closes them. Each makes the kernel wait for its readers (RCU): 0.05 ms, and milliseconds where all CPUs are busy. */
void root_rest_close(struct root_rest *rest);

/**
 * Make the mount. Attached nowhere: it ends with its last descriptor or namespace.
 *
 * @fd_out  receives it (caller closes); untouched on failure
 * @rest    zeroed; receives on success what is to be closed when nobody waits, with root_rest_close(). NULL: it is closed here
 *
 * Single-threaded callers with SECBIT_NO_SETUID_FIXUP: ids change while it works. Returns 0 or -errno.
 */
int root_mount(const struct root_spec *spec, int *fd_out, struct root_rest *rest, struct lxm_err *e);

#endif
