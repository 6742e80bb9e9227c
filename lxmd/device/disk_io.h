/* I/O limits of disks: what limits.read, limits.write and limits.max say, and which block device they are about. */
#ifndef LXMD_DEVICE_DISK_IO_H
#define LXMD_DEVICE_DISK_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"

struct device_ctx;

/* Of one block device; 0: no limit. */
struct disk_io {
	unsigned int major, minor; /* whole disks, never a partition: the kernel limits nothing else */
	uint64_t read_bps, write_bps, read_iops, write_iops;
};

/** Does a disk's configuration have limits.read, limits.write or limits.max? */
bool disk_io_wanted(const struct lxm_kv *kv);

/** Are two configurations of a disk the same but for their limits? */
bool disk_io_differs_only(const struct lxm_kv *a, const struct lxm_kv *b);

/**
 * Read a disk's limits, and find the block device below its pool or source.
 *
 * Any thread; stat() and sysfs, a volume by the database. Returns 0, -EOPNOTSUPP where there is no block device (a network
 * file system, tmpfs, several disks), -EINVAL or another -errno.
 */
int disk_io_read(const struct device_ctx *c, struct disk_io *out, struct lxm_err *e);

#endif
