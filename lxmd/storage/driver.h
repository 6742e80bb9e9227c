/* What a storage driver is: one const struct of functions, listed in drivers.c. Only this room includes it. */
#ifndef LXMD_STORAGE_DRIVER_H
#define LXMD_STORAGE_DRIVER_H

#include "lxmd/storage/pool.h"

/*
 * Paths handed to a driver are relative to the pool's root directory (pool->dirfd), made of checked names:
 * `vol` like "instances/c1", `image` like "images/<fp>". Every function may block on disk, leaves nothing behind on
 * failure, and may assume that the pool layer serialises work on one volume. `tmp` is a fresh name below "tmp/": a
 * driver builds there; the pool layer renames it into place.
 */
struct storage_driver {
	const char *name;
	unsigned int caps; /* enum pool_cap */

	/* Check config and make an empty pool below dirfd (the standard directories exist already). Optional. */
	int (*create)(struct pool *pool, struct lxm_err *e);
	/* Bring an existing pool up (mounts, subvolume checks) and down again. Optional. */
	int (*open)(struct pool *pool, struct lxm_err *e);
	void (*close)(struct pool *pool);
	/* Free everything outside the pool's directory. Optional. */
	int (*destroy)(struct pool *pool, struct lxm_err *e);

	/* Make the empty place `tmp` an image is unpacked into, and finish it (read-only subvolume...). Optional: mkdir. */
	int (*image_begin)(struct pool *pool, const char *tmp, struct lxm_err *e);
	int (*image_end)(struct pool *pool, const char *tmp, struct lxm_err *e);

	/* Build volume `tmp` on `image` (NULL: empty root). */
	int (*create_volume)(struct pool *pool, const char *tmp, const char *image, struct op *op, struct lxm_err *e);
	/* Build volume `tmp` as a copy of `from`. */
	int (*clone_volume)(struct pool *pool, const char *from, const char *tmp, struct op *op, struct lxm_err *e);
	/* Remove what rename into the trash and a tree removal do not (subvolumes, quota groups). Optional. */
	int (*release_volume)(struct pool *pool, const char *vol, struct lxm_err *e);
	/* Before an instance starts. Optional. */
	int (*prepare)(struct pool *pool, const char *vol, struct lxm_err *e);
	/* Kind and paths of the root. */
	int (*root)(struct pool *pool, const char *vol, struct volume_root *out, struct lxm_err *e);
	int (*usage)(struct pool *pool, const char *vol, struct volume_usage *out, struct lxm_err *e);
	/* Size limit in bytes, 0 for none. Optional (POOL_CAP_QUOTA). */
	int (*quota)(struct pool *pool, const char *vol, uint64_t bytes, struct lxm_err *e);
};

extern const struct storage_driver driver_overlay, driver_dir;

/** The driver of that name, or NULL. */
const struct storage_driver *storage_driver_find(const char *name);

#endif
