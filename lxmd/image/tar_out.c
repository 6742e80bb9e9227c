/*
 * Writing trees into a tar stream. Worker threads, as root. A tree may be an instance's, so its names and links are foreign:
 * everything is opened with O_NOFOLLOW from its directory's descriptor. Entries come sorted and without times that change by reading,
 * so that equal trees give equal archives.
 */
#include "lxmd/image/tar_out.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/space.h"
#include "lib/base/str.h"
#include "lxmd/core/op.h"
#include "lxmd/image/archive_lib.h"
#include "lxmd/storage/links.h"

#define DEPTH_MAX 500
#define CHUNK	  (256 * 1024)

struct tar_out {
	enum image_compression compression;
	struct op *op;
	const char *progress_key, *stage;
	struct archive *a;
	struct links links; /* of the present tree */
	struct lxm_buf path; /* of the present entry in the archive */
	dev_t dev;	     /* of the tree's top: other file systems are left out */
	char *chunk;	     /* CHUNK bytes */
	int fd;
	uint64_t bytes, looked_at; /* the latter: when space was looked at */
	int64_t started_ms;
	unsigned int count;
};

int image_compression_parse(const char *word, enum image_compression *out, struct lxm_err *e)
{
	static const char *const words[] = { [IMAGE_COMPRESS_NONE] = "none",
					     [IMAGE_COMPRESS_GZIP] = "gzip",
					     [IMAGE_COMPRESS_XZ] = "xz",
					     [IMAGE_COMPRESS_ZSTD] = "zstd",
					     [IMAGE_COMPRESS_BZIP2] = "bzip2" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(words); i++) {
		if (strcmp(words[i], word) == 0) {
			*out = (enum image_compression)i;
			return 0;
		}
	}
	return lxm_err_set(e, EINVAL, "compression '%.50s' is not known; there are none, gzip, xz, zstd and bzip2", word);
}

static int archive_fail(struct tar_out *p, struct lxm_err *e)
{
	int code = la.archive_errno(p->a);
	const char *s = la.archive_error_string(p->a);

	/* of a failed write() the library only says that it was one */
	if (code > 0 && code < 200)
		return lxm_err_set(e, code, "write the archive: %s", strerror(code));
	return lxm_err_set(e, EIO, "write the archive: %s", s ? s : "unknown error");
}

static int archive_open(struct tar_out *p, int fd, struct lxm_err *e)
{
	int r = archive_lib_load(e);

	if (r < 0)
		return r;
	p->a = la.archive_write_new();
	if (!p->a)
		return lxm_err_set(e, ENOMEM, "out of memory");
	la.archive_write_set_format_pax_restricted(p->a);
	(void)la.archive_write_set_options(p->a, "pax:hdrcharset=BINARY");
	switch (p->compression) {
	case IMAGE_COMPRESS_NONE:
		break;
	case IMAGE_COMPRESS_GZIP:
		r = la.archive_write_add_filter_gzip(p->a);
		(void)la.archive_write_set_filter_option(p->a, "gzip", "timestamp", NULL);
		break;
	case IMAGE_COMPRESS_XZ:
		r = la.archive_write_add_filter_xz(p->a);
		break;
	case IMAGE_COMPRESS_ZSTD:
		r = la.archive_write_add_filter_zstd(p->a);
		break;
	case IMAGE_COMPRESS_BZIP2:
		r = la.archive_write_add_filter_bzip2(p->a);
		break;
	}
	/* padding of the last block would only be in the way of hashing and mapping */
	la.archive_write_set_bytes_in_last_block(p->a, 1);
	if (r != ARCHIVE_OK || la.archive_write_open_fd(p->a, fd) != ARCHIVE_OK)
		return archive_fail(p, e);
	return 0;
}

static int tick(struct tar_out *p, struct lxm_err *e)
{
	int64_t ms = lxm_mono_ms() - p->started_ms;

	if (op_is_cancelled(p->op))
		return lxm_err_set(e, ECANCELED, "cancelled");
	if (p->bytes - p->looked_at >= LXM_SPACE_EVERY) {
		p->looked_at = p->bytes;
		if (lxm_space_low(p->fd))
			return lxm_err_set(e, ENOSPC, "no space left for the archive");
	}
	if (p->op && p->progress_key && ms > 100)
		op_progress(p->op, p->progress_key, p->stage, -1, p->bytes * 1000 / (uint64_t)ms);
	return 0;
}

static int write_header(struct tar_out *p, struct archive_entry *ae, struct lxm_err *e)
{
	/* a warning is about something that the format cannot say: better none than a silent loss */
	return la.archive_write_header(p->a, ae) == ARCHIVE_OK ? 0 : archive_fail(p, e);
}

static int write_bytes(struct tar_out *p, const void *data, size_t n, struct lxm_err *e)
{
	p->bytes += n;
	return la.archive_write_data(p->a, data, n) == (la_ssize_t)n ? 0 : archive_fail(p, e);
}

static void add_acl(struct archive_entry *ae, int type, const unsigned char *x, size_t n)
{
	static const struct {
		uint16_t tag;
		int to;
	} tags[] = { { 1, ARCHIVE_ENTRY_ACL_USER_OBJ },	 { 2, ARCHIVE_ENTRY_ACL_USER }, { 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ },
		     { 8, ARCHIVE_ENTRY_ACL_GROUP }, { 16, ARCHIVE_ENTRY_ACL_MASK }, { 32, ARCHIVE_ENTRY_ACL_OTHER } };
	size_t i, k;

	for (i = 4; i + 8 <= n; i += 8) {
		uint16_t tag, perm;
		uint32_t id;
		char name[16];

		memcpy(&tag, x + i, 2);
		memcpy(&perm, x + i + 2, 2);
		memcpy(&id, x + i + 4, 4);
		snprintf(name, sizeof(name), "%u", le32toh(id));
		for (k = 0; k < LXM_ARRAY_LEN(tags); k++)
			if (tags[k].tag == le16toh(tag))
				la.archive_entry_acl_add_entry(ae, type, le16toh(perm) & 7, tags[k].to,
							    tag == htole16(2) || tag == htole16(8) ? (int)le32toh(id) : -1,
							    tag == htole16(2) || tag == htole16(8) ? name : "");
	}
}

/* File capabilities, ACLs and user xattrs; the rest stays on the host. */
static int add_xattrs(struct archive_entry *ae, int fd, struct lxm_err *e)
{
	lxm_auto(free) char *names = NULL, *value = NULL;
	ssize_t n = flistxattr(fd, NULL, 0), i, len;

	if (n <= 0)
		return 0;
	names = lxm_try_alloc((size_t)n);
	value = lxm_try_alloc(65536);
	if (!names || !value)
		return lxm_err_set(e, ENOMEM, "out of memory");
	n = flistxattr(fd, names, (size_t)n);
	for (i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
		const char *name = names + i;

		len = fgetxattr(fd, name, value, 65536);
		if (len < 0)
			continue;
		if (strcmp(name, "system.posix_acl_access") == 0)
			add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, (unsigned char *)value, (size_t)len);
		else if (strcmp(name, "system.posix_acl_default") == 0)
			add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, (unsigned char *)value, (size_t)len);
		else if (strcmp(name, "security.capability") == 0 || (lxm_starts(name, "user.") && !lxm_starts(name, "user.overlay.")))
			la.archive_entry_xattr_add_entry(ae, name, value, (size_t)len);
	}
	return 0;
}

/* Tells the format where the data lies; returns whether there are holes. */
static bool add_holes(struct archive_entry *ae, int fd, off_t size)
{
	off_t data = 0, hole = 0;

	if (size == 0 || lseek(fd, 0, SEEK_HOLE) >= size)
		return false;
	while (hole < size) {
		data = lseek(fd, hole, SEEK_DATA);
		if (data < 0 || data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || hole > size)
			hole = size;
		la.archive_entry_sparse_add_entry(ae, data, hole - data);
	}
	if (!la.archive_entry_sparse_count(ae))
		la.archive_entry_sparse_add_entry(ae, size, 0);
	return true;
}

/* The bytes, holes as zeros (the format takes them out again). A file that shrank meanwhile is filled up. */
static int write_data(struct tar_out *p, int fd, off_t size, struct lxm_err *e)
{
	off_t off = 0;
	int r = 0;

	while (r == 0 && off < size) {
		size_t want = size - off > CHUNK ? CHUNK : (size_t)(size - off);
		ssize_t n = pread(fd, p->chunk, want, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "read");
		if (n == 0)
			memset(p->chunk, 0, (size_t)(n = (ssize_t)want));
		r = write_bytes(p, p->chunk, (size_t)n, e);
		off += n;
		if (r == 0)
			r = tick(p, e);
	}
	return r;
}

static struct archive_entry *entry_new(struct tar_out *p, const struct stat *st)
{
	struct archive_entry *ae = la.archive_entry_new();

	la.archive_entry_set_pathname(ae, p->path.data);
	la.archive_entry_set_filetype(ae, st->st_mode & S_IFMT);
	la.archive_entry_set_perm(ae, st->st_mode & 07777);
	la.archive_entry_set_uid(ae, st->st_uid);
	la.archive_entry_set_gid(ae, st->st_gid);
	la.archive_entry_set_mtime(ae, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	la.archive_entry_set_size(ae, S_ISREG(st->st_mode) ? st->st_size : 0);
	return ae;
}

static int pack_file(struct tar_out *p, int up, const char *name, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(up, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct archive_entry *ae;
	const char *first = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open");
	if (!S_ISREG(st.st_mode))
		return lxm_err_set(e, EAGAIN, "it changed while it was packed");
	ae = entry_new(p, &st);
	if (st.st_nlink > 1)
		first = links_add(&p->links, st.st_dev, st.st_ino, p->path.data);
	if (first) {
		la.archive_entry_set_hardlink(ae, first);
		la.archive_entry_set_size(ae, 0);
		r = write_header(p, ae, e);
	} else {
		r = add_xattrs(ae, fd, e);
		(void)add_holes(ae, fd, st.st_size);
		if (r == 0)
			r = write_header(p, ae, e);
		if (r == 0)
			r = write_data(p, fd, st.st_size, e);
	}
	la.archive_entry_free(ae);
	return r;
}

static int pack_special(struct tar_out *p, int up, const char *name, const struct stat *st, struct lxm_err *e)
{
	struct archive_entry *ae = entry_new(p, st);
	char link[4097];
	ssize_t n;
	int r = 0;

	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(up, name, link, sizeof(link) - 1);
		if (n < 0)
			r = lxm_err_sys(e, "read the link");
		else
			link[n] = 0, la.archive_entry_set_symlink(ae, link);
	} else {
		la.archive_entry_set_rdev(ae, st->st_rdev);
	}
	if (r == 0)
		r = write_header(p, ae, e);
	la.archive_entry_free(ae);
	return r;
}

static int pack_dir(struct tar_out *p, int fd, int depth, struct lxm_err *e);

static int pack_entry(struct tar_out *p, int up, const char *name, int depth, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : lxm_err_sys(e, "stat");
	if (++p->count % 64 == 0) {
		r = tick(p, e);
		if (r < 0)
			return r;
	}
	if (S_ISREG(st.st_mode))
		return pack_file(p, up, name, e);
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (!S_ISDIR(st.st_mode))
		return pack_special(p, up, name, &st, e);
	fd = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? lxm_err_sys(e, "open directory") : pack_dir(p, fd, depth + 1, e);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The directory behind fd, whose path is in p->path, and what is in it. */
static int pack_dir(struct tar_out *p, int fd, int depth, struct lxm_err *e)
{
	struct dirent **names = NULL;
	struct archive_entry *ae;
	size_t len = p->path.len;
	struct stat st;
	int n, i, r;

	if (depth > DEPTH_MAX)
		return lxm_err_set(e, ELOOP, "directories nested over %d deep", DEPTH_MAX);
	if (fstat(fd, &st) < 0)
		return lxm_err_sys(e, "stat");
	ae = entry_new(p, &st);
	r = add_xattrs(ae, fd, e);
	if (r == 0)
		r = write_header(p, ae, e);
	la.archive_entry_free(ae);
	if (r < 0 || st.st_dev != p->dev)
		return r; /* a mount: only its point belongs to the image */
	n = scandirat(fd, ".", &names, NULL, by_name);
	if (n < 0)
		return lxm_err_sys(e, "read the directory");
	for (i = 0; i < n; i++) {
		if (r == 0 && strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
			p->path.len = len;
			lxm_buf_fmt(&p->path, "/%s", names[i]->d_name);
			r = pack_entry(p, fd, names[i]->d_name, depth, e);
			if (r < 0 && depth == 0)
				r = lxm_err_wrap(e, r, "pack '%.300s'", p->path.data);
		}
		free(names[i]);
	}
	free(names);
	return r;
}

static void set_path(struct tar_out *p, const char *s)
{
	p->path.len = 0;
	lxm_buf_str(&p->path, s);
}

static int put_plain(struct tar_out *p, const char *path, const struct stat *st, const void *data, struct lxm_err *e)
{
	struct archive_entry *ae;
	int r;

	set_path(p, path);
	ae = entry_new(p, st);
	r = write_header(p, ae, e);
	if (r == 0 && st->st_size)
		r = write_bytes(p, data, (size_t)st->st_size, e);
	la.archive_entry_free(ae);
	return lxm_err_wrap(e, r, "write '%.200s'", path);
}

int tar_out_file(struct tar_out *p, const char *path, const void *data, size_t n, lxm_time mtime, struct lxm_err *e)
{
	struct stat st = { .st_mode = S_IFREG | 0644, .st_size = (off_t)n, .st_mtim.tv_sec = mtime / 1000 };

	return put_plain(p, path, &st, data, e);
}

int tar_out_dir(struct tar_out *p, const char *path, unsigned int mode, lxm_time mtime, struct lxm_err *e)
{
	struct stat st = { .st_mode = S_IFDIR | mode, .st_mtim.tv_sec = mtime / 1000 };

	return put_plain(p, path, &st, NULL, e);
}

int tar_out_tree(struct tar_out *p, int dirfd, const char *path, struct lxm_err *e)
{
	/* the caller's descriptor may be O_PATH, which cannot be read */
	lxm_auto(fd_close) int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open '%s'", path);
	p->dev = st.st_dev;
	set_path(p, path);
	r = pack_dir(p, fd, 0, e);
	/* the next tree may be another mount that has taken over the device number */
	links_deinit(&p->links);
	return r;
}

int tar_out_open(const struct tar_out_spec *spec, struct tar_out **out, struct lxm_err *e)
{
	lxm_auto(tar_out_free) struct tar_out *p = lxm_alloc(sizeof(*p));
	int r;

	p->compression = spec->compression;
	p->op = spec->op;
	p->progress_key = spec->progress_key;
	p->stage = spec->stage;
	p->started_ms = lxm_mono_ms();
	p->chunk = lxm_alloc(CHUNK);
	p->fd = spec->fd;
	r = archive_open(p, spec->fd, e);
	if (r == 0)
		*out = LXM_TAKE(p, NULL);
	return r;
}

int tar_out_close(struct tar_out *p, struct lxm_err *e)
{
	return la.archive_write_close(p->a) == ARCHIVE_OK ? 0 : archive_fail(p, e);
}

void tar_out_free(struct tar_out *p)
{
	if (!p)
		return;
	if (p->a)
		la.archive_write_free(p->a);
	links_deinit(&p->links);
	lxm_buf_deinit(&p->path);
	free(p->chunk);
	free(p);
}
