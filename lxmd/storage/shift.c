/*
 * Owners on disk, for pools whose file system takes no idmapped mounts (an lxmd in a container, an old kernel): before an instance
 * starts, the files of its volume are given the ids that its range has on the host. VOLUME/shift, a link whose text is "BASE-SIZE", says so;
 * "~BASE-SIZE" while a change is under way. Copies are shifted back as they are made, and so is whatever somebody opens by
 * pool_volume_open_root(): outside of the volume that an instance runs from, ids are always those that are seen inside.
 *
 * A range may not touch the ids that it stands for (BASE >= SIZE): an owner then tells whether it is shifted already, so hard links and
 * a walk that is repeated after a crash need no memory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/userns.h"
#include "lxmd/storage/pool_priv.h"

#define DEPTH_MAX  500
#define ACL_MAX	   65536
#define ACL_USER   2
#define ACL_GROUP  8
#define CAPS_V3_SIZE 24 /* security.capability with the id of the root that gave it, at 20 */

/* From ids in one span to the same ids in the other. */
struct move {
	uint32_t from, to, count;
};

static uint32_t moved(const struct move *m, uint32_t id)
{
	return id >= m->from && id - m->from < m->count ? m->to + (id - m->from) : id;
}

static uint32_t get_le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
	p[2] = (unsigned char)(v >> 16);
	p[3] = (unsigned char)(v >> 24);
}

/* Named users and groups of an ACL: a version, then entries of tag, rights and id. */
static int move_acl(const char *path, const char *name, const struct move *m, struct lxm_err *e)
{
	unsigned char acl[ACL_MAX];
	ssize_t n = getxattr(path, name, acl, sizeof(acl)), i;
	bool changed = false;

	for (i = 4; i + 8 <= n; i += 8) {
		unsigned int tag = acl[i] | (unsigned int)acl[i + 1] << 8;
		uint32_t id = get_le32(acl + i + 4);

		if ((tag != ACL_USER && tag != ACL_GROUP) || moved(m, id) == id)
			continue;
		put_le32(acl + i + 4, moved(m, id));
		changed = true;
	}
	if (changed && setxattr(path, name, acl, (size_t)n, 0) < 0)
		return lxm_err_sys(e, "set '%s'", name);
	return 0;
}

/* A change of owner takes away what a program may do beyond its user: it is given back. */
static int move_owner(int fd, const char *path, const struct stat *st, const struct move *m, struct lxm_err *e)
{
	unsigned char caps[64];
	ssize_t n = S_ISREG(st->st_mode) ? getxattr(path, "security.capability", caps, sizeof(caps)) : -1;

	if (fchownat(fd, "", moved(m, st->st_uid), moved(m, st->st_gid), AT_EMPTY_PATH) < 0)
		return lxm_err_sys(e, "set the owner");
	if (!S_ISLNK(st->st_mode) && st->st_mode & (S_ISUID | S_ISGID) && chmod(path, st->st_mode & 07777) < 0)
		return lxm_err_sys(e, "set the mode");
	if (n == CAPS_V3_SIZE)
		put_le32(caps + 20, moved(m, get_le32(caps + 20)));
	if (n > 0 && setxattr(path, "security.capability", caps, (size_t)n, 0) < 0)
		return lxm_err_sys(e, "set file capabilities");
	return 0;
}

static int move_attrs(int fd, const struct stat *st, const struct move *m, struct lxm_err *e)
{
	char path[40];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (moved(m, st->st_uid) != st->st_uid || moved(m, st->st_gid) != st->st_gid)
		r = move_owner(fd, path, st, m, e);
	if (r == 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
		r = move_acl(path, "system.posix_acl_access", m, e);
	if (r == 0 && S_ISDIR(st->st_mode))
		r = move_acl(path, "system.posix_acl_default", m, e);
	return r;
}

static int move_tree(int up, const char *name, const struct move *m, int depth, struct lxm_err *e);

static int move_entries(int dir, const struct move *m, int depth, struct lxm_err *e)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	if (!d) {
		auto_fd_close(&copy);
		return lxm_err_sys(e, "read the directory");
	}
	if (depth > DEPTH_MAX)
		r = lxm_err_set(e, ELOOP, "directories nested over %d deep", DEPTH_MAX);
	while (r == 0 && (de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			r = move_tree(dir, de->d_name, m, depth + 1, e);
	closedir(d);
	return r;
}

/* Never follows a link. */
static int move_tree(int up, const char *name, const struct move *m, int depth, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(up, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open '%.200s'", name);
	r = move_attrs(fd, &st, m, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "'%.200s'", name);
	return S_ISDIR(st.st_mode) ? move_entries(fd, m, depth, e) : 0;
}

/* What has owners of its instance in it. */
static int move_volume(int vol, const struct move *m, struct lxm_err *e)
{
	static const char *const parts[] = { "rootfs", "scratch" };
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(parts); i++)
		if (faccessat(vol, parts[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			r = move_tree(vol, parts[i], m, 0, e);
	return r;
}

/* ---- the mark */

struct mark {
	uint32_t base, size; /* size 0: unshifted */
	bool under_way;
};

static struct mark mark_read(int vol)
{
	struct mark m = { 0 };
	char text[32];
	ssize_t n = readlinkat(vol, "shift", text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	m.under_way = text[0] == '~';
	if (n < 0 || sscanf(text + m.under_way, "%u-%u", &m.base, &m.size) != 2)
		return (struct mark){ 0 };
	return m;
}

static int mark_write(int vol, const struct mark *m, struct lxm_err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%u-%u", m->under_way ? "~" : "", m->base, m->size);
	(void)unlinkat(vol, "shift.new", 0);
	if (symlinkat(text, vol, "shift.new") < 0 || renameat(vol, "shift.new", vol, "shift") < 0)
		return lxm_err_sys(e, "note what ids a volume has");
	return 0;
}

static int unshift(int vol, struct lxm_err *e)
{
	struct mark m = mark_read(vol);
	const struct move back = { m.base, 0, m.size };
	int r;

	if (!m.size)
		return 0;
	m.under_way = true;
	r = mark_write(vol, &m, e);
	if (r == 0)
		r = move_volume(vol, &back, e);
	if (r == 0 && unlinkat(vol, "shift", 0) < 0)
		r = lxm_err_sys(e, "note what ids a volume has");
	return r;
}

static int shift(int vol, uint32_t base, uint32_t size, struct lxm_err *e)
{
	struct mark m = { base, size, true };
	const struct move there = { 0, base, size };
	int r = mark_write(vol, &m, e);

	if (r == 0)
		r = move_volume(vol, &there, e);
	m.under_way = false;
	return r < 0 ? r : mark_write(vol, &m, e);
}

int volume_unshift(struct pool *pool, const char *vol, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(pool->dirfd, vol, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? lxm_err_sys(e, "open '%s'", vol) : unshift(fd, e);

	return lxm_err_wrap(e, r, "shift the owners of '%s' back", vol);
}

int volume_unshift_as(struct pool *pool, const char *vol, struct pool *like, const char *like_vol, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = openat(like->dirfd, like_vol, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	lxm_auto(fd_close) int fd = openat(pool->dirfd, vol, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct mark m;
	int r = 0;

	if (from < 0 || fd < 0)
		return lxm_err_sys(e, "open '%s'", vol);
	m = mark_read(from);
	if (m.size)
		r = mark_write(fd, &m, e);
	return r < 0 ? r : unshift(fd, e);
}

void volume_owner(int vol, uint32_t *uid0_out)
{
	*uid0_out = mark_read(vol).base;
}

bool pool_shifts(const struct pool *pool)
{
	return pool->shifts;
}

int pool_volume_shift(struct pool *pool, const struct volume_id *v, uint32_t base, uint32_t size, struct lxm_err *e)
{
	lxm_auto(free) char *vol = NULL;
	lxm_auto(fd_close) int fd = -1;
	struct mark m;
	int r = volume_id_check(v, e);

	if (r < 0)
		return r;
	if (size && base < size)
		return lxm_err_set(e, EOPNOTSUPP, "%u ids from %u on cannot be given to files: without idmapped mounts the range must lie above %u", size,
				   base, size);
	vol = volume_path(v);
	fd = openat(pool->dirfd, vol, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_set(e, ENOENT, "pool '%s' has no volume '%s'", pool->name, vol);
	m = mark_read(fd);
	if (m.base == base && m.size == size && !m.under_way)
		return 0;
	r = unshift(fd, e);
	if (r == 0 && size)
		r = shift(fd, base, size, e);
	return lxm_err_wrap(e, r, "shift the owners of volume '%s'", v->name);
}

/*
 * Does the kernel refuse idmapped mounts of this file system? On a host all file systems that are worth a pool take them. In a container
 * nobody idmaps what was mounted outside; asked with our own map, the kernel says so without a namespace being made.
 */
bool pool_must_shift(int dirfd)
{
	lxm_auto(fd_close) int userns = -1, clone = -1;
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP };

	if (!lxm_in_userns())
		return false;
	userns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	clone = open_tree(dirfd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	a.userns_fd = (uint64_t)userns;
	return userns < 0 || clone < 0 || mount_setattr(clone, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0;
}
