/*
 * Device nodes of a running instance, in the /dev that its monitor made: a tmpfs of the host. If the instance has put something else
 * there nothing is made: a node in a directory of the host would be the host's.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/mount/mountfd.h"
#include "lxmd/helper/hot.h"

static int dev_open(const struct hot *h, struct stat *st, struct lxm_err *e)
{
	lxm_auto(fd_close) int dev = lxm_open_beneath(h->root, "dev", O_PATH | O_DIRECTORY, 0);
	struct statfs fs;

	if (dev < 0 || fstat(dev, st) < 0 || fstatfs(dev, &fs) < 0)
		return lxm_err_sys(e, "open '/dev' in the instance");
	if (fs.f_type != TMPFS_MAGIC || fs.f_flags & ST_NODEV)
		return lxm_err_set(e, EBUSY, "something else is mounted at '/dev' in the instance");
	return LXM_TAKE(dev, -1);
}

/* The directory of the job's node, all of it in that one filesystem; `name` receives the last component. */
static int parent_open(const struct hot *h, const struct hot_owner *make, char name[NAME_MAX + 1], struct lxm_err *e)
{
	const char *part = h->job->target;
	struct stat top, st;
	lxm_auto(fd_close) int dir = dev_open(h, &top, e);

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	if (make && (top.st_uid != make->root_uid))
		return lxm_err_set(e, EBUSY, "something else is mounted at '/dev' in the instance");
	for (;;) {
		const char *end = strchrnul(part, '/');
		int next;

		if (end == part || end - part > NAME_MAX)
			return lxm_err_set(e, EINVAL, "'/dev/%s' names no device", h->job->target);
		snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - part), part);
		if (!*end)
			return LXM_TAKE(dir, -1);
		if (make) {
			fs_as(make->root_uid, make->root_gid);
			(void)mkdirat(dir, name, 0755);
			fs_as(0, 0);
		}
		next = lxm_open_beneath(dir, name, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return lxm_err_sys(e, "open a directory of '/dev/%s' in the instance", h->job->target);
		(void)close(dir);
		dir = next;
		if (fstat(dir, &st) < 0 || st.st_dev != top.st_dev)
			return lxm_err_set(e, EBUSY, "something else is mounted on the way to '/dev/%s' in the instance", h->job->target);
		part = end + 1;
	}
}

static bool is_it(const struct hot_job *j, int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (j->type == 'b' ? S_ISBLK(st.st_mode) : S_ISCHR(st.st_mode)) &&
	       st.st_rdev == makedev(j->major, j->minor);
}

int hot_node_make(const struct hot *h, const struct hot_owner *o, struct lxm_err *e)
{
	const struct hot_job *j = h->job;
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = parent_open(h, o, name, e);
	int r;

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	fs_as(o->uid, o->gid);
	r = mknodat(dir, name, (j->type == 'b' ? S_IFBLK : S_IFCHR) | j->mode, makedev(j->major, j->minor));
	if (r < 0)
		r = lxm_err_sys(e, "make '/dev/%s' in the instance", j->target);
	fs_as(0, 0);
	return r;
}

int hot_node_remove(const struct hot *h, struct lxm_err *e)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = parent_open(h, NULL, name, e);

	if (dir < 0)
		return dir == -ENOENT ? 0 : LXM_TAKE(dir, -1);
	if (is_it(h->job, dir, name) && unlinkat(dir, name, 0) < 0)
		return lxm_err_sys(e, "remove '/dev/%s' in the instance", h->job->target);
	return 0;
}
