/* `lxmc file push`, see verb.h: files, trees with --recursive, stdin as "-". Local links are sent as links. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/file.h"
#include "lxmc/upload.h"
#include "lxmc/verb.h"

/* Owner and mode for a new file: the flags, else those of the local one (of stdin: root, 0644). */
static int owner_headers(struct cli *cli, const struct stat *st, struct lxm_kv *h, struct lxm_err *e)
{
	const char *mode = cli_opt(cli, "mode", NULL);
	int64_t uid = -1, gid = -1;
	char *end;
	int r;

	r = cli_number(cli, "uid", &uid, e);
	if (r == 0)
		r = cli_number(cli, "gid", &gid, e);
	if (r < 0)
		return r;
	if (mode && (strtoul(mode, &end, 8) > 07777 || *end || !*mode))
		return cli_usage(e, "--mode wants octal digits, not '%s'", mode);
	lxm_kv_setf(h, "X-LXD-uid", "%lld", (long long)(uid >= 0 ? uid : (int64_t)st->st_uid));
	lxm_kv_setf(h, "X-LXD-gid", "%lld", (long long)(gid >= 0 ? gid : (int64_t)st->st_gid));
	if (mode)
		lxm_kv_set(h, "X-LXD-mode", mode);
	else
		lxm_kv_setf(h, "X-LXD-mode", "%04o", st->st_mode & 07777);
	return 0;
}

/* One POST: a file's bytes from fd, a link's target, or a directory (fd -1, text NULL). */
static int post(struct cli *cli, const struct file_target *t, const char *path, const char *type, int fd,
		const char *text, const struct stat *st, struct lxm_err *e)
{
	lxm_auto(free) char *url = file_url(t, path);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	lxm_auto(upload) struct upload up = { 0 };
	struct progress progress = { 0 };
	struct lxm_http_request rq = { .method = "POST", .target = url, .headers = &headers, .body = text,
				       .body_len = text ? strlen(text) : 0 };
	int r;

	lxm_kv_set(&headers, "X-LXD-type", type);
	r = owner_headers(cli, st, &headers, e);
	if (r < 0)
		return r;
	if (fd >= 0) {
		upload_file(&up, fd);
		up.progress = &progress;
		rq.source = upload_read;
		rq.source_arg = &up;
		rq.source_size = -1;
		progress_begin(&progress, NULL, cli->quiet);
	}
	r = client_raw(t->client, &rq, &reply, e);
	progress_end(&progress);
	return r < 0 ? lxm_err_wrap(e, r, "push to '%s%s'", t->instance, path) : 0;
}

/* -p: each missing directory above a path; the server answers "there already" with success. */
static int make_parents(struct cli *cli, const struct file_target *t, const char *path, struct lxm_err *e)
{
	struct stat st = { .st_mode = 0755 };
	const char *slash;
	int r = 0;

	for (slash = strchr(path + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
		lxm_auto(free) char *dir = lxm_strndup(path, (size_t)(slash - path));
		lxm_auto(free) char *url = file_url(t, dir);
		lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
		struct lxm_http_request rq = { .method = "GET", .target = url };

		if (client_raw(t->client, &rq, &reply, NULL) == 0)
			continue;
		r = post(cli, t, dir, "directory", -1, NULL, &st, e);
	}
	return r;
}

static int push_tree(struct cli *cli, const struct file_target *t, int at, const char *name, const char *path,
		     struct lxm_err *e);

static int push_directory(struct cli *cli, const struct file_target *t, int dir_taken, const char *path,
			  const struct stat *st, struct lxm_err *e)
{
	DIR *d = fdopendir(dir_taken);
	struct dirent *ent;
	int r;

	if (!d) {
		(void)close(dir_taken);
		return lxm_err_sys(e, "list a directory");
	}
	r = post(cli, t, path, "directory", -1, NULL, st, e);
	while (r == 0 && (ent = readdir(d))) {
		lxm_auto(free) char *below = NULL;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		below = lxm_asprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, ent->d_name);
		r = push_tree(cli, t, dirfd(d), ent->d_name, below, e);
	}
	closedir(d);
	return r;
}

static int push_tree(struct cli *cli, const struct file_target *t, int at, const char *name, const char *path,
		     struct lxm_err *e)
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
		return post(cli, t, path, "symlink", -1, link, &st, e);
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
		fprintf(stderr, "lxmc: '%s' is neither file, directory nor link: left out\n", name);
		return 0;
	}
	fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", name);
	if (S_ISREG(st.st_mode))
		return post(cli, t, path, "file", fd, NULL, &st, e);
	return push_directory(cli, t, LXM_TAKE(fd, -1), path, &st, e);
}

static int push_one(struct cli *cli, const struct file_target *t, const char *source, bool into_dir,
		    struct lxm_err *e)
{
	lxm_auto(free) char *trimmed = lxm_strdup(source), *path = NULL;
	lxm_auto(fd_close) int fd = -1;
	struct stat st = { .st_mode = 0644 };
	const char *base;
	size_t n;
	int r;

	for (n = strlen(trimmed); n > 1 && trimmed[n - 1] == '/'; n--)
		trimmed[n - 1] = 0;
	base = strrchr(trimmed, '/') ? strrchr(trimmed, '/') + 1 : trimmed;
	if (into_dir && strcmp(source, "-") == 0)
		return cli_usage(e, "stdin needs the name of a file to go to");
	path = into_dir ? lxm_asprintf("%s%s%s", t->path, lxm_ends(t->path, "/") ? "" : "/", base) :
			  lxm_strdup(t->path);
	if (cli_has(cli, "create-dirs")) {
		r = make_parents(cli, t, path, e);
		if (r < 0)
			return r;
	}
	if (strcmp(source, "-") == 0)
		return post(cli, t, path, "file", STDIN_FILENO, NULL, &st, e);
	fd = open(source, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open '%s'", source);
	if (!S_ISDIR(st.st_mode))
		return post(cli, t, path, "file", fd, NULL, &st, e);
	if (!cli_has(cli, "recursive"))
		return lxm_err_set(e, EISDIR, "'%s' is a directory; use --recursive", source);
	return push_directory(cli, t, LXM_TAKE(fd, -1), path, &st, e);
}

/* Whether the target is a directory in the instance: said so by '/', meant by several sources, or asked for. */
static bool target_is_dir(struct cli *cli, const struct file_target *t)
{
	lxm_auto(free) char *url = file_url(t, t->path);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "HEAD", .target = url };

	if (lxm_ends(t->path, "/") || cli->n_args > 2)
		return true;
	if (client_raw(t->client, &rq, &reply, NULL) < 0)
		return false;
	return strcmp(lxm_kv_or(&reply.headers, "x-lxd-type", ""), "directory") == 0;
}

int verb_file_push(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(file_target) struct file_target t = { 0 };
	bool into_dir;
	size_t i;
	int r;

	r = file_target(cli, cli->args[cli->n_args - 1], &t, e);
	if (r < 0)
		return r;
	into_dir = target_is_dir(cli, &t);
	for (i = 0; i + 1 < cli->n_args && r == 0; i++)
		r = push_one(cli, &t, cli->args[i], into_dir, e);
	return r;
}
