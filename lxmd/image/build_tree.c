/*
 * The tree of a template build: putting in what the recipe says, taking out what an image must not hold.
 * lxmd, worker thread, as root.
 *
 * The tree comes from packages, which may hold any link. So every path is opened with its own root as "/", a file is
 * replaced and never written through, and the last walk follows nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/image/build_int.h"

#define SOURCE_MAX (1024 * 1024) /* bytes of one file of a recipe */
#define DEPTH_MAX  256		 /* directories below one another */

/* ---- single paths */

int build_mkdir_in(int rootfd, const char *path, struct lxm_err *e)
{
	lxm_auto(free) char *prefix = lxm_strdup(path);
	lxm_auto(fd_close) int dir = lxm_open_in_root(rootfd, ".", O_PATH | O_DIRECTORY, 0);
	size_t end = 0;

	if (dir < 0)
		return lxm_err_sys(e, "open root directory");
	while (path[end]) {
		size_t start = end + strspn(path + end, "/");
		int next;

		end = start + strcspn(path + start, "/");
		if (end == start)
			break;
		prefix[end] = '\0';
		next = lxm_open_in_root(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
		if (next < 0 && errno == ENOENT) {
			if (mkdirat(dir, prefix + start, 0755) < 0)
				return lxm_err_sys(e, "make directory '%s'", prefix);
			next = lxm_open_in_root(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
		}
		if (next < 0)
			return lxm_err_sys(e, "open directory '%s'", prefix);
		close(dir);
		dir = next;
		prefix[end] = path[end];
	}
	return LXM_TAKE(dir, -1);
}

/* Opens the directory that holds `path`, made where it is missing; *name is the last component. */
static int open_parent(int rootfd, const char *path, bool make, const char **name, struct lxm_err *e)
{
	const char *slash = strrchr(path, '/');
	lxm_auto(free) char *parent = lxm_strndup(path, (size_t)(slash - path));
	int fd;

	*name = slash + 1;
	if (make)
		return build_mkdir_in(rootfd, parent, e);
	fd = lxm_open_in_root(rootfd, *parent ? parent : "/", O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? lxm_err_sys(e, "open directory '%s'", parent) : fd;
}

int build_write_in(int rootfd, const char *path, const void *data, size_t len, mode_t mode, struct lxm_err *e)
{
	const char *name;
	lxm_auto(fd_close) int dir = open_parent(rootfd, path, true, &name, e);
	lxm_auto(fd_close) int fd = -1;
	int r;

	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return lxm_err_sys(e, "replace '%s'", path);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return lxm_err_sys(e, "make '%s'", path);
	r = lxm_write_all(fd, data, len);
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "write '%s'", path);
	}
	if (fchmod(fd, mode) < 0)
		return lxm_err_sys(e, "set mode of '%s'", path);
	return 0;
}

int build_link_in(int rootfd, const char *path, const char *target, struct lxm_err *e)
{
	const char *name;
	lxm_auto(fd_close) int dir = open_parent(rootfd, path, true, &name, e);

	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return lxm_err_sys(e, "replace '%s'", path);
	if (symlinkat(target, dir, name) < 0)
		return lxm_err_sys(e, "link '%s'", path);
	return 0;
}

int build_remove_in(int rootfd, const char *path, struct lxm_err *e)
{
	const char *pattern;
	lxm_auto(fd_close) int dir = open_parent(rootfd, path, false, &pattern, NULL);
	lxm_auto(strv) struct lxm_strv names = { 0 };
	struct dirent *de;
	DIR *d;
	size_t i;
	int fd, r;

	if (dir < 0)
		return 0;
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = lxm_err_sys(e, "read the directory of '%s'", path);
		if (fd >= 0)
			close(fd);
		return r;
	}
	while ((de = readdir(d)))
		if (!lxm_streq(de->d_name, ".") && !lxm_streq(de->d_name, "..") &&
		    fnmatch(pattern, de->d_name, FNM_PERIOD) == 0)
			lxm_strv_add(&names, de->d_name);
	(void)closedir(d);
	for (i = 0; i < names.n; i++) {
		r = lxm_rm_tree_at(dir, names.v[i]);
		if (r < 0) {
			errno = -r;
			return lxm_err_sys(e, "remove '%s' (%s)", path, names.v[i]);
		}
	}
	return 0;
}

/* ---- what the recipe says */

static int put_files(struct build *b, struct lxm_err *e)
{
	const struct recipe_part *part = &b->pick->part;
	size_t i;
	int r;

	for (i = 0; i < part->nfiles; i++) {
		const struct recipe_file *f = &part->files[i];
		lxm_auto(buf) struct lxm_buf text = { 0 };

		if (f->source) {
			lxm_auto(free) char *source = lxm_asprintf("files/%s", f->source);

			r = lxm_read_file_at(b->recipe_fd, source, SOURCE_MAX, &text);
			if (r < 0) {
				errno = -r;
				return lxm_err_sys(e, "read '%s' of template '%s'", source, b->pick->recipe->name);
			}
		} else {
			lxm_buf_str(&text, f->content);
		}
		r = build_write_in(b->rootfd, f->path, text.data ? text.data : "", text.len, f->mode, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Services that are links; systemd and sysvinit enable theirs with their own tools while mmdebstrap runs. */
static int put_services(struct build *b, struct lxm_err *e)
{
	static const char runit_dir[] = "/etc/runit/runsvdir/default";
	const struct recipe_part *part = &b->pick->part;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && b->pick->init == INIT_SYSTEMD && i < part->mask.n; i++) {
		lxm_auto(free) char *path = lxm_asprintf("/etc/systemd/system/%s", part->mask.v[i]);

		r = build_link_in(b->rootfd, path, "/dev/null", e);
	}
	for (i = 0; r == 0 && b->pick->init == INIT_RUNIT && i < part->disable.n; i++) {
		lxm_auto(free) char *path = lxm_asprintf("%s/%s", runit_dir, part->disable.v[i]);

		r = build_remove_in(b->rootfd, path, e);
	}
	for (i = 0; r == 0 && b->pick->init == INIT_RUNIT && i < part->enable.n; i++) {
		lxm_auto(free) char *path = lxm_asprintf("%s/%s", runit_dir, part->enable.v[i]);
		lxm_auto(free) char *target = lxm_asprintf("/etc/sv/%s", part->enable.v[i]);

		r = build_link_in(b->rootfd, path, target, e);
	}
	return r;
}

/* ---- what no image holds */

static int clean_walk(int dir, lxm_time epoch, unsigned int depth, struct lxm_err *e);

static int clean_entry(int dir, const char *name, lxm_time epoch, unsigned int depth, struct lxm_err *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = epoch / 1000 } };
	struct stat st;
	int r = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "look at '%s'", name);
	if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode))
		return unlinkat(dir, name, 0) < 0 ? lxm_err_sys(e, "remove '%s'", name) : 0;
	if (S_ISDIR(st.st_mode)) {
		lxm_auto(fd_close) int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (sub < 0)
			return lxm_err_sys(e, "open '%s'", name);
		r = clean_walk(sub, epoch, depth + 1, e);
	}
	if (r == 0 && st.st_mtim.tv_sec >= times[1].tv_sec &&
	    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "set time of '%s'", name);
	return r;
}

static int clean_walk(int dir, lxm_time epoch, unsigned int depth, struct lxm_err *e)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d) {
		r = lxm_err_sys(e, "read directory");
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (depth > DEPTH_MAX)
		r = lxm_err_set(e, ELOOP, "the tree is deeper than %d directories", DEPTH_MAX);
	while (r == 0 && (de = readdir(d)))
		if (!lxm_streq(de->d_name, ".") && !lxm_streq(de->d_name, ".."))
			r = clean_entry(dir, de->d_name, epoch, depth, e);
	(void)closedir(d);
	return r;
}

int build_tree_finish(struct build *b, struct lxm_err *e)
{
	static const char *const empty[] = { "/dev/*",	"/proc/*",    "/sys/*",	    "/run/*",	"/run/.*",
					     "/tmp/*",	"/tmp/.*",    "/var/tmp/*" };
	const struct recipe_part *part = &b->pick->part;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(empty); i++)
		r = build_remove_in(b->rootfd, empty[i], e);
	for (i = 0; r == 0 && i < part->remove.n; i++)
		r = build_remove_in(b->rootfd, part->remove.v[i], e);
	for (i = 0; r == 0 && i < part->links.n; i++)
		r = build_link_in(b->rootfd, part->links.v[i].key, part->links.v[i].value, e);
	if (r == 0)
		r = put_services(b, e);
	if (r == 0)
		r = put_files(b, e);
	if (r == 0)
		r = clean_walk(b->rootfd, b->epoch, 0, e);
	return r < 0 ? lxm_err_wrap(e, r, "finish the tree of template '%s'", b->pick->name) : 0;
}
