/* Files of the store: LXMD_DIR/images/FP and, for split images, FP.rootfs. Inside this room only. */
#ifndef LXMD_IMAGE_FILES_H
#define LXMD_IMAGE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct lxmd;
struct op;

/** SHA-256 over one file and then another (-1: none), as hex into out[65]; *size_out gets the bytes of both. */
int image_files_hash(int meta_fd, int rootfs_fd, struct op *op, char out[65], uint64_t *size_out, struct lxm_err *e);

/** Put copies of the files into the store under their fingerprint; whole, on disk, or not at all. */
int image_files_add(struct lxmd *d, const char *fp, int meta_fd, int rootfs_fd, struct lxm_err *e);

/** Take them out; what is not there is fine. */
void image_files_del(struct lxmd *d, const char *fp);

/** Are they there? */
bool image_files_have(struct lxmd *d, const char *fp, bool split);

/** Fills a directory with an unpacked image of the store, checked for an init and metadata: pool_unpack_fn of lxmd/storage/pool.h. */
int image_unpack_into(struct lxmd *d, const char *fp, int dirfd, const char *dir_path, struct op *op, struct lxm_err *e);

/** At start: unlink everything that is no file of these fingerprints (sorted). */
void image_files_sweep(struct lxmd *d, const struct lxm_strv *fps);

#endif
