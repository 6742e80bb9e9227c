/* multipart/form-data bodies that were spooled to a file: cut into one file for each part. */
#ifndef LXM_TLS_MULTIPART_H
#define LXM_TLS_MULTIPART_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define MULTIPART_PARTS 4

struct multipart_part {
	char name[64];	    /* of the form field: "metadata" */
	char filename[256]; /* as the client gave it, "" if it did not; never used as a path */
	uint64_t off, len;  /* where its bytes lie in the body */
};

struct multipart {
	struct multipart_part v[MULTIPART_PARTS];
	size_t n;
};

/**
 * The boundary of a Content-Type header into out[80].
 *
 * Returns 0, 1 if the type is not multipart/form-data, or -EINVAL.
 */
int multipart_boundary(const char *content_type, char out[80], struct lxm_err *e);

/**
 * Find the parts of a body.
 *
 * @fd    the body; its offset is left alone
 *
 * At most MULTIPART_PARTS parts with at most 8 KiB of headers each. Any thread; reads the file once. Returns 0, -EINVAL or -errno.
 */
int multipart_parse(int fd, uint64_t size, const char *boundary, struct multipart *out, struct lxm_err *e);

/** Copy a part into a file of its own, unlinked, below dirfd. Returns the descriptor or -errno. */
int multipart_extract(int fd, const struct multipart_part *part, int dirfd, struct lxm_err *e);

/** Write a part's bytes to a descriptor, at its position. Returns 0 or -errno. */
int multipart_copy(int fd, const struct multipart_part *part, int to, struct lxm_err *e);

#endif
