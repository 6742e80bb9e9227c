/* Storage pools: public functions for all rooms above, and the vtable that a driver fills. */
#ifndef LXMD_STORAGE_POOL_H
#define LXMD_STORAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lxmd/storage/volume.h"

struct lxmd;
struct op;
struct pool;
struct storage;

/* ---- the daemon's pools ------------------------------------------------------------------------------------------ */

/**
 * Open every pool that the database knows and put each in order: unfinished unpacks and the trash are removed,
 * instance directories without a database row are logged and set aside in POOL/lost (empty ones are removed).
 *
 * @d  daemon; d->storage is set
 *
 * Called once from main, before images and instances start; blocks on disk. A pool that cannot come up is logged and
 * stays unavailable; the daemon goes on. Returns 0 or -errno (database unreadable).
 */
int storage_start(struct lxmd *d, struct lxm_err *e);

/** Ends the trash worker and closes the pools; volumes stay as they are. Fine if storage_start() failed. */
void storage_stop(struct lxmd *d);

/**
 * Fills a fresh directory with the unpacked image FP: rootfs/, metadata.yaml, templates/. On failure the caller removes
 * the directory. Blocks; op (may be NULL) gets progress and is asked for cancellation.
 */
typedef int (*pool_unpack_fn)(struct lxmd *d, const char *fp, int dirfd, const char *dir_path, struct op *op,
			      struct lxm_err *e);

/** The image room says how images are unpacked (it lies above this room). Before the first request. */
void storage_set_unpacker(struct lxmd *d, pool_unpack_fn fn);

/**
 * Find an open pool by name.
 *
 * @pool_out  receives a reference; end with pool_unref()
 *
 * Any thread; takes a lock for a moment; no disk. Returns 0, -ENOENT (no such pool), or -EHOSTDOWN (pool known but unavailable).
 */
int storage_pool_get(struct lxmd *d, const char *name, struct pool **pool_out, struct lxm_err *e);

/**
 * Create a pool: directory, driver and database row; nothing is left when it fails.
 *
 * @driver       "overlay" or "dir"; see storage_drivers()
 * @config       keys already checked against the pool key table; "source" names a directory of the host to be used
 *               instead of LXMD_DIR/pools/NAME (it must be absolute and empty or absent)
 *
 * Any thread; blocks on disk. Returns 0, -EEXIST, -EINVAL or another -errno.
 */
int storage_pool_create(struct lxmd *d, const char *name, const char *driver, const char *description,
			const struct lxm_kv *config, struct lxm_err *e);

/** Delete a pool that nothing uses (else -EBUSY with http 400): its unpacked images, directory and row. Blocks on disk. */
int storage_pool_delete(struct lxmd *d, const char *name, struct lxm_err *e);

/** Image `fp` left the store: its unpacked copies go now, or with the last volume that stands on them. Any thread. */
void storage_image_forget(struct lxmd *d, const char *fp);

/** Fingerprints of all images that are unpacked in some pool, sorted, each once. Any thread, no disk. */
void storage_images(struct lxmd *d, struct lxm_strv *out);

/** Names of the drivers that this build has, in order of preference; NULL-terminated, static. */
const char *const *storage_drivers(void);

/* ---- one pool ---------------------------------------------------------------------------------------------------- */

/* What a pool's driver can do. */
enum pool_cap {
	POOL_CAP_CLONE = 1 << 0,	/* volumes from an image in constant time */
	POOL_CAP_SNAPSHOT = 1 << 1,	/* copies of a volume without copying data */
	POOL_CAP_QUOTA = 1 << 2,	/* size limit of a volume is enforced */
	POOL_CAP_SEND = 1 << 3,		/* optimized stream between pools of this driver */
	POOL_CAP_OVERLAY_ROOT = 1 << 4, /* roots are VOLUME_ROOT_OVERLAY */
};

struct pool_space {
	uint64_t total, used, free;	    /* bytes */
	uint64_t inodes_total, inodes_used; /* 0: the file system has no fixed number */
};

/** Another reference. Returns pool. */
struct pool *pool_ref(struct pool *pool);
void pool_unref(struct pool *pool);
LXM_AUTO_PTR(pool_unref, struct pool, pool_unref)

const char *pool_name(const struct pool *pool);   /* borrowed while referenced */
const char *pool_driver(const struct pool *pool); /* "overlay", "dir" */
const char *pool_path(const struct pool *pool);   /* absolute directory that holds images/ instances/ ... */
unsigned int pool_caps(const struct pool *pool);  /* enum pool_cap; POOL_CAP_QUOTA also where the file system below keeps quotas */

/* What to do for a pool without POOL_CAP_QUOTA. */
#define POOL_QUOTA_HELP "put it on ext4 (made with -O project,quota) or xfs, mounted with the option prjquota"

/** Space of the file system below the pool. One statvfs. */
int pool_space(struct pool *pool, struct pool_space *out, struct lxm_err *e);

/** Fingerprints of the images that are unpacked here. No disk. */
void pool_images(struct pool *pool, struct lxm_strv *out);

/**
 * Unpack an image into the pool unless it already is; two callers at a time unpack it once.
 *
 * @fp  full fingerprint, 64 hex digits
 * @op  receives progress; may be NULL
 *
 * Any thread; may block for seconds. Returns 0, -ENOENT (not in the store), -EINVAL (hostile or broken image), -ENOSPC ...;
 * nothing is left when it fails.
 */
int pool_image_ensure(struct pool *pool, const char *fp, struct op *op, struct lxm_err *e);

/* ---- volumes of a pool: any thread, block on disk; "not there" is -ENOENT, "already there" -EEXIST ---------------- */

/**
 * Create an instance's volume as a clone of an image; unpacks the image first where needed (see pool_image_ensure()).
 * Once the image is there this takes constant time on drivers with POOL_CAP_CLONE. The volume holds its own root and, by
 * the image, metadata.yaml and templates (pool_volume_open_meta()).
 */
int pool_volume_create_from_image(struct pool *pool, const struct volume_id *v, const char *fp, struct op *op,
				  struct lxm_err *e);

/** Create a volume with an empty root (source.type none, custom volumes). */
int pool_volume_create_empty(struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/**
 * Copy a volume of this pool: instance to instance, instance to snapshot and back. The source must not be written to
 * meanwhile for a consistent copy (freeze or stop it).
 */
int pool_volume_clone(struct pool *pool, const struct volume_id *from, const struct volume_id *to, struct op *op,
		      struct lxm_err *e);

/**
 * Copy a volume into another pool.
 *
 * Falls back to a full copy of what an instance would see; with overlay on both sides the image is unpacked there and
 * the upper layer copied.
 */
int pool_volume_copy(struct pool *from_pool, const struct volume_id *from, struct pool *to_pool,
		     const struct volume_id *to, struct op *op, struct lxm_err *e);

/**
 * Delete a volume: it is gone under its name when this returns, and emptied in the background.
 * A volume that is not there is fine (0), so that undo and reconcile can repeat it.
 */
int pool_volume_delete(struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/** Rename; kind stays. Snapshots of an instance follow it when its volume is renamed. */
int pool_volume_rename(struct pool *pool, const struct volume_id *from, const struct volume_id *to, struct lxm_err *e);

/**
 * Let the staged volume (VOLUME_OF_STAGED, made by any of the functions above) take the place of the instance's, whose
 * data is gone afterwards. Before this the instance's row says volatile.lxm.replacing, so that a crash in between is
 * mended by the next storage_start(); without the mark a staged volume is removed there.
 *
 * @v  VOLUME_OF_INSTANCE; nothing may use its root
 *
 * Returns 0, or -ENOENT when nothing is staged.
 */
int pool_volume_replace(struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/**
 * Let the staged custom volume or snapshot (VOLUME_CUSTOM_STAGED, made by any of the functions above) take its name, which must be free
 * (-EEXIST). What is staged when lxmd dies is removed at the next start.
 *
 * @v  VOLUME_CUSTOM
 */
int pool_custom_place(struct pool *pool, const struct volume_id *v, struct lxm_err *e);
/** Let it take the place of the volume that there is, in one step; nothing may have that mounted. @v as above. */
int pool_custom_swap(struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/** Have everything that was written to the pool so far on the disk: before the only other copy is deleted. Slow. */
int pool_sync(struct pool *pool, struct lxm_err *e);

/** Where the runtime finds the root. The strings in *out belong to the caller (volume_root_deinit). */
int pool_volume_root(struct pool *pool, const struct volume_id *v, struct volume_root *out, struct lxm_err *e);

/**
 * Make the volume ready before its instance starts: clears what a volatile mount left behind. Cheap; idempotent.
 */
int pool_volume_prepare(struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/** Are owners shifted on disk (pool_volume_shift()), because mounts of this pool cannot be idmapped? Fixed while it is open. */
bool pool_shifts(const struct pool *pool);

/**
 * Give the files of an instance's volume the host ids of a range: before it starts, and before anybody looks at its root with those ids.
 * Nothing to do if they have them. What copies and opens volumes on the host shifts back what it has to.
 *
 * @size  0: the ids that are seen inside (privileged)
 *
 * Walks the whole tree. Returns 0, -EOPNOTSUPP (the range lies too low: base < size) or another -errno.
 */
int pool_volume_shift(struct pool *pool, const struct volume_id *v, uint32_t base, uint32_t size, struct lxm_err *e);

/**
 * The host path of a directory of the volume's own beside its root, made (0755, root's) where it is missing. It is copied, restored and
 * deleted with the volume on this host, and is no part of images and backups.
 *
 * @name      a device's name
 * @path_out  receives the absolute path; free() it
 *
 * Returns 0, -ENOENT (no volume) or another -errno.
 */
int pool_volume_scratch(struct pool *pool, const struct volume_id *v, const char *name, char **path_out, struct lxm_err *e);

/**
 * Open the root as one tree, ids as on disk (container's root is uid 0): for publishing, copying, and files of a stopped instance.
 *
 * @write   false: nothing can be changed through it; true: only while the instance is not running
 * @fd_out  receives an O_PATH directory; use lxm_open_in_root() below it and close it soon. Overlay: a mount that is
 *          attached nowhere and ends with the descriptor
 *
 * Returns 0, -ENOENT or another -errno.
 */
int pool_volume_open_root(struct pool *pool, const struct volume_id *v, bool write, int *fd_out, struct lxm_err *e);

/**
 * Limit what a volume may hold; whoever writes more gets EDQUOT, at once.
 *
 * @bytes   0: no limit
 * @anyway  also below what it holds by now
 *
 * A copy of a volume starts without one. Returns 0, -EOPNOTSUPP (no quotas, or the volume is older than they are), -ENOSPC (400: it
 * holds more than that) or another -errno.
 */
int pool_volume_limit(struct pool *pool, const struct volume_id *v, uint64_t bytes, bool anyway, struct lxm_err *e);

/** Bytes in use and the limit; without POOL_CAP_QUOTA it walks the upper tree. -EOPNOTSUPP if the driver cannot tell. */
int pool_volume_usage(struct pool *pool, const struct volume_id *v, struct volume_usage *out, struct lxm_err *e);

/**
 * The directory that holds the metadata.yaml and templates/ that count for a volume: its own if it has been edited or
 * published, else those of its image.
 *
 * @fd_out  receives an O_PATH directory descriptor that the caller closes; use lxm_open_beneath() below it
 * @own     NULL, or receives whether it is the volume's own (false: shared with the image, do not write)
 *
 * Returns 0, -ENOENT (volume made without an image).
 */
int pool_volume_open_meta(struct pool *pool, const struct volume_id *v, int *fd_out, bool *own, struct lxm_err *e);

/** Give the volume its own copy of metadata.yaml and templates/ (before editing them). Returns 0, also if it has one. */
int pool_volume_own_meta(struct pool *pool, const struct volume_id *v, struct lxm_err *e);

/** Full fingerprint of the image a volume stands on into out[65]; "" if none. Returns 0, -ENOENT (no volume). */
int pool_volume_image(struct pool *pool, const struct volume_id *v, char out[65], struct lxm_err *e);

#endif
