/* The names of an archive: brought into one shape, and remembered so that none comes twice or leads through a link. */
#ifndef LXMD_IMAGE_PATHSET_H
#define LXMD_IMAGE_PATHSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

#define PATHSET_PATH_MAX 4095

enum path_kind {
	PATH_NONE,     /* not seen */
	PATH_IMPLIED,  /* a directory that only its contents spoke of */
	PATH_DIR,
	PATH_FILE,
	PATH_SYMLINK,
	PATH_FIFO,
	PATH_DEVICE,
	PATH_LEFT_OUT, /* device node or socket: named in the archive, never made */
};

struct path_item {
	uint32_t off;  /* of the NUL-terminated path in the arena */
	uint32_t kind; /* enum path_kind; PATH_NONE marks a free place */
};

/* Zeroed is empty. One thread. */
struct pathset {
	struct path_item *v; /* open addressing, cap is a power of two */
	size_t n, cap;
	char *arena;	     /* all paths, each ending in NUL */
	size_t arena_len, arena_cap;
	uint64_t key[2];     /* of the hash, random: an archive cannot be made to collide */
};

void pathset_deinit(struct pathset *s);
LXM_AUTO_STRUCT(pathset, struct pathset, pathset_deinit)

/**
 * Bring a name from an archive into one shape: no leading "./", no "//", no trailing '/'; "" is the top itself.
 *
 * @out  PATHSET_PATH_MAX + 1 bytes
 *
 * Refuses absolute names, "..", components over 255 bytes, names over PATHSET_PATH_MAX. Returns 0 or -EINVAL.
 */
int path_normalise(const char *raw, char *out, struct lxm_err *e);

/** What is known of a normalised path. */
enum path_kind pathset_get(const struct pathset *s, const char *path);

/**
 * Remember a normalised path and, as implied directories, those above it.
 *
 * -EINVAL: the path came before, or one above it is no directory. -ENOMEM: more names than an image may have (256 MiB of them).
 */
int pathset_add(struct pathset *s, const char *path, enum path_kind kind, struct lxm_err *e);

#endif
