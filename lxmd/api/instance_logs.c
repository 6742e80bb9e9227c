/* /1.0/instances/NAME/logs: what the monitor logged and what exec recorded. Files lie in LOG/PROJECT/NAME. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/instance/instance.h"

/* Only names that we give ourselves: nothing with a slash or a leading dot ever reaches the file system. */
static bool is_log_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n && s[n] == 0 && n < 128 && *s != '.' && (lxm_ends(s, ".log") || lxm_starts(s, "exec_"));
}

/* The directory of an instance's logs; -ENOENT also when nothing was ever logged. */
static int open_dir(struct request *rq, int *fd_out, struct lxm_err *e)
{
	lxm_auto(instance) struct instance i = { 0 };
	lxm_auto(free) char *path = NULL;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &i, e);

	if (r < 0)
		return r;
	path = lxm_asprintf("%s/%s/%s", rq->d->dirs.log.path, i.row.project, i.row.name);
	*fd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd_out < 0 && errno != ENOENT)
		return lxm_err_sys(e, "open the logs of instance '%s'", i.row.name);
	return 0;
}

int api_instance_logs_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out;
	struct dirent *de;
	DIR *dir;
	size_t k;
	int fd = -1, r = open_dir(rq, &fd, e);

	if (r < 0)
		return r;
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && (de = readdir(dir)))
		if (is_log_name(de->d_name))
			lxm_strv_add(&names, de->d_name);
	if (dir)
		closedir(dir);
	lxm_strv_sort(&names);
	out = json_array();
	for (k = 0; k < names.n; k++)
		json_array_append_new(out, json_sprintf("/1.0/%s/%s/logs/%s", rq_collection(rq), rq_arg(rq, 0), names.v[k]));
	return reply_sync(rq, out);
}

static int not_found(struct request *rq, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "instance '%s' has no log '%.100s'", rq_arg(rq, 0), rq_arg(rq, 1));
}

int api_instance_log_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(fd_close) int dir = -1;
	struct stat st;
	int fd, r = open_dir(rq, &dir, e);

	if (r < 0)
		return r;
	if (dir < 0 || !is_log_name(rq_arg(rq, 1)))
		return not_found(rq, e);
	fd = lxm_open_beneath(dir, rq_arg(rq, 1), O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return not_found(rq, e);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return not_found(rq, e);
	}
	return reply_file(rq, fd, (uint64_t)st.st_size, NULL, NULL);
}

int api_instance_log_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(free) char *url = instance_url(rq_arg(rq, 0));
	lxm_auto(fd_close) int dir = -1;
	int r = open_dir(rq, &dir, e);

	if (r < 0)
		return r;
	if (dir < 0 || !is_log_name(rq_arg(rq, 1)) || unlinkat(dir, rq_arg(rq, 1), 0) < 0)
		return not_found(rq, e);
	event_lifecycle(rq->d, rq_project(rq), "instance-log-deleted", url, NULL, rq_caller(rq));
	return reply_sync(rq, NULL);
}
