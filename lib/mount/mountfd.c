/*
 * The new mount API in small pieces. Filesystems are made and cloned as detached mounts, handed over by descriptor, and
 * attached in a namespace of the instance; nothing in the host's own but lxmd/instance/lxcfs_view.c. But for fs_as() any thread.
 */
#include "lib/mount/mountfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

int mountfd_error(int fs, struct lxm_err *e, const char *what)
{
	int saved = errno;
	char buf[256];
	ssize_t n = read(fs, buf, sizeof(buf) - 1);

	errno = saved;
	if (n > 2) {
		buf[n] = 0;
		/* "e overlay: message": severity, blank, text */
		return lxm_err_sys(e, "%s (%.*s)", what, (int)strcspn(buf + 2, "\n"), buf + 2);
	}
	return lxm_err_sys(e, "%s", what);
}

int mountfd_new(const char *fstype, const char *source, const struct mount_param *params, size_t n, unsigned int attrs, struct lxm_err *e)
{
	lxm_auto(fd_close) int fs = fsopen(fstype, FSOPEN_CLOEXEC);
	char what[64];
	size_t i;
	int fd;

	snprintf(what, sizeof(what), "make filesystem '%s'", fstype);
	if (fs < 0)
		return lxm_err_sys(e, "%s", what);
	if (source && *source && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return mountfd_error(fs, e, what);
	for (i = 0; i < n; i++)
		if (fsconfig(fs, params[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, params[i].key, params[i].value, 0) < 0)
			return mountfd_error(fs, e, what);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return mountfd_error(fs, e, what);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	return fd < 0 ? mountfd_error(fs, e, what) : fd;
}

int mountfd_new_text(const char *fstype, const char *source, const char *options, unsigned int attrs, struct lxm_err *e)
{
	struct mount_param params[32];
	char copy[MOUNT_TEXT_MAX], *p = copy, *item;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", options);
	while ((item = strsep(&p, ","))) {
		char *eq = strchr(item, '=');

		if (!*item)
			continue;
		if (n == LXM_ARRAY_LEN(params))
			return lxm_err_set(e, E2BIG, "too many options for '%s'", fstype);
		if (eq)
			*eq++ = 0;
		params[n++] = (struct mount_param){ item, eq };
	}
	return mountfd_new(fstype, source, params, n, attrs, e);
}

int mountfd_clone(int dirfd, const char *path, bool recursive, int userns, uint64_t attrs, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH) |
								   (recursive ? AT_RECURSIVE : 0));
	struct mount_attr a = { .attr_set = attrs };

	if (fd < 0)
		return lxm_err_sys(e, "take '%s'", path);
	if (userns >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)userns;
	}
	if (attrs & MOUNT_ATTR__ATIME)
		a.attr_clr |= MOUNT_ATTR__ATIME;
	if (a.attr_set && mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0)
		return lxm_err_sys(e, userns >= 0 ? "shift ids of '%s'" : "set mount attributes of '%s'", path);
	return LXM_TAKE(fd, -1);
}

int mountfd_clone_plain(const char *path, bool recursive, int userns, uint64_t attrs, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = lxm_open_plain(path, O_PATH);
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "take '%s'", path);
	r = mountfd_clone(fd, "", recursive, userns, attrs, e);
	return r < 0 ? lxm_err_wrap(e, r, "'%s'", path) : r;
}

int mountfd_propagate(int mount, uint64_t propagation, struct lxm_err *e)
{
	struct mount_attr a = { .propagation = propagation };

	if (mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)) < 0)
		return lxm_err_sys(e, "set propagation");
	return 0;
}

int mountfd_idmap(int mount, int userns, struct lxm_err *e)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };

	return mount_setattr(mount, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0 ? lxm_err_sys(e, "shift ids") : 0;
}

int mountfd_attach(int mount, int target, struct lxm_err *e)
{
	if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return lxm_err_sys(e, "attach");
	return 0;
}

void fs_as(uint32_t uid, uint32_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
}
