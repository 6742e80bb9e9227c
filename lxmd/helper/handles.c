/* Open files of an SFTP session and what is done with them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lxmd/helper/sftp.h"

#define NAMES_BYTES (32u * 1024) /* one READDIR answer */

int sftp_handle_new(struct sftp *s, int fd)
{
	int i;

	for (i = 0; i < HANDLES; i++)
		if (!s->handles[i].serial)
			break;
	if (i == HANDLES) {
		(void)close(fd);
		return -EMFILE;
	}
	if (++s->serial == 0)
		s->serial = 1;
	s->handles[i] = (struct handle){ .serial = s->serial, .fd = fd };
	return i;
}

void sftp_handle_name(const struct sftp *s, int slot, unsigned char out[8])
{
	uint32_t i = (uint32_t)slot;

	memcpy(out, &i, 4);
	memcpy(out + 4, &s->handles[slot].serial, 4);
}

struct handle *sftp_handle_get(struct sftp *s, struct sftp_bytes name)
{
	uint32_t i, serial;

	if (name.len != 8)
		return NULL;
	memcpy(&i, name.p, 4);
	memcpy(&serial, name.p + 4, 4);
	return i < HANDLES && serial && s->handles[i].serial == serial ? &s->handles[i] : NULL;
}

void sftp_handle_close(struct handle *h)
{
	struct stat st;

	if (!h->serial)
		return;
	/* unless somebody has changed it since */
	if (h->mode && fstat(h->fd, &st) == 0 && (st.st_mode & 01777) == (h->mode & 01777))
		(void)fchmod(h->fd, h->mode);
	if (h->dir)
		(void)closedir(h->dir);
	auto_fd_close(&h->fd);
	memset(h, 0, sizeof(*h));
}

void sftp_close_all(struct sftp *s)
{
	int i;

	for (i = 0; i < HANDLES; i++) {
		s->handles[i].mode = 0; /* not closed by the client: it may be half a file */
		sftp_handle_close(&s->handles[i]);
	}
}

static int answer_handle(struct sftp *s, uint32_t id, int fd, uint32_t mode)
{
	unsigned char name[8];
	int slot = sftp_handle_new(s, fd);
	size_t at;

	if (slot < 0)
		return slot;
	s->handles[slot].mode = mode;
	sftp_handle_name(s, slot, name);
	at = sftp_begin(&s->out, SFTP_HANDLE, id);
	sftp_put_bytes(&s->out, name, sizeof(name));
	sftp_end(&s->out, at);
	return 0;
}

static int open_flags(uint32_t flags)
{
	int f = flags & SFTP_F_WRITE ? (flags & SFTP_F_READ ? O_RDWR : O_WRONLY) : O_RDONLY;

	if (flags & SFTP_F_APPEND)
		f |= O_APPEND;
	if (flags & SFTP_F_TRUNC && flags & SFTP_F_WRITE)
		f |= O_TRUNC;
	if (flags & SFTP_F_EXCL)
		f |= O_EXCL;
	return f;
}

int sftp_do_open(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	int flags = open_flags(rq->flags), fd;
	lxm_auto(fd_close) int found = -1;
	bool created = false;

	if (rq->flags & SFTP_F_CREAT && rq->flags & SFTP_F_WRITE) {
		mode_t mode = rq->attrs.flags & SFTP_A_MODE ? rq->attrs.mode & 07777 : 0644;

		fd = tree_create(s->tree, path, flags, mode, &created);
	} else {
		found = tree_find(s->tree, path);
		if (found < 0)
			return LXM_TAKE(found, -1);
		flags &= ~O_EXCL;
		fd = tree_open(s->tree, found, flags);
		/* clients that fetch a tree open first and ask afterwards what it is */
		if (fd == -EISDIR && (flags & O_ACCMODE) == O_RDONLY)
			fd = tree_open(s->tree, found, O_RDONLY | O_DIRECTORY);
	}
	if (fd < 0)
		return fd;
	if (created && rq->attrs.flags & SFTP_A_IDS && fchown(fd, rq->attrs.uid, rq->attrs.gid) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return answer_handle(s, rq->id, fd, created && rq->attrs.flags & SFTP_A_MODE && rq->attrs.mode & 06000 ? rq->attrs.mode & 07777 : 0);
}

int sftp_do_opendir(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	lxm_auto(fd_close) int found = tree_find(s->tree, path);
	int fd = found < 0 ? found : tree_open(s->tree, found, O_RDONLY | O_DIRECTORY);

	if (found < 0)
		found = -1;
	return fd < 0 ? fd : answer_handle(s, rq->id, fd, 0);
}

int sftp_do_read(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	size_t want = rq->len < SFTP_DATA_MAX ? rq->len : SFTP_DATA_MAX, at = sftp_begin(&s->out, SFTP_DATA, rq->id);
	ssize_t n;

	/* straight into the answer; its length follows */
	sftp_put_u32(&s->out, 0);
	lxm_buf_room(&s->out, want);
	do
		n = pread(h->fd, s->out.data + s->out.len, want, (off_t)rq->offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0 && want) {
		int r = n < 0 ? -errno : -ENODATA;

		s->out.len = at;
		return r;
	}
	s->out.len += (size_t)n;
	s->out.data[at + 9] = (char)((size_t)n >> 24);
	s->out.data[at + 10] = (char)((size_t)n >> 16);
	s->out.data[at + 11] = (char)((size_t)n >> 8);
	s->out.data[at + 12] = (char)n;
	sftp_end(&s->out, at);
	return 0;
}

static void put_name(struct lxm_buf *b, int dir, const char *name)
{
	char line[400];
	struct stat st;
	struct sftp_attrs a;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		memset(&st, 0, sizeof(st)); /* gone meanwhile */
	a = sftp_attrs_of(&st);
	sftp_longname(name, &st, line);
	sftp_put_str(b, name);
	sftp_put_str(b, line);
	sftp_put_attrs(b, &a);
}

int sftp_do_readdir(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	size_t at, count_at;
	struct dirent *ent = NULL;
	uint32_t count = 0;
	int fd, i;

	if (h->ended)
		return -ENODATA;
	if (!h->dir) {
		fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 3);
		h->dir = fd < 0 ? NULL : fdopendir(fd);
		if (!h->dir) {
			int r = errno ? -errno : -EBADF;

			auto_fd_close(&fd);
			return r;
		}
	}
	at = sftp_begin(&s->out, SFTP_NAME, rq->id);
	count_at = s->out.len;
	sftp_put_u32(&s->out, 0);
	while (s->out.len - at < NAMES_BYTES && (errno = 0, ent = readdir(h->dir))) {
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		put_name(&s->out, h->fd, ent->d_name);
		count++;
	}
	if (!ent)
		h->ended = true;
	if (!count) {
		s->out.len = at;
		return errno ? -errno : -ENODATA;
	}
	for (i = 0; i < 4; i++)
		s->out.data[count_at + (size_t)i] = (char)(count >> (24 - 8 * i));
	sftp_end(&s->out, at);
	return 0;
}

static void times_of(const struct sftp_attrs *a, struct timespec t[2])
{
	t[0] = (struct timespec){ .tv_sec = a->atime };
	t[1] = (struct timespec){ .tv_sec = a->mtime };
}

/* In this order: a change of owner takes set-user-ID away, and each of them touches the times. */
int sftp_do_fsetstat(struct handle *h, const struct sftp_attrs *a)
{
	struct timespec t[2];

	times_of(a, t);
	if (a->flags & SFTP_A_SIZE && ftruncate(h->fd, (off_t)a->size) < 0)
		return -errno;
	if (a->flags & SFTP_A_IDS && fchown(h->fd, a->uid, a->gid) < 0)
		return -errno;
	if (a->flags & SFTP_A_MODE) {
		h->mode = 0;
		if (fchmod(h->fd, a->mode & 07777) < 0)
			return -errno;
	}
	if (a->flags & SFTP_A_TIMES && futimens(h->fd, t) < 0)
		return -errno;
	return 0;
}

static int set_size(const struct tree *t, int found, uint64_t size)
{
	lxm_auto(fd_close) int fd = tree_open(t, found, O_WRONLY);

	if (fd < 0)
		return LXM_TAKE(fd, -1);
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int sftp_do_setstat(struct sftp *s, const char *path, const struct sftp_attrs *a, bool follow)
{
	lxm_auto(fd_close) int fd = follow ? tree_find(s->tree, path) : tree_find_nofollow(s->tree, path);
	struct timespec t[2];
	int r = 0;

	times_of(a, t);
	if (fd < 0)
		return LXM_TAKE(fd, -1);
	if (a->flags & SFTP_A_SIZE)
		r = set_size(s->tree, fd, a->size);
	if (r == 0 && a->flags & SFTP_A_IDS && fchownat(fd, "", a->uid, a->gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && a->flags & SFTP_A_MODE)
		r = tree_chmod(s->tree, fd, a->mode & 07777);
	if (r == 0 && a->flags & SFTP_A_TIMES)
		r = tree_utimes(s->tree, fd, t);
	return r;
}
