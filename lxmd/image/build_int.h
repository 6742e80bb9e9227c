/* What the files of the template builder share; nobody else includes this. */
#ifndef LXMD_IMAGE_BUILD_INT_H
#define LXMD_IMAGE_BUILD_INT_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/image/recipe.h"

#define BUILD_PROGRESS_KEY "build_progress"

/* One build while it runs. Belongs to the thread that leads it; `cancelled` and `progress` look after themselves. */
struct build {
	const struct recipe_pick *pick;
	const char *dir;   /* absolute path of the build's own directory below cache/, 0700 */
	int dirfd;	   /* the same, open */
	int rootfd;	   /* dir/rootfs, open */
	int recipe_fd;	   /* templates/DISTRO, open */
	int log_fd;	   /* log file of this template */
	lxm_time epoch;	   /* no file is younger; creation date of the image */
	void *arg;	   /* for the two below */
	bool (*cancelled)(void *arg);
	/* stage in words for the user; percent -1: unknown; speed in bytes per second, 0: unknown */
	void (*progress)(void *arg, const char *stage, int percent, uint64_t speed);
};

/** Fill rootfd with what mmdebstrap makes of the recipe. Returns 0, -ECANCELED, -ENOPKG or another -errno. */
int build_mmdebstrap(struct build *b, struct lxm_err *e);

/** Fill rootfd with busybox-static and its links. Returns as build_mmdebstrap(). */
int build_busybox(struct build *b, struct lxm_err *e);

/**
 * Apply the recipe to the tree: remove, links, masks, runit services, files; then leave no device node, socket,
 * content of /dev /proc /sys /run /tmp, and no time after b->epoch.
 *
 * Every path is opened in the tree's own root. Returns 0 or -errno.
 */
int build_tree_finish(struct build *b, struct lxm_err *e);

/** Make `path` inside root with all its parents as directories of mode 0755. Returns an O_PATH descriptor or -errno. */
int build_mkdir_in(int rootfd, const char *path, struct lxm_err *e);

/** Write a whole file in the tree in place of what is there, its parents made. Returns 0 or -errno. */
int build_write_in(int rootfd, const char *path, const void *data, size_t len, mode_t mode, struct lxm_err *e);

/** Make a symbolic link in the tree in place of what is there, its parents made. Returns 0 or -errno. */
int build_link_in(int rootfd, const char *path, const char *target, struct lxm_err *e);

/** Remove every entry whose name fits the path's last component (* and ?); nothing there is fine. Returns 0 or -errno. */
int build_remove_in(int rootfd, const char *path, struct lxm_err *e);

/* What mmdebstrap said so far. Zeroed is the start. */
struct mm_progress {
	char stage[64];		   /* words for the user; "" until something is known */
	int percent;		   /* of the stage; -1: unknown */
	uint64_t need, got;	   /* bytes of the running download */
	unsigned int total, steps; /* packages to install, and unpack and configure steps done */
	bool lists;		   /* package lists are being fetched, sizes are not of packages */
	bool base;		   /* what is installed is the base system, of whose packages the steps are counted apart */
};

/** Take one line of mmdebstrap's and apt's output in. Returns true if stage or percent may have changed. */
bool mm_progress_line(struct mm_progress *p, const char *line);

#endif
