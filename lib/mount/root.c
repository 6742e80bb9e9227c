/*
 * The root filesystem of an instance, made outside by root of the host: for its init by the monitor, for its files while it is
 * stopped by the helper.
 *
 * Overlay: both layers are idmapped clones, and the overlay itself is mounted by the initial user namespace. Its
 * superblock must be created with fsuid and fsgid of the container's root: with host root `work/work` could not be made on the
 * idmapped clone (EOVERFLOW) and the mount would silently turn read-only. Such a mount would honour device nodes that an image
 * carries, hence NODEV for all but privileged instances.
 */
#include "lib/mount/root.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/mountfd.h"

struct layers {
	int lower[ROOT_LOWERS], n;
	int origin; /* the directory itself */
	int dir;    /* the clone that upper and work lie in: closing it would take it apart under them */
	int upper, work;
};

static void layers_close(struct layers *l)
{
	while (l->n)
		auto_fd_close(&l->lower[--l->n]);
	auto_fd_close(&l->upper);
	auto_fd_close(&l->work);
	auto_fd_close(&l->dir);
	auto_fd_close(&l->origin);
}
LXM_AUTO_STRUCT(layers, struct layers, layers_close)

void root_rest_close(struct root_rest *rest)
{
	while (rest->n)
		auto_fd_close(&rest->fd[--rest->n]);
}

/* The overlay has clones of its own: the mounts of the layers are not needed any more. */
static void layers_leave(struct layers *l, struct root_rest *rest)
{
	while (l->n)
		rest->fd[rest->n++] = l->lower[--l->n];
	rest->fd[rest->n++] = LXM_TAKE(l->dir, -1);
}

/* After a volatile mount the kernel leaves a mark that forbids mounting again. */
static void forget_volatile(int dir)
{
	(void)unlinkat(dir, "work/work/incompat/volatile/dirty", 0);
	(void)unlinkat(dir, "work/work/incompat/volatile", AT_REMOVEDIR);
	(void)unlinkat(dir, "work/work/incompat", AT_REMOVEDIR);
}

/* Attach a clone (taken) on the path it was made of. Returns a descriptor of its root or -errno. */
static int attached(int clone, const char *path, struct lxm_err *e)
{
	lxm_auto(fd_close) int mount = clone;
	int fd, r;

	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", path);
	r = mountfd_attach(mount, fd, e);
	auto_fd_close(&fd);
	return r < 0 ? r : LXM_TAKE(mount, -1);
}

static int layers_open(const struct root_spec *s, bool attach, struct layers *l, struct lxm_err *e)
{
	size_t i;

	l->origin = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->origin < 0)
		return lxm_err_sys(e, "open '%s'", s->dir);
	if (s->flags & ROOT_VOLATILE)
		forget_volatile(l->origin);
	l->dir = mountfd_clone(l->origin, "", false, s->userns, 0, e);
	if (l->dir >= 0 && attach)
		l->dir = attached(l->dir, s->dir, e);
	if (l->dir < 0)
		return lxm_err_wrap(e, l->dir, "'%s'", s->dir);
	l->upper = openat(l->dir, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	l->work = openat(l->dir, "work", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (l->upper < 0 || l->work < 0)
		return lxm_err_sys(e, "open upper and work in '%s'", s->dir);
	for (i = 0; i < s->nlower; i++) {
		l->lower[l->n] = mountfd_clone(AT_FDCWD, s->lower[i], false, s->userns, 0, e);
		if (l->lower[l->n] >= 0 && attach)
			l->lower[l->n] = attached(l->lower[l->n], s->lower[i], e);
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

/* attach: the layers are put into this process's mount namespace, which must be a private one. */
static int overlay_make(const struct root_spec *s, bool attach, int *fd_out, struct root_rest *rest, struct lxm_err *e)
{
	lxm_auto(layers) struct layers l = { .origin = -1, .dir = -1, .upper = -1, .work = -1 };
	lxm_auto(fd_close) int fs = -1;
	int rc = layers_open(s, attach, &l, e);

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
	if (s->flags & (ROOT_VOLATILE | ROOT_NOSYNC) && fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		return mountfd_error(fs, e, "set overlay volatile");
	if (s->userns >= 0)
		fs_as(s->uid0, s->gid0);
	rc = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	fs_as(0, 0);
	if (rc < 0)
		return mountfd_error(fs, e, "make the overlay");
	/* the mark tells the next mount that data may be missing after a crash; the end of a mount without volatile
	   would write back the whole filesystem that the layers lie on */
	if (s->flags & ROOT_NOSYNC)
		forget_volatile(l.origin);
	rc = fsmount(fs, FSMOUNT_CLOEXEC, s->attrs);
	if (rc < 0)
		return mountfd_error(fs, e, "mount the overlay");
	if (rest)
		layers_leave(&l, rest);
	*fd_out = rc;
	return 0;
}

/*
 * The same in a mount namespace of its own that lives only meanwhile: kernels before 6.15 take as a layer only what is attached in
 * the caller's namespace (clone_private_mount()). The overlay keeps clones of its own, so nothing of it is needed afterwards. Coming back
 * resets root and working directory.
 */
static int overlay_make_attached(const struct root_spec *s, int *fd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	lxm_auto(fd_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	lxm_auto(fd_close) int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r, back;

	if (home < 0 || root < 0 || cwd < 0)
		return lxm_err_sys(e, "open this process's mount namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return lxm_err_sys(e, "make a mount namespace for the layers");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = lxm_err_sys(e, "make mounts private");
	else
		r = overlay_make(s, true, fd_out, NULL, e);
	back = setns(home, CLONE_NEWNS);
	if (back == 0)
		back = fchdir(root);
	if (back == 0)
		back = chroot(".");
	if (back == 0)
		back = fchdir(cwd);
	if (back < 0 && r == 0) {
		r = lxm_err_sys(e, "return from the mount namespace of the layers");
		auto_fd_close(fd_out);
	}
	return r;
}

static bool takes_detached_layers(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 15));
}

static int overlay_mount(const struct root_spec *s, int *fd_out, struct root_rest *rest, struct lxm_err *e)
{
	return takes_detached_layers() ? overlay_make(s, false, fd_out, rest, e) : overlay_make_attached(s, fd_out, e);
}

static int bind_mount(const struct root_spec *s, int *fd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = mountfd_clone(AT_FDCWD, s->dir, false, s->userns, s->attrs, e);
	int r = fd < 0 ? fd : mountfd_propagate(fd, MS_PRIVATE, e);

	if (r == 0)
		*fd_out = LXM_TAKE(fd, -1);
	return r;
}

int root_mount(const struct root_spec *s, int *fd_out, struct root_rest *rest, struct lxm_err *e)
{
	int r = s->flags & ROOT_OVERLAY ? overlay_mount(s, fd_out, rest, e) : bind_mount(s, fd_out, e);

	return r < 0 ? lxm_err_wrap(e, r, "root filesystem") : 0;
}
