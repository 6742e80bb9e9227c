/*
 * The server of intercepted system calls (security.syscalls.intercept.*): a process beside the monitor, made only where a
 * key asks for it. It holds the listeners of the filters, init's and those of exec sessions, which arrive on RUN/ID/notify.sock,
 * and forks for each call: an answer may block on a filesystem of the container's, so it has a process, a deadline and few
 * neighbours. When the server ends, the calls it would have answered give ENOSYS; nothing hangs and nothing is let through.
 *
 * A filter is no policy: whatever is not exactly what we answer is handed back to the kernel, which then decides by the caller's
 * own rights. That is safe because the caller has none beyond its user namespace.
 */
#include "lxmd/monitor/intercept.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lxmd/monitor/mon.h"

#define FILTERS	   512 /* listeners: init's and one for each exec session */
#define CALLS	   16  /* answered at the same time */
#define DEADLINE_S 10
#define FD_OURS	   700 /* descriptors from here on are the server's; FILTERS of them fit below */

#if defined(__x86_64__)
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#else
#define ARCH_NATIVE 0
#endif

/* The kernel's structs may be longer than the header's. */
union notif {
	struct seccomp_notif req;
	char room[512];
};

static struct {
	struct plan_view plan;
	struct plan_intercept want;
	uint64_t userns_dev, userns_ino; /* of init */
	struct pollfd p[2 + FILTERS];	 /* signals, new listeners, filters */
	size_t n;
	struct {
		pid_t pid; /* 0: free */
		int notify;
		uint64_t id;
	} call[CALLS];
	unsigned int busy;
	struct mon_mounts mounts; /* what came after the plan */
} server;

static const struct {
	uint32_t flag;
	int nr;
	int64_t (*fn)(struct call *c);
} handlers[] = {
#ifdef SYS_mknod
	{ PLAN_INTERCEPT_MKNOD, SYS_mknod, call_mknod },
#endif
	{ PLAN_INTERCEPT_MKNOD, SYS_mknodat, call_mknod },
	{ PLAN_INTERCEPT_SETXATTR, SYS_setxattr, call_setxattr },
	{ PLAN_INTERCEPT_SETXATTR, SYS_lsetxattr, call_setxattr },
	{ PLAN_INTERCEPT_SETXATTR, SYS_fsetxattr, call_setxattr },
	{ PLAN_INTERCEPT_SYSINFO, SYS_sysinfo, call_sysinfo },
	{ PLAN_INTERCEPT_SCHED, SYS_sched_setscheduler, call_setscheduler },
	{ PLAN_INTERCEPT_MOUNT, SYS_mount, call_mount },
};

static void send_answer(int notify, uint64_t id, int64_t answer)
{
	union {
		struct seccomp_notif_resp resp;
		char room[512];
	} r;

	memset(&r, 0, sizeof(r));
	r.resp.id = id;
	if (answer == CALL_CONTINUE)
		r.resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (answer < 0)
		r.resp.error = (int32_t)answer;
	else
		r.resp.val = answer;
	/* ENOENT: the caller was killed, or has its answer */
	(void)ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* ---- the caller */

bool call_valid(const struct call *c)
{
	uint64_t id = c->id;

	return ioctl(c->notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static void status_line(struct call *c, const char *line)
{
	unsigned int v[4];
	unsigned long long caps;

	if (sscanf(line, "Umask: %o", &v[0]) == 1)
		c->umask = v[0];
	else if (sscanf(line, "Uid: %u %u %u %u", &v[0], &v[1], &v[2], &v[3]) == 4)
		c->fsuid = v[3];
	else if (sscanf(line, "Gid: %u %u %u %u", &v[0], &v[1], &v[2], &v[3]) == 4)
		c->fsgid = v[3];
	else if (sscanf(line, "CapEff: %llx", &caps) == 1)
		c->caps = caps;
	else if (strncmp(line, "NSpid:", 6) == 0 && strrchr(line, '\t'))
		(void)sscanf(strrchr(line, '\t'), "%d", &c->pid_inside);
}

static int read_status(struct call *c)
{
	lxm_auto(fd_close) int fd = openat(c->proc, "status", O_RDONLY | O_CLOEXEC);
	char text[8192], *line = text, *end;
	ssize_t n = fd < 0 ? -1 : lxm_read_full(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return -ESRCH;
	text[n] = 0;
	c->fsuid = c->fsgid = (uid_t)-1;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		status_line(c, line);
	}
	return c->fsuid == (uid_t)-1 || c->fsgid == (gid_t)-1 ? -ESRCH : 0;
}

/* Takes hold of the caller. What was read by number is its own only if it still waits afterwards. */
static int caller_open(struct call *c)
{
	char path[32];
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "/proc/%d", (int)c->tid);
	c->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	c->mem = c->proc < 0 ? -1 : openat(c->proc, "mem", O_RDWR | O_CLOEXEC);
	if (c->mem < 0 || fstatat(c->proc, "ns/user", &st, 0) < 0)
		return -ESRCH;
	r = read_status(c);
	if (r < 0 || !call_valid(c))
		return -ESRCH;
	/* rights in a user namespace of its own making are none here */
	if (st.st_dev != server.userns_dev || st.st_ino != server.userns_ino)
		c->caps = 0;
	return 0;
}

/* ---- one call */

static void answer_one(struct call *c, int64_t (*fn)(struct call *c)) __attribute__((noreturn));
static void answer_one(struct call *c, int64_t (*fn)(struct call *c))
{
	int r;

	sys_signals_reset();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)alarm(DEADLINE_S);
	r = caller_open(c);
	send_answer(c->notify, c->id, r < 0 ? r : fn(c));
	_exit(0);
}

static int64_t (*handler_of(const struct seccomp_notif *req))(struct call *c)
{
	size_t i;

	/* other widths of the machine have other arguments: the kernel's affair */
	if (req->data.arch != ARCH_NATIVE)
		return NULL;
	for (i = 0; i < LXM_ARRAY_LEN(handlers); i++)
		if (handlers[i].nr == req->data.nr && server.want.flags & handlers[i].flag)
			return handlers[i].fn;
	return NULL;
}

static void serve(int notify)
{
	int64_t (*fn)(struct call *c);
	struct call c = { .plan = &server.plan, .want = &server.want, .notify = notify, .proc = -1, .mem = -1 };
	union notif n;
	size_t i;
	pid_t pid;

	memset(&n, 0, sizeof(n));
	if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
		return; /* it was killed meanwhile */
	fn = handler_of(&n.req);
	if (!fn || !n.req.pid) {
		send_answer(notify, n.req.id, CALL_CONTINUE);
		return;
	}
	c.id = n.req.id;
	c.tid = (pid_t)n.req.pid;
	c.nr = n.req.data.nr;
	for (i = 0; i < 6; i++)
		c.arg[i] = n.req.data.args[i];
	pid = fork();
	if (pid == 0)
		answer_one(&c, fn);
	if (pid < 0) {
		send_answer(notify, c.id, -EAGAIN);
		return;
	}
	for (i = 0; server.call[i].pid; i++)
		;
	server.call[i].pid = pid;
	server.call[i].notify = notify;
	server.call[i].id = c.id;
	server.busy++;
}

/* ---- the server's loop */

static void reap(void)
{
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (i = 0; i < CALLS && server.call[i].pid != pid; i++)
			;
		if (i == CALLS)
			continue;
		/* one that was killed has said nothing */
		send_answer(server.call[i].notify, server.call[i].id, -ENOSYS);
		server.call[i].pid = 0;
		server.busy--;
	}
}

static void add_filter(int fd)
{
	if (server.n == LXM_ARRAY_LEN(server.p))
		(void)close(fd);
	else
		server.p[server.n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* New rules from lxmd, for the calls that come from now on. */
static void take_mounts(int s)
{
	server.mounts.allowed[sizeof(server.mounts.allowed) - 1] =
		server.mounts.fuse[sizeof(server.mounts.fuse) - 1] = 0;
	server.want.mounts = (struct plan_mounts){ server.mounts.allowed, server.mounts.fuse,
						   server.mounts.shift };
	(void)send(s, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A listener from lxm-helper, or rules from lxmd. Only root reaches the socket: the run directory
 * is 0700. */
static void take_filter(void)
{
	lxm_auto(fd_close) int s = accept4(server.p[1].fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval wait = { .tv_sec = 1 };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	size_t nfds = 1;
	static struct mon_mounts m;
	int fd = -1;
	ssize_t n;

	if (s < 0 || getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0)
		return;
	(void)setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	n = lxm_recv_fds(s, &m, sizeof(m), &fd, &nfds, 0);
	if (n == 1 && nfds == 1) {
		add_filter(fd);
		return;
	}
	auto_fd_close(&fd);
	if (n == (ssize_t)sizeof(m)) {
		server.mounts = m;
		take_mounts(s);
	}
}

/* The number of a listener may come again: no answer of a call under way must go to another filter. */
static bool in_use(int notify)
{
	size_t i;

	for (i = 0; i < CALLS; i++)
		if (server.call[i].pid && server.call[i].notify == notify)
			return true;
	return false;
}

static void loop(void) __attribute__((noreturn));
static void loop(void)
{
	struct signalfd_siginfo si;
	size_t i;

	for (;;) {
		for (i = 2; i < server.n; i++)
			server.p[i].events = server.busy < CALLS ? POLLIN : 0;
		if (poll(server.p, server.n, -1) < 0)
			continue;
		if (server.p[0].revents) {
			(void)!read(server.p[0].fd, &si, sizeof(si));
			reap();
		}
		for (i = 2; i < server.n; i++)
			if (server.p[i].revents & POLLIN && server.busy < CALLS)
				serve(server.p[i].fd);
		for (i = server.n; i-- > 2;) {
			/* hung up: no process has this filter any more */
			if (!(server.p[i].revents & (POLLHUP | POLLERR)) || server.p[i].revents & POLLIN || in_use(server.p[i].fd))
				continue;
			(void)close(server.p[i].fd);
			server.p[i] = server.p[--server.n];
		}
		if (server.p[1].revents)
			take_filter();
	}
}

static void server_main(int notify, int listener, const struct plan_view *plan, const struct plan_intercept *want) __attribute__((noreturn));
static void server_main(int notify, int listener, const struct plan_view *plan, const struct plan_intercept *want)
{
	sigset_t chld;

	(void)prctl(PR_SET_NAME, "lxm-intercept");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* no console, no control socket, no /dev of the container */
	notify = fcntl(notify, F_DUPFD_CLOEXEC, FD_OURS);
	listener = fcntl(listener, F_DUPFD_CLOEXEC, FD_OURS);
	if (notify < 0 || listener < 0)
		_exit(1);
	(void)sys_close_range(3, FD_OURS - 1, 0);
	server.plan = *plan;
	server.want = *want;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &chld, NULL);
	server.p[0] = (struct pollfd){ .fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
	server.p[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
	server.n = 2;
	add_filter(notify);
	loop();
}

int intercept_start(struct mon *m, int notify_taken, const struct plan_view *plan, struct lxm_err *e)
{
	lxm_auto(fd_close) int notify = notify_taken, listener = -1;
	struct plan_step p;
	char path[40];
	struct stat st;
	pid_t pid;

	if (!plan_find(plan, PLAN_INTERCEPT, &p))
		return lxm_err_set(e, EPROTO, "a listener that nobody asked for");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)m->pid);
	if (stat(path, &st) < 0)
		return lxm_err_sys(e, "look at init's user namespace");
	server.userns_dev = st.st_dev;
	server.userns_ino = st.st_ino;
	(void)unlinkat(m->rundir, MON_NOTIFY_SOCKET, 0);
	listener = lxm_unix_listen(m->rundir, MON_NOTIFY_SOCKET, SOCK_SEQPACKET, 16, 0600);
	if (listener < 0)
		return lxm_err_set(e, -listener, "listen on '%s': %s", MON_NOTIFY_SOCKET, strerror(-listener));
	pid = sys_clone3(0, &m->intercept, -1);
	if (pid == 0)
		server_main(notify, listener, plan, &p.u.intercept);
	return pid < 0 ? lxm_err_sys(e, "make a process for intercepted system calls") : 0;
}

void intercept_stop(struct mon *m)
{
	siginfo_t si;

	if (m->intercept < 0)
		return;
	(void)unlinkat(m->rundir, MON_NOTIFY_SOCKET, 0);
	(void)sys_pidfd_send_signal(m->intercept, SIGKILL);
	while (waitid(P_PIDFD, (id_t)m->intercept, &si, WEXITED) < 0 && errno == EINTR)
		;
	auto_fd_close(&m->intercept);
}
