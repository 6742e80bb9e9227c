/* Inodes seen while a tree is copied or packed, with the first path of each: how hard links stay hard links. */
#ifndef LXMD_STORAGE_LINKS_H
#define LXMD_STORAGE_LINKS_H

#include <stddef.h>
#include <sys/types.h>

struct link_item {
	dev_t dev;
	ino_t ino; /* 0: free place */
	char *path; /* owned */
};

/* Zeroed is empty. */
struct links {
	struct link_item *v;
	size_t n, cap;
};

/** The path under which this inode came first (borrowed), or NULL: it is remembered with `path` now. */
const char *links_add(struct links *l, dev_t dev, ino_t ino, const char *path);
void links_deinit(struct links *l);

#endif
