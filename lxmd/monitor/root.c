/*
 * The root filesystem and /dev, made outside by root of the host while the child waits.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

int root_make(struct start *s, int *fd_out, struct lxm_err *e)
{
	struct root_spec spec = {
		.userns = -1,
		.uid0 = s->uid0,
		.gid0 = s->gid0,
		/* the overlay belongs to the initial user namespace and would honour device nodes that an image carries */
		.attrs = s->plan.options & PLAN_PRIVILEGED ? 0 : MOUNT_ATTR_NODEV, /* but see PLAN_ROOT_DEV */
	};
	struct plan_step p;
	size_t pos = 0;

	(void)plan_find(&s->plan, PLAN_ROOT, &p);
	spec.dir = p.u.root.dir;
	if (p.u.root.flags & PLAN_ROOT_IDMAP)
		spec.userns = s->userns;
	if (p.u.root.flags & PLAN_ROOT_DEV)
		spec.attrs &= ~(unsigned int)MOUNT_ATTR_NODEV;
	if (p.u.root.flags & PLAN_ROOT_READONLY)
		spec.attrs |= MOUNT_ATTR_RDONLY;
	if (p.u.root.kind == PLAN_ROOT_OVERLAY)
		spec.flags = ROOT_OVERLAY | (p.u.root.flags & PLAN_ROOT_VOLATILE ? ROOT_VOLATILE : 0);
	while (spec.nlower < ROOT_LOWERS && plan_next_of(&s->plan, PLAN_LOWER, &pos, &p))
		spec.lower[spec.nlower++] = p.u.lower.dir;
	return root_mount(&spec, fd_out, &s->m->rest, e);
}

/* ---- /dev */

static const struct {
	const char *name, *to;
} links[] = {
	{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },	 { "core", "/proc/kcore" },
};

static const struct {
	const char *name;
	mode_t mode;
} dirs[] = { { "pts", 0755 }, { "shm", 01777 }, { "mqueue", 0755 } };

static int node_make(struct start *s, int dev, const struct plan_dev *d, struct lxm_err *e)
{
	uint32_t uid = plan_host_id(&s->plan, PLAN_MAP_UID, d->uid), gid = plan_host_id(&s->plan, PLAN_MAP_GID, d->gid);
	char dir[256];
	char *slash;

	/* the directory is a tmpfs that nobody else sees yet: plain paths are safe here */
	snprintf(dir, sizeof(dir), "%s", d->path);
	for (slash = strchr(dir, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		fs_as(s->uid0, s->gid0);
		(void)mkdirat(dev, dir, 0755);
		*slash = '/';
	}
	fs_as(uid == UINT32_MAX ? s->uid0 : uid, gid == UINT32_MAX ? s->gid0 : gid);
	if (mknodat(dev, d->path, (d->type == 'b' ? S_IFBLK : S_IFCHR) | d->mode, makedev(d->major, d->minor)) == 0)
		return 0;
	/* lxm is in a container itself: an empty file marks the place of the container's own node, see dev_borrow() */
	if (errno == EPERM && mknodat(dev, d->path, S_IFREG | 0600, 0) == 0)
		return 0;
	return lxm_err_sys(e, "make '/dev/%s'", d->path);
}

/* Puts the node of our own /dev on the place of one that could not be made. Ours is what the host lets us have: it may be missing. */
static int node_borrow(struct start *s, const struct plan_dev *d, struct lxm_err *e)
{
	lxm_auto(fd_close) int target = lxm_open_beneath(s->dev, d->path, O_PATH, 0), node = -1;
	char path[300];
	struct stat st;
	int r;

	if (target < 0 || fstat(target, &st) < 0)
		return lxm_err_sys(e, "open '/dev/%s'", d->path);
	if (!S_ISREG(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "/dev/%s", d->path);
	if (stat(path, &st) < 0)
		return unlinkat(s->dev, d->path, 0) < 0 ? lxm_err_sys(e, "remove '/dev/%s'", d->path) : 0;
	if ((d->type == 'b' ? !S_ISBLK(st.st_mode) : !S_ISCHR(st.st_mode)) || st.st_rdev != makedev(d->major, d->minor))
		return lxm_err_set(e, EPERM, "make '/dev/%s': a container makes no device nodes, and its own of that name is another one", d->path);
	node = mountfd_clone(AT_FDCWD, path, false, -1, 0, e);
	r = node < 0 ? node : mountfd_attach(node, target, e);
	return r < 0 ? lxm_err_wrap(e, r, "'/dev/%s'", d->path) : 0;
}

int dev_borrow(struct start *s, struct lxm_err *e)
{
	struct plan_step p;
	size_t pos = 0;
	struct stat st;
	int r = 0;

	/* who cannot make one can make none */
	if (fstatat(s->dev, "null", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	while (r == 0 && plan_next_of(&s->plan, PLAN_DEV, &pos, &p))
		r = node_borrow(s, &p.u.dev, e);
	return r;
}

static int dev_fill(struct start *s, int dev, struct lxm_err *e)
{
	lxm_auto(fd_close) int console = -1;
	struct plan_step p;
	size_t pos = 0, i;

	for (i = 0; i < LXM_ARRAY_LEN(dirs); i++)
		if (mkdirat(dev, dirs[i].name, dirs[i].mode) < 0)
			return lxm_err_sys(e, "make '/dev/%s'", dirs[i].name);
	for (i = 0; i < LXM_ARRAY_LEN(links); i++)
		if (symlinkat(links[i].to, dev, links[i].name) < 0)
			return lxm_err_sys(e, "make '/dev/%s'", links[i].name);
	console = openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (console < 0)
		return lxm_err_sys(e, "make '/dev/console'");
	while (plan_next_of(&s->plan, PLAN_DEV, &pos, &p)) {
		int r = node_make(s, dev, &p.u.dev, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int dev_make(struct start *s, int *fd_out, struct lxm_err *e)
{
	char uid[16], gid[16];
	struct mount_param params[] = { { "mode", "0755" }, { "uid", uid }, { "gid", gid }, { "size", "500k" }, { "nr_inodes", "4096" } };
	lxm_auto(fd_close) int dev = -1;
	int r;

	snprintf(uid, sizeof(uid), "%u", s->uid0);
	snprintf(gid, sizeof(gid), "%u", s->gid0);
	dev = mountfd_new("tmpfs", "none", params, LXM_ARRAY_LEN(params), MOUNT_ATTR_NOSUID, e);
	if (dev < 0)
		return lxm_err_wrap(e, dev, "/dev");
	fs_as(s->uid0, s->gid0);
	r = dev_fill(s, dev, e);
	if (r == 0)
		r = guest_make(s, dev, e);
	fs_as(0, 0);
	if (r < 0)
		return r;
	*fd_out = LXM_TAKE(dev, -1);
	return 0;
}
