/*
 * The control socket: who may connect, what they may ask. One table names the requests. Only root of the host is
 * served; the run directory is 0700 as well. Answers never block: a client that does not read loses its connection.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"
#include "lxmd/monitor/netlink.h"

int control_open(struct mon *m, struct lxm_err *e)
{
	int fd = lxm_unix_listen(m->rundir, MON_SOCKET, SOCK_SEQPACKET | SOCK_NONBLOCK, MON_CLIENTS, 0600);

	if (fd == -EADDRINUSE) {
		lxm_auto(fd_close) int other = lxm_unix_connect(m->rundir, MON_SOCKET, SOCK_SEQPACKET);

		if (other >= 0)
			return lxm_err_set(e, EEXIST, "another monitor runs this instance");
		(void)unlinkat(m->rundir, MON_SOCKET, 0);
		fd = lxm_unix_listen(m->rundir, MON_SOCKET, SOCK_SEQPACKET | SOCK_NONBLOCK, MON_CLIENTS, 0600);
	}
	if (fd < 0)
		return lxm_err_set(e, -fd, "listen on '%s': %s", MON_SOCKET, strerror(-fd));
	m->listen = fd;
	return 0;
}

/* A netlink socket in the container's network namespace; -1 when that is impossible. */
static int inner_netlink(struct mon *m)
{
	int fd;

	if (m->pidfd < 0 || setns(m->pidfd, CLONE_NEWNET) < 0)
		return -1;
	fd = nl_open(NULL);
	if (setns(m->own_netns, CLONE_NEWNET) < 0)
		_exit(1); /* a monitor in the wrong namespace must not go on */
	return fd < 0 ? -1 : fd;
}

static void drop(struct mon *m, int slot)
{
	auto_fd_close(&m->clients[slot]);
}

static void send_to(struct mon *m, int slot, const struct mon_msg *msg, const int *fds, size_t nfds)
{
	if (mon_send(m->clients[slot], msg, fds, nfds, MSG_DONTWAIT) < 0)
		drop(m, slot);
}

/* Adds state and descriptors of a running init to a message. */
static void send_state(struct mon *m, int slot, const struct mon_msg *in)
{
	struct mon_msg msg = *in;
	lxm_auto(fd_close) int netlink = -1;
	int fds[MON_FDS] = { -1, -1, -1, -1 };
	size_t n = 0;

	msg.code = (int32_t)m->nparked;
	msg.state = m->state;
	msg.pid = m->pid;
	msg.start_ms = m->start_ms;
	msg.status = (int32_t)m->reboots;
	if (m->pidfd >= 0) {
		netlink = inner_netlink(m);
		fds[n++] = m->pidfd;
		if (netlink >= 0) {
			msg.arg |= MON_BRINGS_NETLINK;
			fds[n++] = netlink;
		}
		if (m->guest >= 0) {
			msg.arg |= MON_BRINGS_GUEST;
			fds[n++] = m->guest;
		}
		msg.arg |= MON_BRINGS_PARK;
		fds[n++] = m->park[1];
	}
	send_to(m, slot, &msg, fds, n);
}

int control_event(struct mon *m, const struct mon_msg *msg, bool with_state)
{
	int i, told = 0;

	for (i = 0; i < MON_CLIENTS; i++) {
		if (m->clients[i] < 0)
			continue;
		if (with_state)
			send_state(m, i, msg);
		else
			send_to(m, i, msg, NULL, 0);
		told += m->clients[i] >= 0;
	}
	return told;
}

int control_accept(struct mon *m)
{
	lxm_auto(fd_close) int fd = accept4(m->listen, NULL, NULL, SOCK_CLOEXEC);
	const struct mon_msg hello = { .kind = MON_HELLO };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int i;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0)
		return -1;
	for (i = 0; i < MON_CLIENTS && m->clients[i] >= 0; i++)
		;
	if (i == MON_CLIENTS)
		return -1;
	m->clients[i] = LXM_TAKE(fd, -1);
	send_state(m, i, &hello);
	return m->clients[i] >= 0 ? i : -1;
}

/* ---- requests. Each fills reply->arg and *fd_out if it has something to give. */

typedef int (*request_fn)(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e);

static int send_signal(struct mon *m, int sig, struct lxm_err *e)
{
	if (sys_pidfd_send_signal(m->pidfd, sig) < 0)
		return lxm_err_sys(e, "signal init");
	return 0;
}

static int on_signal(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	if (q->arg < 1 || q->arg > 64)
		return lxm_err_set(e, EINVAL, "no signal has the number %d", q->arg);
	return send_signal(m, q->arg, e);
}

/* Init's own signal for a stop or a reboot. Returns it, or -errno. */
static int ask_init(struct mon *m, uint32_t kind, struct lxm_err *e)
{
	struct plan_view plan;
	struct plan_step p;
	int sig = 0, r;

	if (kind == MON_STOP && plan_open(m->plan_fd, &plan, NULL) == 0) {
		if (plan_find(&plan, PLAN_OPTIONS, &p))
			sig = (int)p.u.options.stop_signal;
		plan_close(&plan);
	}
	if (!sig)
		sig = signal_for_init(m->pid, kind == MON_REBOOT, e);
	if (sig < 0)
		return sig;
	r = send_signal(m, sig, e);
	return r < 0 ? r : sig;
}

/* An init this young may not have set up its signals yet. */
static bool init_is_young(const struct mon *m)
{
	return (uint64_t)lxm_now() < m->start_ms + 10000;
}

static int on_stop(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	int r;

	if (q->arg < 0) { /* nobody waits for that stop any more */
		if (m->state == MON_STATE_STOPPING)
			m->state = MON_STATE_RUNNING;
		return 0;
	}
	r = ask_init(m, q->kind, e);
	if (r == -EOPNOTSUPP && init_is_young(m)) {
		m->asked = q->kind;
		r = 0;
	}
	if (r >= 0 && q->kind == MON_STOP)
		m->state = MON_STATE_STOPPING;
	reply->arg = r;
	return r < 0 ? r : 0;
}

void control_retry(struct mon *m)
{
	if (m->pidfd < 0 || ask_init(m, m->asked, NULL) != -EOPNOTSUPP || !init_is_young(m))
		m->asked = 0;
}

static int on_kill(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	m->state = MON_STATE_STOPPING;
	return send_signal(m, SIGKILL, e);
}

static int on_console(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	int r = console_attach(m, q->arg == 1, fd_out, e);

	if (r == 0)
		(void)console_size(m, q->rows, q->cols);
	return r;
}

static int on_console_size(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	int r = console_size(m, q->rows, q->cols);

	return r < 0 ? lxm_err_set(e, -r, "resize the console to %u x %u", q->rows, q->cols) : 0;
}

static int on_console_log(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	return console_log(m, fd_out, e);
}

static int on_console_clear(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	m->ring_start = m->ring_len = 0;
	return 0;
}

static int on_plan(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	struct plan_view plan;
	struct plan_step p;
	bool same;
	int r = plan_open(fd, &plan, e);

	if (r < 0)
		return r;
	(void)plan_find(&plan, PLAN_IDENTITY, &p);
	same = strcmp(p.u.identity.id, m->id) == 0;
	plan_close(&plan);
	if (!same)
		return lxm_err_set(e, EBADMSG, "the plan is of another instance");
	auto_fd_close(&m->next_fd);
	m->next_fd = fcntl(fd, F_DUPFD_CLOEXEC, MON_FD_FIRST_FREE);
	return m->next_fd < 0 ? lxm_err_sys(e, "keep the plan") : 0;
}

static int on_guest(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	return guest_switch(m, q->arg == 1, fd_out, e);
}

static int on_session(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	reply->arg = (int32_t)sessions_take(m, fd_out);
	return 0;
}

static int on_nic_add(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	struct plan_view view;
	struct plan_nic n;
	int r = plan_nic_open(fd, &view, &n, e);

	if (r < 0)
		return r;
	r = links_hot_add(m, &n, e);
	plan_close(&view);
	return r;
}

static int on_nic_del(struct mon *m, const struct mon_msg *q, int fd, struct mon_msg *reply, int *fd_out, struct lxm_err *e)
{
	return links_hot_del(m, q->text, e);
}

static const struct {
	request_fn fn;
	bool running; /* makes sense only while init lives */
	bool with_fd; /* brings a descriptor */
} requests[] = {
	[MON_SIGNAL] = { on_signal, true, false },
	[MON_STOP] = { on_stop, true, false },
	[MON_REBOOT] = { on_stop, true, false },
	[MON_KILL] = { on_kill, true, false },
	[MON_CONSOLE] = { on_console, true, false },
	[MON_CONSOLE_SIZE] = { on_console_size, true, false },
	[MON_CONSOLE_LOG] = { on_console_log, false, false },
	[MON_CONSOLE_CLEAR] = { on_console_clear, false, false },
	[MON_PLAN] = { on_plan, false, true },
	[MON_GUEST] = { on_guest, true, false },
	[MON_SESSION] = { on_session, false, false },
	[MON_NIC_ADD] = { on_nic_add, true, true },
	[MON_NIC_DEL] = { on_nic_del, true, false },
};

/* A start that waits (see reboot() in main.c) is given up when somebody asks for a stop. */
static bool ends_pause(const struct mon *m, uint32_t kind)
{
	return m->again_ms && (kind == MON_KILL || kind == MON_STOP);
}

static void answer(struct mon *m, int slot, const struct mon_msg *q, int fd)
{
	struct mon_msg reply = { .kind = MON_OK, .seq = q->seq };
	struct lxm_err e = { 0 };
	lxm_auto(fd_close) int out = -1;
	int r;

	if (q->kind == MON_QUERY) {
		reply.kind = MON_HELLO;
		send_state(m, slot, &reply);
		return;
	}
	if (q->kind >= LXM_ARRAY_LEN(requests) || !requests[q->kind].fn)
		r = lxm_err_set(&e, EOPNOTSUPP, "unknown request %u", q->kind);
	else if (ends_pause(m, q->kind))
		r = m->state = MON_STATE_STOPPING;
	else if (requests[q->kind].running && m->pidfd < 0)
		r = lxm_err_set(&e, ESRCH, "the instance is not running");
	else if (requests[q->kind].with_fd != (fd >= 0))
		r = lxm_err_set(&e, EBADMSG, "request %u with a wrong number of descriptors", q->kind);
	else
		r = requests[q->kind].fn(m, q, fd, &reply, &out, &e);
	if (r < 0) {
		reply.kind = MON_ERROR;
		reply.code = e.code;
		reply.text = e.msg;
	}
	send_to(m, slot, &reply, &out, out >= 0 ? 1 : 0);
}

void control_read(struct mon *m, int slot)
{
	unsigned char buf[MON_MAX];
	int fds[MON_FDS];
	struct mon_msg q;
	size_t nfds, i;
	int r = mon_recv(m->clients[slot], &q, buf, fds, &nfds, MSG_DONTWAIT, NULL);

	if (r == -EAGAIN)
		return;
	if (r <= 0) {
		drop(m, slot);
		return;
	}
	answer(m, slot, &q, nfds ? fds[0] : -1);
	for (i = 0; i < nfds; i++)
		auto_fd_close(&fds[i]);
}

void control_close(struct mon *m)
{
	int i;

	auto_fd_close(&m->listen);
	for (i = 0; i < MON_CLIENTS; i++)
		drop(m, i);
}
