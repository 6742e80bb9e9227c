/* One pass over a tar archive, each entry checked; what unpacking and checking have in common. Inside this room only. */
#ifndef LXMD_IMAGE_WALK_H
#define LXMD_IMAGE_WALK_H

#include "lxmd/image/archive_lib.h"
#include "lxmd/image/pathset.h"
#include "lxmd/image/unpack.h"

/* An entry that passed the checks. */
struct walk_entry {
	struct archive_entry *ae;
	enum path_kind kind;	    /* what it makes */
	const char *path;	    /* where below the target directory: "rootfs/etc/passwd" */
	const char *hardlink;	    /* NULL, or the earlier entry that it is another name of */
	struct unpack_volume *volume; /* of a backup: whose path it is; NULL: backup/index.yaml */
};

struct walk;

/* Called for each entry that belongs into the image; data is read by walk_read(). < 0 (with *e) fails the walk, > 0 ends it. */
typedef int (*walk_fn)(struct walk *w, const struct walk_entry *entry, void *arg, struct lxm_err *e);

struct walk {
	const struct unpack_spec *spec;
	struct archive *a;
	struct pathset seen;
	struct unpack_report report;
	uint64_t max_bytes, max_entries;
	uint64_t pos;		 /* of the compressed file */
	int64_t started_ms;
	struct unpack_volume *volume; /* of a backup, the present one */
	char path[PATHSET_PATH_MAX + 8], hardlink[PATHSET_PATH_MAX + 8];
	char first_device[128];	 /* for the log */
	unsigned char chunk[65536];
};

/** Read spec->fd from its start and hand every wanted entry to fn. Allocated: it is too big for a worker's stack. */
int walk_archive(const struct unpack_spec *spec, uint64_t max_bytes, uint64_t max_entries, walk_fn fn, void *arg,
		 struct unpack_report *report, struct lxm_err *e);

/**
 * The next piece of the current entry's data; counts it against the limit.
 *
 * Returns 1 with a block (borrowed until the next call), 0 at the end, < 0.
 */
int walk_read(struct walk *w, const void **block, size_t *len, int64_t *offset, struct lxm_err *e);

/**
 * Write owner, mode, xattrs, ACLs and (not for directories) times of an entry to what fd refers to.
 *
 * @v  NULL, or the volume by whose ids those in ACLs and capabilities are translated (the entry's owner has been already)
 */
int entry_attrs_apply(int fd, struct archive_entry *ae, const struct unpack_volume *v, bool times, struct lxm_err *e);

/** An id of the archive as the instance sees it; the overflow id if none of its ranges has it. v may be NULL. */
uint32_t entry_id(const struct unpack_volume *v, bool gid, uint32_t id);

/* squashfs.c */

/** Check the superblock: version 4, sane numbers. inodes_out may be NULL. */
int squashfs_check(int fd, uint64_t size, const char *name, uint64_t *inodes_out, struct lxm_err *e);

/** Unpack into dirfd: as rootfs/ (IMAGE_ROOTFS) or as the unified tree; then throw out device nodes and check the tree. */
int squashfs_unpack(const struct unpack_spec *spec, int dirfd, const char *dir_path, struct unpack_report *report,
		    struct lxm_err *e);

/** metadata.yaml of a unified squashfs image. */
int squashfs_metadata(const struct unpack_spec *spec, struct lxm_buf *metadata, struct lxm_err *e);

#endif
