/*
 * `lxmc file push`, see verb.h: files, trees with --recursive, stdin as "-"; local links are sent as links. All over one SFTP
 * connection, many files at a time: each goes through open, writes and close at its own pace, while the walk of the local tree
 * goes ahead until ACTIVE files are on their way.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/file.h"
#include "lxmc/progress.h"
#include "lxmc/sftp.h"
#include "lxmc/verb.h"

#define ACTIVE	   64		  /* files and directories on their way */
#define CHUNK	   (128u * 1024)  /* bytes in one write */
#define AHEAD_ONE  16		  /* writes on their way of a file alone, */
#define AHEAD_MANY 2		  /* and of each among many */

struct push {
	struct cli *cli;
	const struct file_target *t;
	struct sftp *s;
	unsigned int active;
	struct item *items; /* those on their way */
	uint64_t done, total;
	struct progress progress;
	int64_t uid, gid, mode; /* -1: as the local file's */
};

/* One thing on its way. */
struct item {
	struct push *p;
	struct item *next, **prev;
	char *path;
	char *link;		 /* where a link shall point */
	int fd;			 /* file: the local one */
	bool seekable, eof, hole_at_end;
	off_t pos;
	unsigned int ahead;	 /* writes without an answer */
	struct lxm_buf handle;
};

static struct item *item_new(struct push *p, const char *path)
{
	struct item *i = lxm_alloc(sizeof(*i));

	i->p = p;
	i->path = lxm_strdup(path);
	i->fd = -1;
	i->prev = &p->items;
	i->next = p->items;
	if (i->next)
		i->next->prev = &i->next;
	p->items = i;
	p->active++;
	return i;
}

static int item_end(struct item *i)
{
	*i->prev = i->next;
	if (i->next)
		i->next->prev = i->prev;
	i->p->active--;
	auto_fd_close(&i->fd);
	lxm_buf_deinit(&i->handle);
	free(i->path);
	free(i->link);
	free(i);
	return 0;
}

static int failed(struct item *i, uint8_t type, struct sftp_in *in, struct lxm_err *e)
{
	int r = sftp_failed(type, in, "write", i->path, e);

	return lxm_err_wrap(e, r, "push to '%s%s'", i->p->t->instance, i->path);
}

static bool is_ok(uint8_t type, const struct sftp_in *in)
{
	struct sftp_in peek = *in;

	return type == SFTP_STATUS && sftp_get_u32(&peek) == SFTP_OK && !peek.bad;
}

/* ---- files */

static int on_closed(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct item *i = arg;

	return is_ok(type, in) ? item_end(i) : failed(i, type, in, e);
}

static void close_remote(struct item *i)
{
	size_t at;

	sftp_put_bytes(sftp_request(i->p->s, SFTP_CLOSE, &at), i->handle.data, i->handle.len);
	sftp_queue(i->p->s, at, on_closed, i);
}

static int on_sized(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	if (!is_ok(type, in))
		return failed(arg, type, in, e);
	close_remote(arg);
	return 0;
}

/* All is written. A hole at the end is made by setting the size. */
static void finish(struct item *i)
{
	const struct sftp_attrs size = { .flags = SFTP_A_SIZE, .size = (uint64_t)i->pos };
	struct lxm_buf *b;
	size_t at;

	if (!i->hole_at_end) {
		close_remote(i);
		return;
	}
	b = sftp_request(i->p->s, SFTP_FSETSTAT, &at);
	sftp_put_bytes(b, i->handle.data, i->handle.len);
	sftp_put_attrs(b, &size);
	sftp_queue(i->p->s, at, on_sized, i);
}

/* Moves pos over a hole of the local file. */
static void skip_hole(struct item *i)
{
	struct stat st;
	off_t data = lseek(i->fd, i->pos, SEEK_DATA);

	if (data > i->pos) {
		i->pos = data;
	} else if (data < 0 && errno == ENXIO && fstat(i->fd, &st) == 0 && st.st_size > i->pos) {
		i->pos = st.st_size;
		i->hole_at_end = true;
	}
}

static int on_written(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e);

/* Queues as many writes as may be on their way. */
static int feed(struct item *i, struct lxm_err *e)
{
	unsigned int most = i->p->active > 4 ? AHEAD_MANY : AHEAD_ONE;
	struct sftp *s = i->p->s;

	while (!i->eof && i->ahead < most) {
		struct lxm_buf *b;
		size_t at, len_at;
		ssize_t n;
		int k;

		if (i->seekable)
			skip_hole(i);
		b = sftp_request(s, SFTP_WRITE, &at);
		sftp_put_bytes(b, i->handle.data, i->handle.len);
		sftp_put_u64(b, (uint64_t)i->pos);
		len_at = b->len;
		sftp_put_u32(b, 0);
		lxm_buf_room(b, CHUNK);
		do
			n = i->seekable ? pread(i->fd, b->data + b->len, CHUNK, i->pos) : read(i->fd, b->data + b->len, CHUNK);
		while (n < 0 && errno == EINTR);
		if (n <= 0) {
			b->len = at;
			i->eof = true;
			if (n < 0)
				return lxm_err_sys(e, "read what is to be pushed to '%s%s'", i->p->t->instance, i->path);
			break;
		}
		for (k = 0; k < 4; k++)
			b->data[len_at + (size_t)k] = (char)((size_t)n >> (24 - 8 * k));
		b->len += (size_t)n;
		i->pos += n;
		i->p->done += (uint64_t)n;
		i->ahead++;
		i->hole_at_end = false;
		sftp_queue(s, at, on_written, i);
	}
	if (i->eof && !i->ahead)
		finish(i);
	return 0;
}

static int on_written(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct item *i = arg;

	if (!is_ok(type, in))
		return failed(i, type, in, e);
	i->ahead--;
	progress_bytes(&i->p->progress, i->p->done, i->p->total);
	return feed(i, e);
}

static int on_opened(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct item *i = arg;
	struct sftp_bytes h;

	if (type != SFTP_HANDLE)
		return failed(i, type, in, e);
	h = sftp_get_bytes(in);
	lxm_buf_add(&i->handle, h.p, h.len);
	return feed(i, e);
}

/* ---- directories and links */

static int on_is_dir(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct item *i = arg;

	if (type != SFTP_ATTRS)
		return failed(i, type, in, e);
	if (!S_ISDIR(sftp_get_attrs(in).mode))
		return lxm_err_set(e, ENOTDIR, "push to '%s%s': it is there and no directory", i->p->t->instance, i->path);
	return item_end(i);
}

/* What could not be made may be there already: asked for by `verb`. */
static int made_or_there(struct item *i, uint8_t type, struct sftp_in *in, uint8_t verb, sftp_answer_fn on_there, struct lxm_err *e)
{
	struct sftp_in peek = *in;
	size_t at;

	if (is_ok(type, in))
		return item_end(i);
	if (type != SFTP_STATUS || sftp_get_u32(&peek) != SFTP_FAILURE)
		return failed(i, type, in, e);
	sftp_put_str(sftp_request(i->p->s, verb, &at), i->path);
	sftp_queue(i->p->s, at, on_there, i);
	return 0;
}

static int on_made(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	return made_or_there(arg, type, in, SFTP_STAT, on_is_dir, e);
}

static int on_is_link(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct item *i = arg;
	struct sftp_bytes to = { "", 0 };

	if (type == SFTP_NAME) {
		(void)sftp_get_u32(in);
		to = sftp_get_bytes(in);
	}
	if (to.len != strlen(i->link) || memcmp(to.p, i->link, to.len) != 0)
		return lxm_err_set(e, EEXIST, "push to '%s%s': something else is there", i->p->t->instance, i->path);
	return item_end(i);
}

static int on_linked(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	return made_or_there(arg, type, in, SFTP_READLINK, on_is_link, e);
}

/* ---- the walk */

static int make_room(struct push *p, struct lxm_err *e)
{
	int r = 0;

	while (r == 0 && p->active >= ACTIVE)
		r = sftp_turn(p->s, e);
	return r;
}

static struct sftp_attrs attrs_for(const struct push *p, const struct stat *st)
{
	return (struct sftp_attrs){
		.flags = SFTP_A_IDS | SFTP_A_MODE,
		.uid = p->uid >= 0 ? (uint32_t)p->uid : st->st_uid,
		.gid = p->gid >= 0 ? (uint32_t)p->gid : st->st_gid,
		.mode = p->mode >= 0 ? (uint32_t)p->mode : st->st_mode & 07777,
	};
}

static int send_file(struct push *p, int fd_taken, const char *path, const struct stat *st, struct lxm_err *e)
{
	struct sftp_attrs a = attrs_for(p, st);
	struct item *i = item_new(p, path);
	struct lxm_buf *b;
	size_t at;

	i->fd = fd_taken;
	i->seekable = S_ISREG(st->st_mode) && fd_taken != STDIN_FILENO;
	p->total += i->seekable ? (uint64_t)st->st_size : 0;
	b = sftp_request(p->s, SFTP_OPEN, &at);
	sftp_put_str(b, path);
	sftp_put_u32(b, SFTP_F_WRITE | SFTP_F_CREAT | SFTP_F_TRUNC);
	sftp_put_attrs(b, &a);
	sftp_queue(p->s, at, on_opened, i);
	return make_room(p, e);
}

static int send_directory(struct push *p, const char *path, const struct stat *st, struct lxm_err *e)
{
	struct sftp_attrs a = attrs_for(p, st);
	struct item *i = item_new(p, path);
	struct lxm_buf *b;
	size_t at;

	b = sftp_request(p->s, SFTP_MKDIR, &at);
	sftp_put_str(b, path);
	/* --mode is meant for files */
	a.mode = p->mode >= 0 ? (st->st_mode & 07777) : a.mode;
	sftp_put_attrs(b, &a);
	sftp_queue(p->s, at, on_made, i);
	return make_room(p, e);
}

static int send_link(struct push *p, const char *path, const char *to, struct lxm_err *e)
{
	struct item *i = item_new(p, path);
	struct lxm_buf *b;
	size_t at;

	i->link = lxm_strdup(to);
	b = sftp_request(p->s, SFTP_SYMLINK, &at);
	sftp_put_str(b, to);
	sftp_put_str(b, path);
	sftp_queue(p->s, at, on_linked, i);
	return make_room(p, e);
}

/* -p: each missing directory above a path. */
static int make_parents(struct push *p, const char *path, struct lxm_err *e)
{
	const struct stat st = { .st_mode = 0755 };
	const char *slash;
	int r = 0;

	for (slash = strchr(path + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
		lxm_auto(free) char *dir = lxm_strndup(path, (size_t)(slash - path));

		r = send_directory(p, dir, &st, e);
	}
	return r;
}

static int push_entry(struct push *p, int at, const char *name, const char *path, struct lxm_err *e);

static int push_directory(struct push *p, int dir_taken, const char *path, const struct stat *st, struct lxm_err *e)
{
	DIR *d = fdopendir(dir_taken);
	struct dirent *ent;
	int r;

	if (!d) {
		(void)close(dir_taken);
		return lxm_err_sys(e, "list a directory");
	}
	r = send_directory(p, path, st, e);
	while (r == 0 && (ent = readdir(d))) {
		lxm_auto(free) char *below = NULL;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		below = lxm_asprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, ent->d_name);
		r = push_entry(p, dirfd(d), ent->d_name, below, e);
	}
	closedir(d);
	return r;
}

static int push_entry(struct push *p, int at, const char *name, const char *path, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = -1;
	struct stat st;
	char link[4096];
	ssize_t n;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return lxm_err_sys(e, "look at '%s'", name);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(at, name, link, sizeof(link) - 1);
		if (n < 0)
			return lxm_err_sys(e, "read link '%s'", name);
		link[n] = 0;
		return send_link(p, path, link, e);
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
		fprintf(stderr, "lxmc: '%s' is neither file, directory nor link: left out\n", name);
		return 0;
	}
	fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", name);
	if (S_ISREG(st.st_mode))
		return send_file(p, LXM_TAKE(fd, -1), path, &st, e);
	return push_directory(p, LXM_TAKE(fd, -1), path, &st, e);
}

static int push_one(struct push *p, const char *source, bool into_dir, struct lxm_err *e)
{
	lxm_auto(free) char *trimmed = lxm_strdup(source), *path = NULL;
	lxm_auto(fd_close) int fd = -1;
	struct stat st = { .st_mode = S_IFIFO | 0644 };
	const char *base;
	size_t n;
	int r;

	for (n = strlen(trimmed); n > 1 && trimmed[n - 1] == '/'; n--)
		trimmed[n - 1] = 0;
	base = strrchr(trimmed, '/') ? strrchr(trimmed, '/') + 1 : trimmed;
	if (into_dir && strcmp(source, "-") == 0)
		return cli_usage(e, "stdin needs the name of a file to go to");
	path = into_dir ? lxm_asprintf("%s%s%s", p->t->path, lxm_ends(p->t->path, "/") ? "" : "/", base) :
			  lxm_strdup(p->t->path);
	if (cli_has(p->cli, "create-dirs")) {
		r = make_parents(p, path, e);
		if (r < 0)
			return r;
	}
	if (strcmp(source, "-") == 0)
		return send_file(p, fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), path, &st, e);
	fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open '%s'", source);
	if (!S_ISDIR(st.st_mode))
		return send_file(p, LXM_TAKE(fd, -1), path, &st, e);
	if (!cli_has(p->cli, "recursive"))
		return lxm_err_set(e, EISDIR, "'%s' is a directory; use --recursive", source);
	return push_directory(p, LXM_TAKE(fd, -1), path, &st, e);
}

/* Whether the target is a directory in the instance: said so by '/', meant by several sources, or found. */
static bool target_is_dir(struct push *p)
{
	struct sftp_attrs a;

	if (lxm_ends(p->t->path, "/") || p->cli->n_args > 2)
		return true;
	return sftp_stat(p->s, p->t->path, true, &a, NULL) == 0 && S_ISDIR(a.mode);
}

int verb_file_push(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(file_target) struct file_target t = { 0 };
	lxm_auto(sftp) struct sftp *s = NULL;
	struct push p = { .cli = cli, .t = &t };
	bool into_dir;
	size_t i;
	int r = file_owner(cli, &p.uid, &p.gid, &p.mode, e);

	if (r == 0)
		r = file_target(cli, cli->args[cli->n_args - 1], &t, e);
	if (r == 0)
		r = sftp_open(t.client, t.instance, &s, e);
	if (r < 0)
		return r;
	p.s = s;
	into_dir = target_is_dir(&p);
	progress_begin(&p.progress, NULL, cli->quiet);
	for (i = 0; i + 1 < cli->n_args && r == 0; i++)
		r = push_one(&p, cli->args[i], into_dir, e);
	if (r == 0)
		r = sftp_wait(s, 0, e);
	progress_end(&p.progress);
	while (p.items)
		(void)item_end(p.items);
	return r;
}
