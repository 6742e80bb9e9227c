/*
 * Writing a checked archive into a private directory. Worker threads of lxmd, as root. walk.c has already refused every
 * name that is not plain; here each parent is opened once more with openat2(RESOLVE_BENEATH | NO_SYMLINKS) and each file is
 * made with O_EXCL, so that even a mistake there could not lead outside the directory.
 */
#include "lxmd/image/unpack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/space.h"
#include "lib/base/time.h"
#include "lxmd/image/metadata.h"
#include "lxmd/image/walk.h"

#define ENTRIES_MAX  4000000ULL
#define KEEP_INODES  1000ULL
#define ROOM_UNKNOWN (64ULL << 30)

/* Times of directories are set at the end: each file made in one changes them. */
struct late_time {
	char *path;
	struct timespec mtime;
};

struct target {
	int dirfd;
	const struct unpack_volume *volume; /* of a backup: the one that dirfd is of */
	int parent_fd;	   /* the directory of the last entry, -1: none */
	char *parent;	   /* its path */
	struct late_time *late;
	size_t n_late, cap_late;
};

static void target_deinit(struct target *t)
{
	size_t i;

	for (i = 0; i < t->n_late; i++)
		free(t->late[i].path);
	free(t->late);
	free(t->parent);
	if (t->parent_fd >= 0)
		(void)close(t->parent_fd);
}
LXM_AUTO_STRUCT(target, struct target, target_deinit)

/* Directories that no entry spoke of: root's, 0755. */
static int make_parents(struct target *t, const char *path, struct lxm_err *e)
{
	lxm_auto(free) char *copy = lxm_strdup(path);
	char *p = copy;

	for (;;) {
		lxm_auto(fd_close) int up = -1;
		char *slash, *base;

		p = strchr(p, '/');
		if (p)
			*p = 0;
		slash = strrchr(copy, '/');
		base = slash ? slash + 1 : copy;
		if (slash)
			*slash = 0;
		up = lxm_open_beneath(t->dirfd, slash ? copy : ".", O_PATH | O_DIRECTORY, 0);
		if (up < 0)
			return lxm_err_sys(e, "open '%.200s'", copy);
		if (mkdirat(up, base, 0755) < 0 && errno != EEXIST)
			return lxm_err_sys(e, "make directory '%.200s'", base);
		if (slash)
			*slash = '/';
		if (!p)
			return 0;
		*p++ = '/';
	}
}

/* The directory that an entry goes into; *base_out is its last component, inside path. */
static int parent_of(struct target *t, const char *path, const char **base_out, struct lxm_err *e)
{
	const char *slash = strrchr(path, '/');
	lxm_auto(free) char *parent = slash ? lxm_strndup(path, (size_t)(slash - path)) : lxm_strdup(".");
	int fd, r;

	*base_out = slash ? slash + 1 : path;
	if (t->parent_fd >= 0 && strcmp(parent, t->parent) == 0)
		return t->parent_fd;
	fd = lxm_open_beneath(t->dirfd, parent, O_PATH | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT) {
		r = make_parents(t, parent, e);
		if (r < 0)
			return r;
		fd = lxm_open_beneath(t->dirfd, parent, O_PATH | O_DIRECTORY, 0);
	}
	if (fd < 0)
		return lxm_err_sys(e, "open its directory");
	auto_fd_close(&t->parent_fd);
	free(t->parent);
	t->parent_fd = fd;
	t->parent = LXM_TAKE(parent, NULL);
	return fd;
}

static int write_data(struct walk *w, int fd, struct archive_entry *ae, struct lxm_err *e)
{
	const void *block;
	int64_t off;
	size_t len;
	int r;

	while ((r = walk_read(w, &block, &len, &off, e)) > 0) {
		const char *p = block;

		while (len) {
			ssize_t n = pwrite(fd, p, len, (off_t)off);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return lxm_err_sys(e, "write");
			p += n;
			off += n;
			len -= (size_t)n;
		}
	}
	if (r < 0)
		return r;
	/* a hole at the end has no block */
	if (la.archive_entry_size_is_set(ae) && ftruncate(fd, (off_t)la.archive_entry_size(ae)) < 0)
		return lxm_err_sys(e, "set the size");
	return 0;
}

static int make_file(struct walk *w, int up, const char *base, const struct walk_entry *entry, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(up, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "create");
	r = write_data(w, fd, entry->ae, e);
	return r < 0 ? r : entry_attrs_apply(fd, entry->ae, entry->volume, true, e);
}

static int make_dir(struct target *t, int up, const char *base, const struct walk_entry *entry, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	struct late_time *l;

	if (mkdirat(up, base, 0700) < 0 && errno != EEXIST)
		return lxm_err_sys(e, "make directory");
	fd = openat(up, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open directory");
	if (t->n_late == t->cap_late) {
		t->cap_late = t->cap_late ? t->cap_late * 2 : 256;
		t->late = lxm_realloc_n(t->late, t->cap_late, sizeof(*t->late));
	}
	l = &t->late[t->n_late++];
	l->path = lxm_strdup(entry->path);
	l->mtime.tv_sec = la.archive_entry_mtime(entry->ae);
	l->mtime.tv_nsec = la.archive_entry_mtime_nsec(entry->ae);
	if (l->mtime.tv_nsec < 0 || l->mtime.tv_nsec > 999999999)
		l->mtime.tv_nsec = 0;
	return entry_attrs_apply(fd, entry->ae, entry->volume, false, e);
}

static int make_hardlink(struct target *t, int up, const char *base, const char *path, struct lxm_err *e)
{
	lxm_auto(free) char *copy = lxm_strdup(path);
	lxm_auto(fd_close) int from = -1;
	char *slash = strrchr(copy, '/');

	if (slash)
		*slash = 0;
	from = lxm_open_beneath(t->dirfd, slash ? copy : ".", O_PATH | O_DIRECTORY, 0);
	if (from < 0 || linkat(from, slash ? slash + 1 : copy, up, base, 0) < 0)
		return lxm_err_sys(e, "link to '%.200s'", path);
	return 0;
}

/* Symbolic links, pipes and devices have no descriptor to set attributes through. */
static int make_special(int up, const char *base, const struct walk_entry *entry, struct lxm_err *e)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = la.archive_entry_mtime(entry->ae) } };

	if (entry->kind == PATH_SYMLINK) {
		const char *to = la.archive_entry_symlink(entry->ae);

		if (lxm_empty(to) || strlen(to) > PATHSET_PATH_MAX)
			return lxm_err_set(e, EINVAL, "a symbolic link without a usable target");
		if (symlinkat(to, up, base) < 0)
			return lxm_err_sys(e, "make symbolic link");
	} else if (entry->kind == PATH_DEVICE) {
		mode_t type = la.archive_entry_filetype(entry->ae) == AE_IFBLK ? S_IFBLK : S_IFCHR;

		if (mknodat(up, base, type | 0600, la.archive_entry_rdev(entry->ae)) < 0)
			return lxm_err_sys(e, "make device node");
	} else {
		if (mknodat(up, base, S_IFIFO | 0600, 0) < 0)
			return lxm_err_sys(e, "make pipe");
	}
	if (fchownat(up, base, (uid_t)la.archive_entry_uid(entry->ae), (gid_t)la.archive_entry_gid(entry->ae), AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "set the owner");
	if (entry->kind != PATH_SYMLINK && fchmodat(up, base, la.archive_entry_perm(entry->ae) & 07777, 0) < 0)
		return lxm_err_sys(e, "set the mode");
	if (utimensat(up, base, ts, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "set the time");
	return 0;
}

/* Backwards: a directory's time is set after those below it. */
static void set_late_times(struct target *t)
{
	while (t->n_late) {
		struct late_time *l = &t->late[--t->n_late];
		struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, l->mtime };
		lxm_auto(fd_close) int fd = lxm_open_beneath(t->dirfd, l->path, O_RDONLY | O_DIRECTORY, 0);

		if (fd >= 0)
			(void)futimens(fd, ts);
		free(l->path);
	}
}

/* The next volume of a backup begins. */
static void switch_target(struct target *t, const struct unpack_volume *v)
{
	set_late_times(t);
	auto_fd_close(&t->parent_fd);
	t->volume = v;
	t->dirfd = v->dirfd;
}

static int write_entry(struct walk *w, const struct walk_entry *entry, void *arg, struct lxm_err *e)
{
	struct target *t = arg;
	const char *base;
	int up;

	if (entry->volume != t->volume)
		switch_target(t, entry->volume);
	up = parent_of(t, entry->path, &base, e);
	if (up < 0)
		return up;
	if (entry->hardlink)
		return make_hardlink(t, up, base, entry->hardlink, e);
	if (entry->kind == PATH_FILE)
		return make_file(w, up, base, entry, e);
	if (entry->kind == PATH_DIR)
		return make_dir(t, up, base, entry, e);
	return make_special(up, base, entry, e);
}

static int limits(const struct unpack_spec *spec, int dirfd, uint64_t *bytes, uint64_t *entries, struct lxm_err *e)
{
	struct statvfs vfs;
	uint64_t room;

	if (fstatvfs(dirfd, &vfs) < 0)
		return lxm_err_sys(e, "statvfs");
	/* some file systems (memory ones without a limit) do not say how much room they have */
	room = vfs.f_blocks ? (uint64_t)vfs.f_bavail * vfs.f_frsize : ROOM_UNKNOWN;
	room = room > lxm_space_reserve(&vfs) ? room - lxm_space_reserve(&vfs) : 0;
	*bytes = spec->max_bytes ? spec->max_bytes : room;
	*entries = spec->max_entries ? spec->max_entries : ENTRIES_MAX;
	if (!spec->max_entries && vfs.f_files && vfs.f_favail < ENTRIES_MAX)
		*entries = vfs.f_favail > KEEP_INODES ? vfs.f_favail - KEEP_INODES : 0;
	return 0;
}

static int check_report(const struct unpack_spec *spec, const struct unpack_report *rep, struct lxm_err *e)
{
	if (spec->part != IMAGE_ROOTFS && !rep->has_metadata)
		return lxm_err_set(e, EINVAL, "it holds no 'metadata.yaml'");
	if (spec->part != IMAGE_METADATA && !rep->has_init)
		return lxm_err_set(e, EINVAL, "it has no init (/sbin/init, /lib/systemd/systemd, /init)");
	return 0;
}

int image_unpack(const struct unpack_spec *spec, int dirfd, const char *dir_path, struct unpack_report *report,
		 struct lxm_err *e)
{
	lxm_auto(target) struct target t = { .dirfd = dirfd, .parent_fd = -1 };
	struct unpack_report rep = { 0 };
	uint64_t bytes, entries;
	int r;

	r = limits(spec, dirfd, &bytes, &entries, e);
	if (r < 0)
		return r;
	switch (image_format_of(spec->fd)) {
	case IMAGE_FORMAT_SQUASHFS:
		r = squashfs_unpack(spec, dirfd, dir_path, &rep, e);
		break;
	default:
		r = walk_archive(spec, bytes, entries, write_entry, &t, &rep, e);
		if (r == 0)
			set_late_times(&t);
	}
	if (r == 0)
		r = check_report(spec, &rep, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "unpack %s", spec->name);
	if (report)
		*report = rep;
	return 0;
}

int backup_unpack(const struct unpack_spec *spec, struct unpack_report *report, struct lxm_err *e)
{
	lxm_auto(target) struct target t = { .dirfd = -1, .parent_fd = -1 };
	struct unpack_report rep = { 0 };
	uint64_t bytes, entries;
	size_t i;
	int r = limits(spec, spec->volumes[0].dirfd, &bytes, &entries, e);

	if (r == 0)
		r = walk_archive(spec, bytes, entries, write_entry, &t, &rep, e);
	for (i = 0; r == 0 && i < spec->n_volumes; i++)
		if (!spec->volumes[i].begun)
			r = lxm_err_set(e, EINVAL, "it lacks '%.200s', of which its index speaks", spec->volumes[i].prefix);
	if (r < 0)
		return lxm_err_wrap(e, r, "unpack %s", spec->name);
	set_late_times(&t);
	if (report)
		*report = rep;
	return 0;
}

/* The whole of a small file into buf. */
static int read_small(struct walk *w, struct archive_entry *ae, size_t max, struct lxm_buf *buf, struct lxm_err *e)
{
	const void *block;
	int64_t off;
	size_t len;
	int r;

	if (la.archive_entry_size(ae) > (int64_t)max)
		return lxm_err_set(e, EINVAL, "it is larger than %zu MiB", max >> 20);
	while ((r = walk_read(w, &block, &len, &off, e)) > 0) {
		if (buf->len != (uint64_t)off || buf->len + len > max)
			return lxm_err_set(e, EINVAL, "it is sparse or larger than %zu MiB", max >> 20);
		lxm_buf_add(buf, block, len);
	}
	return r;
}

struct index_arg {
	struct lxm_buf *buf;
	size_t max;
};

static int take_index(struct walk *w, const struct walk_entry *entry, void *arg, struct lxm_err *e)
{
	struct index_arg *a = arg;
	int r = read_small(w, entry->ae, a->max, a->buf, e);

	return r < 0 ? r : 1;
}

int backup_peek_index(const struct unpack_spec *spec, size_t max, struct lxm_buf *index, struct lxm_err *e)
{
	struct index_arg a = { index, max };
	struct unpack_report rep;
	int r = walk_archive(spec, 2 * max, 16, take_index, &a, &rep, e);

	if (r == 0 && !index->len)
		r = lxm_err_set(e, EINVAL, "it does not begin with 'backup/index.yaml'");
	return lxm_err_wrap(e, r, "read %s", spec->name);
}

/* image_check(): data is read, so that bombs and damage show, and thrown away but for metadata.yaml. */
static int look_at_entry(struct walk *w, const struct walk_entry *entry, void *arg, struct lxm_err *e)
{
	struct lxm_buf *meta = arg;
	bool keep = meta && strcmp(entry->path, "metadata.yaml") == 0;
	const void *block;
	int64_t off;
	size_t len;
	int r;

	if (entry->kind != PATH_FILE || entry->hardlink)
		return 0;
	if (keep)
		return read_small(w, entry->ae, IMAGE_METADATA_MAX, meta, e);
	while ((r = walk_read(w, &block, &len, &off, e)) > 0)
		;
	return r;
}

int image_check(const struct unpack_spec *spec, struct lxm_buf *metadata, struct unpack_report *report,
		struct lxm_err *e)
{
	struct unpack_report rep = { 0 };
	uint64_t bytes, entries;
	int r;

	/* the limit of the store's own file system stands for that of the pools */
	r = limits(spec, spec->fd, &bytes, &entries, e);
	if (r < 0)
		return r;
	if (image_format_of(spec->fd) == IMAGE_FORMAT_SQUASHFS) {
		r = squashfs_check(spec->fd, spec->size, spec->name, &rep.entries, e);
		if (r == 0 && spec->part != IMAGE_ROOTFS && metadata)
			r = squashfs_metadata(spec, metadata, e);
		rep.has_metadata = rep.has_init = r == 0;
	} else {
		r = walk_archive(spec, bytes, entries, look_at_entry, metadata, &rep, e);
	}
	if (r == 0)
		r = check_report(spec, &rep, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "check %s", spec->name);
	if (report)
		*report = rep;
	return 0;
}

static int stop_at_metadata(struct walk *w, const struct walk_entry *entry, void *arg, struct lxm_err *e)
{
	int r = look_at_entry(w, entry, arg, e);

	return r < 0 ? r : strcmp(entry->path, "metadata.yaml") == 0;
}

int image_peek_metadata(const struct unpack_spec *spec, struct lxm_buf *metadata, struct lxm_err *e)
{
	struct unpack_report rep = { 0 };
	uint64_t bytes, entries;
	int r = limits(spec, spec->fd, &bytes, &entries, e);

	if (r < 0)
		return r;
	if (image_format_of(spec->fd) == IMAGE_FORMAT_SQUASHFS) {
		r = squashfs_metadata(spec, metadata, e);
	} else {
		r = walk_archive(spec, bytes, entries, stop_at_metadata, metadata, &rep, e);
		if (r == 0 && !rep.has_metadata)
			r = lxm_err_set(e, EINVAL, "it holds no 'metadata.yaml'");
	}
	return lxm_err_wrap(e, r, "read %s", spec->name);
}

bool image_root_has_init(int rootfd)
{
	static const char *const names[] = { "/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/init",
					     "/bin/init", "/usr/bin/init", "/etc/init", "/linuxrc" };
	struct stat st;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++) {
		lxm_auto(fd_close) int fd = lxm_open_in_root(rootfd, names[i], O_PATH, 0);

		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111))
			return true;
	}
	return false;
}
