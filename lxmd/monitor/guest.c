/*
 * /dev/lxd/sock: the door of the guest API. The monitor makes a listening socket of its own in the container's /dev and
 * hands copies of it to whichever lxmd is there; lxmd accepts. So the socket itself says which instance calls, it costs
 * one bind at start, and while no lxmd is there connections wait in its backlog.
 *
 * Root inside owns /dev. While the container runs each step therefore goes by a descriptor of the tmpfs that was made
 * for it, follows no link and crosses no mount.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"

#define GUEST_BACKLOG 16

/* A listening socket named "sock" in that directory. Its mode is set before bind: nothing is looked up by name afterwards. */
static int listen_in(int dir, struct lxm_err *e)
{
	lxm_auto(fd_close) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/sock", dir);
	/* the monitor's umask is 0 */
	if (s < 0 || fchmod(s, 0666) < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, GUEST_BACKLOG) < 0)
		return lxm_err_sys(e, "listen on '/dev/lxd/sock'");
	return LXM_TAKE(s, -1);
}

static int open_dir(int dev)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, dev, "lxd", &how, sizeof(how));
}

static int put_up(struct mon *m, struct lxm_err *e)
{
	lxm_auto(fd_close) int dir = -1;

	(void)mkdirat(m->dev, "lxd", 0755);
	if (symlinkat("lxd", m->dev, "incus") < 0 && errno != EEXIST)
		return lxm_err_sys(e, "make '/dev/incus'");
	dir = open_dir(m->dev);
	if (dir < 0)
		return lxm_err_sys(e, "open '/dev/lxd'");
	(void)unlinkat(dir, "sock", 0);
	m->guest = listen_in(dir, e);
	return m->guest < 0 ? m->guest : 0;
}

static void take_away(struct mon *m)
{
	lxm_auto(fd_close) int dir = open_dir(m->dev);

	auto_fd_close(&m->guest);
	if (dir < 0)
		return;
	(void)unlinkat(dir, "sock", 0);
	(void)unlinkat(m->dev, "incus", 0);
	(void)unlinkat(m->dev, "lxd", AT_REMOVEDIR);
}

/* The caller acts as root of the container. */
int guest_make(struct start *s, int dev, struct lxm_err *e)
{
	struct mon *m = s->m;

	m->dev = fcntl(dev, F_DUPFD_CLOEXEC, MON_FD_FIRST_FREE);
	if (m->dev < 0)
		return lxm_err_sys(e, "keep '/dev'");
	return s->plan.options & PLAN_GUEST_API ? put_up(m, e) : 0;
}

int guest_switch(struct mon *m, bool on, int *fd_out, struct lxm_err *e)
{
	struct plan_view plan;
	int r = plan_open(m->plan_fd, &plan, e);

	if (r < 0)
		return r;
	fs_as(plan_host_id(&plan, PLAN_MAP_UID, 0), plan_host_id(&plan, PLAN_MAP_GID, 0));
	plan_close(&plan);
	if (!on)
		take_away(m);
	else if (m->guest < 0)
		r = put_up(m, e);
	fs_as(0, 0);
	if (r < 0 || !on)
		return r;
	*fd_out = fcntl(m->guest, F_DUPFD_CLOEXEC, MON_FD_FIRST_FREE);
	return *fd_out < 0 ? lxm_err_sys(e, "hand over '/dev/lxd/sock'") : 0;
}

void guest_close(struct mon *m)
{
	auto_fd_close(&m->guest);
	auto_fd_close(&m->dev);
}
