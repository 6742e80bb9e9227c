/* The kernel's limits (/proc/sys) that bound how many instances run at once: what is too small, and is there room for one more. */
#ifndef LXMD_CORE_KERNEL_ROOM_H
#define LXMD_CORE_KERNEL_ROOM_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/*
 * Two kinds of limits. Some are the host's, and all instances share them: processes, files, ptys, neighbours. The others the kernel counts
 * for each user: an instance with host ids of its own (security.idmap.isolated, the default) has all of such a limit to itself, however
 * many run; privileged ones, and those with the common ids, share one.
 */

#define KERNEL_ROOM_INSTANCES 100 /* what a host is measured by when nobody names a number */
#define KERNEL_ROOM_INSTANCES_MAX 100000
#define KERNEL_ROOM_FILE      "/etc/sysctl.d/lxmd.conf"

/**
 * Name each limit that is too small for that many instances with systemd, one to a line: "kernel.pty.max is 512: 100 instances need 2880\n".
 *
 * @proc  "/proc", or a directory that looks like it (tests)
 *
 * Limits that this kernel does not have, or that are not visible in a container, are left out. Any thread. Returns how many.
 */
unsigned int kernel_room_report(const char *proc, unsigned int instances, struct lxm_buf *out);

/** The lines of a sysctl.d file that gives them plenty: each limit that is smaller now. "" when all is well. Any thread. Returns how many. */
unsigned int kernel_room_conf(const char *proc, unsigned int instances, struct lxm_buf *out);

/**
 * Write such a file, and set its values at once.
 *
 * @file  KERNEL_ROOM_FILE; what it had from an earlier time stays in it unless a line is greater now
 *
 * Any thread. Returns 0, or -errno of the first that failed (the others are set).
 */
int kernel_room_apply(const char *proc, const char *file, unsigned int instances, struct lxm_err *e);

struct kernel_room;

/** @proc  copied. Reads nothing yet. Any thread; kernel_room_free(). */
struct kernel_room *kernel_room_new(const char *proc);
void kernel_room_free(struct kernel_room *k);

/**
 * Is there room for one more instance? What was read of the kernel serves for a second, and for a few starts of it.
 *
 * Not judged: what only the kernel itself could count (inotify), and neighbours, which it forgets by itself when they are too many.
 *
 * Any thread. Returns 0, or -ENOSPC with the name of the limit, its value, its use and how to raise it.
 */
int kernel_room_check(struct kernel_room *k, struct lxm_err *e);

#endif
