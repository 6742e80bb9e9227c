/* Unpacking images from foreign archives into a private directory, and looking at one without unpacking it. */
#ifndef LXMD_IMAGE_UNPACK_H
#define LXMD_IMAGE_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct lxmd;
struct op;

/* What an archive is by its first bytes. */
enum image_format {
	IMAGE_FORMAT_UNKNOWN,
	IMAGE_FORMAT_TAR, /* none or any compression of libarchive */
	IMAGE_FORMAT_SQUASHFS,
};

/* Which part of an image a file holds; decides where its entries belong. */
enum image_part {
	IMAGE_UNIFIED,	/* metadata.yaml, templates/ and rootfs/ */
	IMAGE_METADATA, /* metadata.yaml and templates/ */
	IMAGE_ROOTFS,	/* the root file system itself */
	IMAGE_BACKUP,	/* a backup: volumes below backup/ */
};

/* A range of ids as they are in the archive, and what the instance sees: LXD stores some trees shifted. */
struct unpack_ids {
	bool uids, gids;
	uint32_t host, ns, n;
};

/* A volume of a backup: its rootfs/, metadata.yaml and templates/ go below dirfd. */
struct unpack_volume {
	char *prefix; /* where it lies in the archive: "backup/container"; owned by the caller */
	int dirfd;    /* fresh directory that nobody else can reach; borrowed */
	const struct unpack_ids *ids; /* of its root; borrowed, n_ids of them; none: owners are what the instance sees */
	size_t n_ids;
	bool begun, ended; /* set while it is unpacked */
};

struct unpack_spec {
	struct lxmd *d;		     /* for programs that it starts; NULL: squashfs is refused */
	int fd;			     /* the archive, at any position; borrowed, read through its own offset */
	uint64_t size;		     /* bytes of the archive, for progress */
	enum image_part part;
	const char *name;	     /* what messages call it ("image 'abc'") */
	struct op *op;		     /* progress and cancellation; may be NULL */
	const char *progress_key;    /* "create_instance_from_image_unpack_progress"; NULL: none */
	uint64_t max_bytes;	     /* refuse to write more than this; 0: by free space of the target */
	uint64_t max_entries;	     /* 0: by free inodes, at most 4 million */
	struct unpack_volume *volumes; /* IMAGE_BACKUP: where each goes, n_volumes of them; nothing else may be in it */
	size_t n_volumes;
	bool devices;		     /* IMAGE_BACKUP: make device nodes; false: leave them out */
};

struct unpack_report {
	uint64_t entries, bytes;     /* written, or seen when only checked */
	uint64_t devices_left_out;   /* device nodes */
	bool has_init;		     /* something that can be process 1 was seen in the root */
	bool has_metadata;	     /* a regular metadata.yaml was seen */
};

/** What kind of archive a file is; leaves its offset alone. */
enum image_format image_format_of(int fd);

/** "tar.gz", "tar.xz", "tar", "squashfs" ... by magic bytes; static string. */
const char *image_suffix_of(int fd);

/**
 * Unpack into a directory (rootfs/, metadata.yaml, templates/ below it).
 *
 * @dirfd     fresh directory of the caller that nobody else can reach (0700); for IMAGE_ROOTFS the root is made as
 *            rootfs/ below it
 * @dir_path  its absolute path (squashfs only: the program that unpacks it needs one)
 *
 * The whole image is refused (-EINVAL) if an entry is absolute, holds "..", repeats an earlier one, passes through a link or
 * file, or is a hard link to something not unpacked earlier; if metadata.yaml or templates is not what it should be. Device
 * nodes are left out. Owners, modes, times, file capabilities, ACLs, user xattrs, holes and hard links are kept. On failure
 * the caller removes the directory.
 *
 * Any thread; blocks on disk. Returns 0, -EINVAL, -ENOSPC, -EFBIG (bomb), -ECANCELED or another -errno.
 */
int image_unpack(const struct unpack_spec *spec, int dirfd, const char *dir_path, struct unpack_report *report,
		 struct lxm_err *e);

/**
 * Walk an archive with every check of image_unpack() but write nothing; hands out metadata.yaml.
 *
 * @metadata  NULL, or receives the bytes of metadata.yaml (bounded by IMAGE_METADATA_MAX)
 *
 * Squashfs: only its superblock is checked unless the part carries metadata. Any thread. Returns as image_unpack().
 */
int image_check(const struct unpack_spec *spec, struct lxm_buf *metadata, struct unpack_report *report,
		struct lxm_err *e);

/**
 * Read only as far as metadata.yaml and hand out its bytes, for archives that were checked before.
 *
 * Any thread. Returns 0 or as image_unpack().
 */
int image_peek_metadata(const struct unpack_spec *spec, struct lxm_buf *metadata, struct lxm_err *e);

/**
 * Unpack all volumes of a backup, with every check of image_unpack(); each must be there, in one piece. Times, owners and the
 * rest are kept as there; on failure the caller removes the directories.
 *
 * Any thread; blocks on disk. Returns 0 or as image_unpack().
 */
int backup_unpack(const struct unpack_spec *spec, struct unpack_report *report, struct lxm_err *e);

/**
 * The bytes of backup/index.yaml, with which a backup begins.
 *
 * @spec  with part IMAGE_BACKUP and no volumes
 * @max   what is longer is refused
 *
 * Any thread; reads the beginning of the archive. Returns 0, or -EINVAL (no backup, or one in another order).
 */
int backup_peek_index(const struct unpack_spec *spec, size_t max, struct lxm_buf *index, struct lxm_err *e);

/**
 * Does an unpacked root have something that can be process 1 (/sbin/init, /lib/systemd/systemd, /init, /bin/init ...)?
 *
 * @rootfd  the root directory; links are followed inside it only
 */
bool image_root_has_init(int rootfd);

#endif
