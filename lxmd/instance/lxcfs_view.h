/* The mounts through which instances see an lxcfs, made so that one change on the host reaches all of them. */
#ifndef LXMD_INSTANCE_LXCFS_VIEW_H
#define LXMD_INSTANCE_LXCFS_VIEW_H

#include <stdbool.h>

#include "lib/base/err.h"

/*
 * All in a tmpfs at one directory, which is private, so that nothing of it reaches other mount namespaces of the host:
 *
 *	fs/		lxcfs itself
 *	view/proc	the host's /proc, shared: the files of lxcfs are mounted on its files
 *	view/sys	the host's /sys/devices/system, likewise
 *	base/proc, sys	slaves of these two, with nothing mounted on them
 *
 * An instance has base/proc/meminfo at its /proc/meminfo, as a slave of view/proc, and on top of that lxcfs's file. What is mounted
 * at view/proc/meminfo, or unmounted there, the kernel mounts and unmounts in every instance, and in what was unshared from it: a new
 * lxcfs takes the place of a dead one by some unmounts and mounts on the host. Between the two, and where none can be had,
 * the host's own values are seen, which is what an instance without lxcfs sees.
 *
 * An instance that makes its mounts private cuts itself off, until its next start.
 */

/* The paths that differ; relative to view/ and base/, and in the instance. */
struct lxcfs_file {
	const char *path;   /* "proc/meminfo" */
	const char *source; /* below fs/ */
	const char *target; /* in an instance */
};

#define LXCFS_FILES 8
extern const struct lxcfs_file lxcfs_files[LXCFS_FILES];

/* Paths are absolute, made by lxmd; each function may block on the kernel's mount lock only, but for lxcfs_view_attach(). Any thread, one at a time. */

/** Make what is missing of the tmpfs and the four mounts; what is whole stays as it is. Returns 0 or -errno. */
int lxcfs_view_make(const char *dir, struct lxm_err *e);
/** Unmount and remove all of it; nothing there is fine. Instances see the host's values. */
void lxcfs_view_remove(const char *dir);
/** Is something mounted at fs/? Does not ask it. */
bool lxcfs_view_mounted(const char *dir);
/** Do instances see lxcfs's files (whether it lives or not)? */
bool lxcfs_view_attached(const char *dir);
/** Put the files of the lxcfs at fs/ over the host's. Asks lxcfs for each of them: waits for as long as that hangs. Returns 0 or -errno. */
int lxcfs_view_attach(const char *dir, struct lxm_err *e);
/** Take them away again. @gone  the lxcfs at fs/ has ended: unmount that too, and let nobody wait for its answers. */
void lxcfs_view_detach(const char *dir, bool gone);

#endif
