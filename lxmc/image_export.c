/*
 * `lxmc image export`, see verb.h. File names come from the server, so only their last component counts and nothing
 * that is there already is overwritten without being asked for by name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmc/image.h"
#include "lxmc/json.h"
#include "lxmc/multipart.h"
#include "lxmc/out.h"
#include "lxmc/progress.h"
#include "lxmc/verb.h"

struct export {
	struct cli *cli;
	const char *target; /* directory, file, "-" or NULL */
	int fd;		    /* of the file being written */
	char *path;	    /* its name; owned */
	uint64_t done, total;
	bool split;
	struct progress progress;
	struct multipart parts;
};

/* Where the file goes: TARGET itself, or below it if it is a directory. */
static char *path_for(const struct export *x, const char *name, bool split)
{
	const char *slash = strrchr(name, '/');
	struct stat st;

	if (slash)
		name = slash + 1;
	if (!*name || *name == '.')
		name = "image";
	if (!x->target)
		return lxm_strdup(name);
	if (stat(x->target, &st) == 0 && S_ISDIR(st.st_mode))
		return lxm_asprintf("%s/%s", x->target, name);
	if (split && strstr(name, "meta-") != name)
		return lxm_asprintf("%s.root", x->target);
	return lxm_strdup(x->target);
}

static int open_out(struct export *x, const char *name, bool split, struct lxm_err *e)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

	free(x->path);
	x->path = NULL;
	if (x->target && strcmp(x->target, "-") == 0) {
		x->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	} else {
		x->path = path_for(x, name, split);
		x->fd = open(x->path, flags | (cli_has(x->cli, "force") ? O_TRUNC : O_EXCL), 0644);
	}
	if (x->fd < 0 && errno == EEXIST)
		return lxm_err_set(e, EEXIST, "'%s' is there already; --force overwrites it", x->path);
	return x->fd < 0 ? lxm_err_sys(e, "create '%s'", x->path ? x->path : "-") : 0;
}

static int write_out(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct export *x = arg;
	int r = lxm_write_all(x->fd, data, n);

	x->done += n;
	progress_bytes(&x->progress, x->done, x->total);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", x->path ? x->path : "-");
}

static int close_out(void *arg, struct lxm_err *e)
{
	struct export *x = arg;

	auto_fd_close(&x->fd);
	progress_end(&x->progress);
	if (x->path)
		printf("%s%s\n", x->cli->quiet ? "" : "Wrote ", x->path);
	return 0;
}

static int begin_part(void *arg, const char *name, const char *filename, struct lxm_err *e)
{
	return open_out(arg, *filename ? filename : name, true, e);
}

/* The headers tell whether one file comes or the two of a split image. */
static int on_head(void *arg, const struct lxm_kv *headers, struct lxm_err *e)
{
	struct export *x = arg;
	const char *name = strstr(lxm_kv_or(headers, "content-disposition", ""), "filename=");

	x->split = multipart_boundary(lxm_kv_or(headers, "content-type", ""), x->parts.boundary,
				      sizeof(x->parts.boundary));
	(void)lxm_parse_u64(lxm_kv_or(headers, "content-length", ""), &x->total);
	if (x->split)
		return 0;
	return open_out(x, name ? name + strlen("filename=") : "image.tar.gz", false, e);
}

static int on_data(void *arg, const void *data, size_t n, struct lxm_err *e)
{
	struct export *x = arg;

	return x->split ? multipart_feed(&x->parts, data, n, e) : write_out(x, data, n, e);
}

static int fetch(struct export *x, struct client *c, const char *fingerprint, struct lxm_err *e)
{
	static const struct multipart_ops ops = { begin_part, write_out, close_out };
	lxm_auto(free) char *url = client_url(c, "/1.0/images/%s/export", fingerprint);
	lxm_auto(http_reply) struct lxm_http_reply reply = { 0 };
	struct lxm_http_request rq = { .method = "GET", .target = url, .sink = on_data, .sink_arg = x,
				       .on_head = on_head };
	int r;

	x->parts.ops = &ops;
	x->parts.arg = x;
	progress_begin(&x->progress, "Exporting", cli_has(x->cli, "quiet"));
	r = client_raw(c, &rq, &reply, e);
	progress_end(&x->progress);
	if (r == 0 && x->split && x->parts.state != MULTIPART_DONE)
		return lxm_err_set(e, ECONNRESET, "the image came only in part");
	return r == 0 && !x->split ? close_out(x, e) : r;
}

int verb_image_export(struct cli *cli, struct lxm_err *e)
{
	struct export x = { .cli = cli, .fd = -1, .target = cli->n_args > 1 ? cli->args[1] : NULL };
	lxm_auto(free) char *fingerprint = NULL;
	const char *name;
	struct client *c;
	int r;

	r = cli_target(cli, cli->args[0], &c, &name, e);
	if (r == 0)
		r = image_resolve(c, name, &fingerprint, e);
	if (r == 1)
		return lxm_err_set(e, ENOENT, "there is no image '%s'; 'lxmc image list' shows what there is", name);
	if (r == 0)
		r = fetch(&x, c, fingerprint, e);
	if (r < 0 && x.fd >= 0 && x.path)
		(void)unlink(x.path);
	auto_fd_close(&x.fd);
	multipart_deinit(&x.parts);
	free(x.path);
	return r;
}
