/* The image store: importing, finding, deleting; files lie in LXMD_DIR/images by fingerprint. */
#ifndef LXMD_IMAGE_IMAGE_H
#define LXMD_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/image/metadata.h"

struct db_image;
struct lxmd;
struct op;

/** Remove half-imported files, compare files with rows, tell storage how images are unpacked. After storage_start(). */
int images_start(struct lxmd *d, struct lxm_err *e);
void images_stop(struct lxmd *d);

/* One image to take into the store. Zeroed fields mean "none"; descriptors are borrowed and read from their beginning. */
struct image_import {
	const char *project;	       /* never NULL */
	int meta_fd;		       /* unified image, or the metadata part */
	int rootfs_fd;		       /* root part of a split image; -1: unified */
	const char *filename;	       /* as shown; NULL: the fingerprint */
	bool public_, auto_update, cached;
	lxm_time expires_at;	       /* 0: as metadata.yaml says */
	const char *expect_fp;	       /* refuse any other fingerprint; NULL: do not check */
	const struct lxm_kv *properties; /* set over those of metadata.yaml; may be NULL */
	const struct lxm_strv *aliases;	 /* names to make; a taken one fails the import; may be NULL */
	bool move_aliases;		 /* take over aliases that exist (rebuilt templates) instead of failing */
	const struct lxm_strv *profiles; /* NULL: {"default"} */
	const struct lxm_kv *source;	 /* update source: alias, server, protocol, certificate, image_type; may be NULL */
	bool known_good;		 /* made by ourselves just now: read only as far as metadata.yaml (unpacking checks again) */
};

/**
 * Take an image into the store: hash, check every entry, read metadata.yaml, move the files into place, then write the row.
 * A crash at any moment leaves the whole image or nothing.
 *
 * @op      progress and cancellation; may be NULL
 * @fp_out  receives the fingerprint (65 bytes)
 *
 * Any thread; blocks on disk. Returns 0, -EEXIST (already in the project: *fp_out is filled), -EINVAL, -ENOSPC ...
 */
int image_import(struct lxmd *d, const struct image_import *im, struct op *op, char fp_out[65], struct lxm_err *e);

/**
 * Find an image by alias, full fingerprint or unique prefix of it (aliases win).
 *
 * @out  filled on success; db_image_deinit() it
 *
 * Any thread; one database read. Returns 0, -ENOENT, or -EINVAL (prefix not unique).
 */
int image_get(struct lxmd *d, const char *project, const char *alias_or_fp, struct db_image *out, struct lxm_err *e);

/** By fingerprint or unique prefix only, as the API's /images/FP wants it. Returns as image_get(). */
int image_get_fp(struct lxmd *d, const char *project, const char *prefix, struct db_image *out, struct lxm_err *e);

/** Delete from a project; the files go with the last project that has it. Unpacked copies go once no volume needs them. */
int image_delete(struct lxmd *d, const char *project, const char *fp, struct lxm_err *e);

/** Note that an image was used now (last_used_at), for the expiry of cached ones. */
void image_touch(struct lxmd *d, const char *project, const char *fp);

/** What an instance made from this image carries: its properties as image.KEY. Added to config. */
void image_properties_to_config(const struct db_image *im, struct lxm_kv *config);

/** metadata.yaml of an image in the store (reads the archive up to it). image_metadata_deinit() *out. */
int image_metadata(struct lxmd *d, const char *fp, struct image_metadata *out, struct lxm_err *e);

/** Open the file(s) of an image: *rootfs_fd is -1 for a unified one. The caller closes both. */
int image_open(struct lxmd *d, const char *fp, int *meta_fd, int *rootfs_fd, struct lxm_err *e);

#endif
