/*
 * file mount, see verb.h: the files of an instance at a directory of this machine, for as long as the verb runs. sshfs of this machine speaks
 * SFTP to us over a socket as if we were its ssh, and we move the bytes to and from the server's /sftp unread.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/client.h"
#include "lxmc/file.h"
#include "lxmc/sftp.h"
#include "lxmc/verb.h"

#define ROOM (256u * 1024)

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* Bytes on their way in one direction. */
struct lane {
	char *data; /* ROOM */
	size_t from, to;
};

static bool full(const struct lane *l)
{
	return l->to == ROOM;
}

static bool empty(const struct lane *l)
{
	return l->from == l->to;
}

/* What a read or write came to. Returns false when that side has ended. */
static bool took(struct lane *l, size_t *at, ssize_t n)
{
	if (n > 0)
		*at += (size_t)n;
	if (empty(l))
		l->from = l->to = 0;
	return n > 0 || n == -EAGAIN || n == -EINTR;
}

static ssize_t result(ssize_t n)
{
	return n < 0 ? -errno : n;
}

/* One turn: all that goes without waiting. A TLS connection may hold bytes that poll(2) does not see: it is read until it has none. */
static bool turn(struct lxm_conn *conn, int local, struct lane *up, struct lane *down)
{
	ssize_t n;

	for (n = 1; n > 0 && !full(down);) {
		n = conn->ops->read(conn, down->data + down->to, ROOM - down->to);
		if (!took(down, &down->to, n))
			return false;
	}
	if (!full(up) && !took(up, &up->to, result(recv(local, up->data + up->to, ROOM - up->to, MSG_DONTWAIT))))
		return false;
	if (!empty(down) && !took(down, &down->from, result(send(local, down->data + down->from, down->to - down->from, MSG_DONTWAIT | MSG_NOSIGNAL))))
		return false;
	return empty(up) || took(up, &up->from, conn->ops->write(conn, up->data + up->from, up->to - up->from));
}

/* Until either side ends. */
static void pump(struct lxm_conn *conn, int local)
{
	struct lane up = { .data = lxm_alloc(ROOM) }, down = { .data = lxm_alloc(ROOM) };

	lxm_conn_nonblock(conn, true);
	while (turn(conn, local, &up, &down)) {
		struct pollfd p[] = {
			{ .fd = conn->fd, .events = (short)((full(&down) ? 0 : POLLIN) | (empty(&up) ? 0 : POLLOUT)) },
			{ .fd = local, .events = (short)((full(&up) ? 0 : POLLIN) | (empty(&down) ? 0 : POLLOUT)) },
		};

		(void)poll(p, 2, -1);
	}
	free(up.data);
	free(down.data);
}

static void run_sshfs(const char *what, const char *where, int sock) __attribute__((noreturn));
static void run_sshfs(const char *what, const char *where, int sock)
{
	char *argv[] = { (char *)"sshfs", (char *)"-f", (char *)"-o", (char *)"slave", (char *)what, (char *)where, NULL };

	(void)signal(SIGINT, SIG_DFL);
	if (dup2(sock, STDIN_FILENO) >= 0 && dup2(sock, STDOUT_FILENO) >= 0)
		execvp(argv[0], argv);
	_exit(127);
}

static int mount_at(struct lxm_conn *conn, const char *what, const char *where, struct lxm_err *e)
{
	const struct sigaction note = { .sa_handler = on_interrupt };
	int pair[2], status = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return lxm_err_sys(e, "make a socket");
	fflush(NULL);
	/* Ctrl-C ends sshfs, which then unmounts; we end after it */
	(void)sigaction(SIGINT, &note, NULL);
	pid = fork();
	if (pid == 0)
		run_sshfs(what, where, pair[1]);
	(void)close(pair[1]);
	if (pid > 0)
		pump(conn, pair[0]);
	(void)close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return lxm_err_sys(e, "start sshfs");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return lxm_err_set(e, ENOENT, "cannot run sshfs: install the package sshfs");
	return interrupted || (WIFEXITED(status) && WEXITSTATUS(status) == 0) ? 0 : lxm_err_set(e, EIO, "sshfs failed");
}

int verb_file_mount(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *arg = lxm_asprintf("%s%s", cli->args[0], strchr(cli->args[0], '/') ? "" : "/");
	lxm_auto(free) char *what = NULL, *where = NULL;
	lxm_auto(file_target) struct file_target t = { 0 };
	lxm_auto(conn) struct lxm_conn conn = { .fd = -1 };
	int r;

	if (cli_has(cli, "listen") || cli->n_args < 2)
		return cli_usage(e, "lxmc is no SSH server: name a directory to mount at, which takes sshfs");
	r = file_target(cli, arg, &t, e);
	if (r < 0)
		return r;
	what = lxm_asprintf("%s:%s", t.instance, t.path);
	/* a name that begins with a dash would be an option */
	where = lxm_asprintf("%s%s", cli->args[1][0] == '-' ? "./" : "", cli->args[1]);
	r = sftp_dial(t.client, t.instance, &conn, e);
	if (r == 0)
		r = mount_at(&conn, what, where, e);
	return r < 0 ? lxm_err_wrap(e, r, "mount the files of '%s' at '%s'", t.instance, where) : 0;
}
