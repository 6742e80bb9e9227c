/* SFTP: from a request to its answer. One table says what each type needs; the work on handles lies in handles.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/helper/ids.h"
#include "lxmd/helper/sftp.h"

static void answer_status(struct sftp *s, uint32_t id, uint32_t status, const char *text)
{
	size_t at = sftp_begin(&s->out, SFTP_STATUS, id);

	sftp_put_u32(&s->out, status);
	sftp_put_str(&s->out, text);
	sftp_put_str(&s->out, "en");
	sftp_end(&s->out, at);
}

static int answer_attrs(struct sftp *s, uint32_t id, int fd)
{
	struct sftp_attrs a;
	struct stat st;
	size_t at;

	if (fstat(fd, &st) < 0)
		return -errno;
	a = sftp_attrs_of(&st);
	at = sftp_begin(&s->out, SFTP_ATTRS, id);
	sftp_put_attrs(&s->out, &a);
	sftp_end(&s->out, at);
	return 0;
}

static void answer_name(struct sftp *s, uint32_t id, const char *name)
{
	size_t at = sftp_begin(&s->out, SFTP_NAME, id);

	sftp_put_u32(&s->out, 1);
	sftp_put_str(&s->out, name);
	sftp_put_str(&s->out, name);
	sftp_put_attrs(&s->out, &(struct sftp_attrs){ 0 });
	sftp_end(&s->out, at);
}

/* ---- requests with paths */

/* As text: "." and ".." taken out, the root in front. Clients want a name for what they were given, not a look at the disk. */
static int do_realpath(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	char *out = lxm_alloc(strlen(path) + 2), *end = out;
	const char *p = path;

	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (end > out && *--end != '/')
				;
		} else if (n && !(n == 1 && *p == '.')) {
			*end++ = '/';
			memcpy(end, p, n);
			end += n;
		}
		p += n + (p[n] == '/');
	}
	*end = 0;
	answer_name(s, rq->id, *out ? out : "/");
	free(out);
	return 0;
}

static int do_stat(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	lxm_auto(fd_close) int fd = rq->type == SFTP_LSTAT ? tree_find_nofollow(s->tree, path) : tree_find(s->tree, path);

	return fd < 0 ? LXM_TAKE(fd, -1) : answer_attrs(s, rq->id, fd);
}

static int do_readlink(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	lxm_auto(fd_close) int fd = tree_find_nofollow(s->tree, path);
	char to[PATH_MAX];
	ssize_t n;

	if (fd < 0)
		return LXM_TAKE(fd, -1);
	n = readlinkat(fd, "", to, sizeof(to) - 1);
	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* the kernel's word for "no link" here */
	to[n] = 0;
	answer_name(s, rq->id, to);
	return 0;
}

static int do_remove(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(s->tree, path, name);

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	if (rq->type == SFTP_REMOVE && unlinkat(dir, name, 0) == 0)
		return 0;
	if (rq->type == SFTP_REMOVE && errno != EISDIR)
		return -errno;
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int do_mkdir(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(s->tree, path, name), made = -1;
	mode_t mode = rq->attrs.flags & SFTP_A_MODE ? rq->attrs.mode & 07777 : 0755;

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	if (mkdirat(dir, name, mode & 01777) < 0)
		return -errno;
	/* mkdir(2) does not set these bits */
	if (!(rq->attrs.flags & SFTP_A_IDS) && !(mode & 06000))
		return 0;
	made = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0 || (rq->attrs.flags & SFTP_A_IDS && fchown(made, rq->attrs.uid, rq->attrs.gid) < 0))
		return -errno;
	return mode & 06000 && fchmod(made, mode) < 0 ? -errno : 0;
}

static int do_setstat(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	return sftp_do_setstat(s, path, &rq->attrs, rq->type == SFTP_SETSTAT);
}

static int answer_statvfs(struct sftp *s, uint32_t id, int fd)
{
	struct statvfs v;
	size_t at, i;

	if (fstatvfs(fd, &v) < 0)
		return -errno;
	{
		const uint64_t all[11] = { v.f_bsize, v.f_frsize, v.f_blocks, v.f_bfree, v.f_bavail, v.f_files, v.f_ffree, v.f_favail,
					   v.f_fsid, v.f_flag & (ST_RDONLY | ST_NOSUID), v.f_namemax };

		at = sftp_begin(&s->out, SFTP_EXTENDED_REPLY, id);
		for (i = 0; i < LXM_ARRAY_LEN(all); i++)
			sftp_put_u64(&s->out, all[i]);
		sftp_end(&s->out, at);
	}
	return 0;
}

static int do_statvfs(struct sftp *s, const struct sftp_request *rq, const char *path)
{
	lxm_auto(fd_close) int fd = tree_find(s->tree, path);

	return fd < 0 ? LXM_TAKE(fd, -1) : answer_statvfs(s, rq->id, fd);
}

/* ---- requests with two paths */

static int do_symlink(struct sftp *s, const struct sftp_request *rq, const char *to, const char *path)
{
	char name[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(s->tree, path, name);

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	return symlinkat(to, dir, name) < 0 ? -errno : 0;
}

static int do_rename(struct sftp *s, const struct sftp_request *rq, const char *from, const char *to)
{
	char name[NAME_MAX + 1], name2[NAME_MAX + 1];
	lxm_auto(fd_close) int dir = tree_parent(s->tree, from, name), dir2 = -1;
	int r;

	if (dir < 0)
		return LXM_TAKE(dir, -1);
	dir2 = tree_parent(s->tree, to, name2);
	if (dir2 < 0)
		return LXM_TAKE(dir2, -1);
	if (rq->type == SFTP_RENAME)
		r = renameat2(dir, name, dir2, name2, RENAME_NOREPLACE);
	else if (rq->name.p[0] == 'h')
		r = linkat(dir, name, dir2, name2, 0);
	else
		r = renameat(dir, name, dir2, name2);
	return r < 0 ? -errno : 0;
}

/* ---- requests with a handle */

static int do_close(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	sftp_handle_close(h);
	return 0;
}

static int do_fstat(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	return answer_attrs(s, rq->id, h->fd);
}

static int do_fsetstat(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	return sftp_do_fsetstat(h, &rq->attrs);
}

static int do_write(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	uint32_t done = 0;

	while (done < rq->second.len) {
		ssize_t n = pwrite(h->fd, rq->second.p + done, rq->second.len - done, (off_t)(rq->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (uint32_t)n;
	}
	return 0;
}

static int do_fsync(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	return fsync(h->fd) < 0 ? -errno : 0;
}

static int do_fstatvfs(struct sftp *s, const struct sftp_request *rq, struct handle *h)
{
	return answer_statvfs(s, rq->id, h->fd);
}

/* ---- the tables */

/* One of the three functions; `what` for messages. */
struct act {
	const char *what;
	int (*path)(struct sftp *s, const struct sftp_request *rq, const char *path);
	int (*paths)(struct sftp *s, const struct sftp_request *rq, const char *path, const char *second);
	int (*handle)(struct sftp *s, const struct sftp_request *rq, struct handle *h);
};

static const struct act acts[] = {
	[SFTP_OPEN] = { "open", .path = sftp_do_open },
	[SFTP_CLOSE] = { "close", .handle = do_close },
	[SFTP_READ] = { "read", .handle = sftp_do_read },
	[SFTP_WRITE] = { "write", .handle = do_write },
	[SFTP_LSTAT] = { "look at", .path = do_stat },
	[SFTP_FSTAT] = { "look at", .handle = do_fstat },
	[SFTP_SETSTAT] = { "change", .path = do_setstat },
	[SFTP_FSETSTAT] = { "change", .handle = do_fsetstat },
	[SFTP_OPENDIR] = { "open", .path = sftp_do_opendir },
	[SFTP_READDIR] = { "list", .handle = sftp_do_readdir },
	[SFTP_REMOVE] = { "remove", .path = do_remove },
	[SFTP_MKDIR] = { "make directory", .path = do_mkdir },
	[SFTP_RMDIR] = { "remove directory", .path = do_remove },
	[SFTP_REALPATH] = { "find", .path = do_realpath },
	[SFTP_STAT] = { "look at", .path = do_stat },
	[SFTP_RENAME] = { "rename", .paths = do_rename },
	[SFTP_READLINK] = { "read link", .path = do_readlink },
	[SFTP_SYMLINK] = { "make link", .paths = do_symlink },
};

static const struct {
	const char *name, *version;
	struct act act;
} extensions[] = {
	{ "posix-rename@openssh.com", "1", { "rename", .paths = do_rename } }, { "hardlink@openssh.com", "1", { "link", .paths = do_rename } },
	{ "statvfs@openssh.com", "2", { "look at", .path = do_statvfs } },     { "fstatvfs@openssh.com", "2", { "look at", .handle = do_fstatvfs } },
	{ "fsync@openssh.com", "1", { "sync", .handle = do_fsync } },	       { "lsetstat@openssh.com", "1", { "change", .path = do_setstat } },
};

static void answer_version(struct sftp *s)
{
	size_t at = sftp_begin(&s->out, SFTP_VERSION, 3), i;

	for (i = 0; i < LXM_ARRAY_LEN(extensions); i++) {
		sftp_put_str(&s->out, extensions[i].name);
		sftp_put_str(&s->out, extensions[i].version);
	}
	sftp_end(&s->out, at);
}

static const struct act *find_act(const struct sftp_request *rq)
{
	size_t i;

	if (rq->type != SFTP_EXTENDED)
		return &acts[rq->type];
	for (i = 0; i < LXM_ARRAY_LEN(extensions); i++)
		if (strlen(extensions[i].name) == rq->name.len && memcmp(extensions[i].name, rq->name.p, rq->name.len) == 0)
			return &extensions[i].act;
	return NULL;
}

/* A path of a packet as string: no NUL inside, and an empty one is the root. */
static int take_path(struct sftp_bytes b, char out[PATH_MAX])
{
	if (b.len >= PATH_MAX)
		return -ENAMETOOLONG;
	if (memchr(b.p, 0, b.len))
		return -EINVAL;
	memcpy(out, b.len ? b.p : "/", b.len ? b.len : 1);
	out[b.len ? b.len : 1] = 0;
	return 0;
}

/* e is filled where errno alone would not say enough. */
static int act_on(struct sftp *s, const struct act *a, const struct sftp_request *rq, char path[PATH_MAX], char second[PATH_MAX],
		  struct lxm_err *e)
{
	struct handle *h;
	int r = rq->attrs.flags & SFTP_A_IDS ? ids_check(s->tree, rq->attrs.uid, rq->attrs.gid, e) : 0;

	if (r < 0)
		return r;
	if (a->handle) {
		h = sftp_handle_get(s, rq->path);
		return h ? a->handle(s, rq, h) : -EBADF;
	}
	r = take_path(rq->path, path);
	if (r == 0 && a->paths)
		r = take_path(rq->second, second);
	if (r < 0)
		return r;
	return a->path ? a->path(s, rq, path) : a->paths(s, rq, path, second);
}

int sftp_answer(struct sftp *s, const void *packet, size_t len)
{
	char path[PATH_MAX] = "", second[PATH_MAX];
	struct sftp_request rq;
	const struct act *a;
	struct lxm_err e = { 0 };
	size_t before = s->out.len;
	int r = sftp_request_parse(packet, len, &rq);

	if (r < 0) {
		if (len < 5)
			return -EBADMSG;
		answer_status(s, rq.id, sftp_status_of(-r), r == -EOPNOTSUPP ? "no such request" : "the packet is too short");
		return 0;
	}
	if (rq.type == SFTP_INIT) {
		answer_version(s);
		return 0;
	}
	a = find_act(&rq);
	r = a ? act_on(s, a, &rq, path, second, &e) : -EOPNOTSUPP;
	if (r == -ENODATA) {
		answer_status(s, rq.id, SFTP_EOF, "end of file");
	} else if (r < 0) {
		if (!e.code && a && a->handle)
			(void)lxm_err_set(&e, -r, "%s: %s", a->what, r == -EBADF ? "no such handle" : strerror(-r));
		else if (!e.code)
			(void)tree_error(&e, -r, a ? a->what : "request", path);
		answer_status(s, rq.id, sftp_status_of(-r), e.msg);
	} else if (s->out.len == before) {
		answer_status(s, rq.id, SFTP_OK, "");
	}
	return 0;
}
