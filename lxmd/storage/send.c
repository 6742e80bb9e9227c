/*
 * Sending a volume. Worker threads, as root. The tree is a container's, so its names and links are foreign and it may even be
 * running: every name is opened with O_NOFOLLOW from its directory's descriptor, as in copy.c. Bytes are gathered in one buffer,
 * file data being read right behind its record's head, so that a gigabyte is copied once here.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/hash.h"
#include "lxmd/storage/links.h"
#include "lxmd/storage/pool_priv.h"
#include "lxmd/storage/record.h"
#include "lxmd/storage/transfer.h"

#define BUFFER	 (RECORD_HEAD + RECORD_DATA_HEAD + RECORD_DATA_MAX)
#define DATA_MIN (32 * 1024) /* less room than this is not worth a read */

struct sender {
	const struct transfer_io *io;
	const struct transfer_have *have;
	struct transfer_progress *progress;
	bool layer, unsteady;
	struct links links; /* first path of each inode with several names, its number in front: "12 etc/x" */
	uint32_t n_links;
	struct lxm_buf path; /* of the present entry, below the volume's root */
	struct lxm_buf record, xattrs;
	struct lxm_hash hash;
	char *list, *value;	/* of xattrs, 64 KiB each */
	unsigned char *buf;	/* BUFFER bytes, n of them to be sent */
	size_t n;
};

static int flush(struct sender *s, struct lxm_err *e)
{
	size_t n = s->n;

	s->n = 0;
	if (!n)
		return 0;
	lxm_hash_add(&s->hash, s->buf, n);
	return s->io->put(s->io->arg, s->buf, n, e);
}

static int put(struct sender *s, const void *data, size_t n, struct lxm_err *e)
{
	const unsigned char *p = data;
	int r = 0;

	while (r == 0 && n) {
		size_t part = BUFFER - s->n < n ? BUFFER - s->n : n;

		memcpy(s->buf + s->n, p, part);
		s->n += part;
		p += part;
		n -= part;
		if (s->n == BUFFER)
			r = flush(s, e);
	}
	return r;
}

static int put_entry(struct sender *s, enum record_type type, const struct record_entry *en, struct lxm_err *e)
{
	int r;

	s->record.len = 0;
	r = record_entry_put(&s->record, type, en, e);
	s->progress->entries++;
	if (r == 0 && s->progress->tick && s->progress->entries % 64 == 0)
		r = s->progress->tick(s->progress, e);
	return r < 0 ? r : put(s, s->record.data, s->record.len, e);
}

/* Through /proc, because links and devices cannot be opened for it. */
static int read_xattrs(struct sender *s, int fd, struct record_entry *en, struct lxm_err *e)
{
	char path[40];
	ssize_t n, i, len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s->xattrs.len = 0;
	n = listxattr(path, s->list, 65536);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : lxm_err_sys(e, "list xattrs");
	for (i = 0; i < n; i += (ssize_t)strlen(s->list + i) + 1) {
		if (!record_xattr_travels(s->list + i, s->layer))
			continue;
		len = getxattr(path, s->list + i, s->value, 65536);
		if (len < 0)
			continue; /* gone meanwhile */
		record_xattr_put(&s->xattrs, s->list + i, s->value, (size_t)len);
		en->n_xattrs++;
	}
	en->xattrs = (unsigned char *)s->xattrs.data;
	en->xattrs_len = (uint32_t)s->xattrs.len;
	return 0;
}

static struct record_entry entry_of(const char *name, const struct stat *st, uint8_t kind)
{
	struct record_entry en = { .kind = kind, .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid,
				   .mtime = st->st_mtim.tv_sec, .mtime_ns = (uint32_t)st->st_mtim.tv_nsec, .name = name,
				   .name_len = (uint32_t)strlen(name) };

	if (kind == KIND_CHAR || kind == KIND_BLOCK) {
		en.major = major(st->st_rdev);
		en.minor = minor(st->st_rdev);
	}
	return en;
}

/* From one offset to another; 1 when the file ended before. */
static int send_range(struct sender *s, int fd, uint64_t off, uint64_t end, struct lxm_err *e)
{
	while (off < end) {
		size_t room = BUFFER - s->n, want;
		unsigned char *head = s->buf + s->n;
		ssize_t n;
		int r;

		if (room < RECORD_HEAD + RECORD_DATA_HEAD + DATA_MIN && room < end - off) {
			r = flush(s, e);
			if (r < 0)
				return r;
			continue;
		}
		if (room <= RECORD_HEAD + RECORD_DATA_HEAD) {
			r = flush(s, e);
			if (r < 0)
				return r;
			continue;
		}
		want = room - RECORD_HEAD - RECORD_DATA_HEAD;
		if (want > end - off)
			want = (size_t)(end - off);
		n = pread(fd, head + RECORD_HEAD + RECORD_DATA_HEAD, want, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "read");
		if (n == 0)
			return 1;
		record_head(head, RECORD_DATA, (uint32_t)n + RECORD_DATA_HEAD);
		record_put_u64(head + RECORD_HEAD, off);
		s->n += (size_t)n + RECORD_HEAD + RECORD_DATA_HEAD;
		off += (uint64_t)n;
		s->progress->bytes += (uint64_t)n;
		r = s->progress->tick ? s->progress->tick(s->progress, e) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_data(struct sender *s, int fd, uint64_t size, struct lxm_err *e)
{
	off_t data = 0, hole;
	int r = 0;

	while (r == 0 && (uint64_t)data < size) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0; /* a hole to the end */
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			r = send_range(s, fd, data < 0 ? 0 : (uint64_t)data, size, e);
		else
			r = send_range(s, fd, (uint64_t)data, (uint64_t)hole < size ? (uint64_t)hole : size, e);
		if (hole < 0)
			break;
		data = hole;
	}
	return r < 0 ? r : 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool has_it(const struct sender *s, const struct record_entry *en)
{
	uint64_t h;

	if (!s->have || !s->have->n || !en->size || s->path.len > RECORD_PATH_MAX)
		return false;
	h = record_file_hash(s->path.data, en->size, en->mtime, en->mtime_ns);
	return bsearch(&h, s->have->v, s->have->n, sizeof(h), by_value) != NULL;
}

/* A file with several names: the first one travels, the others name it. Returns 1 when this one was such another name. */
static int send_link(struct sender *s, struct record_entry *en, const struct stat *st, struct lxm_err *e)
{
	lxm_auto(free) char *mark = NULL;
	const char *first;
	int r;

	if (st->st_nlink < 2 || s->path.len > RECORD_PATH_MAX || s->n_links == UINT32_MAX)
		return 0;
	mark = lxm_asprintf("%u", s->n_links + 1);
	first = links_add(&s->links, st->st_dev, st->st_ino, mark);
	if (!first) {
		en->link = ++s->n_links;
		en->flags |= ENTRY_LINKED;
		return 0;
	}
	*en = (struct record_entry){ .kind = KIND_LINK, .name = en->name, .name_len = en->name_len,
				     .link = (uint32_t)strtoul(first, NULL, 10) };
	r = put_entry(s, RECORD_ENTRY, en, e);
	return r < 0 ? r : 1;
}

static int send_file(struct sender *s, int up, const char *name, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(up, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct record_entry en;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open");
	if (!S_ISREG(st.st_mode))
		return lxm_err_set(e, EAGAIN, "it changed while it was sent");
	en = entry_of(name, &st, KIND_FILE);
	en.size = (uint64_t)st.st_size;
	r = send_link(s, &en, &st, e);
	if (r)
		return r < 0 ? r : 0;
	if (has_it(s, &en))
		en.flags |= ENTRY_SAME;
	r = read_xattrs(s, fd, &en, e);
	if (r == 0)
		r = put_entry(s, RECORD_ENTRY, &en, e);
	return r < 0 || (en.flags & ENTRY_SAME) ? r : send_data(s, fd, en.size, e);
}

/* Symbolic links, pipes, devices. */
static int send_special(struct sender *s, int up, const char *name, const struct stat *st, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(up, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct record_entry en = entry_of(name, st, S_ISLNK(st->st_mode) ? KIND_SYMLINK : S_ISFIFO(st->st_mode) ? KIND_FIFO :
						    S_ISCHR(st->st_mode) ? KIND_CHAR : KIND_BLOCK);
	char target[4097];
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "open");
	if (en.kind == KIND_SYMLINK) {
		ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

		if (n <= 0)
			return lxm_err_sys(e, "read the link");
		en.target = target;
		en.target_len = (uint32_t)n;
	}
	r = send_link(s, &en, st, e);
	if (r)
		return r < 0 ? r : 0;
	r = read_xattrs(s, fd, &en, e);
	return r < 0 ? r : put_entry(s, RECORD_ENTRY, &en, e);
}

static int send_dir(struct sender *s, int fd, int depth, struct lxm_err *e);

/* A name as an empty directory begins; send_dir() ends it. */
static int begin_dir(struct sender *s, const char *name, struct lxm_err *e)
{
	struct record_entry en = { .kind = KIND_DIR, .name = name, .name_len = (uint32_t)strlen(name) };

	return put_entry(s, RECORD_ENTRY, &en, e);
}

static int send_entry(struct sender *s, int up, const char *name, int depth, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "stat");
	if (S_ISSOCK(st.st_mode))
		return 0; /* nobody could answer on it */
	if (S_ISREG(st.st_mode))
		return send_file(s, up, name, e);
	if (!S_ISDIR(st.st_mode))
		return send_special(s, up, name, &st, e);
	fd = openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open directory");
	r = begin_dir(s, name, e);
	return r < 0 ? r : send_dir(s, fd, depth + 1, e);
}

/* What is in the directory, and its end. */
static int send_dir(struct sender *s, int fd, int depth, struct lxm_err *e)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	size_t len = s->path.len;
	struct record_entry en;
	struct dirent *de;
	struct stat st;

	if (!d) {
		auto_fd_close(&copy);
		return lxm_err_sys(e, "read the directory");
	}
	if (depth > RECORD_DEPTH_MAX - 8)
		r = lxm_err_set(e, ELOOP, "directories nested over %d deep", RECORD_DEPTH_MAX - 8);
	while (r == 0 && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		s->path.len = len;
		lxm_buf_fmt(&s->path, "%s%s", len ? "/" : "", de->d_name);
		r = send_entry(s, fd, de->d_name, depth, e);
		if (r == -ENOENT && s->unsteady) {
			/* gone since it was listed */
			lxm_err_clear(e);
			r = 0;
		}
		if (r < 0 && depth == 0)
			r = lxm_err_wrap(e, r, "send '%.300s'", s->path.data);
	}
	closedir(d);
	s->path.len = len;
	if (r == 0 && fstat(fd, &st) < 0)
		r = lxm_err_sys(e, "stat");
	if (r < 0)
		return r;
	en = entry_of("", &st, KIND_DIR);
	r = read_xattrs(s, fd, &en, e);
	return r < 0 ? r : put_entry(s, RECORD_UP, &en, e);
}

/* One of the volume's three parts under its name; dirfd may be O_PATH, which cannot be read. */
static int send_top(struct sender *s, int dirfd, const char *from, const char *name, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(dirfd, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", name);
	s->path.len = 0;
	r = begin_dir(s, name, e);
	return r < 0 ? r : send_dir(s, fd, 0, e);
}

/* metadata.yaml and templates/, where the receiver would not have them from the image. */
static int send_meta(struct sender *s, struct pool *pool, const struct volume_id *v, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	bool own = false;
	int r = pool_volume_open_meta(pool, v, &fd, &own, NULL);

	if (r == -ENOENT || (r == 0 && s->layer && !own))
		return 0;
	if (r < 0)
		return lxm_err_set(e, -r, "open the metadata: %s", strerror(-r));
	s->have = NULL; /* it speaks of the root only */
	if (faccessat(fd, "templates", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = send_top(s, fd, "templates", "templates", e);
	s->path.len = 0;
	lxm_buf_str(&s->path, "metadata.yaml");
	return r < 0 ? r : send_file(s, fd, "metadata.yaml", e);
}

static int send_end(struct sender *s, struct lxm_err *e)
{
	unsigned char rec[RECORD_HEAD + 24];
	int r = flush(s, e);

	if (r < 0)
		return r;
	record_head(rec, RECORD_END, 24);
	record_put_u64(rec + 8, lxm_hash_value(&s->hash));
	record_put_u64(rec + 16, s->progress->entries);
	record_put_u64(rec + 24, s->progress->bytes);
	return s->io->put(s->io->arg, rec, sizeof(rec), e);
}

/* The receiver shall know why nothing more comes; if that fails as well, it sees the end of the connection. */
static void send_failed(struct sender *s, const struct lxm_err *why)
{
	unsigned char rec[RECORD_HEAD];
	size_t n = strnlen(why->msg, sizeof(why->msg));

	record_head(rec, RECORD_FAILED, (uint32_t)(n > 500 ? 500 : n));
	if (flush(s, NULL) == 0 && s->io->put(s->io->arg, rec, sizeof(rec), NULL) == 0)
		(void)s->io->put(s->io->arg, why->msg, n > 500 ? 500 : n, NULL);
}

static int open_root(struct pool *pool, const struct volume_id *v, bool layer, int *fd_out, struct lxm_err *e)
{
	lxm_auto(free) char *path = NULL;
	int fd;

	if (!layer)
		return pool_volume_open_root(pool, v, false, fd_out, e);
	path = volume_path(v);
	fd = openat(pool->dirfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open volume '%s'", path);
	*fd_out = openat(fd, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	(void)close(fd);
	return *fd_out < 0 ? lxm_err_sys(e, "open the layer of volume '%s'", path) : 0;
}

int pool_volume_layer(struct pool *pool, const struct volume_id *v, char out[65], struct lxm_err *e)
{
	int r = pool_volume_image(pool, v, out, e);

	if (r == 0 && !(pool->drv->caps & POOL_CAP_OVERLAY_ROOT))
		out[0] = 0;
	return r;
}

int pool_volume_send(struct pool *pool, const struct volume_id *v, enum transfer_form form, const struct transfer_have *have,
		     bool unsteady, const struct transfer_io *io, struct transfer_progress *p, struct lxm_err *e)
{
	struct sender s = { .io = io, .have = have, .progress = p, .layer = form == TRANSFER_LAYER, .unsteady = unsteady };
	lxm_auto(fd_close) int root = -1;
	struct lxm_err own = { 0 };
	int r = volume_id_check(v, &own);

	if (r == 0)
		r = open_root(pool, v, s.layer, &root, &own);
	lxm_hash_init(&s.hash, 0);
	p->bytes = p->entries = 0;
	s.buf = lxm_alloc(BUFFER);
	s.list = lxm_alloc(65536);
	s.value = lxm_alloc(65536);
	if (r == 0)
		r = send_top(&s, root, ".", "rootfs", &own);
	if (r == 0)
		r = send_meta(&s, pool, v, &own);
	if (r == 0)
		r = send_end(&s, &own);
	else
		send_failed(&s, &own);
	if (r < 0 && e)
		*e = own;
	links_deinit(&s.links);
	lxm_buf_deinit(&s.path);
	lxm_buf_deinit(&s.record);
	lxm_buf_deinit(&s.xattrs);
	free(s.buf);
	free(s.list);
	free(s.value);
	return r;
}
