/*
 * The file verbs of the REST API: get, put, delete. In the instance, as its root, through tree.h.
 *
 * A file is handed to lxmd as a descriptor when reading it can wait for nothing but a disk: it lies on the instance's own root
 * or in memory. From anything else (FUSE, /proc, network) the content is copied to a spool, so that a file server in the instance can
 * hold up this process and not lxmd.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/helper/file.h"
#include "lxmd/helper/helper.h"
#include "lxmd/helper/ids.h"

#define UNSIZED_MAX ((uint64_t)64 << 20) /* of a file that tells no size */
#define LIST_MAX    ((uint64_t)64 << 20) /* names of one directory */
#define ALIVE_BYTES ((uint64_t)32 << 20) /* copied between two signs of life */
#define CHUNK	    (256u * 1024)

static char chunk[CHUNK];

static bool is_dot(const char *s)
{
	return strcmp(s, ".") == 0 || strcmp(s, "..") == 0;
}

static void tell_alive(void)
{
	const struct file_report r = { .kind = FILE_ALIVE };

	(void)file_report_send(HELP_FD_REPORT, &r, NULL, 0);
}

/* Up to max bytes from one file to another. Returns 0 or -errno; *copied_out tells how many. */
static int copy(int from, int to, uint64_t max, uint64_t *copied_out)
{
	uint64_t done = 0, told = 0;

	for (;;) {
		size_t want = max - done < CHUNK ? (size_t)(max - done) : CHUNK;
		ssize_t n = want ? read(from, chunk, want) : 0;
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		r = lxm_write_all(to, chunk, (size_t)n);
		if (r < 0)
			return r;
		done += (uint64_t)n;
		if (done - told >= ALIVE_BYTES) {
			tell_alive();
			told = done;
		}
	}
	*copied_out = done;
	return 0;
}

/* ---- get */

static bool same_mount(int a, int b)
{
	struct statx x, y;

	return statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID, &x) == 0 && statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID, &y) == 0 &&
	       x.stx_mask & y.stx_mask & STATX_MNT_ID && x.stx_mnt_id == y.stx_mnt_id;
}

static bool may_hand_over(const struct tree *t, int fd, const struct stat *st)
{
	struct statfs fs;

	if (st->st_size <= 0)
		return false;
	return same_mount(t->root, fd) || (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC);
}

static int get_file(const struct tree *t, int found, const struct stat *st, struct file_report *out, int *fd_out)
{
	lxm_auto(fd_close) int fd = tree_open(t, found, O_RDONLY);

	if (fd < 0)
		return LXM_TAKE(fd, -1);
	out->type = FILE_TYPE_FILE;
	if (may_hand_over(t, fd, st)) {
		out->direct = 1;
		out->size = (uint64_t)st->st_size;
		*fd_out = LXM_TAKE(fd, -1);
		return 0;
	}
	return copy(fd, HELP_FD_BODY, st->st_size > 0 ? (uint64_t)st->st_size : UNSIZED_MAX, &out->size);
}

static int get_directory(const struct tree *t, int found, struct file_report *out)
{
	int fd = tree_open(t, found, O_RDONLY | O_DIRECTORY), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;
	size_t used = 0;

	if (!d)
		return fd < 0 ? fd : -ENOMEM;
	out->type = FILE_TYPE_DIRECTORY;
	for (errno = 0; r == 0 && (ent = readdir(d)); errno = 0) {
		size_t n = strlen(ent->d_name) + 1;

		if (is_dot(ent->d_name))
			continue;
		if (used + n > CHUNK) {
			r = lxm_write_all(HELP_FD_BODY, chunk, used);
			used = 0;
		}
		memcpy(chunk + used, ent->d_name, n);
		used += n;
		out->size += n;
		if (out->size > LIST_MAX)
			r = -EFBIG;
	}
	if (r == 0 && errno)
		r = -errno;
	if (r == 0)
		r = lxm_write_all(HELP_FD_BODY, chunk, used);
	(void)closedir(d);
	return r;
}

static int get_link(int found, struct file_report *out)
{
	ssize_t n = readlinkat(found, "", chunk, PATH_MAX);

	if (n < 0)
		return -errno;
	out->type = FILE_TYPE_SYMLINK;
	out->size = (uint64_t)n;
	return lxm_write_all(HELP_FD_BODY, chunk, (size_t)n);
}

int file_get(const struct tree *t, const struct file_job *j, struct file_report *out, int *fd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int found = tree_find_nofollow(t, j->path);
	struct stat st;
	int r;

	if (found < 0)
		return tree_error(e, -found, "read", j->path);
	if (fstat(found, &st) < 0)
		return tree_error(e, errno, "read", j->path);
	out->uid = st.st_uid;
	out->gid = st.st_gid;
	out->mode = st.st_mode & 07777;
	out->mtime_s = st.st_mtim.tv_sec;
	if (S_ISLNK(st.st_mode))
		r = get_link(found, out);
	else if (S_ISDIR(st.st_mode))
		r = get_directory(t, found, out);
	else
		r = get_file(t, found, &st, out, fd_out);
	return r < 0 ? tree_error(e, -r, "read", j->path) : 0;
}

/* ---- put */

static int own(int fd, const struct file_job *j)
{
	uid_t uid = j->uid == FILE_ID_UNSET ? 0 : j->uid;
	gid_t gid = j->gid == FILE_ID_UNSET ? 0 : j->gid;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int put_file(const struct tree *t, const struct file_job *j)
{
	uint64_t n;
	bool created;
	int r = 0;
	lxm_auto(fd_close) int fd = tree_create(t, j->path, O_WRONLY | (j->flags & FILE_APPEND ? O_APPEND : O_TRUNC), 0600, &created);

	if (fd < 0)
		return LXM_TAKE(fd, -1);
	if (created)
		r = own(fd, j);
	if (r == 0)
		r = copy(HELP_FD_BODY, fd, UINT64_MAX, &n);
	/* last: a write takes set-user-ID away */
	if (r == 0 && created && fchmod(fd, j->mode == FILE_ID_UNSET ? 0644 : j->mode) < 0)
		r = -errno;
	return r;
}

static int put_directory(const struct tree *t, const struct file_job *j)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(t, j->path, name), fd = -1;
	int r;

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	if (mkdirat(dir, name, 0700) < 0) {
		if (errno != EEXIST)
			return -errno;
		fd = tree_find(t, j->path);
		r = fd < 0 ? fd : tree_open(t, fd, O_RDONLY | O_DIRECTORY);
		if (r < 0)
			return -EEXIST;
		(void)close(r);
		return 0;
	}
	fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = own(fd, j);
	return r < 0 ? r : tree_chmod(t, fd, j->mode == FILE_ID_UNSET ? 0750 : j->mode);
}

static int put_link(const struct tree *t, const struct file_job *j)
{
	char name[NAME_MAX + 1], is[PATH_MAX];
	lxm_auto(fd_close) int dir = tree_parent(t, j->path, name), fd = -1;
	ssize_t n;

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	if (symlinkat(j->target, dir, name) < 0) {
		if (errno != EEXIST)
			return -errno;
		n = readlinkat(dir, name, is, sizeof(is));
		return n == (ssize_t)strlen(j->target) && memcmp(is, j->target, (size_t)n) == 0 ? 0 : -EEXIST;
	}
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : own(fd, j);
}

int file_put(const struct tree *t, const struct file_job *j, struct lxm_err *e)
{
	int r = ids_check(t, j->uid, j->gid, e);

	if (r < 0)
		return r;
	if (j->type == FILE_TYPE_FILE)
		r = put_file(t, j);
	else if (j->type == FILE_TYPE_DIRECTORY)
		r = put_directory(t, j);
	else
		r = put_link(t, j);
	return r < 0 ? tree_error(e, -r, "write", j->path) : 0;
}

/* ---- delete */

int file_delete(const struct tree *t, const struct file_job *j, struct lxm_err *e)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(t, j->path, name);

	if (dir < 0)
		return tree_error(e, -dir, "delete", j->path);
	if (unlinkat(dir, name, 0) < 0 && (errno != EISDIR || unlinkat(dir, name, AT_REMOVEDIR) < 0))
		return tree_error(e, errno, "delete", j->path);
	return 0;
}
