/* The lxcfs process itself: started, found again, ended. Used by lxmd/instance/lxcfs.c only. */
#ifndef LXMD_INSTANCE_LXCFS_PROCESS_H
#define LXMD_INSTANCE_LXCFS_PROCESS_H

#include <stdbool.h>

#include "lib/base/err.h"

#define LXCFS_LOG_MAX (1 << 20) /* bytes of its log that are kept */

/* Owned strings. */
struct lxcfs_paths {
	char *program;	/* name or absolute path */
	char *dir;	/* lxmd/instance/lxcfs_view.h */
	char *pid_path; /* it keeps a lock on this file while it lives */
	char *log_path; /* what it says */
};

/** pidfd (caller closes) of the one that an earlier lxmd left, -1: none. Any thread. */
int lxcfs_process_find(const struct lxcfs_paths *at);
/** Start one; *pidfd_out is ours to reap. Any thread. Returns 0, -ENOENT naming the package, or another -errno. */
int lxcfs_process_spawn(const struct lxcfs_paths *at, int *pidfd_out, struct lxm_err *e);
/** Wait until it has mounted itself. Workers. Returns 0, -EIO with its last words when it ended, -ETIMEDOUT. */
int lxcfs_process_wait(const struct lxcfs_paths *at, int pidfd, int timeout_ms, struct lxm_err *e);
/** Signal it, wait for its end (a second, then SIGKILL), reap it if it is a child of ours, and close the pidfd. Not on the loop thread. */
void lxcfs_process_end(int pidfd, int sig, bool child);

#endif
