/*
 * file push, pull, delete and edit over /files, see verb.h. What a container says about its files is not trusted: names
 * in a pulled tree must be single components, and they are created below an open directory without following links.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/client.h"
#include "lxmc/edit.h"
#include "lxmc/file.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/upload.h"
#include "lxmc/verb.h"

#define PULL_DEPTH 64

int file_target(struct cli *cli, const char *arg, struct file_target *t, struct lxm_err *e)
{
	const char *slash = strchr(arg, '/'), *name;
	int r;

	if (!slash)
		return cli_usage(e, "'%s' is not INSTANCE/PATH", arg);
	t->head = lxm_strndup(arg, (size_t)(slash - arg));
	t->path = lxm_strdup(slash);
	r = cli_target(cli, t->head, &t->client, &name, e);
	if (r == 0 && !*name)
		return cli_usage(e, "'%s' is not INSTANCE/PATH", arg);
	t->instance = name;
	return r;
}

void file_target_deinit(struct file_target *t)
{
	free(t->head);
	free(t->path);
	memset(t, 0, sizeof(*t));
}

char *file_url(const struct file_target *t, const char *path)
{
	return client_url(t->client, "/1.0/instances/%s/files?path=%s", t->instance, path);
}

int verb_file_delete(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < cli->n_args && r == 0; i++) {
		lxm_auto(file_target) struct file_target t = { 0 };

		r = file_target(cli, cli->args[i], &t, e);
		if (r == 0)
			r = client_change(t.client, "DELETE", file_url(&t, t.path), NULL, e);
		if (r < 0 && !cli_is_usage(e))
			lxm_err_wrap(e, r, "delete '%s'", cli->args[i]);
	}
	return r;
}

int file_fetch(const struct file_target *t, const char *path, struct lxm_http_reply *reply, struct lxm_err *e)
{
	lxm_auto(free) char *url = file_url(t, path);
	struct lxm_http_request rq = { .method = "GET", .target = url };

	return client_raw(t->client, &rq, reply, e);
}

int verb_file_edit(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(file_target) struct file_target t = { 0 };
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(free) char *text = NULL, *url = NULL;
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	struct lxm_http_request rq = { .method = "POST", .headers = &headers };
	const char *dot;
	size_t n;
	int r;

	r = file_target(cli, cli->args[0], &t, e);
	if (r < 0)
		return r;
	if (!out_tty(STDIN_FILENO)) {
		r = read_stdin(&text, &n, e);
	} else {
		r = file_fetch(&t, t.path, &reply, e);
		if (r < 0 && r != -ENOENT)
			return lxm_err_wrap(e, r, "read '%s'", cli->args[0]);
		dot = strrchr(strrchr(t.path, '/'), '.');
		r = edit_text(r == 0 ? reply.body.data : "", dot ? dot : "", &text, &n, e);
		if (r == 1)
			return 0;
	}
	if (r < 0)
		return r;
	url = file_url(&t, t.path);
	rq.target = url;
	rq.body = text;
	rq.body_len = n;
	lxm_kv_set(&headers, "X-LXD-type", "file");
	r = client_raw(t.client, &rq, &reply, e);
	return r < 0 ? lxm_err_wrap(e, r, "write '%s'", cli->args[0]) : 0;
}

/* ---- pull */

struct pull {
	struct cli *cli;
	const struct file_target *t;
	int dir;	  /* below which `name` is made */
	const char *name; /* NULL: stdout */
	int fd;
	char type[16];
	unsigned int mode;
	struct progress progress;
	uint64_t done, total;
	struct lxm_buf small; /* directory lists and link targets */
};

static int pull_head(void *arg, const struct lxm_kv *headers, struct lxm_err *e)
{
	struct pull *p = arg;

	snprintf(p->type, sizeof(p->type), "%s",
		 lxm_kv_or(headers, "x-lxd-type", lxm_kv_or(headers, "x-incus-type", "file")));
	p->mode = (unsigned int)strtoul(lxm_kv_or(headers, "x-lxd-mode", "0644"), NULL, 8) & 0777;
	(void)lxm_parse_u64(lxm_kv_or(headers, "content-length", ""), &p->total);
	if (strcmp(p->type, "file") != 0)
		return 0;
	if (!p->name) {
		p->fd = dup(STDOUT_FILENO);
		return 0;
	}
	p->fd = openat(p->dir, p->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, p->mode);
	return p->fd < 0 ? lxm_err_sys(e, "create '%s'", p->name) : 0;
}

static int pull_data(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct pull *p = arg;
	int r;

	if (p->fd < 0) {
		if (n > ((size_t)64 << 20) - p->small.len)
			return lxm_err_set(e, EMSGSIZE, "the list of the directory is too long");
		lxm_buf_add(&p->small, data, n);
		return 0;
	}
	r = lxm_write_all(p->fd, data, n);
	p->done += n;
	progress_bytes(&p->progress, p->done, p->total);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", p->name ? p->name : "stdout");
}

static int pull_tree(struct cli *cli, const struct file_target *t, const char *path, int dir, const char *name,
		     int depth, struct lxm_err *e);

static bool is_component(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* A directory came: make it and go on with what it holds. */
static int pull_directory(struct pull *p, const char *path, int depth, struct lxm_err *e)
{
	lxm_auto(json) json_t *env = json_loadb(p->small.data ? p->small.data : "", p->small.len, 0, NULL);
	lxm_auto(fd_close) int dir = -1;
	json_t *item;
	size_t i;
	int r;

	if (!cli_has(p->cli, "recursive"))
		return lxm_err_set(e, EISDIR, "'%s' is a directory; use --recursive", path);
	if (!p->name)
		return lxm_err_set(e, EISDIR, "'%s' is a directory and cannot go to stdout", path);
	if (depth >= PULL_DEPTH)
		return lxm_err_set(e, ELOOP, "'%s' lies over %d directories deep", path, PULL_DEPTH);
	if (mkdirat(p->dir, p->name, p->mode | 0700) < 0 && errno != EEXIST)
		return lxm_err_sys(e, "create '%s'", p->name);
	dir = openat(p->dir, p->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return lxm_err_sys(e, "open '%s'", p->name);
	json_array_foreach(json_object_get(env, "metadata"), i, item) {
		const char *entry = json_string_value(item) ? json_string_value(item) : "";
		lxm_auto(free) char *below = NULL;

		if (!is_component(entry))
			return lxm_err_set(e, EPROTO, "'%s' holds an entry whose name is no file name", path);
		below = lxm_asprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, entry);
		r = pull_tree(p->cli, p->t, below, dir, entry, depth + 1, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pull_tree(struct cli *cli, const struct file_target *t, const char *path, int dir, const char *name,
		     int depth, struct lxm_err *e)
{
	lxm_auto(free) char *url = file_url(t, path);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct pull p = { .cli = cli, .t = t, .dir = dir, .name = name, .fd = -1 };
	struct lxm_http_request rq = { .method = "GET", .target = url, .sink = pull_data, .sink_arg = &p,
				       .on_head = pull_head };
	int r;

	progress_begin(&p.progress, NULL, cli->quiet || !name);
	r = client_raw(t->client, &rq, &reply, e);
	progress_end(&p.progress);
	auto_fd_close(&p.fd);
	if (r < 0)
		lxm_err_wrap(e, r, "pull '%s'", path);
	else if (strcmp(p.type, "directory") == 0)
		r = pull_directory(&p, path, depth, e);
	else if (strcmp(p.type, "symlink") == 0 && name) {
		(void)unlinkat(dir, name, 0);
		if (symlinkat(p.small.data ? p.small.data : "", dir, name) < 0)
			r = lxm_err_sys(e, "create link '%s'", name);
	} else if (strcmp(p.type, "symlink") == 0 && p.small.data) {
		printf("%s\n", p.small.data);
	}
	lxm_buf_deinit(&p.small);
	return r;
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
	lxm_auto(fd_close) int dir = -1;
	lxm_auto(free) char *name = NULL, *full = NULL;
	const char *last;
	int r;

	r = file_target(cli, arg, &t, e);
	if (r < 0)
		return r;
	if (strcmp(target, "-") == 0)
		return pull_tree(cli, &t, t.path, -1, NULL, 0, e);
	last = strrchr(t.path, '/') + 1;
	full = into_dir ? lxm_asprintf("%s/%s", target, *last ? last : t.instance) : lxm_strdup(target);
	dir = open_parent(cli, full, &name, e);
	if (dir < 0)
		return dir;
	return pull_tree(cli, &t, t.path, dir, name, 0, e);
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
