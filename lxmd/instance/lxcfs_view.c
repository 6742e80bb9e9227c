/*
 * The mounts between lxcfs and instances. Any thread of lxmd, as root, in the host's mount namespace: the only mounts that lxmd
 * itself makes there. Everything is mounted ready made, with its attributes and propagation, because what reaches instances
 * by propagation is a copy of that moment. Unmounting is always lazy: it looks at no file of a dead or hanging filesystem.
 */
#include "lxmd/instance/lxcfs_view.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/mountfd.h"

#define NSDX	    (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define ATTRS	    (NSDX | MOUNT_ATTR_RDONLY)
#define LAYERS_MAX  16 /* more than ever lie on each other */

/* Not /proc/slabinfo, which lxcfs has too: only the host's root may read it. */
const struct lxcfs_file lxcfs_files[LXCFS_FILES] = {
	{ "proc/cpuinfo", "proc/cpuinfo", "/proc/cpuinfo" },
	{ "proc/diskstats", "proc/diskstats", "/proc/diskstats" },
	{ "proc/loadavg", "proc/loadavg", "/proc/loadavg" },
	{ "proc/meminfo", "proc/meminfo", "/proc/meminfo" },
	{ "proc/stat", "proc/stat", "/proc/stat" },
	{ "proc/swaps", "proc/swaps", "/proc/swaps" },
	{ "proc/uptime", "proc/uptime", "/proc/uptime" },
	{ "sys/cpu", "sys/devices/system/cpu", "/sys/devices/system/cpu" },
};

/* A host directory, and where it appears twice. */
static const struct {
	const char *host, *view, *base;
} trees[] = {
	{ "/proc", "view/proc", "base/proc" },
	{ "/sys/devices/system", "view/sys", "base/sys" },
};

/* Is something mounted right there? Asks no filesystem. */
static bool mounted(const char *dir, const char *rel)
{
	lxm_auto(fd_close) int top = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(free) char *parent = lxm_strdup(rel);
	lxm_auto(fd_close) int fd = -1;
	char *slash = strrchr(parent, '/');

	if (slash) {
		*slash = 0;
		fd = openat(top, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		auto_fd_close(&top);
		top = LXM_TAKE(fd, -1);
		rel = rel + (slash - parent) + 1;
	}
	if (top < 0)
		return false;
	fd = sys_openat2(top, rel, O_PATH, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	return fd < 0 && errno == EXDEV;
}

static void unmount_at(const char *dir, const char *rel, int flags)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, rel);
	int n;

	for (n = 0; n < LAYERS_MAX && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW | flags) == 0; n++)
		;
}

/* Mount at dir/rel; takes the descriptor. */
static int attach(int mount, const char *dir, const char *rel, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = mount, to = -1;
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, rel);

	to = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (to < 0)
		return lxm_err_sys(e, "open '%s'", path);
	return lxm_err_wrap(e, mountfd_attach(from, to, e), "mount '%s'", path);
}

static int make_top(const char *dir, struct lxm_err *e)
{
	static const char *const dirs[] = { "fs", "view", "view/proc", "view/sys", "base", "base/proc", "base/sys" };
	static const struct mount_param params[] = { { "mode", "0700" }, { "size", "64k" }, { "nr_inodes", "32" } };
	struct mount_attr private = { .propagation = MS_PRIVATE };
	size_t k;
	int r = mkdir(dir, 0700) < 0 && errno != EEXIST ? lxm_err_sys(e, "make '%s'", dir) : 0;
	int fd = r < 0 ? r : mountfd_new("tmpfs", "lxm-lxcfs", params, LXM_ARRAY_LEN(params), NSDX, e);

	r = fd < 0 ? fd : attach(fd, dir, ".", e);
	/* where the directory is on a shared mount, so is now what was mounted there */
	if (r == 0 && mount_setattr(AT_FDCWD, dir, AT_SYMLINK_NOFOLLOW, &private, sizeof(private)) < 0)
		r = lxm_err_sys(e, "make '%s' private", dir);
	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(dirs); k++) {
		lxm_auto(free) char *path = lxm_asprintf("%s/%s", dir, dirs[k]);

		if (mkdir(path, 0700) < 0)
			r = lxm_err_sys(e, "make '%s'", path);
	}
	return r;
}

static int make_tree(const char *dir, size_t k, struct lxm_err *e)
{
	lxm_auto(free) char *view = lxm_asprintf("%s/%s", dir, trees[k].view);
	lxm_auto(fd_close) int fd = mountfd_clone(AT_FDCWD, trees[k].host, false, -1, ATTRS, e);
	int r = fd < 0 ? fd : mountfd_propagate(fd, MS_PRIVATE, e); /* out of the host's own group */

	if (r == 0)
		r = mountfd_propagate(fd, MS_SHARED, e);
	if (r == 0)
		r = attach(LXM_TAKE(fd, -1), dir, trees[k].view, e);
	if (r < 0)
		return r;
	fd = mountfd_clone(AT_FDCWD, view, false, -1, 0, e);
	r = fd < 0 ? fd : mountfd_propagate(fd, MS_SLAVE, e);
	return r < 0 ? r : attach(LXM_TAKE(fd, -1), dir, trees[k].base, e);
}

static bool whole(const char *dir)
{
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(trees); k++)
		if (!mounted(dir, trees[k].view) || !mounted(dir, trees[k].base))
			return false;
	return true;
}

int lxcfs_view_make(const char *dir, struct lxm_err *e)
{
	size_t k;
	int r;

	if (whole(dir))
		return 0;
	lxcfs_view_remove(dir);
	r = make_top(dir, e);
	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(trees); k++)
		r = make_tree(dir, k, e);
	if (r < 0)
		lxcfs_view_remove(dir);
	return r;
}

void lxcfs_view_remove(const char *dir)
{
	lxcfs_view_detach(dir, true);
	unmount_at(dir, ".", 0);
	(void)rmdir(dir);
}

bool lxcfs_view_mounted(const char *dir)
{
	return mounted(dir, "fs");
}

bool lxcfs_view_attached(const char *dir)
{
	size_t k;

	for (k = 0; k < LXCFS_FILES; k++) {
		lxm_auto(free) char *rel = lxm_asprintf("view/%s", lxcfs_files[k].path);

		if (!mounted(dir, rel))
			return false;
	}
	return true;
}

int lxcfs_view_attach(const char *dir, struct lxm_err *e)
{
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < LXCFS_FILES; k++) {
		lxm_auto(free) char *from = lxm_asprintf("%s/fs/%s", dir, lxcfs_files[k].source);
		lxm_auto(free) char *view = lxm_asprintf("view/%s", lxcfs_files[k].path);
		lxm_auto(free) char *base = lxm_asprintf("base/%s", lxcfs_files[k].path);
		int fd = mountfd_clone(AT_FDCWD, from, false, -1, ATTRS, e);

		r = fd < 0 ? fd : attach(fd, dir, view, e);
		unmount_at(dir, base, 0); /* it came here as to every slave */
	}
	return r;
}

void lxcfs_view_detach(const char *dir, bool gone)
{
	size_t k;

	for (k = 0; k < LXCFS_FILES; k++) {
		lxm_auto(free) char *view = lxm_asprintf("view/%s", lxcfs_files[k].path);

		if (mounted(dir, view))
			unmount_at(dir, view, 0);
	}
	/* forced: a child of a killed lxcfs could hold its connection open, and readers would wait */
	if (gone && mounted(dir, "fs"))
		unmount_at(dir, "fs", MNT_FORCE);
}
