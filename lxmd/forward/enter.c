/*
 * How lxm-forward comes to where it works. It starts as root of the host in the host's namespaces, makes its listening sockets (those
 * inside an instance by a child that goes there and hands them over), goes into the network namespace of the connecting side, and takes
 * hold of that side's root if it has to look up a socket's path there. sandbox_enter() follows.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/forward/forward.h"

static bool has_path(const struct forward_end *end)
{
	return end->type == FORWARD_UNIX && *end->address == '/';
}

/* The directory of a socket's path, below a root that is perhaps somebody else's. */
static int parent_open(const struct forward_end *end, int root, struct lxm_err *e)
{
	char path[FORWARD_PATH_MAX + 1];
	int fd;

	if (!has_path(end))
		return -1;
	snprintf(path, sizeof(path), "%s", end->address);
	*strrchr(path, '/') = 0;
	fd = lxm_open_in_root(root, *path ? path : "/", O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? lxm_err_sys(e, "open the directory of '%s'", end->address) : fd;
}

static int open_all(int root, int *fds, struct lxm_err *e)
{
	const struct forward_end *end = &fwd.job->listen;
	lxm_auto(fd_close) int dir = parent_open(end, root, e);
	size_t i;

	if (dir < 0 && has_path(end))
		return dir;
	for (i = 0; i < fwd.n; i++) {
		fds[i] = listen_open(end, i, dir, e);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

/* ---- listening inside: a child goes there */

/* In the instance, as its root, for what belongs to it: names of Unix sockets. */
static int child_become_instance(struct lxm_err *e)
{
	if (!(fwd.job->flags & FORWARD_PRIVILEGED)) {
		if (setns(FORWARD_FD_INIT, CLONE_NEWNS | CLONE_NEWUSER) < 0)
			return lxm_err_sys(e, "enter the instance");
		if (setgroups(0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
			return lxm_err_sys(e, "become root of the instance");
		return 0;
	}
	return setns(FORWARD_FD_INIT, CLONE_NEWNS) < 0 ? lxm_err_sys(e, "enter the instance") : 0;
}

static int child_listen(int sock, struct lxm_err *e)
{
	lxm_auto(fd_close) int root = -1;
	size_t i;
	int r = 0, *fds = calloc(fwd.n, sizeof(*fds));

	if (!fds)
		return lxm_err_set(e, ENOMEM, "out of memory");
	if (setns(FORWARD_FD_INIT, CLONE_NEWNET) < 0)
		r = lxm_err_sys(e, "enter the instance's network");
	if (r == 0 && fwd.job->listen.type == FORWARD_UNIX)
		r = child_become_instance(e);
	if (r == 0) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = open_all(root, fds, e);
	}
	for (i = 0; r == 0 && i < fwd.n; i++)
		if (lxm_send_fds(sock, "s", 1, &fds[i], 1, 0) < 0)
			r = lxm_err_set(e, EIO, "hand a socket over");
	free(fds);
	return r;
}

static int child_unlisten(struct lxm_err *e)
{
	const char *path = fwd.job->listen.address;
	lxm_auto(fd_close) int root = -1, dir = -1;
	int r = 0;

	if (fwd.job->flags & FORWARD_LISTEN_INSIDE)
		r = child_become_instance(e);
	if (r < 0)
		return r;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	dir = parent_open(&fwd.job->listen, root, e);
	if (dir >= 0)
		(void)listen_remove_dead(dir, strrchr(path, '/') + 1);
	return 0;
}

/* In a child with the instance's rights; what goes wrong there comes back as its last message. */
static int in_child(int (*listen_fn)(int sock, struct lxm_err *e), int (*other_fn)(struct lxm_err *e), struct lxm_err *e)
{
	struct lxm_err said = { 0 };
	size_t got = 0;
	int sv[2], status = 0, r = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	pid = fork();
	if (pid < 0)
		return lxm_err_sys(e, "start a process");
	if (pid == 0) {
		r = listen_fn ? listen_fn(sv[1], &said) : other_fn(&said);
		if (r < 0)
			(void)lxm_send_fds(sv[1], &said, sizeof(said), NULL, 0, 0);
		_exit(r < 0);
	}
	(void)close(sv[1]);
	while (r == 0) {
		size_t nfds = 1;
		int fd = -1;
		ssize_t n = lxm_recv_fds(sv[0], &said, sizeof(said), &fd, &nfds, 0);

		if (n <= 0)
			break;
		if (nfds == 1 && got < fwd.n)
			fwd.listeners[got++].src.fd = fd;
		else if (n == (ssize_t)sizeof(said))
			r = lxm_err_set(e, said.code ? said.code : EIO, "%.*s", (int)sizeof(said.msg) - 1, said.msg);
	}
	(void)close(sv[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (status || (listen_fn && got < fwd.n)))
		r = lxm_err_set(e, EIO, "the process in the instance ended without a word");
	return r;
}

int enter_unlisten(struct lxm_err *e)
{
	return has_path(&fwd.job->listen) ? in_child(NULL, child_unlisten, e) : 0;
}

static int listen_here(struct lxm_err *e)
{
	lxm_auto(fd_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int *fds = calloc(fwd.n, sizeof(*fds)), r;
	size_t i;

	if (!fds)
		return lxm_err_set(e, ENOMEM, "out of memory");
	r = open_all(root, fds, e);
	for (i = 0; r == 0 && i < fwd.n; i++)
		fwd.listeners[i].src.fd = fds[i];
	free(fds);
	return r;
}

/* ---- the connecting side */

/* Init's own root, seen from outside; it is init's for certain while the pidfd says that init lives. */
static int root_open(bool inside, struct lxm_err *e)
{
	char path[40] = "/";
	int fd;

	if (inside)
		snprintf(path, sizeof(path), "/proc/%u/root", fwd.job->pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open '%s'", path);
	if (sys_pidfd_send_signal(FORWARD_FD_INIT, 0) < 0) {
		(void)close(fd);
		return lxm_err_set(e, ESRCH, "the instance has ended");
	}
	return fd;
}

int enter(struct lxm_err *e)
{
	const struct forward_job *j = fwd.job;
	bool connect_inside = !(j->flags & FORWARD_LISTEN_INSIDE);
	int r = connect_inside ? listen_here(e) : in_child(child_listen, NULL, e);

	if (r == 0 && has_path(&j->connect)) {
		fwd.root = root_open(connect_inside, e);
		fwd.self_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fwd.root < 0)
			r = fwd.root;
		else if (fwd.self_fds < 0)
			r = lxm_err_sys(e, "open '/proc/self/fd'");
	}
	if (r == 0 && connect_inside && setns(FORWARD_FD_INIT, CLONE_NEWNET) < 0)
		r = lxm_err_sys(e, "enter the instance's network");
	return r;
}
