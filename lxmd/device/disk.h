/* Disks: what their files share. */
#ifndef LXMD_DEVICE_DISK_H
#define LXMD_DEVICE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "lxmd/device/device_priv.h"

/* What appears in the instance, and how. */
struct disk_mount {
	char *source; /* owned; host path without links; NULL: missing, and not required */
	const char *fstype;	/* static; a filesystem that is mounted: source is its block device, or "" for tmpfs. NULL: source is shown */
	struct lxm_buf options; /* of that filesystem */
	bool directory, recursive, idmap;
	bool literal; /* set before disk_find(): a host path is taken as it is written (disk_path_check()) */
	bool plain; /* a host path: whoever mounts it accepts no link that has come in since */
	uint32_t attrs;	      /* MOUNT_ATTR_* */
	uint32_t propagation; /* 0 (private), MS_SHARED, MS_SLAVE or MS_UNBINDABLE */
};

void disk_mount_deinit(struct disk_mount *m);
LXM_AUTO_STRUCT(disk_mount, struct disk_mount, disk_mount_deinit)

/** Is this a custom volume of a pool (but not the root disk)? */
bool disk_is_volume(const struct lxm_kv *kv);

/**
 * Check the names of a custom volume and, for an instance, that there is such a volume in the project whose volumes it uses.
 * May read the database. Returns 0, -EINVAL, -ENOENT.
 */
int disk_volume_check(const struct device_ctx *c, bool instance, struct lxm_err *e);

/**
 * Host paths of a project with restricted.devices.disk.paths: no link may be in the source, since those who may write there could
 * lead it out. Other disks pass. Before a disk is looked at; reads the database.
 *
 * @literal_out  true: nothing may resolve the source any more, since it could change meanwhile; whoever mounts it accepts no link either
 *
 * Returns 0, -EPERM, -ENOENT or -errno.
 */
int disk_path_check(const struct device_ctx *c, bool *literal_out, struct lxm_err *e);

/** Find the disk's source on the host. Any thread; blocks on disk. Returns 0 or -errno. */
int disk_find(const struct device_ctx *c, struct disk_mount *out, struct lxm_err *e);

/* ---- disk_hot.c */
int disk_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
int disk_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);

#endif
