/* Reading simplestreams: which images there are, and which files make up one of them. No I/O. */
#ifndef LXM_API_STREAMS_H
#define LXM_API_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

#define STREAMS_INDEX_MAX  (1024 * 1024)      /* bytes of index.json */
#define STREAMS_IMAGES_MAX (32 * 1024 * 1024) /* bytes of one list of products */
#define STREAMS_LISTS_MAX  16		      /* lists that one index may name */

struct streams_file {
	char *path;	 /* owned; relative to the server, percent-encoded */
	int64_t size;
	char sha256[65]; /* lowercase hex */
};

/* Zeroed is empty. */
struct streams_image {
	char fingerprint[65];
	struct streams_file meta, root; /* root.path NULL: a unified image */
	struct lxm_kv properties;	/* os, release, serial ... */
};

void streams_image_deinit(struct streams_image *im);
LXM_AUTO_STRUCT(streams_image, struct streams_image, streams_image_deinit)

/**
 * The paths of the lists with images that streams/v1/index.json names.
 *
 * @out  percent-encoded, relative to the server; added to
 *
 * Returns 0 or -EBADMSG.
 */
int streams_index(const char *text, size_t len, struct lxm_strv *out, struct lxm_err *e);

#define STREAMS_NONE 1 /* no such image in this list */

/**
 * Find a container image in a list of products.
 *
 * @name  an alias, also with "/ARCH" (Debian's name) behind it, or at least 12 digits of a fingerprint
 * @arch  kernel's name of the architecture that aliases without "/ARCH" mean
 *
 * Of several versions the newest that is complete; squashfs before tar. Returns 0, STREAMS_NONE or -EBADMSG.
 */
int streams_find(const char *text, size_t len, const char *name, const char *arch, struct streams_image *out, struct lxm_err *e);

/* What a list says of one image; all borrowed for the call. */
struct streams_entry {
	const struct streams_image *image; /* properties say the rest */
	const char *aliases;		   /* joined by commas; "" */
	const char *architecture;	   /* kernel's name */
	const char *version;		   /* "20260102_07:42" */
};

/* Returns 0, or -errno to stop. */
typedef int (*streams_entry_fn)(void *arg, const struct streams_entry *entry, struct lxm_err *e);

/** Hand the newest complete container image of each product to fn. Returns 0, -EBADMSG or what fn answered. */
int streams_list(const char *text, size_t len, streams_entry_fn fn, void *arg, struct lxm_err *e);

#endif
