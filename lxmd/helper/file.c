/*
 * lxm-helper's verb `file`: one job on the files of one instance, then the end. Everything that a path of the instance can lead to
 * is looked at here, in a single-threaded process without rights on the host; lxmd sees descriptors and numbers.
 */
#include "lxmd/helper/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sys.h"
#include "lxmd/helper/helper.h"

static int tell_ready(const int made[2], struct lxm_err *e)
{
	const struct file_report ready = { .kind = FILE_READY };
	int r = file_report_send(HELP_FD_REPORT, &ready, made, made[0] < 0 ? 0 : made[1] < 0 ? 1 : 2);

	return r < 0 ? lxm_err_set(e, -r, "report: %s", strerror(-r)) : 0;
}

static int work(const struct file_job *j, struct file_report *done, int *fd_out, struct lxm_err *e)
{
	struct tree t = { .root = -1, .fds = -1 };
	int made[2], r = file_enter(j, &t, made, e);

	if (r == 0)
		r = tell_ready(made, e);
	if (r < 0)
		return r;
	switch (j->verb) {
	case FILE_GET:
		return file_get(&t, j, done, fd_out, e);
	case FILE_PUT:
		return file_put(&t, j, e);
	case FILE_DELETE:
		return file_delete(&t, j, e);
	default:
		return file_sftp(&t, j, e);
	}
}

int file_run(void)
{
	struct file_report done = { .kind = FILE_DONE };
	struct lxm_err e = { 0 };
	struct file_view v;
	int i, r, fd = -1;

	for (i = HELP_FD_JOB; i < HELP_FD_FILE_END; i++)
		(void)fcntl(i, F_SETFD, FD_CLOEXEC);
	r = file_job_open(HELP_FD_JOB, &v, &e);
	if (r == 0)
		r = work(&v.job, &done, &fd, &e);
	if (r < 0) {
		done = (struct file_report){ .kind = FILE_FAILED, .code = -r };
		snprintf(done.text, sizeof(done.text), "%s", e.msg);
	}
	(void)file_report_send(HELP_FD_REPORT, &done, &fd, fd < 0 ? 0 : 1);
	return 0;
}
