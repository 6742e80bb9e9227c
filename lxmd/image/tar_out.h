/* A tar stream that is being written: what images and backups are made of. */
#ifndef LXMD_IMAGE_TAR_OUT_H
#define LXMD_IMAGE_TAR_OUT_H

#include <stddef.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/time.h"

struct op;

/* How the tar stream is compressed; the words of compression_algorithm. */
enum image_compression {
	IMAGE_COMPRESS_NONE,
	IMAGE_COMPRESS_GZIP,
	IMAGE_COMPRESS_XZ,
	IMAGE_COMPRESS_ZSTD,
	IMAGE_COMPRESS_BZIP2,
};

/** "none", "gzip", "xz", "zstd", "bzip2" (nothing else, no arguments). Returns 0 or -EINVAL. */
int image_compression_parse(const char *word, enum image_compression *out, struct lxm_err *e);

struct tar_out_spec {
	int fd; /* borrowed; need not be seekable */
	enum image_compression compression;
	struct op *op;		  /* progress, cancellation; may be NULL */
	const char *progress_key; /* NULL: none */
	const char *stage;	  /* what the progress line says: "Pack" */
};

/* A stream; one thread. Everything below blocks on disk and answers 0, -ECANCELED, -ENOSPC or another -errno. */
struct tar_out;

/** Begin. tar_out_free() it. */
int tar_out_open(const struct tar_out_spec *spec, struct tar_out **out, struct lxm_err *e);

/** A file of root's with mode 0644. */
int tar_out_file(struct tar_out *p, const char *path, const void *data, size_t n, lxm_time mtime, struct lxm_err *e);

/** An entry for a directory of root's, and nothing in it. */
int tar_out_dir(struct tar_out *p, const char *path, unsigned int mode, lxm_time mtime, struct lxm_err *e);

/**
 * A directory and everything below it, under the name `path`: owners, modes, times, hard links, holes, file capabilities, ACLs and user
 * xattrs are kept, device nodes too, sockets left out, links never followed, mounts not crossed; sorted by name.
 */
int tar_out_tree(struct tar_out *p, int dirfd, const char *path, struct lxm_err *e);

/** Write what is still held back. Without it the archive is cut off. */
int tar_out_close(struct tar_out *p, struct lxm_err *e);

/** NULL is fine. */
void tar_out_free(struct tar_out *p);
LXM_AUTO_PTR(tar_out_free, struct tar_out, tar_out_free)

#endif
