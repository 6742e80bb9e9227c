/*
 * Receiving a volume. Worker threads, as root, on bytes of a host that may be hostile. There are no paths in the stream: each record
 * names one component in the directory that is open at that moment, record.c has refused everything that is no plain name, and
 * all is made with O_EXCL, O_NOFOLLOW or mkdirat() below a directory of mode 0700 that nobody else knows. Where an earlier file
 * is meant (hard links, what the old volume has), the path is one that was put together here, opened through openat2.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/hash.h"
#include "lib/base/space.h"
#include "lxmd/storage/pool_priv.h"
#include "lxmd/storage/record.h"
#include "lxmd/storage/transfer.h"

#define LINKS_BYTES_MAX (256u << 20)
#define WRITEBACK_EVERY (8u << 20)

enum part { PART_NONE, PART_ROOT, PART_META };

struct level {
	int fd;
	size_t path_len; /* of taker.path, without this directory's name */
};

struct taker {
	const struct transfer_take *how;
	const struct transfer_io *io;
	struct transfer_progress *progress;
	struct pool *pool;
	struct op *op;
	int top;		/* the volume's directory */
	const char *root_name;	/* "upper" or "rootfs" */
	int have_fd;		/* root of the old volume, -1: none */
	enum part part;
	bool seen_root, seen_templates, seen_metadata;
	struct level *levels;	/* RECORD_DEPTH_MAX */
	int depth;		/* directories open */
	struct lxm_buf path;	/* of the open directory, below the part */
	char **links;		/* path of each file that later ones are names of */
	uint32_t n_links, cap_links;
	size_t links_bytes;
	int file;		/* being filled, -1: none */
	struct record_entry cur; /* its entry; its strings and xattrs in `entry` */
	uint64_t file_at, unsynced;
	unsigned char *entry, *body;
	uint64_t looked_at;
	struct lxm_hash hash;
};

static int bad(struct lxm_err *e, const char *what)
{
	return lxm_err_set(e, EBADMSG, "damaged stream: %s", what);
}

static int get(struct taker *t, void *data, size_t n, struct lxm_err *e)
{
	int r = t->io->get(t->io->arg, data, n, e);

	if (r == 0)
		lxm_hash_add(&t->hash, data, n);
	return r;
}

/* ---- attributes */

static int set_xattrs(const struct taker *t, int fd, const struct record_entry *en, struct lxm_err *e)
{
	struct record_xattr x;
	uint32_t pos = 0;
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	while (record_xattr_next(en, &pos, &x)) {
		if (!record_xattr_travels(x.name, t->how->form == TRANSFER_LAYER && t->part == PART_ROOT))
			return bad(e, "an xattr that does not travel");
		if (t->part == PART_ROOT && setxattr(path, x.name, x.value, x.len, 0) < 0 && errno != EOPNOTSUPP)
			return lxm_err_sys(e, "set xattr '%.100s'", x.name);
	}
	return 0;
}

static int set_attrs(const struct taker *t, int fd, const struct record_entry *en, struct lxm_err *e)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = en->mtime, .tv_nsec = en->mtime_ns } };
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchownat(fd, "", en->uid, en->gid, AT_EMPTY_PATH) < 0)
		return lxm_err_sys(e, "set the owner");
	if (en->kind != KIND_SYMLINK && chmod(path, en->mode) < 0)
		return lxm_err_sys(e, "set the mode");
	r = set_xattrs(t, fd, en, e);
	if (r == 0 && utimensat(AT_FDCWD, path, ts, 0) < 0)
		return lxm_err_sys(e, "set the times");
	return r;
}

/* ---- space */

static int look_at_space(struct taker *t, struct lxm_err *e)
{
	if (lxm_space_low(t->top))
		return lxm_err_set(e, ENOSPC, "no space left in pool '%s'", t->pool->name);
	return 0;
}

static int tick(struct taker *t, struct lxm_err *e)
{
	int r = 0;

	if (t->progress->bytes + t->progress->entries * 4096 - t->looked_at >= LXM_SPACE_EVERY) {
		t->looked_at = t->progress->bytes + t->progress->entries * 4096;
		r = look_at_space(t, e);
	}
	return r < 0 || !t->progress->tick ? r : t->progress->tick(t->progress, e);
}

/* ---- names that are referred to */

/* The path of an entry from the top of the volume (hard links) or of its part; NULL if it is too long. */
static char *path_of(const struct taker *t, const struct record_entry *en, bool from_top)
{
	char *p;

	if (t->path.len + en->name_len + 32 > PATH_MAX)
		return NULL;
	p = lxm_asprintf("%s%s%.*s%s%.*s", from_top ? (t->part == PART_ROOT ? t->root_name : "templates") : "", from_top ? "/" : "",
			 (int)t->path.len, t->path.len ? t->path.data : "", t->path.len ? "/" : "", (int)en->name_len, en->name);
	return p;
}

static int remember_link(struct taker *t, const struct record_entry *en, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	char **grown;

	if (!(en->flags & ENTRY_LINKED))
		return 0;
	path = path_of(t, en, true);
	if (!path || en->link != t->n_links + 1 || t->part != PART_ROOT)
		return bad(e, "a hard link out of order");
	t->links_bytes += strlen(path) + 1 + sizeof(char *);
	if (t->n_links == t->cap_links) {
		uint32_t cap = t->cap_links ? t->cap_links * 2 : 256;

		grown = realloc(t->links, cap * sizeof(*grown));
		if (!grown)
			return lxm_err_set(e, ENOMEM, "out of memory");
		t->links = grown;
		t->cap_links = cap;
	}
	if (t->links_bytes > LINKS_BYTES_MAX)
		return lxm_err_set(e, ENOMEM, "it holds more hard links than can be remembered");
	t->links[t->n_links++] = LXM_TAKE(path, NULL);
	return 0;
}

/* The directory of a path that was made here, and its last component inside path. */
static int open_parent(int top, char *path, const char **base, struct lxm_err *e)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (slash)
		*slash = 0;
	*base = slash ? slash + 1 : path;
	fd = lxm_open_beneath(top, slash ? path : ".", O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? lxm_err_sys(e, "open '%.200s'", slash ? path : ".") : fd;
}

static int make_link(struct taker *t, int up, const char *name, const struct record_entry *en, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	lxm_auto(fd_close) int from = -1;
	const char *base;

	if (en->link == 0 || en->link > t->n_links || t->part != PART_ROOT)
		return bad(e, "a hard link to nothing");
	path = lxm_strdup(t->links[en->link - 1]);
	from = open_parent(t->top, path, &base, e);
	if (from < 0)
		return from;
	return linkat(from, base, up, name, 0) < 0 ? lxm_err_sys(e, "link to '%.200s'", base) : 0;
}

/* The data is in the old volume: the file there must be what the sender was told. */
static int take_old_data(struct taker *t, struct lxm_err *e)
{
	lxm_auto(free) char *path = path_of(t, &t->cur, false);
	lxm_auto(fd_close) int from = -1;
	struct stat st;

	if (t->have_fd < 0 || t->part != PART_ROOT || !path)
		return bad(e, "data that nobody said to have");
	from = lxm_open_beneath(t->have_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0);
	if (from < 0 || fstat(from, &st) < 0)
		return lxm_err_sys(e, "open '%.200s' of the earlier copy", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != t->cur.size || st.st_mtim.tv_sec != t->cur.mtime ||
	    st.st_mtim.tv_nsec != t->cur.mtime_ns)
		return bad(e, "data that the earlier copy does not have");
	return tree_copy_data(from, t->file, st.st_size, t->op, e);
}

/* ---- entries */

/* What the last entry began, if it was a file, is whole. */
static int end_file(struct taker *t, struct lxm_err *e)
{
	int r = 0;

	if (t->file < 0)
		return 0;
	if (!(t->cur.flags & ENTRY_SAME) && t->file_at < t->cur.size && ftruncate(t->file, (off_t)t->cur.size) < 0)
		r = lxm_err_sys(e, "set the size");
	if (r == 0)
		r = set_attrs(t, t->file, &t->cur, e);
	(void)close(t->file);
	t->file = -1;
	return r;
}

static int begin_file(struct taker *t, int up, const char *name, const struct record_entry *en, struct lxm_err *e)
{
	t->file = openat(up, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (t->file < 0)
		return lxm_err_sys(e, "create '%.100s'", name);
	t->cur = *en;
	t->file_at = t->unsynced = 0;
	return en->flags & ENTRY_SAME ? take_old_data(t, e) : 0;
}

static int make_special(struct taker *t, int up, const char *name, const struct record_entry *en, struct lxm_err *e)
{
	static const mode_t types[] = { [KIND_FIFO] = S_IFIFO, [KIND_CHAR] = S_IFCHR, [KIND_BLOCK] = S_IFBLK };
	lxm_auto(fd_close) int fd = -1;

	if (en->kind == KIND_SYMLINK) {
		lxm_auto(free) char *target = lxm_strndup(en->target, en->target_len);

		if (symlinkat(target, up, name) < 0)
			return lxm_err_sys(e, "make the link '%.100s'", name);
	} else if (mknodat(up, name, types[en->kind] | 0600, makedev(en->major, en->minor)) < 0) {
		return lxm_err_sys(e, "make the node '%.100s'", name);
	}
	fd = openat(up, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? lxm_err_sys(e, "open '%.100s'", name) : set_attrs(t, fd, en, e);
}

static int push_level(struct taker *t, int up, const char *name, bool exists, struct lxm_err *e)
{
	struct level *l = &t->levels[t->depth];

	if (t->depth == RECORD_DEPTH_MAX)
		return lxm_err_set(e, ELOOP, "directories nested over %d deep", RECORD_DEPTH_MAX);
	if (!exists && mkdirat(up, name, 0700) < 0)
		return lxm_err_sys(e, "make directory '%.100s'", name);
	l->fd = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->fd < 0)
		return lxm_err_sys(e, "open directory '%.100s'", name);
	l->path_len = t->path.len;
	if (t->depth++ > 0)
		lxm_buf_fmt(&t->path, "%s%s", t->path.len ? "/" : "", name);
	return 0;
}

/* The top of a stream: the root, templates/, metadata.yaml, each once. */
static int top_entry(struct taker *t, const char *name, const struct record_entry *en, struct lxm_err *e)
{
	if (strcmp(name, "rootfs") == 0 && en->kind == KIND_DIR && !t->seen_root) {
		t->part = PART_ROOT;
		t->seen_root = true;
		return push_level(t, t->top, t->root_name, true, e);
	}
	t->part = PART_META;
	if (strcmp(name, "templates") == 0 && en->kind == KIND_DIR && !t->seen_templates) {
		t->seen_templates = true;
		return push_level(t, t->top, name, false, e);
	}
	if (strcmp(name, "metadata.yaml") == 0 && en->kind == KIND_FILE && !en->flags && !t->seen_metadata) {
		t->seen_metadata = true;
		return begin_file(t, t->top, name, en, e);
	}
	return bad(e, "something that is no part of a volume");
}

static int one_entry(struct taker *t, const struct record_entry *en, struct lxm_err *e)
{
	char name[256];
	int up, r;

	memcpy(name, en->name, en->name_len);
	name[en->name_len] = 0;
	if (t->depth == 0)
		return top_entry(t, name, en, e);
	up = t->levels[t->depth - 1].fd;
	if (t->part == PART_META && ((en->kind != KIND_DIR && en->kind != KIND_FILE) || en->flags))
		return bad(e, "a template that is no file");
	if ((en->kind == KIND_CHAR || en->kind == KIND_BLOCK) && !t->how->devices &&
	    !(en->kind == KIND_CHAR && en->major == 0 && en->minor == 0))
		return en->flags & ENTRY_LINKED ? bad(e, "a device node with several names is not allowed here") : 0;
	r = remember_link(t, en, e);
	if (r < 0)
		return r;
	switch (en->kind) {
	case KIND_DIR:
		return push_level(t, up, name, false, e);
	case KIND_FILE:
		return begin_file(t, up, name, en, e);
	case KIND_LINK:
		return make_link(t, up, name, en, e);
	default:
		return make_special(t, up, name, en, e);
	}
}

static int up_one(struct taker *t, const struct record_entry *en, struct lxm_err *e)
{
	struct level *l;
	int r;

	if (t->depth == 0)
		return bad(e, "the end of a directory that was not begun");
	l = &t->levels[--t->depth];
	r = set_attrs(t, l->fd, en, e);
	t->path.len = l->path_len;
	(void)close(l->fd);
	return r;
}

static int write_data(struct taker *t, uint32_t len, struct lxm_err *e)
{
	uint64_t off = record_u64(t->body);
	const unsigned char *p = t->body + RECORD_DATA_HEAD;
	size_t n = len - RECORD_DATA_HEAD;

	if (t->file < 0 || (t->cur.flags & ENTRY_SAME) || off < t->file_at || off > t->cur.size || n > t->cur.size - off)
		return bad(e, "data that belongs to no file");
	while (n) {
		ssize_t w = pwrite(t->file, p, n, (off_t)off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return lxm_err_sys(e, "write");
		p += w;
		n -= (size_t)w;
		off += (uint64_t)w;
		t->progress->bytes += (uint64_t)w;
		t->unsynced += (uint64_t)w;
	}
	t->file_at = off;
	if (t->unsynced >= WRITEBACK_EVERY) {
		/* the disk begins now, so that the sync at the end finds little to do */
		(void)sync_file_range(t->file, 0, 0, SYNC_FILE_RANGE_WRITE);
		t->unsynced = 0;
	}
	return tick(t, e);
}

static int end_stream(struct taker *t, uint64_t hash, struct lxm_err *e)
{
	if (t->depth || !t->seen_root)
		return bad(e, "it ends too early");
	if (record_u64(t->body) != hash)
		return lxm_err_set(e, EBADMSG, "the checksum of what arrived is wrong");
	return 0;
}

static int peer_failed(const struct taker *t, uint32_t len, struct lxm_err *e)
{
	lxm_auto(free) char *raw = lxm_strndup((const char *)t->body, len), *text = lxm_utf8_clean(raw);

	return lxm_err_set(e, EIO, "the source gave up: %.400s", text);
}

/* One record; 1 at the end of the volume. */
static int one_record(struct taker *t, struct lxm_err *e)
{
	uint64_t hash = lxm_hash_value(&t->hash);
	unsigned char head[RECORD_HEAD];
	struct record_entry en;
	enum record_type type;
	uint32_t len;
	int r = get(t, head, sizeof(head), e);

	if (r == 0)
		r = record_head_read(head, &type, &len, e);
	if (r < 0)
		return r;
	if (type != RECORD_DATA) {
		r = end_file(t, e);
		if (r < 0)
			return r;
	}
	if (type == RECORD_HAVE)
		return bad(e, "the sender has no question");
	r = get(t, type == RECORD_ENTRY || type == RECORD_UP ? t->entry : t->body, len, e);
	if (r < 0)
		return r;
	if (type == RECORD_DATA)
		return write_data(t, len, e);
	if (type == RECORD_FAILED)
		return peer_failed(t, len, e);
	if (type == RECORD_END) {
		r = end_stream(t, hash, e);
		return r < 0 ? r : 1;
	}
	r = record_entry_read(type, t->entry, len, &en, e);
	if (r < 0)
		return r;
	t->progress->entries++;
	r = type == RECORD_UP ? up_one(t, &en, e) : one_entry(t, &en, e);
	return r < 0 ? lxm_err_wrap(e, r, "'%.*s%s%.*s'", (int)(t->path.len > 200 ? 200 : t->path.len), t->path.len ? t->path.data : "",
				    t->path.len ? "/" : "", (int)(en.name_len > 100 ? 100 : en.name_len), en.name) :
		       tick(t, e);
}

static int take_stream(struct taker *t, struct lxm_err *e)
{
	int r;

	t->levels = lxm_alloc(RECORD_DEPTH_MAX * sizeof(*t->levels));
	t->entry = lxm_alloc(RECORD_ENTRY_MAX);
	t->body = lxm_alloc(RECORD_DATA_HEAD + RECORD_DATA_MAX);
	t->file = -1;
	lxm_hash_init(&t->hash, 0);
	r = look_at_space(t, e);
	while (r == 0)
		r = one_record(t, e);
	auto_fd_close(&t->file);
	while (t->depth)
		(void)close(t->levels[--t->depth].fd);
	while (t->n_links)
		free(t->links[--t->n_links]);
	free(t->links);
	free(t->levels);
	free(t->entry);
	free(t->body);
	lxm_buf_deinit(&t->path);
	return r < 0 ? r : 0;
}

/* ---- volumes */

struct transfer_volume {
	struct pool *pool; /* a reference */
	char *tmp;	   /* where it is built */
	char image[65];	   /* that is held for it, "" none */
};

/* The root of the volume that transfer_send_have() spoke of. */
static int open_have(struct pool *pool, const struct transfer_take *how, int *fd_out, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL, *root = NULL;
	int r = how->have ? volume_id_check(how->have, e) : 0;

	if (!how->have || r < 0)
		return r;
	path = volume_path(how->have);
	root = lxm_asprintf("%s/%s", path, how->form == TRANSFER_LAYER ? "upper" : "rootfs");
	*fd_out = openat(pool->dirfd, root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd_out < 0 ? lxm_err_sys(e, "open '%s'", root) : 0;
}

static int begin_volume(struct transfer_volume *t, const struct transfer_take *how, struct op *op, struct lxm_err *e)
{
	char image[80];
	int r;

	if (how->form != TRANSFER_LAYER)
		return t->pool->drv->create_volume(t->pool, t->tmp, NULL, op, e);
	if (!(t->pool->drv->caps & POOL_CAP_OVERLAY_ROOT))
		return lxm_err_set(e, EOPNOTSUPP, "pool '%s' has no layers", t->pool->name);
	r = pool_image_hold(t->pool, how->image, op, e);
	if (r < 0)
		return r;
	snprintf(t->image, sizeof(t->image), "%s", how->image);
	snprintf(image, sizeof(image), "images/%s", t->image);
	return t->pool->drv->create_volume(t->pool, t->tmp, image, op, e);
}

int pool_volume_take(struct pool *pool, const struct transfer_take *how, const struct transfer_io *io, struct transfer_progress *p,
		     struct op *op, struct transfer_volume **out, struct lxm_err *e)
{
	struct taker t = { .how = how, .io = io, .progress = p, .pool = pool, .op = op, .top = -1, .have_fd = -1,
			   .root_name = how->form == TRANSFER_LAYER ? "upper" : "rootfs" };
	lxm_auto(transfer_drop) struct transfer_volume *v = lxm_alloc(sizeof(*v));
	int r;

	p->bytes = p->entries = 0;
	v->pool = pool_ref(pool);
	v->tmp = pool_fresh_name("tmp", "vol");
	r = begin_volume(v, how, op, e);
	if (r == 0)
		r = open_have(pool, how, &t.have_fd, e);
	if (r == 0) {
		t.top = openat(pool->dirfd, v->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = t.top < 0 ? lxm_err_sys(e, "open '%s'", v->tmp) : take_stream(&t, e);
	}
	auto_fd_close(&t.top);
	auto_fd_close(&t.have_fd);
	if (r == 0)
		*out = LXM_TAKE(v, NULL);
	return r;
}

int transfer_begin(struct pool *pool, struct op *op, struct transfer_volume **out, int *dirfd_out, struct lxm_err *e)
{
	lxm_auto(transfer_drop) struct transfer_volume *v = lxm_alloc(sizeof(*v));
	int r;

	v->pool = pool_ref(pool);
	v->tmp = pool_fresh_name("tmp", "vol");
	r = begin_volume(v, &(struct transfer_take){ .form = TRANSFER_TREE }, op, e);
	if (r < 0)
		return r;
	*dirfd_out = openat(pool->dirfd, v->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*dirfd_out < 0)
		return lxm_err_sys(e, "open '%s'", v->tmp);
	*out = LXM_TAKE(v, NULL);
	return 0;
}

void transfer_drop(struct transfer_volume *t)
{
	if (!t)
		return;
	volume_undo_tmp(t->pool, t->tmp);
	pool_image_drop(t->pool, t->image);
	pool_unref(t->pool);
	free(t->tmp);
	free(t);
}

int transfer_keep(struct transfer_volume *t, const struct volume_id *v, struct lxm_err *e)
{
	int r = volume_id_check(v, e);

	if (r == 0)
		r = volume_put_in_place(t->pool, t->tmp, v, e);
	if (r < 0) {
		transfer_drop(t);
		return r;
	}
	pool_unref(t->pool);
	free(t->tmp);
	free(t);
	return 0;
}
