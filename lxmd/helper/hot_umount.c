/*
 * Taking a disk from a running instance. Its root may have moved or copied the mount, or put links and other mounts where it was:
 * only a mount whose root is the very directory that was attached is unmounted, found by device and inode; of a device that was mounted,
 * any mount; of memory, what is at the target: another one there would be the instance's own.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/helper/hot.h"

#define MOUNTS_MAX ((size_t)16 << 20)

enum found { FOUND_NOTHING, FOUND_OTHER, FOUND_IT };

/* Is the root of the attached mount what this descriptor holds? */
static enum found judge(const struct hot *h, int fd)
{
	struct statfs fs;
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &sx) < 0 || !(sx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return FOUND_NOTHING;
	if (strcmp(h->job->fstype, "tmpfs") == 0)
		return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC ? FOUND_IT : FOUND_OTHER;
	if (h->source.st_ino && makedev(sx.stx_dev_major, sx.stx_dev_minor) == h->source.st_dev && (*h->job->fstype || sx.stx_ino == h->source.st_ino))
		return FOUND_IT;
	return FOUND_OTHER;
}

/* Through the host's /proc: the call takes a path, and any other could lead elsewhere by now. */
static int unmount(const struct hot *h, int fd, struct lxm_err *e)
{
	char name[16];
	lxm_auto(fd_close) int fds = openat(h->proc, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	snprintf(name, sizeof(name), "%d", fd);
	if (fds < 0 || fchdir(fds) < 0)
		return lxm_err_sys(e, "open '/proc/self/fd'");
	if (umount2(name, MNT_DETACH) < 0)
		return lxm_err_sys(e, "unmount '%s' in the instance", h->job->target);
	return 0;
}

/* "\040" and the like of mountinfo, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* The mount point of a line, NULL for another device's. */
static char *mount_point(const struct hot *h, char *line)
{
	unsigned int maj, min;
	int at = -1, end = -1;

	if (sscanf(line, "%*u %*u %u:%u %*s %n%*s%n", &maj, &min, &at, &end) < 2 || at < 0 || end < 0 ||
	    makedev(maj, min) != h->source.st_dev)
		return NULL;
	line[end] = 0;
	unescape(line + at);
	return line + at;
}

/* All that the instance has made of it, in the reverse order of mounting. */
static int search(const struct hot *h, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = lxm_read_file_at(h->proc, "self/mountinfo", MOUNTS_MAX, &text);
	char *line, *point;

	if (r < 0)
		return lxm_err_set(e, -r, "read the instance's mounts: %s", strerror(-r));
	while (r == 0 && text.len) {
		lxm_auto(fd_close) int fd = -1;

		text.data[text.len] = 0;
		line = memrchr(text.data, '\n', text.len - 1);
		line = line ? line + 1 : text.data;
		text.len = (size_t)(line - text.data);
		point = mount_point(h, line);
		fd = point ? lxm_open_in_root(h->root, point, O_PATH | O_NOFOLLOW, 0) : -1;
		if (fd >= 0 && judge(h, fd) == FOUND_IT)
			r = unmount(h, fd, e);
	}
	return r;
}

int hot_umount(const struct hot *h, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = lxm_open_in_root(h->root, h->job->target, O_PATH, 0);
	enum found f = fd < 0 ? FOUND_NOTHING : judge(h, fd);
	int r = 0;

	if (f == FOUND_IT)
		r = unmount(h, fd, e);
	if (r == 0 && h->job->flags & HOT_SEARCH && h->source.st_ino)
		return search(h, e);
	/* not ours, so it stays; what lies below it cannot be told */
	if (f == FOUND_OTHER)
		return lxm_err_set(e, EBUSY, "something else is mounted at '%s' in the instance", h->job->target);
	return r;
}
