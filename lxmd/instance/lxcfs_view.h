/* The mounts through which instances see an lxcfs, made so that one change on the host reaches all of them. */
#ifndef LXMD_INSTANCE_LXCFS_VIEW_H
#define LXMD_INSTANCE_LXCFS_VIEW_H

#include <stdbool.h>

#include "lib/base/err.h"

/*
 * All in a tmpfs at one directory, which is private, so that nothing of it reaches other mount namespaces of the host:
 *
 *	fs/		lxcfs itself, only until its files are taken: nobody shall come across a writable view of all cgroups
 *	view/meminfo	the host's /proc/meminfo, shared, and on top of it lxcfs's; so for each file
 *	base/meminfo	a slave of the former, with nothing on top
 *
 * An instance has base/meminfo at its /proc/meminfo, which makes that a slave of the host's file at view/meminfo, and on top of it lxcfs's.
 * What is mounted on view/meminfo, or unmounted there, the kernel mounts and unmounts in every instance, and in what was unshared from it: a
 * new lxcfs takes the place of a dead one by some unmounts and mounts on the host. Between the two, and where none can be had,
 * the host's own values are seen, which is what an instance without lxcfs sees.
 *
 * An instance that makes its mounts private cuts itself off, until its next start.
 */

/* What differs: the same in the host, and in an instance. */
struct lxcfs_file {
	const char *name; /* below view/ and base/ */
	const char *path; /* absolute: of the host's, of the instance's, and below fs/ of lxcfs's */
	bool dir;
};

#define LXCFS_FILES 8
extern const struct lxcfs_file lxcfs_files[LXCFS_FILES];

/* @dir is absolute and made by lxmd. Any thread, one at a time; only lxcfs_view_attach() may wait for lxcfs. */

/** Make what is missing of the tmpfs and its mounts; what is whole stays as it is. Returns 0 or -errno. */
int lxcfs_view_make(const char *dir, struct lxm_err *e);
/** Unmount and remove all of it; nothing there is fine. Instances see the host's values. */
void lxcfs_view_remove(const char *dir);
/** Has a new lxcfs mounted itself at fs/? Does not ask it. */
bool lxcfs_view_mounted(const char *dir);
/** Do instances see lxcfs's files (whether it lives or not)? */
bool lxcfs_view_attached(const char *dir);
/** Put the files of the lxcfs at fs/ over the host's, and take fs/ away. Asks lxcfs for each of them: waits for as long as that hangs. Returns 0 or -errno. */
int lxcfs_view_attach(const char *dir, struct lxm_err *e);
/** Take them away again; whoever waits for an answer of that lxcfs gets an error. */
void lxcfs_view_detach(const char *dir);

#endif
