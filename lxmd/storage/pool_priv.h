/* What the files of this room share about a pool. Nobody else includes it. */
#ifndef LXMD_STORAGE_POOL_PRIV_H
#define LXMD_STORAGE_POOL_PRIV_H

#include <pthread.h>

#include "lxmd/storage/driver.h"
#include "lxmd/storage/pool.h"

enum pool_image_state {
	IMAGE_READY,   /* images/FP is whole */
	IMAGE_BUSY,    /* somebody unpacks or removes it: wait on `changed` */
	IMAGE_MISSING, /* volumes stand on it, but it is not there: unpack again before use */
};

struct pool_image {
	char fp[65];
	enum pool_image_state state;
	unsigned int refs; /* volumes that stand on it, and calls that are using it */
	bool doomed;	   /* no longer in the store: goes with the last reference */
};

struct pool {
	struct lxmd *d;
	struct storage *s; /* a reference */
	int refs; /* atomic */
	char *name, *path;
	const struct storage_driver *drv;
	struct lxm_kv config; /* as it was when the pool was opened */
	int dirfd;	      /* -1: unavailable */
	bool shifts;	      /* see pool_shifts() */
	bool quota;	      /* the file system below keeps project quotas: fsquota.c */
	char *why;	      /* unavailable: the reason */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pool_image *images; /* guarded by lock */
	size_t n_images, cap_images;
	bool trash_running, trash_again; /* guarded by lock */
};

struct storage {
	int refs; /* atomic: the daemon's and one for each pool */
	pthread_mutex_t lock;
	struct pool **pools; /* guarded by lock; by name in no order, each with a reference */
	size_t n;
	pool_unpack_fn unpack;
	bool stopping; /* atomic */
};

/* ---- storage.c */

void storage_unref(struct storage *s);

/* ---- pool.c */

/** The directories that every pool has; NULL-terminated. */
extern const char *const pool_dirs[];

/** A pool object that is not open yet. */
struct pool *pool_new(struct lxmd *d, const char *name, const char *path, const struct storage_driver *drv,
		      const struct lxm_kv *config);
/** Open the directory, make the standard directories. */
int pool_open_dirs(struct pool *pool, bool create, struct lxm_err *e);

/* ---- pool_image.c */

/**
 * Make sure that an image is unpacked, and keep it from being removed until pool_image_drop().
 * Returns 0 or as pool_image_ensure().
 */
int pool_image_hold(struct pool *pool, const char *fp, struct op *op, struct lxm_err *e);
/** Give a hold back; "" is fine. Removes a doomed image with its last one. */
void pool_image_drop(struct pool *pool, const char *fp);
/** One more volume stands on it (at start, or a copy of one that does): no disk. */
void pool_image_count(struct pool *pool, const char *fp);
/** At start: images/FP was found. */
void pool_image_found(struct pool *pool, const char *fp);
void pool_image_forget(struct pool *pool, const char *fp);

/* ---- volume.c */

/** The image that a volume directory stands on into out[65], "" if none. */
void volume_base(struct pool *pool, const char *vol, char out[65]);
int volume_set_base(struct pool *pool, const char *vol, const char *image, struct lxm_err *e);
/** A volume built as `tmp` gets its name. -EEXIST. */
int volume_put_in_place(struct pool *pool, const char *tmp, const struct volume_id *v, struct lxm_err *e);
/** Throw away what was built as `tmp`; fine if there is nothing. */
void volume_undo_tmp(struct pool *pool, const char *tmp);
/** storage_driver.root of a volume that is a whole tree. */
int volume_root_bind(struct pool *pool, const char *vol, struct volume_root *out, struct lxm_err *e);
/** storage_driver.usage where files have to be counted. */
int volume_usage_count(struct pool *pool, const char *vol, struct volume_usage *out, struct lxm_err *e);

/* ---- shift.c */

/** Does the kernel refuse to idmap a mount of the file system that this directory lies on? */
bool pool_must_shift(int dirfd);
/** Give a volume the owners again that are seen inside; fine if it has them. Its instance must not run from it. */
int volume_unshift(struct pool *pool, const char *vol, struct lxm_err *e);
/** The same for `vol`, whose files were copied one by one from `like_vol` of pool `like`. */
int volume_unshift_as(struct pool *pool, const char *vol, struct pool *like, const char *like_vol, struct lxm_err *e);
/** The id on disk of root inside: 0 unless the volume is shifted. */
void volume_owner(int vol, uint32_t *uid0_out);

/* ---- trash.c */

/** A fresh name "DIR/PREFIX-xxxx"; free() it. */
char *pool_fresh_name(const char *dir, const char *prefix);
/** Move a path of the pool into trash/. Returns 0, 1 if there is nothing of that path, or -errno. */
int pool_trash(struct pool *pool, const char *path, struct lxm_err *e);
/** Empty trash/ on a worker thread. */
void pool_trash_kick(struct pool *pool);

/* ---- reconcile.c */

/** Put an opened pool in order at start: see storage_start(). `known` are the paths of the volumes that rows stand for, sorted. */
void pool_reconcile(struct pool *pool, const struct lxm_strv *known);

/* ---- mend.c */

struct db_instances;
struct db_snapshots;

/**
 * Finish or undo what a dead daemon was doing to volumes, by the marks it left in rows (volatile.lxm.*); the rows still
 * carry them afterwards. All instances with their config, and all snapshots, of every pool. Before pool_reconcile().
 */
void pool_mend(struct pool *pool, const struct db_instances *instances, const struct db_snapshots *snapshots);

struct db_volumes;
struct db_volsnaps;

/** The same for custom volumes. */
void pool_mend_custom(struct pool *pool, const struct db_volumes *customs, const struct db_volsnaps *snaps);

/* ---- custom.c, custom_snapshot.c */

/** All pools are in order: what rows of custom volumes say of unfinished changes is done with. */
void custom_forget_marks(struct lxmd *d, const struct db_volumes *customs);
void custom_forget_snapshot_marks(struct lxmd *d, const struct db_volsnaps *snaps);

/* ---- copy.c */

struct tree_copy {
	const char *skip;	  /* name of a top-level entry that is left out, or NULL */
	struct op *op;		  /* cancellation, may be NULL */
	const char *progress_key; /* may be NULL */
	uint64_t total;		  /* bytes expected, for percentages; 0: unknown */
};

/**
 * Copy everything in directory `from` into the existing directory `to`, and its own attributes: owners, modes, times, all
 * xattrs, hard links, holes, devices (overlay's whiteouts are such); data is shared where the file system can.
 *
 * Never follows a link, so the source may change meanwhile. Returns 0, -ECANCELED, -ELOOP (nested too deep) or -errno.
 */
int tree_copy(int from, int to, const struct tree_copy *how, struct lxm_err *e);

/** The data of one file into an empty one, shared where the file system can, else what is no hole. Returns 0, -ECANCELED or -errno. */
int tree_copy_data(int from, int to, off_t size, struct op *op, struct lxm_err *e);

/** tree_copy() between two paths of pools; makes `to_path` (0700). */
int volume_tree_copy(struct pool *from, const char *from_path, struct pool *to, const char *to_path, const struct tree_copy *how,
		     struct lxm_err *e);

#endif
