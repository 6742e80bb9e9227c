/*
 * Copying a tree with everything that belongs to it. The source may be a running container's upper layer: each name is opened with
 * O_NOFOLLOW relative to its directory's descriptor, so that swapping a directory for a link meanwhile leads nowhere. One level of
 * recursion a directory, bounded; hard links are remembered by device and inode.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/space.h"
#include "lxmd/core/op.h"
#include "lxmd/storage/fsquota.h"
#include "lxmd/storage/links.h"
#include "lxmd/storage/pool_priv.h"

#define DEPTH_MAX 500
#define CHUNK	  (1 << 20)

struct copy {
	const struct tree_copy *how;
	struct links links;
	int top;		/* target's top directory: hard links are made from there */
	struct lxm_buf path;	/* of the present entry, below top */
	unsigned int count;
	uint64_t bytes, looked_at; /* the latter: when space was looked at */
};

/* All xattrs from one object to another; proc paths, because links and devices cannot be opened for it. */
static int copy_xattrs(int from, int to, struct lxm_err *e)
{
	char a[40], b[40], names[65536 / 8], *big = NULL, *list = names, *value = NULL;
	ssize_t n, i, len;
	int r = 0;

	snprintf(a, sizeof(a), "/proc/self/fd/%d", from);
	snprintf(b, sizeof(b), "/proc/self/fd/%d", to);
	n = listxattr(a, names, sizeof(names));
	if (n < 0 && errno == ERANGE) {
		list = big = lxm_alloc(65536);
		n = listxattr(a, big, 65536);
	}
	if (n < 0)
		r = errno == EOPNOTSUPP ? 0 : lxm_err_sys(e, "list xattrs");
	if (n > 0)
		value = lxm_alloc(65536);
	for (i = 0; r == 0 && i < n; i += (ssize_t)strlen(list + i) + 1) {
		len = getxattr(a, list + i, value, 65536);
		if (len < 0)
			continue; /* gone meanwhile */
		if (setxattr(b, list + i, value, (size_t)len, 0) < 0 && errno != EOPNOTSUPP)
			r = lxm_err_sys(e, "set xattr '%.100s'", list + i);
	}
	free(value);
	free(big);
	return r;
}

static int copy_attrs(int from, int to, const struct stat *st, struct lxm_err *e)
{
	struct timespec ts[2] = { st->st_atim, st->st_mtim };
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	if (fchownat(to, "", st->st_uid, st->st_gid, AT_EMPTY_PATH) < 0)
		return lxm_err_sys(e, "set the owner");
	if (!S_ISLNK(st->st_mode) && chmod(path, st->st_mode & 07777) < 0)
		return lxm_err_sys(e, "set the mode");
	r = copy_xattrs(from, to, e);
	if (r == 0 && utimensat(AT_FDCWD, path, ts, 0) < 0)
		return lxm_err_sys(e, "set the times");
	return r;
}

static int copy_range(struct copy *c, int from, int to, off_t off, off_t end, struct lxm_err *e)
{
	lxm_auto(free) char *chunk = NULL;

	while (off < end) {
		size_t want = end - off > CHUNK ? CHUNK : (size_t)(end - off);
		off_t in = off, out = off;
		ssize_t n = chunk ? -1 : copy_file_range(from, &in, to, &out, want, 0);

		if (n < 0) {
			if (!chunk)
				chunk = lxm_alloc(CHUNK);
			n = pread(from, chunk, want, off);
			if (n > 0)
				n = pwrite(to, chunk, (size_t)n, off);
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "copy");
		if (n == 0)
			return 0; /* shorter by now */
		if (op_is_cancelled(c->how->op))
			return lxm_err_set(e, ECANCELED, "cancelled");
		off += n;
		c->bytes += (uint64_t)n;
		if (c->bytes - c->looked_at < LXM_SPACE_EVERY)
			continue;
		c->looked_at = c->bytes;
		if (lxm_space_low(to))
			return lxm_err_set(e, ENOSPC, "no space left in the pool");
	}
	return 0;
}

/* Blocks shared where that is possible, else the parts that are no holes. */
static int copy_data(struct copy *c, int from, int to, off_t size, struct lxm_err *e)
{
	off_t data = 0, hole;
	int r = 0;

	if (size == 0 || ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, size) < 0)
		return lxm_err_sys(e, "set the size");
	while (r == 0 && data < size) {
		data = lseek(from, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0; /* a hole to the end */
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return copy_range(c, from, to, data < 0 ? 0 : data, size, e);
		r = copy_range(c, from, to, data, hole < size ? hole : size, e);
		data = hole;
	}
	return r;
}

static int copy_dir(struct copy *c, int from, int to, int depth, struct lxm_err *e);

static int copy_file(struct copy *c, int up, int to_up, const char *name, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = openat(up, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	lxm_auto(fd_close) int to = -1;
	struct stat st;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return lxm_err_sys(e, "open");
	if (!S_ISREG(st.st_mode))
		return lxm_err_set(e, EAGAIN, "it changed while it was copied");
	to = openat(to_up, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return lxm_err_sys(e, "create");
	r = copy_data(c, from, to, st.st_size, e);
	return r < 0 ? r : copy_attrs(from, to, &st, e);
}

static int copy_subdir(struct copy *c, int up, int to_up, const char *name, int depth, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lxm_auto(fd_close) int to = -1;

	if (from < 0)
		return lxm_err_sys(e, "open");
	if (mkdirat(to_up, name, 0700) < 0)
		return lxm_err_sys(e, "make directory");
	to = openat(to_up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return to < 0 ? lxm_err_sys(e, "open directory") : copy_dir(c, from, to, depth + 1, e);
}

/* Symbolic links, pipes, devices. Sockets are left out: nobody could answer on a copy. */
static int copy_special(int up, int to_up, const char *name, const struct stat *st, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = openat(up, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	lxm_auto(fd_close) int to = -1;
	char link[4097];
	ssize_t n;

	if (S_ISSOCK(st->st_mode))
		return 0;
	if (from < 0)
		return lxm_err_sys(e, "open");
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(from, "", link, sizeof(link) - 1);
		if (n < 0)
			return lxm_err_sys(e, "read the link");
		link[n] = 0;
		if (symlinkat(link, to_up, name) < 0)
			return lxm_err_sys(e, "make the link");
	} else if (mknodat(to_up, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0) {
		return lxm_err_sys(e, "make the node");
	}
	to = openat(to_up, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return to < 0 ? lxm_err_sys(e, "open the copy") : copy_attrs(from, to, st, e);
}

static int copy_entry(struct copy *c, int up, int to_up, const char *name, int depth, struct lxm_err *e)
{
	const char *first;
	struct stat st;

	if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : lxm_err_sys(e, "stat");
	if (++c->count % 256 == 0) {
		if (op_is_cancelled(c->how->op))
			return lxm_err_set(e, ECANCELED, "cancelled");
		if (c->how->op && c->how->progress_key)
			op_progress(c->how->op, c->how->progress_key, "Copy",
				    c->how->total ? (int)(c->bytes * 100 / c->how->total) : -1, 0);
	}
	if (S_ISDIR(st.st_mode))
		return copy_subdir(c, up, to_up, name, depth, e);
	if (st.st_nlink > 1) {
		first = links_add(&c->links, st.st_dev, st.st_ino, c->path.data);
		if (first && linkat(c->top, first, to_up, name, 0) == 0)
			return 0;
	}
	return S_ISREG(st.st_mode) ? copy_file(c, up, to_up, name, e) : copy_special(up, to_up, name, &st, e);
}

static int copy_dir(struct copy *c, int from, int to, int depth, struct lxm_err *e)
{
	int copy = fcntl(from, F_DUPFD_CLOEXEC, 3), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	size_t len = c->path.len;
	struct dirent *de;
	struct stat st;

	if (!d) {
		auto_fd_close(&copy);
		return lxm_err_sys(e, "read the directory");
	}
	if (depth > DEPTH_MAX)
		r = lxm_err_set(e, ELOOP, "directories nested over %d deep", DEPTH_MAX);
	while (r == 0 && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (depth == 0 && c->how->skip && strcmp(de->d_name, c->how->skip) == 0)
			continue;
		c->path.len = len;
		lxm_buf_fmt(&c->path, "%s%s", len ? "/" : "", de->d_name);
		r = copy_entry(c, from, to, de->d_name, depth, e);
		if (r < 0 && depth == 0)
			r = lxm_err_wrap(e, r, "copy '%.300s'", c->path.data);
	}
	closedir(d);
	if (r == 0 && fstat(from, &st) < 0)
		r = lxm_err_sys(e, "stat");
	return r < 0 ? r : copy_attrs(from, to, &st, e);
}

int tree_copy(int from, int to, const struct tree_copy *how, struct lxm_err *e)
{
	struct copy c = { .how = how, .top = to };
	int r = copy_dir(&c, from, to, 0, e);

	links_deinit(&c.links);
	lxm_buf_deinit(&c.path);
	return r;
}

int tree_copy_data(int from, int to, off_t size, struct op *op, struct lxm_err *e)
{
	struct tree_copy how = { .op = op };
	struct copy c = { .how = &how, .top = -1 };

	return copy_data(&c, from, to, size, e);
}

int volume_tree_copy(struct pool *from, const char *from_path, struct pool *to, const char *to_path, const struct tree_copy *how,
		     struct lxm_err *e)
{
	lxm_auto(fd_close) int src = openat(from->dirfd, from_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lxm_auto(fd_close) int dst = -1;
	int r;

	if (src < 0)
		return lxm_err_sys(e, "open '%s/%s'", from->path, from_path);
	r = fsquota_mkdir(to, to_path, e);
	if (r < 0)
		return r;
	dst = openat(to->dirfd, to_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dst < 0 ? lxm_err_sys(e, "open '%s/%s'", to->path, to_path) : tree_copy(src, dst, how, e);
}
