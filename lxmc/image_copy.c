/*
 * `lxmc image copy`, see verb.h: the target fetches (pull), the source sends (push), or the bytes pass through a file of ours without a
 * name (relay), since what a server exports is just what another one imports.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/transfer.h"
#include "lxmc/upload.h"
#include "lxmc/verb.h"

struct image_copy {
	struct cli *cli;
	struct client *from; /* NULL: a simplestreams server */
	struct client *to;
	struct remote remote; /* of the source */
	const char *name;     /* as the user says it */
	char *fingerprint;    /* owned; NULL: only the target will know */
	json_t *object;	      /* of the source, owned; NULL for simplestreams */
	enum transfer_mode mode;
};

static int find_source(struct image_copy *ic, struct lxm_err *e)
{
	const char *arg = ic->cli->args[0], *colon = strchr(arg, ':');
	lxm_auto(free) char *prefix = colon ? lxm_strndup(arg, (size_t)(colon - arg)) : NULL;
	int r = cli_conf(ic->cli, e);

	ic->name = colon ? colon + 1 : arg;
	if (r == 0)
		r = conf_remote(ic->cli->conf, prefix ? prefix : conf_default_remote(ic->cli->conf), &ic->remote, e);
	if (r < 0 || strcmp(ic->remote.protocol, "simplestreams") == 0)
		return r;
	r = cli_client(ic->cli, ic->remote.name, &ic->from, e);
	if (r == 0)
		r = image_find(ic->from, ic->name, &ic->fingerprint, e);
	if (r == 0)
		r = client_get(ic->from, client_url(ic->from, "/1.0/images/%s", ic->fingerprint), &ic->object, e);
	return r;
}

static void image_copy_deinit(struct image_copy *ic)
{
	free(ic->fingerprint);
	json_decref(ic->object);
}

/* The body that every way shares; @source stolen. */
static json_t *body_of(const struct image_copy *ic, json_t *source)
{
	return json_pack("{s:b, s:b, s:o}", "public", cli_has(ic->cli, "public"), "auto_update",
			 cli_has(ic->cli, "auto-update"), "source", source);
}

static int take_fingerprint(struct image_copy *ic, const json_t *op, struct lxm_err *e)
{
	const char *fp = jtext(json_object_get(op, "metadata"), "fingerprint");

	if (!ic->fingerprint && !*fp)
		return lxm_err_set(e, EPROTO, "the server does not say which image it fetched");
	if (!ic->fingerprint)
		ic->fingerprint = lxm_strdup(fp);
	return 0;
}

static int pull_once(struct image_copy *ic, json_t *source, struct lxm_err *e)
{
	lxm_auto(json) json_t *op = NULL;
	int r = client_change_op(ic->to, "POST", client_url(ic->to, "/1.0/images"), body_of(ic, source), "Copying the image", &op, e);

	return r < 0 ? r : take_fingerprint(ic, op, e);
}

static int pull_streams(struct image_copy *ic, struct lxm_err *e)
{
	json_t *source = NULL;

	if (ic->mode == TRANSFER_PUSH || ic->mode == TRANSFER_RELAY)
		return cli_usage(e, "from an image server images can only be pulled");
	if (image_streams_source(&ic->remote, ic->name, &source) < 0)
		return cli_usage(e, "'%s' is not UTF-8", ic->name);
	return pull_once(ic, source, e);
}

/* Each address of the source, with a secret of its own each, for a secret serves once. */
static int pull(struct image_copy *ic, const struct lxm_strv *addresses, struct lxm_err *e)
{
	size_t i;
	int r = -EINVAL;

	for (i = 0; i < addresses->n; i++) {
		json_t *source = NULL;

		lxm_err_clear(e);
		r = image_server_source(ic->from, ic->fingerprint, addresses->v[i], &source, e);
		if (r == 0)
			r = pull_once(ic, source, e);
		if (r >= 0 || (e->http && e->http < 500))
			return r;
	}
	return r;
}

/* The target opens a slot, which the source fills. */
static int push_once(struct image_copy *ic, const char *address, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(ic->to, "/1.0/images");
	lxm_auto(json) json_t *body = body_of(ic, json_pack("{s:s, s:s, s:s}", "type", "image", "mode", "push", "fingerprint",
							    ic->fingerprint));
	lxm_auto(call) struct call call = { .method = "POST", .url = url, .body = body };
	json_t *order;
	int r = client_call(ic->to, &call, e);

	if (r < 0)
		return r;
	order = json_pack("{s:s, s:s}", "target", address, "secret", jtext(json_object_get(call.meta, "metadata"), "secret"));
	if (*transfer_certificate(ic->to))
		json_object_set_new(order, "certificate", json_string(transfer_certificate(ic->to)));
	if (ic->to->project)
		json_object_set_new(order, "project", json_string(ic->to->project));
	r = client_change_op(ic->from, "POST", client_url(ic->from, "/1.0/images/%s/export", ic->fingerprint), order,
			     "Copying the image", NULL, e);
	if (r < 0 && call.operation)
		(void)client_change(ic->to, "DELETE", client_url(ic->to, "/1.0/operations/%s", call.operation), NULL, NULL);
	return r;
}

static int push(struct image_copy *ic, const struct lxm_strv *addresses, struct lxm_err *e)
{
	size_t i;
	int r = -EINVAL;

	for (i = 0; i < addresses->n; i++) {
		lxm_err_clear(e);
		r = push_once(ic, addresses->v[i], e);
		if (r >= 0 || (e->http && e->http < 500))
			return r;
	}
	return r;
}

/* ---- relay */

struct spool {
	int fd;
	uint64_t bytes, total;
	char *type, *filename; /* owned */
	struct progress progress;
};

static int spool_head(void *arg, const struct lxm_kv *headers, struct lxm_err *e)
{
	struct spool *s = arg;
	const char *name = strstr(lxm_kv_or(headers, "content-disposition", ""), "filename=");

	s->type = lxm_strdup(lxm_kv_or(headers, "content-type", "application/octet-stream"));
	s->filename = name ? lxm_strndup(name + 9, strcspn(name + 9, ";\"/\r\n")) : NULL;
	(void)lxm_parse_u64(lxm_kv_or(headers, "content-length", ""), &s->total);
	return 0;
}

static int spool_data(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct spool *s = arg;
	int r = lxm_write_all(s->fd, data, n);

	s->bytes += n;
	progress_bytes(&s->progress, s->bytes, s->total);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "keep the image meanwhile");
}

/* A file that is gone whatever happens to us. */
static int open_spool(struct lxm_err *e)
{
	const char *dir = lxm_empty(getenv("TMPDIR")) ? "/var/tmp" : getenv("TMPDIR");
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? lxm_err_sys(e, "make a temporary file in '%s'", dir) : fd;
}

static int download(struct image_copy *ic, struct spool *s, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(ic->from, "/1.0/images/%s/export", ic->fingerprint);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url, .sink = spool_data, .sink_arg = s, .on_head = spool_head };
	int r;

	progress_begin(&s->progress, "Fetching the image", ic->cli->quiet);
	r = client_raw(ic->from, &rq, &reply, e);
	progress_end(&s->progress);
	return r;
}

static int send_spool(struct image_copy *ic, struct spool *s, json_t **op_out, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(ic->to, "/1.0/images"), *own = lxm_url_encode(s->filename ? s->filename : "image", NULL);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	lxm_auto(upload) struct upload up = { .progress = &s->progress };
	lxm_auto(json) json_t *env = NULL;
	struct lxm_http_request rq = { .method = "POST", .target = url, .headers = &headers, .source = upload_read,
				       .source_arg = &up, .source_size = -1 };
	const char *slash;
	int r;

	lxm_kv_set(&headers, "Content-Type", s->type);
	lxm_kv_set(&headers, "X-LXD-public", cli_has(ic->cli, "public") ? "true" : "false");
	lxm_kv_set(&headers, "X-LXD-filename", own);
	lxm_kv_set(&headers, "X-LXD-fingerprint", ic->fingerprint);
	upload_file(&up, s->fd);
	progress_begin(&s->progress, "Sending the image", ic->cli->quiet);
	r = client_raw(ic->to, &rq, &reply, e);
	progress_end(&s->progress);
	if (r < 0)
		return r;
	env = json_loadb(reply.body.data, reply.body.len, 0, NULL);
	slash = strrchr(jtext(env, "operation"), '/');
	if (!slash)
		return lxm_err_set(e, EPROTO, "the server's answer names no operation");
	return client_wait(ic->to, slash + 1, "Importing", op_out, e);
}

static int relay(struct image_copy *ic, struct lxm_err *e)
{
	struct spool s = { .fd = open_spool(e) };
	lxm_auto(json) json_t *op = NULL;
	int r = s.fd < 0 ? s.fd : download(ic, &s, e);

	if (r == 0 && lseek(s.fd, 0, SEEK_SET) < 0)
		r = lxm_err_sys(e, "read the image again");
	if (r == 0)
		r = send_spool(ic, &s, &op, e);
	auto_fd_close(&s.fd);
	free(s.type);
	free(s.filename);
	return r;
}

/* ---- the verb */

static int copy_bytes(struct image_copy *ic, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv addresses = { 0 };
	bool same;
	int r;

	if (!ic->from)
		return pull_streams(ic, e);
	r = transfer_same_server(ic->from, ic->to, &same, e);
	if (r < 0)
		return r;
	if (same && lxm_streq(ic->from->project, ic->to->project))
		return lxm_err_set(e, EINVAL, "the image is on that server already");
	if (ic->mode == TRANSFER_RELAY)
		return relay(ic, e);
	r = transfer_addresses(ic->mode == TRANSFER_PUSH ? ic->to : ic->from, &addresses, e);
	if (r < 0)
		return r;
	if (!addresses.n && ic->mode == TRANSFER_AUTO)
		return relay(ic, e);
	if (!addresses.n)
		return lxm_err_set(e, ENOTCONN, "remote '%s' does not listen on the network: set core.https_address there, or use "
						"--mode=relay",
				   (ic->mode == TRANSFER_PUSH ? ic->to : ic->from)->remote);
	return ic->mode == TRANSFER_PUSH ? push(ic, &addresses, e) : pull(ic, &addresses, e);
}

static int name_copy(struct image_copy *ic, struct lxm_err *e)
{
	json_t *alias;
	size_t i;
	int r = image_add_aliases(ic->cli, ic->to, ic->fingerprint, e);

	json_array_foreach(json_object_get(ic->object, "aliases"), i, alias)
		if (r == 0 && cli_has(ic->cli, "copy-aliases"))
			r = image_add_alias(ic->to, jtext(alias, "name"), ic->fingerprint, cli_has(ic->cli, "reuse"), e);
	return r;
}

int verb_image_copy(struct cli *cli, struct lxm_err *e)
{
	struct image_copy ic = { .cli = cli };
	const char *rest = "", *project = cli_opt(cli, "target-project", NULL);
	int r;

	if (!lxm_ends(cli->args[1], ":"))
		return cli_usage(e, "the target is a remote: '%s:'", cli->args[1]);
	r = transfer_mode(cli_opt(cli, "mode", ""), &ic.mode, e);
	if (r == 0)
		r = find_source(&ic, e);
	if (r == 0)
		r = cli_target(cli, cli->args[1], &ic.to, &rest, e);
	if (r == 0 && project) {
		free(ic.to->project);
		ic.to->project = lxm_strdup(project);
	}
	if (r == 0)
		r = copy_bytes(&ic, e);
	if (r < 0 && !cli_is_usage(e))
		(void)lxm_err_wrap(e, r, "copy image '%s' to '%s'", cli->args[0], cli->args[1]);
	if (r == 0)
		r = name_copy(&ic, e);
	if (r == 0)
		printf(cli->quiet ? "%s\n" : "Image copied with fingerprint: %s\n", ic.fingerprint);
	image_copy_deinit(&ic);
	return r;
}
