/*
 * Starting, finding and ending lxcfs. It runs as root in the host's namespaces, because it looks at all cgroups; as one session of its own, so that it
 * outlives lxmd. How much memory it may take is bounded: instances decide how many of its files are open (doc/security.md).
 */
#include "lxmd/instance/lxcfs_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"
#include "lxmd/instance/lxcfs_view.h"
#include "lxmd/spawn/spawn.h"

#define MEMORY_MAX (2ull << 30)

/* whoever has the lock is the one, and alive */
int lxcfs_process_find(const struct lxcfs_paths *at)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET }, once_more = lock;
	lxm_auto(fd_close) int fd = open(at->pid_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int pidfd;

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK || lock.l_pid <= 1)
		return -1;
	pidfd = sys_pidfd_open(lock.l_pid, 0);
	if (pidfd >= 0 && (fcntl(fd, F_GETLK, &once_more) < 0 || once_more.l_type == F_UNLCK || once_more.l_pid != lock.l_pid))
		auto_fd_close(&pidfd);
	return pidfd;
}

int lxcfs_process_spawn(const struct lxcfs_paths *at, int *pidfd_out, struct lxm_err *e)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "MALLOC_ARENA_MAX=2", NULL };
	lxm_auto(free) char *fs = lxm_asprintf("%s/fs", at->dir);
	lxm_auto(fd_close) int log = open(at->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	const char *argv[] = { "lxcfs", "-f", "--enable-loadavg", "--enable-pidfd", "-p", at->pid_path, fs, NULL };
	struct spawn_spec spec = { .path = at->program, .argv = argv, .env = env, .setsid = true, .as_max = MEMORY_MAX };
	int r;

	if (log < 0)
		return lxm_err_sys(e, "open '%s'", at->log_path);
	spec.fds[0] = (struct spawn_fd){ log, 1 };
	spec.fds[1] = (struct spawn_fd){ log, 2 };
	spec.nfds = 2;
	r = spawn_child(&spec, pidfd_out, NULL, e);
	if (r == -ENOENT)
		return lxm_err_set(e, ENOENT, "the program lxcfs is missing (package lxcfs)");
	return r;
}

static bool ended(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* The last line that it said. */
static int last_words(const struct lxcfs_paths *at, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	char *line;

	if (lxm_read_file(at->log_path, LXCFS_LOG_MAX, &text) < 0 || !text.len)
		return lxm_err_set(e, EIO, "lxcfs ended at once");
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = 0;
	line = strrchr(text.data, '\n');
	return lxm_err_set(e, EIO, "lxcfs ended: %.200s", line ? line + 1 : text.data);
}

int lxcfs_process_wait(const struct lxcfs_paths *at, int pidfd, int timeout_ms, struct lxm_err *e)
{
	int64_t until = lxm_mono_ms() + timeout_ms;

	while (!lxcfs_view_mounted(at->dir)) {
		if (ended(pidfd, 2))
			return last_words(at, e);
		if (lxm_mono_ms() > until)
			return lxm_err_set(e, ETIMEDOUT, "lxcfs does not come up");
	}
	return 0;
}

void lxcfs_process_end(int pidfd, int sig, bool child)
{
	(void)sys_pidfd_send_signal(pidfd, sig);
	if (!ended(pidfd, 1000)) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL);
		(void)ended(pidfd, 1000);
	}
	if (child)
		(void)spawn_reap(pidfd, NULL);
	(void)close(pidfd);
}
