/* The new mount API in small pieces: detached mounts, handed about as descriptors. */
#ifndef LXM_MOUNT_MOUNTFD_H
#define LXM_MOUNT_MOUNTFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* One parameter of a filesystem; value NULL: a flag. */
struct mount_param {
	const char *key, *value;
};

#define MOUNT_TEXT_MAX 4096u

/**
 * A detached mount of a new filesystem instance.
 *
 * @attrs  MOUNT_ATTR_* of linux/mount.h
 *
 * Returns the descriptor (caller closes) or -errno with the kernel's own words in e.
 */
int mountfd_new(const char *fstype, const char *source, const struct mount_param *params, size_t n, unsigned int attrs, struct lxm_err *e);
/** The same with "key=value,flag" text of at most MOUNT_TEXT_MAX bytes. */
int mountfd_new_text(const char *fstype, const char *source, const char *options, unsigned int attrs, struct lxm_err *e);
/** Clone what lies at dirfd/path (detached, in its source's peer group), optionally idmapped by userns (>= 0) and with attributes set. Returns the descriptor or -errno. */
int mountfd_clone(int dirfd, const char *path, bool recursive, int userns, uint64_t attrs, struct lxm_err *e);
/** The same of an absolute path that no link may be in: whoever owns a directory on the way cannot lead it elsewhere. */
int mountfd_clone_plain(const char *path, bool recursive, int userns, uint64_t attrs, struct lxm_err *e);
/**
 * Set how mounts below spread, recursively: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE.
 *
 * A clone is in its source's peer group, and systemd makes all of a host shared: what is mounted below a clone would appear on the
 * host, and pivot_root(2) refuses it. Returns 0 or -errno.
 */
int mountfd_propagate(int mount, uint64_t propagation, struct lxm_err *e);
/** Shift the ids of a detached mount that was not shifted by the map of a user namespace. Returns 0 or -errno. */
int mountfd_idmap(int mount, int userns, struct lxm_err *e);
/** Attach a detached mount on an O_PATH descriptor. Returns 0 or -errno. */
int mountfd_attach(int mount, int target, struct lxm_err *e);
/** Put the kernel's message about an fscontext into e. Returns -errno. */
int mountfd_error(int fs, struct lxm_err *e, const char *what);
/** Act on files as this host user and group, keeping all capabilities (needs SECBIT_NO_SETUID_FIXUP). This thread only. */
void fs_as(uint32_t uid, uint32_t gid);

#endif
