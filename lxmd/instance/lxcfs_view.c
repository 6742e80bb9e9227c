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
#include "lib/base/str.h"
#include "lib/base/sys.h"
#include "lib/mount/mountfd.h"

#define NSDX	    (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define ATTRS	    (NSDX | MOUNT_ATTR_RDONLY)
#define LAYERS_MAX  16 /* more than ever lie on each other */
#define MOUNTS_MAX  (64u << 20) /* of mountinfo */

/* Not /proc/slabinfo, which lxcfs has too: only the host's root may read it. */
const struct lxcfs_file lxcfs_files[LXCFS_FILES] = {
	{ "cpuinfo", "/proc/cpuinfo", false },	 { "diskstats", "/proc/diskstats", false },
	{ "loadavg", "/proc/loadavg", false },	 { "meminfo", "/proc/meminfo", false },
	{ "stat", "/proc/stat", false },	 { "swaps", "/proc/swaps", false },
	{ "uptime", "/proc/uptime", false },	 { "cpu", "/sys/devices/system/cpu", true },
};

/* Is something mounted at dir/sub/name? Asks no filesystem. */
static bool mounted(const char *dir, const char *sub, const char *name)
{
	lxm_auto(free) char *parent = lxm_asprintf("%s/%s", dir, sub);
	lxm_auto(fd_close) int top = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(fd_close) int fd = top < 0 ? -1 : sys_openat2(top, name, O_PATH, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);

	return top >= 0 && fd < 0 && errno == EXDEV;
}

/* ---- which mounts are lxcfs's: by the kernel's list, since a dead or hanging one cannot be asked */

static void read_mounts(struct lxm_buf *out)
{
	(void)lxm_read_file("/proc/self/mountinfo", MOUNTS_MAX, out);
	lxm_buf_add(out, "", 1);
}

/* How many mounts of lxcfs lie at dir/sub/name. */
static unsigned int layers(const struct lxm_buf *mounts, const char *dir, const char *sub, const char *name)
{
	lxm_auto(buf) struct lxm_buf want = { 0 };
	const char *c, *line;
	unsigned int n = 0;

	lxm_buf_add(&want, " ", 1);
	for (c = dir; *c; c++)
		if (strchr(" \t\n\\", *c))
			lxm_buf_fmt(&want, "\\%03o", *c);
		else
			lxm_buf_add(&want, c, 1);
	lxm_buf_fmt(&want, "/%s/%s ", sub, name);
	for (line = mounts->data; (line = strstr(line, want.data)); line++)
		n += memmem(line, strcspn(line, "\n"), " - fuse.lxcfs ", 14) != NULL;
	return n;
}

/* @how  MNT_FORCE ends the connection: a child of a killed lxcfs could hold it open, and readers would wait for ever; 0 */
static void unmount_at(const char *dir, const char *sub, const char *name, unsigned int n, int how)
{
	lxm_auto(free) char *path = lxm_asprintf("%s/%s/%s", dir, sub, name);

	while (n-- && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW | how) == 0)
		;
}

/* ---- making it */

/* Mount at that path; takes the descriptor. */
static int attach(int mount, const char *path, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = mount, to = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);

	if (to < 0)
		return lxm_err_sys(e, "open '%s'", path);
	return lxm_err_wrap(e, mountfd_attach(from, to, e), "mount '%s'", path);
}

static int make_top(const char *dir, struct lxm_err *e)
{
	static const char *const dirs[] = { "fs", "view", "base" };
	static const struct mount_param params[] = { { "mode", "0700" }, { "size", "64k" }, { "nr_inodes", "64" } };
	struct mount_attr private = { .propagation = MS_PRIVATE };
	size_t k;
	int r = mkdir(dir, 0700) < 0 && errno != EEXIST ? lxm_err_sys(e, "make '%s'", dir) : 0;
	int fd = r < 0 ? r : mountfd_new("tmpfs", "lxm-lxcfs", params, LXM_ARRAY_LEN(params), NSDX, e);

	r = fd < 0 ? fd : attach(fd, dir, e);
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

static int make_target(const char *path, bool dir, struct lxm_err *e)
{
	if (dir ? mkdir(path, 0700) < 0 : mknod(path, S_IFREG | 0600, 0) < 0)
		return lxm_err_sys(e, "make '%s'", path);
	return 0;
}

static int make_file(const char *dir, const struct lxcfs_file *f, struct lxm_err *e)
{
	lxm_auto(free) char *view = lxm_asprintf("%s/view/%s", dir, f->name), *base = lxm_asprintf("%s/base/%s", dir, f->name);
	lxm_auto(fd_close) int fd = mountfd_clone(AT_FDCWD, f->path, false, -1, ATTRS, e);
	int r = fd < 0 ? fd : mountfd_propagate(fd, MS_PRIVATE, e); /* out of the host's own group */

	if (r == 0)
		r = mountfd_propagate(fd, MS_SHARED, e);
	if (r == 0)
		r = make_target(view, f->dir, e);
	if (r == 0)
		r = make_target(base, f->dir, e);
	if (r == 0)
		r = attach(LXM_TAKE(fd, -1), view, e);
	if (r < 0)
		return r;
	fd = mountfd_clone(AT_FDCWD, view, false, -1, 0, e);
	r = fd < 0 ? fd : mountfd_propagate(fd, MS_SLAVE, e);
	return r < 0 ? r : attach(LXM_TAKE(fd, -1), base, e);
}

static bool whole(const char *dir)
{
	size_t k;

	for (k = 0; k < LXCFS_FILES; k++)
		if (!mounted(dir, "view", lxcfs_files[k].name) || !mounted(dir, "base", lxcfs_files[k].name))
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
	for (k = 0; r == 0 && k < LXCFS_FILES; k++)
		r = make_file(dir, &lxcfs_files[k], e);
	if (r < 0)
		lxcfs_view_remove(dir);
	return r;
}

void lxcfs_view_remove(const char *dir)
{
	int n;

	lxcfs_view_detach(dir);
	for (n = 0; n < LAYERS_MAX && umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0; n++)
		;
	(void)rmdir(dir);
}

bool lxcfs_view_mounted(const char *dir)
{
	return mounted(dir, ".", "fs");
}

/* ---- lxcfs comes and goes */

bool lxcfs_view_attached(const char *dir)
{
	lxm_auto(buf) struct lxm_buf mounts = { 0 };
	size_t k;

	read_mounts(&mounts);
	for (k = 0; k < LXCFS_FILES; k++)
		if (!layers(&mounts, dir, "view", lxcfs_files[k].name))
			return false;
	return true;
}

int lxcfs_view_attach(const char *dir, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf mounts = { 0 };
	lxm_auto(free) char *fs = lxm_asprintf("%s/fs", dir);
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < LXCFS_FILES; k++) {
		lxm_auto(free) char *from = lxm_asprintf("%s%s", fs, lxcfs_files[k].path);
		lxm_auto(free) char *view = lxm_asprintf("%s/view/%s", dir, lxcfs_files[k].name);
		int fd = mountfd_clone(AT_FDCWD, from, false, -1, ATTRS, e);

		r = fd < 0 ? fd : attach(fd, view, e);
	}
	/* it came to the bases as to every slave */
	read_mounts(&mounts);
	for (k = 0; k < LXCFS_FILES; k++)
		unmount_at(dir, "base", lxcfs_files[k].name, layers(&mounts, dir, "base", lxcfs_files[k].name), 0);
	if (r == 0 && umount2(fs, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		r = lxm_err_sys(e, "unmount '%s'", fs);
	return r;
}

void lxcfs_view_detach(const char *dir)
{
	lxm_auto(buf) struct lxm_buf mounts = { 0 };
	size_t k;

	read_mounts(&mounts);
	for (k = 0; k < LXCFS_FILES; k++) {
		const char *name = lxcfs_files[k].name;

		unmount_at(dir, "view", name, layers(&mounts, dir, "view", name), MNT_FORCE);
		unmount_at(dir, "base", name, layers(&mounts, dir, "base", name), MNT_FORCE);
	}
	if (lxcfs_view_mounted(dir))
		unmount_at(dir, ".", "fs", LAYERS_MAX, MNT_FORCE);
}
