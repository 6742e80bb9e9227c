/*
 * The root filesystem and /dev, made outside by root of the host while the child waits.
 *
 * Overlay: both layers are idmapped clones, and the overlay itself is mounted by the initial user namespace. Its
 * superblock must be created with fsuid and fsgid of the container's root: with host root `work/work` could not be made on the
 * idmapped clone (EOVERFLOW) and the mount would silently turn read-only. Such a mount would honour device nodes that an image
 * carries, hence NODEV for all but privileged instances.
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

#define MAX_LOWERS 64

struct layers {
	int lower[MAX_LOWERS], n;
	int dir; /* the clone that upper and work lie in: closing it would take it apart under them */
	int upper, work;
};

static void layers_close(struct layers *l)
{
	while (l->n)
		auto_fd_close(&l->lower[--l->n]);
	auto_fd_close(&l->upper);
	auto_fd_close(&l->work);
	auto_fd_close(&l->dir);
}
LXM_AUTO_STRUCT(layers, struct layers, layers_close)

/* After a volatile mount the kernel leaves a mark that forbids mounting again. */
static void forget_volatile(int dir)
{
	(void)unlinkat(dir, "work/work/incompat/volatile/dirty", 0);
	(void)unlinkat(dir, "work/work/incompat/volatile", AT_REMOVEDIR);
	(void)unlinkat(dir, "work/work/incompat", AT_REMOVEDIR);
}

static int layers_open(struct start *s, const struct plan_root *r, struct layers *l, struct lxm_err *e)
{
	int userns = r->flags & PLAN_ROOT_IDMAP ? s->userns : -1;
	lxm_auto(fd_close) int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct plan_step p;
	size_t pos = 0;

	if (dir < 0)
		return lxm_err_sys(e, "open '%s'", r->dir);
	if (r->flags & PLAN_ROOT_VOLATILE)
		forget_volatile(dir);
	l->dir = mountfd_clone(dir, "", false, userns, 0, e);
	if (l->dir < 0)
		return lxm_err_wrap(e, l->dir, "'%s'", r->dir);
	l->upper = openat(l->dir, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	l->work = openat(l->dir, "work", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (l->upper < 0 || l->work < 0)
		return lxm_err_sys(e, "open upper and work in '%s'", r->dir);
	while (plan_next(&s->plan, &pos, &p)) {
		if (p.kind != PLAN_LOWER)
			continue;
		l->lower[l->n] = mountfd_clone(AT_FDCWD, p.u.lower.dir, false, userns, 0, e);
		if (l->lower[l->n] < 0)
			return l->lower[l->n];
		l->n++;
	}
	return 0;
}

/* Kernels before 6.5 take layers as text only: /proc/self/fd/N reaches a detached mount as well. */
static int layers_config_text(int fs, const struct layers *l)
{
	char text[256], one[32];
	size_t len = 0;
	int i;

	text[0] = 0;
	for (i = 0; i < l->n; i++) {
		snprintf(one, sizeof(one), "%s/proc/self/fd/%d", i ? ":" : "", l->lower[i]);
		if (len + strlen(one) >= sizeof(text)) {
			errno = E2BIG;
			return -1;
		}
		strcpy(text + len, one);
		len += strlen(one);
	}
	if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", text, 0) < 0)
		return -1;
	snprintf(text, sizeof(text), "/proc/self/fd/%d", l->upper);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", text, 0) < 0)
		return -1;
	snprintf(text, sizeof(text), "/proc/self/fd/%d", l->work);
	return fsconfig(fs, FSCONFIG_SET_STRING, "workdir", text, 0);
}

static int layers_config(int fs, const struct layers *l)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, l->lower[i]) < 0)
			return i == 0 && errno != EMFILE ? layers_config_text(fs, l) : -1;
	if (fsconfig(fs, FSCONFIG_SET_FD, "upperdir", NULL, l->upper) == 0)
		return fsconfig(fs, FSCONFIG_SET_FD, "workdir", NULL, l->work);
	return -1;
}

static int overlay_make(struct start *s, const struct plan_root *r, unsigned int attrs, int *fd_out, struct lxm_err *e)
{
	lxm_auto(layers) struct layers l = { .dir = -1, .upper = -1, .work = -1 };
	lxm_auto(fd_close) int fs = -1;
	int rc = layers_open(s, r, &l, e);

	if (rc < 0)
		return rc;
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return lxm_err_sys(e, "make an overlay");
	if (layers_config(fs, &l) < 0)
		return mountfd_error(fs, e, "set overlay layers");
	/* without redirect_dir renaming a directory of the image gives EXDEV; a chown then needs no copy of the data either */
	(void)fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "on", 0);
	(void)fsconfig(fs, FSCONFIG_SET_STRING, "metacopy", "on", 0);
	if (r->flags & PLAN_ROOT_VOLATILE && fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		return mountfd_error(fs, e, "set overlay volatile");
	if (r->flags & PLAN_ROOT_IDMAP)
		fs_as(s->uid0, s->gid0);
	rc = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	fs_as(0, 0);
	if (rc < 0)
		return mountfd_error(fs, e, "make the overlay");
	rc = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	if (rc < 0)
		return mountfd_error(fs, e, "mount the overlay");
	*fd_out = rc;
	return 0;
}

int root_make(struct start *s, int *fd_out, struct lxm_err *e)
{
	unsigned int attrs = s->plan.options & PLAN_PRIVILEGED ? 0 : MOUNT_ATTR_NODEV;
	struct plan_step p;
	int r;

	(void)plan_find(&s->plan, PLAN_ROOT, &p);
	if (p.u.root.flags & PLAN_ROOT_READONLY)
		attrs |= MOUNT_ATTR_RDONLY;
	if (p.u.root.kind == PLAN_ROOT_OVERLAY) {
		r = overlay_make(s, &p.u.root, attrs, fd_out, e);
		return r < 0 ? lxm_err_wrap(e, r, "root filesystem") : 0;
	}
	r = mountfd_clone(AT_FDCWD, p.u.root.dir, false, p.u.root.flags & PLAN_ROOT_IDMAP ? s->userns : -1, attrs, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "root filesystem");
	*fd_out = r;
	return 0;
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
	if (mknodat(dev, d->path, (d->type == 'b' ? S_IFBLK : S_IFCHR) | d->mode, makedev(d->major, d->minor)) < 0)
		return lxm_err_sys(e, "make '/dev/%s'", d->path);
	return 0;
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
	while (plan_next(&s->plan, &pos, &p)) {
		int r = p.kind == PLAN_DEV ? node_make(s, dev, &p.u.dev, e) : 0;

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
	fs_as(0, 0);
	if (r < 0)
		return r;
	*fd_out = LXM_TAKE(dev, -1);
	return 0;
}
