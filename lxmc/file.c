/* file delete, mkdir and edit, and what all file verbs share, see verb.h. Push and pull have files of their own. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/edit.h"
#include "lxmc/file.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/sftp.h"
#include "lxmc/upload.h"
#include "lxmc/verb.h"

#define DEPTH 64

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

int file_owner(struct cli *cli, int64_t *uid, int64_t *gid, int64_t *mode, struct lxm_err *e)
{
	const char *text = cli_opt(cli, "mode", NULL);
	char *end = NULL;
	int r;

	*uid = *gid = *mode = -1;
	r = cli_number(cli, "uid", uid, e);
	if (r == 0)
		r = cli_number(cli, "gid", gid, e);
	if (r < 0)
		return r;
	if (*uid > UINT32_MAX || *gid > UINT32_MAX)
		return cli_usage(e, "--uid and --gid want ids");
	if (text) {
		*mode = (int64_t)strtoul(text, &end, 8);
		if (*end || !*text || *mode < 0 || *mode > 07777)
			return cli_usage(e, "--mode wants octal digits, not '%s'", text);
	}
	return 0;
}

/* ---- delete */

struct removal {
	struct sftp *s;
	const char *path;
	int depth;
};

static int remove_entry(void *arg, const char *name, const struct sftp_attrs *a, struct lxm_err *e)
{
	struct removal *up = arg;
	lxm_auto(free) char *path = lxm_asprintf("%s/%s", strcmp(up->path, "/") == 0 ? "" : up->path, name);
	struct removal r = { up->s, path, up->depth + 1 };
	int rc = 0;

	if (!S_ISDIR(a->mode))
		return sftp_remove(up->s, SFTP_REMOVE, path, e);
	if (r.depth > DEPTH)
		return lxm_err_set(e, ELOOP, "'%s' lies over %d directories deep", path, DEPTH);
	rc = sftp_list(up->s, path, remove_entry, &r, e);
	return rc < 0 ? rc : sftp_remove(up->s, SFTP_RMDIR, path, e);
}

static int delete_tree(const struct file_target *t, struct lxm_err *e)
{
	lxm_auto(sftp) struct sftp *s = NULL;
	struct removal top = { NULL, t->path, 0 };
	struct sftp_attrs a;
	int r = sftp_open(t->client, t->instance, &s, e);

	if (r == 0)
		r = sftp_stat(s, t->path, false, &a, e);
	top.s = s;
	if (r == 0 && S_ISDIR(a.mode))
		r = sftp_list(s, t->path, remove_entry, &top, e);
	return r < 0 ? r : sftp_remove(s, SFTP_REMOVE, t->path, e);
}

int verb_file_delete(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < cli->n_args && r == 0; i++) {
		lxm_auto(file_target) struct file_target t = { 0 };

		r = file_target(cli, cli->args[i], &t, e);
		if (r == 0 && cli_has(cli, "recursive"))
			r = delete_tree(&t, e);
		else if (r == 0)
			r = client_change(t.client, "DELETE", file_url(&t, t.path), NULL, e);
		if (r < 0 && !cli_is_usage(e))
			lxm_err_wrap(e, r, "delete '%s'", cli->args[i]);
	}
	return r;
}

/* ---- mkdir */

/* With -p what is there already is fine, and so are missing parents. */
static int make_directory(struct sftp *s, const char *path, const struct sftp_attrs *a, bool parents, struct lxm_err *e)
{
	const struct sftp_attrs plain = { .flags = SFTP_A_MODE, .mode = 0755 };
	struct sftp_attrs is;
	const char *slash;
	int r;

	for (slash = strchr(path + 1, '/'); parents && slash; slash = strchr(slash + 1, '/')) {
		lxm_auto(free) char *dir = lxm_strndup(path, (size_t)(slash - path));

		if (slash[1] && sftp_stat(s, dir, true, &is, NULL) < 0) {
			r = sftp_mkdir(s, dir, &plain, e);
			if (r < 0)
				return r;
		}
	}
	if (parents && sftp_stat(s, path, true, &is, NULL) == 0 && S_ISDIR(is.mode))
		return 0;
	return sftp_mkdir(s, path, a, e);
}

int verb_file_mkdir(struct cli *cli, struct lxm_err *e)
{
	struct sftp_attrs a = { .flags = SFTP_A_IDS | SFTP_A_MODE };
	int64_t uid, gid, mode;
	size_t i;
	int r = file_owner(cli, &uid, &gid, &mode, e);

	a.uid = uid < 0 ? 0 : (uint32_t)uid;
	a.gid = gid < 0 ? 0 : (uint32_t)gid;
	a.mode = mode < 0 ? 0755 : (uint32_t)mode;
	for (i = 0; i < cli->n_args && r == 0; i++) {
		lxm_auto(file_target) struct file_target t = { 0 };
		lxm_auto(sftp) struct sftp *s = NULL;

		r = file_target(cli, cli->args[i], &t, e);
		if (r == 0)
			r = sftp_open(t.client, t.instance, &s, e);
		if (r == 0)
			r = make_directory(s, t.path, &a, cli_has(cli, "create-dirs"), e);
	}
	return r;
}

/* ---- edit */

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
