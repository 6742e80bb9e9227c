/*
 * How lxmd starts its helpers: from sealed copies in memory, taken once. A container can never reach or overwrite
 * those (CVE-2019-5736), all monitors share the pages of their text, and replaced files on disk do not disturb a running
 * lxmd. Any thread; the spawner does not change after spawner_new().
 */
#include "lxmd/spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/wire/cgroup.h"
#include "lib/wire/forward.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define MONITORS "lxm.monitors" /* in the unified hierarchy */
#define SESSIONS ".lxm-exec"	  /* in an instance's directory of it */

struct spawner {
	int monitor, helper, forward; /* sealed programs */
	int unified;	     /* mount point of the unified hierarchy, -1: none */
	bool pure_v2;	     /* all controllers are in it */
	int fast;	     /* mount that keeps cgroup attaching fast, -1: none */
};

static int sealed_copy(int dir, const char *name, int *fd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int from = openat(dir, name, O_RDONLY | O_CLOEXEC), to = -1;
	struct stat st;
	off_t at = 0;

	if (from < 0 || fstat(from, &st) < 0)
		return lxm_err_sys(e, "open program '%s'", name);
	/* MFD_EXEC says what kernels since 6.3 want said; older ones do not know it */
	to = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (to < 0 && errno == EINVAL)
		to = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0)
		return lxm_err_sys(e, "memory for program '%s'", name);
	while (at < st.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lxm_err_sys(e, "copy program '%s'", name);
	}
	if (fchmod(to, 0500) < 0 || fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return lxm_err_sys(e, "seal program '%s'", name);
	*fd_out = LXM_TAKE(to, -1);
	return 0;
}

/*
 * Joining a v1 cgroup first waits for RCU, 5 to 8 ms after some idleness, unless a hierarchy with `favordynmods` exists. A
 * named hierarchy of our own has no controllers and disturbs nothing; it is never attached anywhere and goes with lxmd.
 */
static int fast_attach(void)
{
	lxm_auto(fd_close) int fs = fsopen("cgroup", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "none", NULL, 0) < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "name", "lxm", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "favordynmods", NULL, 0) < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

static int unified_mount(const struct cgroup_layout *l)
{
	const struct cgroup_hier *u = cgroup_unified(l);

	return u ? open(u->mount, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

/*
 * What outlives lxmd leaves its service, so that stopping it does not reach them. All daemons of a host share the directory and
 * each removes it when it ends and nothing is in it: it is made and opened for every start.
 */
static int monitors_open(const struct spawner *s)
{
	if (s->unified < 0 || lxm_mkdir_at(s->unified, MONITORS, 0755) < 0)
		return -1;
	return openat(s->unified, MONITORS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int spawner_new(const char *bin_dir, struct spawner **out, struct lxm_err *e)
{
	lxm_auto(spawner_free) struct spawner *s = lxm_alloc(sizeof(*s));
	lxm_auto(fd_close) int dir = open(bin_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct cgroup_layout layout;
	int r;

	s->monitor = s->helper = s->forward = s->unified = s->fast = -1;
	if (dir < 0)
		return lxm_err_sys(e, "open '%s'", bin_dir);
	r = sealed_copy(dir, "lxm-monitor", &s->monitor, e);
	if (r == 0)
		r = sealed_copy(dir, "lxm-helper", &s->helper, e);
	if (r == 0)
		r = sealed_copy(dir, "lxm-forward", &s->forward, e);
	if (r < 0)
		return r;
	if (cgroup_layout_read(&layout, NULL) == 0) {
		s->unified = unified_mount(&layout);
		s->pure_v2 = layout.pure_v2;
		if (!layout.pure_v2)
			s->fast = fast_attach();
	}
	*out = LXM_TAKE(s, NULL);
	return 0;
}

void spawner_free(struct spawner *s)
{
	if (!s)
		return;
	/* only succeeds when no monitor is left */
	if (s->unified >= 0)
		(void)unlinkat(s->unified, MONITORS, AT_REMOVEDIR);
	auto_fd_close(&s->monitor);
	auto_fd_close(&s->helper);
	auto_fd_close(&s->forward);
	auto_fd_close(&s->unified);
	auto_fd_close(&s->fast);
	free(s);
}

/* A process among the monitors. */
static int spawn_lasting(const struct spawner *s, struct spawn_spec *spec, int *pidfd_out, struct lxm_err *e)
{
	int tries, r = -ENOENT;

	for (tries = 0; tries < 5 && (r == -ENOENT || r == -ENODEV); tries++) {
		lxm_auto(fd_close) int monitors = monitors_open(s);

		/* -ENOENT: another daemon removed the directory between the two calls */
		spec->cgroup_fd = monitors;
		lxm_err_clear(e);
		r = spawn_child(spec, pidfd_out, NULL, e);
	}
	return r;
}

int spawn_monitor(struct spawner *s, const char *id, int plan_fd, int rundir, int log_fd, int *sock_out, int *pidfd_out, struct lxm_err *e)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	const char *argv[] = { "lxm-monitor", id, NULL };
	lxm_auto(fd_close) int ours = -1, theirs = -1;
	struct spawn_spec spec = { .exec_fd = s->monitor, .argv = argv, .env = env, .setsid = true };
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	ours = sv[0];
	theirs = sv[1];
	spec.fds[spec.nfds++] = (struct spawn_fd){ log_fd >= 0 ? log_fd : 2, 2 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ plan_fd, 3 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ rundir, 4 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ theirs, 5 };
	r = spawn_lasting(s, &spec, pidfd_out, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start the monitor");
	*sock_out = LXM_TAKE(ours, -1);
	return 0;
}

/*
 * The unified cgroup for an exec session. A container's systemd cannot pass controllers on to its children while a process is in the
 * container's own directory, and after that none may be added there (EBUSY both): where all controllers are here, a leaf beside
 * systemd's takes sessions.
 */
static int session_leaf(int unified_dir)
{
	int fd = openat(unified_dir, SESSIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT && lxm_mkdir_at(unified_dir, SESSIONS, 0755) == 0)
		fd = openat(unified_dir, SESSIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd;
}

static int spawn_in_cgroup(const struct spawner *s, struct spawn_spec *spec, int unified_dir, int *pidfd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int leaf = s->pure_v2 && unified_dir >= 0 ? session_leaf(unified_dir) : -1;
	int r;

	spec->cgroup_fd = leaf >= 0 ? leaf : unified_dir;
	r = spawn_child(spec, pidfd_out, NULL, e);
	if ((r != -EBUSY && r != -EOPNOTSUPP) || unified_dir < 0)
		return r;
	/* with both versions systemd may use this one all the same; and an init may have made the leaf useless (threaded groups) */
	if (leaf < 0 && (leaf = session_leaf(unified_dir)) < 0)
		return r;
	lxm_err_clear(e);
	spec->cgroup_fd = spec->cgroup_fd == leaf ? unified_dir : leaf;
	return spawn_child(spec, pidfd_out, NULL, e);
}

int spawn_exec(struct spawner *s, const struct exec_job *job, const struct spawn_session *io, int *sock_out, int *pidfd_out,
	       struct lxm_err *e)
{
	static const char *const env[] = { NULL };
	static const char *const argv[] = { "lxm-helper", "exec", NULL };
	lxm_auto(fd_close) int ours = -1, theirs = -1, job_fd = -1;
	struct spawn_spec spec = { .exec_fd = s->helper, .argv = argv, .env = env, .setsid = true };
	int sv[2], i, r = exec_job_seal(job, &job_fd, e);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	ours = sv[0];
	theirs = sv[1];
	for (i = 0; i < 3; i++)
		if (io->std[i] >= 0)
			spec.fds[spec.nfds++] = (struct spawn_fd){ io->std[i], i };
	spec.fds[spec.nfds++] = (struct spawn_fd){ job_fd, 3 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ theirs, 4 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ io->init, 5 };
	if (io->park >= 0)
		spec.fds[spec.nfds++] = (struct spawn_fd){ io->park, 6 };
	for (i = 0; i < 3; i++)
		if (io->keep[i] >= 0)
			spec.fds[spec.nfds++] = (struct spawn_fd){ io->keep[i], 7 + i };
	r = spawn_in_cgroup(s, &spec, io->unified, pidfd_out, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start lxm-helper");
	*sock_out = LXM_TAKE(ours, -1);
	return 0;
}

/* A helper with its job at 3, its end of a socket at 4, and what is given from 5 on. */
static int start_helper(struct spawner *s, const char *verb, int job, const int *more, int nmore, int *sock_out, int *pidfd_out,
			struct lxm_err *e)
{
	static const char *const env[] = { NULL };
	const char *const argv[] = { "lxm-helper", verb, NULL };
	lxm_auto(fd_close) int ours = -1, theirs = -1;
	struct spawn_spec spec = { .exec_fd = s->helper, .argv = argv, .env = env, .setsid = true };
	int sv[2], i, r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	ours = sv[0];
	theirs = sv[1];
	spec.fds[spec.nfds++] = (struct spawn_fd){ job, 3 };
	spec.fds[spec.nfds++] = (struct spawn_fd){ theirs, 4 };
	for (i = 0; i < nmore; i++)
		if (more[i] >= 0)
			spec.fds[spec.nfds++] = (struct spawn_fd){ more[i], 5 + i };
	r = spawn_child(&spec, pidfd_out, NULL, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start lxm-helper");
	*sock_out = LXM_TAKE(ours, -1);
	return 0;
}

int spawn_file(struct spawner *s, const struct file_job *job, int a, int b, int body, int *sock_out, int *pidfd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int job_fd = -1;
	int r = file_job_seal(job, &job_fd, e);

	return r < 0 ? r : start_helper(s, "file", job_fd, (const int[]){ a, b, body }, 3, sock_out, pidfd_out, e);
}

int spawn_hot(struct spawner *s, const struct hot_job *job, int init, int *sock_out, int *pidfd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int job_fd = -1;
	int r = hot_job_seal(job, &job_fd, e);

	return r < 0 ? r : start_helper(s, "hot", job_fd, &init, 1, sock_out, pidfd_out, e);
}

int spawn_forward(struct spawner *s, const char *name, int job, int init, int lock, int *sock_out, int *pidfd_out, struct lxm_err *e)
{
	static const char *const env[] = { NULL };
	const char *const argv[] = { "lxm-forward", name, NULL };
	lxm_auto(fd_close) int ours = -1, theirs = -1;
	struct spawn_spec spec = { .exec_fd = s->forward, .argv = argv, .env = env, .setsid = true };
	int sv[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	ours = sv[0];
	theirs = sv[1];
	spec.fds[spec.nfds++] = (struct spawn_fd){ job, FORWARD_FD_JOB };
	spec.fds[spec.nfds++] = (struct spawn_fd){ theirs, FORWARD_FD_REPORT };
	spec.fds[spec.nfds++] = (struct spawn_fd){ init, FORWARD_FD_INIT };
	spec.fds[spec.nfds++] = (struct spawn_fd){ lock, FORWARD_FD_LOCK };
	r = spawn_lasting(s, &spec, pidfd_out, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start lxm-forward");
	*sock_out = LXM_TAKE(ours, -1);
	return 0;
}
