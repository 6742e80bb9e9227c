/* Packing a tree as a LXD image: what `publish` and recipe builds hand to image_import(). */
#ifndef LXMD_IMAGE_PACK_H
#define LXMD_IMAGE_PACK_H

#include "lib/base/err.h"
#include "lxmd/image/metadata.h"
#include "lxmd/image/tar_out.h"

struct op;

struct image_pack {
	int rootfd;			  /* the root directory; borrowed */
	const struct image_metadata *meta; /* written as metadata.yaml */
	int templates_fd;		  /* directory with the file templates; -1: none */
	enum image_compression compression;
	struct op *op;			  /* progress, cancellation; may be NULL */
	const char *progress_key;	  /* "create_image_from_container_pack_progress"; NULL: none */
};

/**
 * Write a unified image (metadata.yaml, templates/, rootfs/) to out_fd: owners, modes, times, hard links, holes, file capabilities and
 * ACLs and user xattrs are kept, sockets left out, links never followed, mounts not crossed; entries are sorted so that equal trees give equal bytes.
 *
 * Any thread; blocks on disk. Returns 0, -ECANCELED, -ENOSPC or another -errno.
 */
int image_pack(const struct image_pack *spec, int out_fd, struct lxm_err *e);

#endif
