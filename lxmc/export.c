/*
 * `lxmc export` and `lxmc import`: an instance into a tarball and out of one, see verb.h. The server makes the backup first, which
 * therefore needs room there; it is deleted when it is fetched, and by its expiry if we come to no end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/time.h"
#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/progress.h"
#include "lxmc/upload.h"
#include "lxmc/verb.h"

#define KEEP_MS (24 * 3600 * 1000LL) /* of a backup whose fetching was cut off */

/* ---- export */

struct fetch {
	int fd;
	const char *path; /* NULL: stdout */
	uint64_t done, total;
	struct progress progress;
};

static int on_head(void *arg, const struct lxm_kv *headers, struct lxm_err *e)
{
	struct fetch *f = arg;

	(void)lxm_parse_u64(lxm_kv_or(headers, "content-length", ""), &f->total);
	return 0;
}

static int on_data(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct fetch *f = arg;
	int r = lxm_write_all(f->fd, data, n);

	f->done += n;
	progress_bytes(&f->progress, f->done, f->total);
	return r < 0 ? lxm_err_set(e, -r, "write '%s': %s", f->path ? f->path : "-", strerror(-r)) : 0;
}

static int fetch(struct client *c, const char *name, const char *backup, struct fetch *f, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(c, "/1.0/instances/%s/backups/%s/export", name, backup);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url, .sink = on_data, .sink_arg = f, .on_head = on_head };
	int r;

	progress_begin(&f->progress, "Exporting", c->quiet);
	r = client_raw(c, &rq, &reply, e);
	progress_end(&f->progress);
	if (r == 0 && f->done != f->total)
		r = lxm_err_set(e, ECONNRESET, "the backup came only in part");
	if (r == 0 && f->path && fsync(f->fd) < 0)
		r = lxm_err_sys(e, "write '%s'", f->path);
	return r;
}

static json_t *export_body(struct cli *cli)
{
	const char *compression = cli_opt(cli, "compression", NULL);
	json_t *body;
	char text[32];

	lxm_time_str(lxm_now() + KEEP_MS, text);
	body = json_pack("{s:s, s:s, s:b, s:b, s:b}", "name", "", "expires_at", text, "instance_only", cli_has(cli, "instance-only"),
			 "container_only", cli_has(cli, "instance-only"), "optimized_storage", cli_has(cli, "optimized-storage"));
	if (compression)
		json_object_set_new(body, "compression_algorithm", json_string(compression));
	return body;
}

/* The name of the backup that an operation made; NULL if it does not say. */
static const char *backup_of(json_t *op)
{
	json_t *urls = json_object_get(json_object_get(op, "resources"), "backups");
	const char *url = json_string_value(json_array_get(urls, 0)), *slash = url ? strrchr(url, '/') : NULL;

	return slash && slash[1] ? slash + 1 : NULL;
}

static int export_to(struct cli *cli, struct client *c, const char *name, struct fetch *f, struct lxm_err *e)
{
	lxm_auto(json) json_t *op = NULL;
	lxm_auto(free) char *title = lxm_asprintf("Backing up %s", name);
	const char *backup;
	struct lxm_err e2 = { 0 };
	int r = client_change_op(c, "POST", client_url(c, "/1.0/instances/%s/backups", name), export_body(cli), title, &op, e);

	if (r < 0)
		return r;
	backup = backup_of(op);
	if (!backup)
		return lxm_err_set(e, EPROTO, "the server's answer names no backup");
	r = fetch(c, name, backup, f, e);
	if (client_change(c, "DELETE", client_url(c, "/1.0/instances/%s/backups/%s", name, backup), NULL, &e2) < 0 && r == 0)
		r = lxm_err_set(e, e2.code, "delete the backup on the server: %.300s", e2.msg);
	return r;
}

/* What a file is called when nobody says. */
static char *default_name(struct cli *cli, const char *name)
{
	static const char *const suffix[][2] = { { "none", "" }, { "xz", ".xz" }, { "zstd", ".zst" }, { "bzip2", ".bz2" } };
	const char *compression = cli_opt(cli, "compression", NULL);
	size_t k;

	for (k = 0; compression && k < LXM_ARRAY_LEN(suffix); k++)
		if (strcmp(compression, suffix[k][0]) == 0)
			return lxm_asprintf("%s.tar%s", name, suffix[k][1]);
	return lxm_asprintf("%s.tar.gz", name);
}

int verb_export(struct cli *cli, struct lxm_err *e)
{
	bool to_stdout = cli->n_args > 1 && strcmp(cli->args[1], "-") == 0;
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (cli_has(cli, "force") ? O_TRUNC : O_EXCL);
	lxm_auto(free) char *path = NULL;
	struct fetch f = { .fd = STDOUT_FILENO };
	const char *name;
	struct client *c;
	int r = cli_target(cli, cli->args[0], &c, &name, e);

	if (r < 0)
		return r;
	if (to_stdout)
		return lxm_err_wrap(e, export_to(cli, c, name, &f, e), "export '%s'", name);
	path = cli->n_args > 1 ? lxm_strdup(cli->args[1]) : default_name(cli, name);
	f.path = path;
	f.fd = open(path, flags, 0600);
	if (f.fd < 0 && errno == EEXIST)
		return lxm_err_set(e, EEXIST, "'%s' is there already; --force overwrites it", path);
	if (f.fd < 0)
		return lxm_err_sys(e, "create '%s'", path);
	r = export_to(cli, c, name, &f, e);
	(void)close(f.fd);
	if (r < 0) {
		(void)unlink(path);
		return lxm_err_wrap(e, r, "export '%s'", name);
	}
	printf("%s%s\n", cli->quiet ? "" : "Wrote ", path);
	return 0;
}

/* ---- import */

static int send_backup(struct cli *cli, struct client *c, int fd, const char *name, json_t **op_out, struct lxm_err *e)
{
	lxm_auto(free) char *url = client_url(c, "/1.0/instances");
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	lxm_auto(upload) struct upload up = { 0 };
	struct progress progress = { 0 };
	struct lxm_http_request rq = { .method = "POST", .target = url, .headers = &headers, .source = upload_read, .source_arg = &up,
				       .source_size = -1 };
	lxm_auto(json) json_t *env = NULL;
	const char *op;
	int r;

	lxm_kv_set(&headers, "Content-Type", "application/octet-stream");
	if (name)
		lxm_kv_set(&headers, "X-LXD-name", name);
	if (cli_opt(cli, "storage", NULL))
		lxm_kv_set(&headers, "X-LXD-pool", cli_opt(cli, "storage", NULL));
	upload_file(&up, fd);
	up.progress = &progress;
	progress_begin(&progress, "Uploading", cli->quiet);
	r = client_raw(c, &rq, &reply, e);
	progress_end(&progress);
	if (r < 0)
		return r;
	env = json_loadb(reply.body.data, reply.body.len, 0, NULL);
	op = strrchr(jtext(env, "operation"), '/');
	return op ? client_wait(c, op + 1, "Importing", op_out, e) : lxm_err_set(e, EPROTO, "the server's answer names no operation");
}

/* [REMOTE:] FILE [NAME] */
int verb_import(struct cli *cli, struct lxm_err *e)
{
	size_t at = cli->n_args > 1 && lxm_ends(cli->args[0], ":") ? 1 : 0;
	const char *file = cli->args[at], *name = cli->n_args > at + 1 ? cli->args[at + 1] : NULL, *none;
	lxm_auto(fd_close) int fd = -1;
	lxm_auto(json) json_t *op = NULL;
	struct client *c;
	json_t *urls;
	const char *url, *slash;
	int r = cli_target(cli, at ? cli->args[0] : "", &c, &none, e);

	if (r < 0)
		return r;
	if (cli->n_args > at + 2)
		return cli_usage(e, "too many arguments: [REMOTE:] FILE [NAME]");
	fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", file);
	r = send_backup(cli, c, fd, name, &op, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "import '%s'", file);
	urls = json_object_get(json_object_get(op, "resources"), "instances");
	url = json_string_value(json_array_get(urls, 0));
	slash = url ? strrchr(url, '/') : NULL;
	if (!cli->quiet && slash)
		printf("Instance imported as %s\n", slash + 1);
	return 0;
}
