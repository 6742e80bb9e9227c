/* See clean.h. Recursion, one descriptor a level, bounded; nobody else can change the tree meanwhile (it lies in a 0700 directory). */
#include "lxmd/image/clean.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "lib/base/fd.h"
#include "lib/base/str.h"

#define DEPTH_MAX 1000

static bool xattr_ok(const char *name)
{
	if (lxm_starts(name, "user."))
		return !lxm_starts(name, "user.overlay.");
	return strcmp(name, "security.capability") == 0 || lxm_starts(name, "system.posix_acl_");
}

/* Files and directories only: other kinds cannot carry user xattrs, and trusted ones on them steer nothing. */
static int clean_xattrs(int fd, struct lxm_err *e)
{
	lxm_auto(free) char *names = NULL;
	ssize_t n = flistxattr(fd, NULL, 0), i;

	if (n <= 0)
		return 0;
	names = malloc((size_t)n);
	n = names ? flistxattr(fd, names, (size_t)n) : -1;
	if (n < 0)
		return lxm_err_sys(e, "list xattrs");
	for (i = 0; i < n; i += (ssize_t)strlen(names + i) + 1)
		if (!xattr_ok(names + i) && fremovexattr(fd, names + i) < 0 && errno != ENODATA)
			return lxm_err_sys(e, "remove xattr '%.100s'", names + i);
	return 0;
}

static int clean_dir(int fd, int depth, uint64_t *devices, struct lxm_err *e);

static int clean_entry(int up, const char *name, int depth, uint64_t *devices, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "stat '%.200s'", name);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISSOCK(st.st_mode)) {
		++*devices;
		return unlinkat(up, name, 0) < 0 ? lxm_err_sys(e, "remove '%.200s'", name) : 0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	fd = openat(up, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (S_ISDIR(st.st_mode) ? O_DIRECTORY : O_NONBLOCK));
	if (fd < 0)
		return lxm_err_sys(e, "open '%.200s'", name);
	r = clean_xattrs(fd, e);
	if (r < 0 || !S_ISDIR(st.st_mode))
		return r;
	return clean_dir(fd, depth + 1, devices, e);
}

static int clean_dir(int fd, int depth, uint64_t *devices, struct lxm_err *e)
{
	struct dirent *de;
	int copy, r = 0;
	DIR *d;

	if (depth > DEPTH_MAX)
		return lxm_err_set(e, ELOOP, "directories nested over %d deep", DEPTH_MAX);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		r = lxm_err_sys(e, "read a directory");
		auto_fd_close(&copy);
		return r;
	}
	while (r == 0 && (de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			r = clean_entry(fd, de->d_name, depth, devices, e);
	closedir(d);
	return r;
}

int tree_clean(int rootfd, uint64_t *devices_out, struct lxm_err *e)
{
	struct stat st;
	int r;

	if (fstat(rootfd, &st) < 0 || !S_ISDIR(st.st_mode))
		return lxm_err_set(e, EINVAL, "the root file system is not a directory");
	r = clean_xattrs(rootfd, e);
	return r < 0 ? r : clean_dir(rootfd, 0, devices_out, e);
}
