/* Descriptors and paths: whole reads and writes, directory trees, and the openat2 layer for foreign roots. */
#ifndef LXM_BASE_FD_H
#define LXM_BASE_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

/**
 * Open a path below a directory that somebody else controls (a container's root, an unpacked image).
 *
 * @rootfd  directory; ".." and absolute links are resolved as if it were "/"
 * @flags   open(2) flags; O_CLOEXEC is added
 *
 * openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: no link can lead outside. Returns the descriptor
 * (caller closes) or -1 with errno.
 */
int lxm_open_in_root(int rootfd, const char *path, int flags, mode_t mode);

/** The same with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | NO_MAGICLINKS: any link or ".." that escapes is an error. */
int lxm_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/** An absolute path of the host that no link may be in; ELOOP where one is, wherever it leads. Returns the descriptor or -1 with errno. */
int lxm_open_plain(const char *path, int flags);

/** Write all n bytes, retrying short writes and EINTR. Returns 0 or -errno. */
int lxm_write_all(int fd, const void *data, size_t n);
/** Read up to n bytes until end of file, retrying EINTR. Returns bytes read or -errno. */
ssize_t lxm_read_full(int fd, void *data, size_t n);
/** Whole file into buf (emptied first), at most `max` bytes (-EFBIG beyond). Relative to dirfd. Returns 0 or -errno. */
int lxm_read_file_at(int dirfd, const char *path, size_t max, struct lxm_buf *buf);
static inline int lxm_read_file(const char *path, size_t max, struct lxm_buf *buf)
{
	return lxm_read_file_at(-100 /* AT_FDCWD */, path, max, buf);
}
/**
 * Whole regular file below a directory that somebody else filled, into buf (emptied first). Links anywhere in the path, pipes and
 * devices are refused without waiting on them. Returns 0, -ELOOP (link), -EINVAL (not a regular file), -EFBIG or -errno.
 */
int lxm_read_regular_beneath(int dirfd, const char *path, size_t max, struct lxm_buf *buf);
/** One write(2) of a string to an existing file (sysctl, cgroup). Returns 0 or -errno. */
int lxm_write_str_at(int dirfd, const char *path, const char *s);
/** Replace a file atomically: temporary file, fsync, rename. Returns 0 or -errno. */
int lxm_write_file_atomic(int dirfd, const char *path, const void *data, size_t n, mode_t mode);
/** mkdir; an existing directory is fine. Returns 0 or -errno. */
int lxm_mkdir_at(int dirfd, const char *path, mode_t mode);
/** Each missing component of an absolute or relative path of our own. Returns 0 or -errno. */
int lxm_mkdir_p(const char *path, mode_t mode);
/**
 * Remove a file or a whole tree below dirfd without following a link and without crossing a mount.
 * A name that is not there is fine. Iterative in depth (a hostile tree may be deep). Returns 0 or -errno.
 */
int lxm_rm_tree_at(int dirfd, const char *name);
/** Bytes that a tree occupies (st_blocks), hard links counted once. Returns 0 or -errno. */
int lxm_du_at(int dirfd, const char *name, uint64_t *bytes_out);
/** Send and receive one message with up to 8 descriptors over a Unix socket. Return bytes or -errno. */
ssize_t lxm_send_fds(int sock, const void *data, size_t n, const int *fds, size_t nfds, int flags);
/** *nfds: room on entry, count on return; all received descriptors are O_CLOEXEC. */
ssize_t lxm_recv_fds(int sock, void *data, size_t n, int *fds, size_t *nfds, int flags);
/**
 * Connect to or bind a Unix socket whose path may be longer than sun_path: goes through /proc/self/fd.
 * @type SOCK_STREAM or SOCK_SEQPACKET (CLOEXEC is added). Returns the descriptor or -errno.
 */
int lxm_unix_connect(int dirfd, const char *name, int type);
int lxm_unix_listen(int dirfd, const char *name, int type, int backlog, mode_t mode);
/** A sealed memfd with these bytes (no write, no resize). Returns the descriptor or -errno. */
int lxm_memfd_sealed(const char *name, const void *data, size_t n);

/** The number of a pidfd's process in our pid namespace; -1 once it is reaped, 0 if it has none there. Any thread. */
pid_t lxm_pidfd_pid(int pidfd);

#endif
