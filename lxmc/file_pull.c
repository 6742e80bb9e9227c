/*
 * `lxmc file pull`, see verb.h: over one SFTP connection, many files at a time. What a container says about its files is not
 * trusted: names are single components (sftp_list() sees to that), created below an open directory without following links.
 */
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

#define DEPTH	   64
#define ACTIVE	   64
#define CHUNK	   (128u * 1024)
#define AHEAD_ONE  16
#define AHEAD_MANY 2

struct pull {
	struct cli *cli;
	const struct file_target *t;
	struct sftp *s;
	unsigned int active;
	struct item *items; /* those on their way */
	uint64_t done, total;
	struct progress progress;
};

/* One read that is on its way. */
struct piece {
	struct item *i; /* NULL: free */
	uint64_t at;
	uint32_t len;
};

/* One file on its way. */
struct item {
	struct pull *p;
	struct item *next, **prev;
	char *path;
	int fd;
	bool stream;	    /* fd takes bytes in their order only: one read at a time */
	bool eof;
	uint64_t pos, size; /* next read; what the server said */
	unsigned int ahead; /* pieces in use */
	struct piece pieces[AHEAD_ONE];
	struct lxm_buf handle;
};

static int item_end(struct item *i)
{
	*i->prev = i->next;
	if (i->next)
		i->next->prev = i->prev;
	i->p->active--;
	auto_fd_close(&i->fd);
	lxm_buf_deinit(&i->handle);
	free(i->path);
	free(i);
	return 0;
}

static int failed(const struct item *i, uint8_t type, struct sftp_in *in, struct lxm_err *e)
{
	int r = sftp_failed(type, in, "read", i->path, e);

	return lxm_err_wrap(e, r, "pull '%s%s'", i->p->t->instance, i->path);
}

static int on_closed(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	return item_end(arg);
}

static int on_data(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e);

static void ask(struct item *i, uint64_t pos, uint32_t len)
{
	struct piece *piece = i->pieces;
	struct lxm_buf *b;
	size_t at;

	while (piece->i)
		piece++;
	*piece = (struct piece){ i, pos, len };
	b = sftp_request(i->p->s, SFTP_READ, &at);
	sftp_put_bytes(b, i->handle.data, i->handle.len);
	sftp_put_u64(b, pos);
	sftp_put_u32(b, len);
	sftp_queue(i->p->s, at, on_data, piece);
	i->ahead++;
}

/* Asks for what comes next: up to the size ahead, from there on one by one until the end shows. */
static void feed(struct item *i)
{
	unsigned int most = i->stream ? 1 : i->p->active > 4 ? AHEAD_MANY : AHEAD_ONE;
	size_t at;

	while (!i->eof && i->ahead < most && (i->pos < i->size || !i->ahead)) {
		ask(i, i->pos, CHUNK);
		i->pos += CHUNK;
	}
	if (i->eof && !i->ahead) {
		sftp_put_bytes(sftp_request(i->p->s, SFTP_CLOSE, &at), i->handle.data, i->handle.len);
		sftp_queue(i->p->s, at, on_closed, i);
	}
}

/* Holes stay holes: a piece of zeros is not written (the size is set in the end). */
static bool all_zero(const char *p, size_t n)
{
	return n && !*p && memcmp(p, p + 1, n - 1) == 0;
}

static int put(struct item *i, uint64_t at, struct sftp_bytes b, struct lxm_err *e)
{
	size_t done = 0;
	int r;

	i->p->done += b.len;
	progress_bytes(&i->p->progress, i->p->done, i->p->total);
	if (i->stream) {
		r = lxm_write_all(i->fd, b.p, b.len);
		return r < 0 ? lxm_err_set(e, -r, "write '%s': %s", i->path, strerror(-r)) : 0;
	}
	if (b.len >= 4096 && all_zero(b.p, b.len)) {
		struct stat st;

		if (fstat(i->fd, &st) == 0 && ((uint64_t)st.st_size >= at + b.len || ftruncate(i->fd, (off_t)(at + b.len)) == 0))
			return 0;
	}
	while (done < b.len) {
		ssize_t n = pwrite(i->fd, b.p + done, b.len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lxm_err_sys(e, "write what was pulled from '%s'", i->path);
		done += (size_t)n;
	}
	return 0;
}

static int on_data(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct piece piece = *(struct piece *)arg;
	struct item *i = piece.i;
	struct sftp_in peek = *in;
	struct sftp_bytes b;
	int r;

	((struct piece *)arg)->i = NULL;
	i->ahead--;
	if (type == SFTP_STATUS && sftp_get_u32(&peek) == SFTP_EOF) {
		i->eof = true;
		feed(i);
		return 0;
	}
	if (type != SFTP_DATA)
		return failed(i, type, in, e);
	b = sftp_get_bytes(in);
	if (in->bad || b.len == 0 || b.len > piece.len)
		return failed(i, 0, in, e);
	r = put(i, piece.at, b, e);
	if (r < 0)
		return r;
	/* servers may give less than was asked for */
	if (b.len < piece.len && (piece.at + b.len < i->size || i->stream)) {
		if (i->stream)
			i->pos = piece.at + b.len;
		else
			ask(i, piece.at + b.len, piece.len - b.len);
	} else if (b.len < piece.len && i->pos == piece.at + piece.len) {
		i->pos = piece.at + b.len;
	}
	feed(i);
	return 0;
}

static int on_opened(struct sftp *s, uint8_t type, struct sftp_in *in, void *arg, struct lxm_err *e)
{
	struct item *i = arg;
	struct sftp_bytes h;

	if (type != SFTP_HANDLE)
		return failed(i, type, in, e);
	h = sftp_get_bytes(in);
	lxm_buf_add(&i->handle, h.p, h.len);
	feed(i);
	return 0;
}

static int pull_file(struct pull *p, const char *path, int fd_taken, bool stream, uint64_t size, struct lxm_err *e)
{
	struct item *i = lxm_alloc(sizeof(*i));
	struct lxm_buf *b;
	size_t at;
	int r = 0;

	*i = (struct item){ .p = p, .path = lxm_strdup(path), .fd = fd_taken, .stream = stream, .size = size };
	i->prev = &p->items;
	i->next = p->items;
	if (i->next)
		i->next->prev = &i->next;
	p->items = i;
	p->active++;
	p->total += size;
	b = sftp_request(p->s, SFTP_OPEN, &at);
	sftp_put_str(b, path);
	sftp_put_u32(b, SFTP_F_READ);
	sftp_put_attrs(b, &(struct sftp_attrs){ 0 });
	sftp_queue(p->s, at, on_opened, i);
	while (r == 0 && p->active >= ACTIVE)
		r = sftp_turn(p->s, e);
	return r;
}

/* ---- the walk */

static int pull_entry(struct pull *p, const char *path, const struct sftp_attrs *a, int dir, const char *name, int depth, struct lxm_err *e);

struct below {
	struct pull *p;
	const char *path;
	int dir, depth;
};

static int on_entry(void *arg, const char *name, const struct sftp_attrs *a, struct lxm_err *e)
{
	struct below *b = arg;
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", strcmp(b->path, "/") == 0 ? "" : b->path, name);

	return pull_entry(b->p, path, a, b->dir, name, b->depth, e);
}

static int pull_directory(struct pull *p, const char *path, const struct sftp_attrs *a, int dir, const char *name, int depth,
			  struct lxm_err *e)
{
	lxm_auto(fd_close) int made = -1;
	struct below b = { p, path, -1, depth + 1 };

	if (!cli_has(p->cli, "recursive"))
		return lxm_err_set(e, EISDIR, "'%s' is a directory; use --recursive", path);
	if (!name)
		return lxm_err_set(e, EISDIR, "'%s' is a directory and cannot go to stdout", path);
	if (depth >= DEPTH)
		return lxm_err_set(e, ELOOP, "'%s' lies over %d directories deep", path, DEPTH);
	if (mkdirat(dir, name, (a->mode & 0777) | 0700) < 0 && errno != EEXIST)
		return lxm_err_sys(e, "create '%s'", name);
	made = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (made < 0)
		return lxm_err_sys(e, "open '%s'", name);
	b.dir = made;
	return sftp_list(p->s, path, on_entry, &b, e);
}

static int pull_link(struct pull *p, const char *path, int dir, const char *name, struct lxm_err *e)
{
	lxm_auto(free) char *to = NULL;
	int r = sftp_readlink(p->s, path, &to, e);

	if (r < 0)
		return r;
	if (!name) {
		printf("%s\n", to);
		return 0;
	}
	(void)unlinkat(dir, name, 0);
	return symlinkat(to, dir, name) < 0 ? lxm_err_sys(e, "create link '%s'", name) : 0;
}

static int pull_entry(struct pull *p, const char *path, const struct sftp_attrs *a, int dir, const char *name, int depth, struct lxm_err *e)
{
	int fd;

	if (S_ISDIR(a->mode))
		return pull_directory(p, path, a, dir, name, depth, e);
	if (S_ISLNK(a->mode))
		return pull_link(p, path, dir, name, e);
	if (!S_ISREG(a->mode)) {
		if (depth == 0)
			return lxm_err_set(e, EINVAL, "'%s' is neither file, directory nor link", path);
		fprintf(stderr, "lxmc: '%s' is neither file, directory nor link: left out\n", name);
		return 0;
	}
	if (!name)
		return pull_file(p, path, fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0), true, a->size, e);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, a->mode & 0777);
	if (fd < 0)
		return lxm_err_sys(e, "create '%s'", name);
	return pull_file(p, path, fd, false, a->size, e);
}

/* Open the directory that the last component of a local path lies in. */
static int open_parent(struct cli *cli, const char *path, char **name_out, struct lxm_err *e)
{
	const char *slash = strrchr(path, '/');
	lxm_auto(free) char *parent = slash ? lxm_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
	int fd;

	if (parent && cli_has(cli, "create-dirs"))
		(void)lxm_mkdir_p(parent, 0755);
	fd = open(parent ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", parent ? parent : ".");
	*name_out = lxm_strdup(slash ? slash + 1 : path);
	return fd;
}

static int pull_one(struct cli *cli, const char *arg, const char *target, bool into_dir, struct lxm_err *e)
{
	lxm_auto(file_target) struct file_target t = { 0 };
	lxm_auto(sftp) struct sftp *s = NULL;
	lxm_auto(fd_close) int dir = -1;
	lxm_auto(free) char *name = NULL, *full = NULL;
	struct pull p = { .cli = cli, .t = &t };
	struct sftp_attrs a;
	const char *last;
	size_t n;
	int r;

	r = file_target(cli, arg, &t, e);
	if (r == 0)
		r = sftp_open(t.client, t.instance, &s, e);
	if (r < 0)
		return r;
	p.s = s;
	for (n = strlen(t.path); n > 1 && t.path[n - 1] == '/'; n--)
		t.path[n - 1] = 0;
	last = strrchr(t.path, '/') + 1;
	r = sftp_stat(s, t.path, false, &a, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "pull '%s'", arg);
	if (strcmp(target, "-") != 0) {
		full = into_dir ? lxm_asprintf("%s/%s", target, *last ? last : t.instance) : lxm_strdup(target);
		dir = open_parent(cli, full, &name, e);
		if (dir < 0)
			return dir;
	}
	progress_begin(&p.progress, NULL, cli->quiet || !name);
	r = pull_entry(&p, t.path, &a, dir, name, 0, e);
	if (r == 0)
		r = sftp_wait(s, 0, e);
	progress_end(&p.progress);
	while (p.items)
		(void)item_end(p.items);
	return r;
}

int verb_file_pull(struct cli *cli, struct lxm_err *e)
{
	const char *target = cli->args[cli->n_args - 1];
	struct stat st;
	bool into_dir;
	size_t i;
	int r = 0;

	into_dir = stat(target, &st) == 0 ? S_ISDIR(st.st_mode) : lxm_ends(target, "/") || cli->n_args > 2;
	if (into_dir && cli_has(cli, "create-dirs"))
		(void)lxm_mkdir_p(target, 0755);
	for (i = 0; i + 1 < cli->n_args && r == 0; i++)
		r = pull_one(cli, cli->args[i], target, into_dir, e);
	return r;
}
