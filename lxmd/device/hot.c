/* Changes to running instances, each by a lxm-helper of its own. Worker threads. */
#include "lib/wire/hot.h"

#include "lib/base/log.h"
#include "lxmd/device/device_priv.h"
#include "lxmd/spawn/spawn.h"

#define HOT_MS 30000 /* a file system of the instance may keep the helper waiting */

int device_hot_run(const struct device_live *live, struct hot_job *job, struct lxm_err *e)
{
	lxm_auto(fd_close) int sock = -1;
	struct file_report rep;
	int fds[2], pidfd = -1, r;

	job->pid = (uint32_t)live->init_pid;
	r = spawn_hot(live->spawner, job, live->init_pidfd, &sock, &pidfd, e);
	if (r < 0)
		return r;
	r = file_report_recv(sock, &rep, fds, HOT_MS, e);
	auto_fd_close(&fds[0]);
	auto_fd_close(&fds[1]);
	if (r == 0)
		r = lxm_err_set(e, EIO, "the helper ended without a word");
	else if (r > 0 && rep.kind == FILE_FAILED)
		r = lxm_err_set(e, rep.code ? rep.code : EIO, "%s", rep.text);
	else if (r > 0 && rep.kind != FILE_DONE)
		r = lxm_err_set(e, EBADMSG, "the helper's answer makes no sense");
	else if (r > 0 && *rep.text)
		lxm_info("process %d: %s", (int)live->init_pid, rep.text);
	spawn_kill(&pidfd);
	return r < 0 ? r : 0;
}
