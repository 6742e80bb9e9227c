/*
 * Descriptors and paths. Everything that touches a tree of a container or an image goes through here, so that
 * the rule "no link leads outside" has one home. No state; any thread; blocks on disk.
 */
#include "lib/base/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/alloc.h"
#include "lib/base/sys.h"

#define MAX_FDS 8

int lxm_open_in_root(int rootfd, const char *path, int flags, mode_t mode)
{
	int fd, tries = 64;

	/* EAGAIN: a rename raced with the walk through "..", the kernel asks to try again */
	do
		fd = sys_openat2(rootfd, path, (uint64_t)flags, flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
				 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	while (fd < 0 && errno == EAGAIN && --tries);
	return fd;
}

int lxm_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd, tries = 64;

	do
		fd = sys_openat2(dirfd, path, (uint64_t)flags, flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
				 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	while (fd < 0 && errno == EAGAIN && --tries);
	return fd;
}

int lxm_open_plain(const char *path, int flags)
{
	lxm_auto(fd_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *rest = path + strspn(path, "/");

	return root < 0 ? -1 : lxm_open_beneath(root, *rest ? rest : ".", flags | O_CLOEXEC, 0);
}

int lxm_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

ssize_t lxm_read_full(int fd, void *data, size_t n)
{
	char *p = data;
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, p + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

int lxm_read_file_at(int dirfd, const char *path, size_t max, struct lxm_buf *buf)
{
	lxm_auto(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char chunk[4096];

	buf->len = 0;
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t r = lxm_read_full(fd, chunk, sizeof(chunk));

		if (r < 0)
			return (int)r;
		if (buf->len + (size_t)r > max)
			return -EFBIG;
		lxm_buf_add(buf, chunk, (size_t)r);
		if ((size_t)r < sizeof(chunk))
			return 0;
	}
}

int lxm_read_regular_beneath(int dirfd, const char *path, size_t max, struct lxm_buf *buf)
{
	/* O_NONBLOCK: a pipe without a writer must not hold us */
	lxm_auto(fd_close) int fd = lxm_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char chunk[4096];
	struct stat st;
	ssize_t r;

	buf->len = 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	do {
		r = lxm_read_full(fd, chunk, sizeof(chunk));
		if (r < 0)
			return (int)r;
		if (buf->len + (size_t)r > max)
			return -EFBIG;
		lxm_buf_add(buf, chunk, (size_t)r);
	} while ((size_t)r == sizeof(chunk));
	return 0;
}

int lxm_write_str_at(int dirfd, const char *path, const char *s)
{
	lxm_auto(fd_close) int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return write(fd, s, strlen(s)) < 0 ? -errno : 0;
}

int lxm_write_file_atomic(int dirfd, const char *path, const void *data, size_t n, mode_t mode)
{
	lxm_auto(fd_close) int fd = -1;
	lxm_auto(free) char *tmp = lxm_asprintf("%s.tmp-%d", path, (int)getpid());
	int r;

	(void)unlinkat(dirfd, tmp, 0);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = lxm_write_all(fd, data, n);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || renameat(dirfd, tmp, dirfd, path) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	return r;
}

int lxm_mkdir_at(int dirfd, const char *path, mode_t mode)
{
	return mkdirat(dirfd, path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int lxm_mkdir_p(const char *path, mode_t mode)
{
	lxm_auto(free) char *copy = lxm_strdup(path);
	char *p;
	int r;

	for (p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		r = lxm_mkdir_at(AT_FDCWD, copy, mode);
		if (r < 0)
			return r;
		*p = '/';
	}
	return lxm_mkdir_at(AT_FDCWD, copy, mode);
}

/* One level of a walk: an open directory and its name in the level above. */
struct level {
	DIR *dir;
	char *name;
};

struct walk {
	struct level *v;
	size_t n, cap;
	dev_t dev;
};

static int walk_push(struct walk *w, int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	DIR *d;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || (w->n && st.st_dev != w->dev)) {
		close(fd);
		return -EXDEV;
	}
	d = fdopendir(fd);
	if (!d) {
		int r = -errno;

		close(fd);
		return r;
	}
	if (!w->n)
		w->dev = st.st_dev;
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->v = lxm_realloc_n(w->v, w->cap, sizeof(*w->v));
	}
	w->v[w->n].dir = d;
	w->v[w->n].name = lxm_strdup(name);
	w->n++;
	return 0;
}

static void walk_pop(struct walk *w)
{
	w->n--;
	closedir(w->v[w->n].dir);
	free(w->v[w->n].name);
}

static void walk_deinit(struct walk *w)
{
	while (w->n)
		walk_pop(w);
	free(w->v);
}
LXM_AUTO_STRUCT(walk, struct walk, walk_deinit)

/*
 * Deep trees hold one descriptor a level. MAX_DEPTH bounds that: below it the rest of a branch is moved up to the
 * top directory under a name of ours and removed from there.
 */
#define MAX_DEPTH 512

static int rm_hoist(struct walk *w, int fd, const char *name)
{
	char fresh[64];
	static unsigned int counter;

	snprintf(fresh, sizeof(fresh), ".lxm-rm-%d-%u", (int)getpid(), __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
	return renameat(fd, name, dirfd(w->v[0].dir), fresh) < 0 ? -errno : 0;
}

int lxm_rm_tree_at(int top, const char *name)
{
	lxm_auto(walk) struct walk w = { 0 };
	struct dirent *de;
	int r;

	if (unlinkat(top, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(top, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == EBUSY)
		return -EBUSY;
	r = walk_push(&w, top, name);
	if (r < 0)
		return r;
	while (w.n) {
		struct level *l = &w.v[w.n - 1];
		int fd = dirfd(l->dir);

		errno = 0;
		de = readdir(l->dir);
		if (de) {
			if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
				continue;
			if (unlinkat(fd, de->d_name, de->d_type == DT_DIR ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
				continue;
			if (errno != ENOTEMPTY && errno != EEXIST && errno != EISDIR)
				return -errno;
			r = w.n >= MAX_DEPTH ? rm_hoist(&w, fd, de->d_name) : walk_push(&w, fd, de->d_name);
			if (r < 0)
				return r;
			continue;
		}
		if (errno)
			return -errno;
		/* hoisted branches may have been added behind the read position: look again until it is empty */
		r = unlinkat(w.n > 1 ? dirfd(w.v[w.n - 2].dir) : top, l->name, AT_REMOVEDIR);
		if (r < 0 && (errno == ENOTEMPTY || errno == EEXIST)) {
			rewinddir(l->dir);
			continue;
		}
		if (r < 0 && errno != ENOENT)
			return -errno;
		walk_pop(&w);
	}
	return 0;
}

int lxm_du_at(int top, const char *name, uint64_t *bytes_out)
{
	lxm_auto(walk) struct walk w = { 0 };
	struct dirent *de;
	struct stat st;
	uint64_t sum = 0;
	int r;

	if (fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	sum = (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode)) {
		*bytes_out = sum;
		return 0;
	}
	r = walk_push(&w, top, name);
	if (r < 0)
		return r;
	while (w.n) {
		int fd = dirfd(w.v[w.n - 1].dir);

		de = readdir(w.v[w.n - 1].dir);
		if (!de) {
			walk_pop(&w);
			continue;
		}
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		sum += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) || st.st_nlink < 2 ? 1 : st.st_nlink);
		if (S_ISDIR(st.st_mode) && st.st_dev == w.dev && w.n < MAX_DEPTH) {
			r = walk_push(&w, fd, de->d_name);
			if (r < 0 && r != -ENOENT && r != -EXDEV)
				return r;
		}
	}
	*bytes_out = sum;
	return 0;
}

ssize_t lxm_send_fds(int sock, const void *data, size_t n, const int *fds, size_t nfds, int flags)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} u;
	struct iovec io = { (void *)data, n };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	ssize_t r;

	if (nfds > MAX_FDS)
		return -E2BIG;
	memset(&u, 0, sizeof(u));
	if (nfds) {
		struct cmsghdr *h;

		m.msg_control = u.room;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
	}
	do
		r = sendmsg(sock, &m, flags | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t lxm_recv_fds(int sock, void *data, size_t n, int *fds, size_t *nfds, int flags)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} u;
	struct iovec io = { data, n };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof(u.room) };
	size_t room = nfds ? *nfds : 0, got = 0, i, cnt;
	struct cmsghdr *h;
	ssize_t r;

	do
		r = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	for (h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		cnt = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < cnt; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (got < room)
				fds[got++] = fd;
			else
				(void)close(fd);
		}
	}
	if (nfds)
		*nfds = got;
	return r;
}

/* Fills an address that reaches `name` in dirfd through /proc/self/fd, which is short whatever the real path is. */
static int unix_addr(struct sockaddr_un *a, int dirfd, const char *name)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (dirfd == AT_FDCWD)
		n = snprintf(a->sun_path, sizeof(a->sun_path), "%s", name);
	else
		n = snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	return n >= (int)sizeof(a->sun_path) ? -ENAMETOOLONG : 0;
}

int lxm_unix_connect(int dirfd, const char *name, int type)
{
	lxm_auto(fd_close) int s = -1;
	struct sockaddr_un a;
	int r = unix_addr(&a, dirfd, name);

	if (r < 0)
		return r;
	s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return LXM_TAKE(s, -1);
}

int lxm_unix_listen(int dirfd, const char *name, int type, int backlog, mode_t mode)
{
	lxm_auto(fd_close) int s = -1;
	struct sockaddr_un a;
	int r = unix_addr(&a, dirfd, name);

	if (r < 0)
		return r;
	s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	/* fchmod before bind: the socket file is born with that mode, no window and no umask() needed */
	if (s < 0 || fchmod(s, mode) < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	if (fchmodat(dirfd, name, mode, 0) < 0 || listen(s, backlog) < 0)
		return -errno;
	return LXM_TAKE(s, -1);
}

int lxm_memfd_sealed(const char *name, const void *data, size_t n)
{
	lxm_auto(fd_close) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = lxm_write_all(fd, data, n);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return LXM_TAKE(fd, -1);
}

pid_t lxm_pidfd_pid(int pidfd)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	char path[64];
	const char *line;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (lxm_read_file(path, 4096, &text) < 0)
		return -1;
	line = strstr(text.data, "\nPid:");
	return line ? (pid_t)strtol(line + 5, NULL, 10) : -1;
}
