/* What filesystem lies on a block device, by its magic number. */
#ifndef LXMD_DEVICE_BLOCKFS_H
#define LXMD_DEVICE_BLOCKFS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

/**
 * Look at a device.
 *
 * @path          of the host, without links
 * @fstype_out    the kernel's name for it: "ext4" (also of ext2 and ext3), "iso9660", "squashfs", "vfat", "xfs"; static
 * @readonly_out  the device itself cannot be written to
 *
 * Any thread; reads 64 KiB at most. Returns 0, -EINVAL (no such filesystem, 400) or another -errno.
 */
int blockfs_probe(const char *path, const char **fstype_out, bool *readonly_out, struct lxm_err *e);

/** The same for the first bytes of a device; NULL: none that is known. */
const char *blockfs_name(const void *data, size_t len);

#define BLOCKFS_HEAD ((size_t)64 * 1024)

#endif
