/* Paths inside an instance's root, for a process that stands in it: the one layer that every file verb goes through. */
#ifndef LXM_HELPER_TREE_H
#define LXM_HELPER_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/err.h"

/*
 * Everything in the tree belongs to somebody who may change it while we look. Hence: paths are resolved by openat2 below the
 * root, what is found is held by descriptor (O_PATH), judged by fstat(2), and opened for real only through that descriptor.
 * Pipes, devices and sockets are never opened. All answer -errno on failure.
 */
struct tree {
	int root; /* O_PATH of the instance's root */
	int fds;  /* O_PATH of our /proc/self/fd, in the host's proc: the way from an O_PATH descriptor to a real one */
};

/** O_PATH descriptor of what a path leads to; links are followed, inside the root. Caller closes. */
int tree_find(const struct tree *t, const char *path);

/**
 * Directory that the last component of a path lies in, and that component, for the *at() calls that do not follow links.
 *
 * @name  receives one component without slash, never "" or ".."; "." for the root and paths that end in "." or ".."
 *
 * Returns an O_PATH descriptor (caller closes), -ENOENT, -ENOTDIR ...
 */
int tree_parent(const struct tree *t, const char *path, char name[NAME_MAX + 1]);

/** O_PATH descriptor of the thing itself, a link as such. Caller closes. */
int tree_find_nofollow(const struct tree *t, const char *path);

/**
 * Open what an O_PATH descriptor holds; a regular file, or a directory with O_DIRECTORY.
 *
 * @flags  of open(2), without O_CREAT
 *
 * Returns the descriptor, or -EISDIR, -ENXIO (neither file nor directory) or another -errno.
 */
int tree_open(const struct tree *t, int fd, int flags);

/**
 * Open a file for writing and create it if it is missing; a link that leads nowhere creates what it points to.
 *
 * @flags    O_WRONLY or O_RDWR, O_APPEND, O_TRUNC, O_EXCL
 * @mode     for a new file
 * @created  true if it was missing
 *
 * Returns the descriptor or -errno.
 */
int tree_create(const struct tree *t, const char *path, int flags, mode_t mode, bool *created);

/** chmod of what an O_PATH descriptor holds (never a link). Returns 0 or -errno. */
int tree_chmod(const struct tree *t, int fd, mode_t mode);
/** Set access and modification time likewise. */
int tree_utimes(const struct tree *t, int fd, const struct timespec times[2]);

/** "path 'ABC...': No such file or directory": unprintable bytes shown as '?'. Fills e; returns -code. */
int tree_error(struct lxm_err *e, int code, const char *what, const char *path);

#endif
