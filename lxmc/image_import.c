/* `lxmc image import`: a unified file, a metadata file and a root filesystem, or a directory. See verb.h. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/upload.h"
#include "lxmc/verb.h"

/* What is to be sent. */
struct import {
	struct client *client;
	const char *meta, *root; /* files; root NULL: unified */
	size_t first_property;	 /* in args */
	int meta_fd, root_fd;
	pid_t tar; /* packs a directory; 0: none */
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* FILE [ROOTFS] [REMOTE:] [KEY=VALUE...] */
static int read_args(struct cli *cli, struct import *im, struct lxm_err *e)
{
	const char *remote = "", *name;
	size_t i = 1;

	im->meta = cli->args[0];
	if (i < cli->n_args && !strchr(cli->args[i], '=') && !lxm_ends(cli->args[i], ":"))
		im->root = cli->args[i++];
	if (i < cli->n_args && lxm_ends(cli->args[i], ":"))
		remote = cli->args[i++];
	im->first_property = i;
	for (; i < cli->n_args; i++)
		if (!strchr(cli->args[i], '='))
			return cli_usage(e, "'%s' is not KEY=VALUE", cli->args[i]);
	return cli_target(cli, remote, &im->client, &name, e);
}

/* Pack a directory (metadata.yaml, rootfs/) through tar; its output becomes meta_fd. */
static int start_tar(struct import *im, struct lxm_err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return lxm_err_sys(e, "make a pipe");
	fflush(NULL);
	im->tar = fork();
	if (im->tar < 0) {
		im->tar = 0;
		close(p[0]);
		close(p[1]);
		return lxm_err_sys(e, "start tar");
	}
	if (im->tar == 0) {
		dup2(p[1], STDOUT_FILENO);
		execlp("tar", "tar", "--numeric-owner", "--xattrs", "-C", im->meta, "-czf", "-", ".", (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	im->meta_fd = p[0];
	return 0;
}

static int end_tar(struct import *im, struct lxm_err *e)
{
	int status = 0;

	if (!im->tar)
		return 0;
	while (waitpid(im->tar, &status, 0) < 0 && errno == EINTR)
		;
	im->tar = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return lxm_err_set(e, EIO, "tar could not pack '%s'", im->meta);
}

static int open_files(struct import *im, struct lxm_err *e)
{
	struct stat st;

	im->meta_fd = open(im->meta, O_RDONLY | O_CLOEXEC);
	if (im->meta_fd < 0)
		return lxm_err_sys(e, "open '%s'", im->meta);
	if (fstat(im->meta_fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		auto_fd_close(&im->meta_fd);
		return start_tar(im, e);
	}
	if (!im->root)
		return 0;
	im->root_fd = open(im->root, O_RDONLY | O_CLOEXEC);
	if (im->root_fd < 0)
		return lxm_err_sys(e, "open '%s'", im->root);
	if (fstat(im->root_fd, &st) == 0 && S_ISDIR(st.st_mode))
		return lxm_err_set(e, EISDIR, "'%s' is a directory; a split image's root filesystem is a file", im->root);
	return 0;
}

static char *query_of(const char *const *args, size_t n)
{
	struct lxm_buf b = { 0 };
	size_t i;

	for (i = 0; i < n; i++) {
		const char *eq = strchr(args[i], '=');
		lxm_auto(free) char *key = lxm_strndup(args[i], (size_t)(eq - args[i]));
		lxm_auto(free) char *k = lxm_url_encode(key, NULL), *v = lxm_url_encode(eq + 1, NULL);

		lxm_buf_fmt(&b, "%s%s=%s", i ? "&" : "", k, v);
	}
	return lxm_buf_take(&b);
}

static char *part_head(const char *boundary, const char *name, const char *file, bool first)
{
	lxm_auto(free) char *safe = lxm_url_encode(base_name(file), " ");

	return lxm_asprintf("%s--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
			    "Content-Type: application/octet-stream\r\n\r\n",
			    first ? "" : "\r\n", boundary, name, safe);
}

static void build_upload(struct import *im, struct upload *u, struct lxm_kv *headers)
{
	lxm_auto(free) char *boundary = lxm_random_hex(24);

	if (im->root_fd < 0) {
		upload_file(u, im->meta_fd);
		lxm_kv_set(headers, "Content-Type", "application/octet-stream");
		return;
	}
	upload_text(u, part_head(boundary, "metadata", im->meta, true));
	upload_file(u, im->meta_fd);
	upload_text(u, part_head(boundary, "rootfs", im->root, false));
	upload_file(u, im->root_fd);
	upload_text(u, lxm_asprintf("\r\n--%s--\r\n", boundary));
	lxm_kv_setf(headers, "Content-Type", "multipart/form-data; boundary=%s", boundary);
}

static int send_import(struct cli *cli, struct import *im, json_t **op_out, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(im->client, "/1.0/images");
	lxm_auto(free) char *properties = query_of(cli->args + im->first_property, cli->n_args - im->first_property);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	lxm_auto(upload) struct upload up = { 0 };
	struct progress progress = { 0 };
	struct lxm_http_request rq = { .method = "POST", .target = url, .headers = &headers, .source = upload_read,
				       .source_arg = &up, .source_size = -1 };
	lxm_auto(json) json_t *env = NULL;
	const char *op;
	int r;

	lxm_kv_set(&headers, "X-LXD-filename", base_name(im->meta));
	lxm_kv_set(&headers, "X-LXD-public", cli_has(cli, "public") ? "true" : "false");
	if (*properties)
		lxm_kv_set(&headers, "X-LXD-properties", properties);
	build_upload(im, &up, &headers);
	up.progress = &progress;
	progress_begin(&progress, "Uploading", cli->quiet);
	r = client_raw(im->client, &rq, &reply, e);
	progress_end(&progress);
	if (r == 0)
		r = end_tar(im, e);
	if (r < 0)
		return r;
	env = json_loadb(reply.body.data, reply.body.len, 0, NULL);
	op = strrchr(jtext(env, "operation"), '/');
	if (!op)
		return lxm_err_set(e, EPROTO, "the server's answer names no operation");
	return client_wait(im->client, op + 1, "Importing", op_out, e);
}

int image_add_alias(struct client *c, const char *alias, const char *fingerprint, bool reuse, struct lxm_err *e)
{
	lxm_auto(json) json_t *have = NULL;
	int r = 0;

	if (client_get(c, client_url(c, "/1.0/images/aliases/%s", alias), &have, NULL) == 0) {
		if (strcmp(jtext(have, "target"), fingerprint) == 0)
			return 0;
		if (reuse)
			r = client_change(c, "DELETE", client_url(c, "/1.0/images/aliases/%s", alias), NULL, e);
	}
	if (r < 0)
		return r;
	return client_change(c, "POST", client_url(c, "/1.0/images/aliases"),
			     json_pack("{s:s, s:s}", "name", alias, "target", fingerprint), e);
}

/* Aliases come after the image, as lxc does it: then every server takes them, and --reuse can move one. */
int image_add_aliases(struct cli *cli, struct client *c, const char *fingerprint, struct lxm_err *e)
{
	const char *v;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (v = cli_next(cli, "alias", &at)))
		r = image_add_alias(c, v, fingerprint, cli_has(cli, "reuse"), e);
	return r;
}

int verb_image_import(struct cli *cli, struct lxm_err *e)
{
	struct import im = { .meta_fd = -1, .root_fd = -1 };
	lxm_auto(json) json_t *op = NULL;
	const char *fingerprint;
	int r;

	r = read_args(cli, &im, e);
	if (r == 0)
		r = open_files(&im, e);
	if (r == 0)
		r = send_import(cli, &im, &op, e);
	auto_fd_close(&im.meta_fd);
	auto_fd_close(&im.root_fd);
	(void)end_tar(&im, NULL);
	if (r < 0)
		return lxm_err_wrap(e, r, "import '%s'", im.meta);
	fingerprint = jtext(json_object_get(op, "metadata"), "fingerprint");
	r = image_add_aliases(cli, im.client, fingerprint, e);
	if (r < 0)
		return r;
	if (cli->quiet)
		printf("%s\n", fingerprint);
	else
		printf("Image imported with fingerprint: %s\n", fingerprint);
	return 0;
}
