/* /1.0/instances/NAME/files: one file, directory or link each time; and the way to SFTP. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/instance/files.h"
#include "lxmd/instance/instance.h"

#define LINK_MAX_BYTES 4095

static const char *const type_names[FILE_TYPES] = {
	[FILE_TYPE_FILE] = "file",
	[FILE_TYPE_DIRECTORY] = "directory",
	[FILE_TYPE_SYMLINK] = "symlink",
};

static int get_target(struct request *rq, struct instance *i, const char **path, struct lxm_err *e)
{
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), i, e);

	*path = rq_query(rq, "path");
	if (r == 0 && lxm_empty(*path))
		return lxm_err_set(e, EINVAL, "the query parameter path is missing");
	if (r == 0 && strlen(*path) >= 4096)
		return lxm_err_set(e, ENAMETOOLONG, "the path is too long");
	return r;
}

/* What the file system says, as the contract wants it. */
static int judge(struct lxm_err *e, int r, const struct instance *i)
{
	if (r < 0 && !e->http) {
		if (r == -ENOTDIR)
			e->http = 404;
		else if (r == -ELOOP || r == -EISDIR || r == -ENXIO)
			e->http = 400;
		else if (r == -ENOSPC || r == -EDQUOT)
			e->http = 507;
		else if (r == -EROFS)
			e->http = 403;
	}
	return r < 0 ? lxm_err_wrap(e, r, "instance '%s'", i->row.name) : 0;
}

static void tell(struct request *rq, const struct instance *i, const char *action, const char *path)
{
	lxm_auto(free) char *url = instance_url(i->row.name);
	json_t *context = json_object(), *text = json_string(path);

	if (text) /* a name that is no UTF-8 cannot be told */
		json_object_set_new(context, "path", text);
	event_lifecycle(rq->d, i->row.project, action, url, context, rq_caller(rq));
}

static int open_spool(struct request *rq, struct lxm_err *e)
{
	int fd = openat(rq->d->dirs.cache.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? lxm_err_sys(e, "open a file in '%s'", rq->d->dirs.cache.path) : fd;
}

/* ---- GET, HEAD */

static void set_header(struct lxm_kv *h, const char *name, const char *value)
{
	lxm_auto(free) char *lxd = lxm_asprintf("X-LXD-%s", name);
	lxm_auto(free) char *incus = lxm_asprintf("X-Incus-%s", name);

	lxm_kv_set(h, lxd, value);
	lxm_kv_set(h, incus, value);
}

static void fill_headers(struct lxm_kv *h, const struct file_report *f, const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	time_t when = (time_t)f->mtime_s;
	struct tm tm = { 0 };
	char text[64];

	set_header(h, "type", type_names[f->type]);
	snprintf(text, sizeof(text), "%u", f->uid);
	set_header(h, "uid", text);
	snprintf(text, sizeof(text), "%u", f->gid);
	set_header(h, "gid", text);
	snprintf(text, sizeof(text), "%04o", f->mode & 07777);
	set_header(h, "mode", text);
	if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S +0000 UTC", &tm))
		set_header(h, "modified", text);
	if (f->type != FILE_TYPE_DIRECTORY) {
		lxm_auto(free) char *quoted = lxm_url_encode(name, " ");

		lxm_kv_setf(h, "Content-Disposition", "inline;filename=%s", quoted);
	}
}

/* The names in a spool, sorted; what is no UTF-8 is shown with replacement characters, as Go's JSON does. */
static int list_names(int spool, uint64_t size, json_t **out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(free) char *text = lxm_try_alloc(size + 1);
	const char *p;
	size_t k;

	if (!text)
		return lxm_err_set(e, ENOMEM, "the list of the directory is too long");
	if (lseek(spool, 0, SEEK_SET) < 0 || lxm_read_full(spool, text, size) != (ssize_t)size)
		return lxm_err_set(e, EIO, "read the list of a directory");
	for (p = text; p < text + size; p += strlen(p) + 1)
		lxm_strv_take(&names, lxm_utf8_clean(p));
	lxm_strv_sort(&names);
	*out = json_array();
	for (k = 0; k < names.n; k++)
		json_array_append_new(*out, json_string(names.v[k]));
	return 0;
}

int api_instance_files_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(kv) struct lxm_kv headers = { 0 };
	lxm_auto(fd_close) int spool = -1, fd = -1;
	struct file_job job = { .verb = FILE_GET };
	struct file_report f = { 0 };
	json_t *names = NULL;
	int r = get_target(rq, &i, &job.path, e);

	if (r < 0)
		return r;
	spool = open_spool(rq, e);
	if (spool < 0)
		return spool;
	r = judge(e, instance_file(rq->d, &i, &job, spool, &f, &fd, e), &i);
	if (r < 0)
		return r;
	fill_headers(&headers, &f, job.path);
	if (f.type == FILE_TYPE_DIRECTORY)
		r = list_names(spool, f.size, &names, e);
	if (r < 0)
		return r;
	if (strcmp(rq->method, "HEAD") != 0)
		tell(rq, &i, "instance-file-retrieved", job.path);
	if (f.type == FILE_TYPE_DIRECTORY)
		return reply_sync_headers(rq, names, &headers);
	return reply_file(rq, f.direct ? LXM_TAKE(fd, -1) : LXM_TAKE(spool, -1), f.size, NULL, &headers);
}

/* ---- POST */

static int read_number(struct request *rq, const char *name, int base, unsigned long max, uint32_t *out, struct lxm_err *e)
{
	const char *text = rq_header(rq, name);
	unsigned long v;
	char *end;

	*out = FILE_ID_UNSET;
	if (lxm_empty(text))
		return 0;
	if (base == 8 && lxm_starts(text, "0o")) /* as Python writes octal numbers */
		text += 2;
	errno = 0;
	v = strtoul(text, &end, base);
	if (errno || *end || *text < '0' || *text > '9' || v > max)
		return lxm_err_set(e, EINVAL, "X-LXD-%s '%.40s' is not %s", name, text, base == 8 ? "an octal mode" : "an id");
	*out = (uint32_t)v;
	return 0;
}

static int read_headers(struct request *rq, struct file_job *job, struct lxm_err *e)
{
	const char *type = rq_header(rq, "type"), *how = rq_header(rq, "write");
	int r = read_number(rq, "uid", 10, UINT32_MAX - 1, &job->uid, e);

	if (r == 0)
		r = read_number(rq, "gid", 10, UINT32_MAX - 1, &job->gid, e);
	if (r == 0)
		r = read_number(rq, "mode", 8, 07777, &job->mode, e);
	if (r < 0)
		return r;
	if (lxm_streq(how, "append"))
		job->flags |= FILE_APPEND;
	else if (!lxm_empty(how) && !lxm_streq(how, "overwrite"))
		return lxm_err_set(e, EINVAL, "X-LXD-write '%.40s' is neither overwrite nor append", how);
	job->type = FILE_TYPE_FILE;
	if (lxm_empty(type))
		return 0;
	for (job->type = FILE_TYPES - 1; job->type; job->type--)
		if (lxm_streq(type_names[job->type], type))
			return 0;
	return lxm_err_set(e, EINVAL, "X-LXD-type '%.40s' is neither file, directory nor symlink", type);
}

static int read_link(int body, uint64_t size, char target[LINK_MAX_BYTES + 1], struct lxm_err *e)
{
	ssize_t n;

	if (size == 0 || size > LINK_MAX_BYTES || body < 0)
		return lxm_err_set(e, EINVAL, "the body is not where a link can point to");
	n = lxm_read_full(body, target, (size_t)size);
	if (n != (ssize_t)size || memchr(target, 0, (size_t)n))
		return lxm_err_set(e, EINVAL, "the body is not where a link can point to");
	target[n] = 0;
	return 0;
}

int api_instance_files_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(fd_close) int fd = -1;
	struct file_job job = { .verb = FILE_PUT };
	char target[LINK_MAX_BYTES + 1];
	struct file_report f;
	uint64_t size = 0;
	int body = rq_body_fd(rq, &size);
	int r = get_target(rq, &i, &job.path, e);

	if (r == 0)
		r = read_headers(rq, &job, e);
	if (r == 0 && job.type == FILE_TYPE_SYMLINK) {
		job.target = target;
		r = read_link(body, size, target, e);
	}
	if (r < 0)
		return r;
	r = judge(e, instance_file(rq->d, &i, &job, body, &f, &fd, e), &i);
	if (r < 0)
		return r;
	tell(rq, &i, "instance-file-pushed", job.path);
	return reply_sync(rq, NULL);
}

/* ---- DELETE */

int api_instance_files_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(fd_close) int fd = -1;
	struct file_job job = { .verb = FILE_DELETE };
	struct file_report f;
	int r = get_target(rq, &i, &job.path, e);

	if (r < 0)
		return r;
	r = judge(e, instance_file(rq->d, &i, &job, -1, &f, &fd, e), &i);
	if (r < 0)
		return r;
	tell(rq, &i, "instance-file-deleted", job.path);
	return reply_sync(rq, NULL);
}

/* ---- SFTP */

int api_instance_sftp_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	struct sftp_session *session = NULL;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r < 0)
		return r;
	r = judge(e, instance_sftp(rq->d, &i, rq_caller(rq), &session, e), &i);
	return r < 0 ? r : reply_upgrade(rq, "sftp", sftp_serve, sftp_drop, session);
}
