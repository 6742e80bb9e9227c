/*
 * lxmd's side of the monitor's socket: adopt, wait for a start, ask. Any thread; each call works on the socket it is
 * given or on one of its own, so nothing here needs a lock. The peer is a program of ours that runs as root; what
 * it sends is decoded strictly all the same.
 */
#include "lib/wire/monitor.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/base/fd.h"
#include "lib/base/time.h"

void mon_hello_deinit(struct mon_hello *h)
{
	auto_fd_close(&h->pidfd);
	auto_fd_close(&h->park);
	auto_fd_close(&h->netlink);
	auto_fd_close(&h->guest);
	*h = MON_HELLO_EMPTY;
}

void mon_take_hello(const struct mon_msg *m, int *fds, size_t nfds, struct mon_hello *out)
{
	int *place[4] = { &out->pidfd, &out->netlink, &out->guest, &out->park };
	const bool brought[4] = { true, m->arg & MON_BRINGS_NETLINK, m->arg & MON_BRINGS_GUEST, m->arg & MON_BRINGS_PARK };
	size_t i, k;

	*out = MON_HELLO_EMPTY;
	out->pid = m->pid;
	out->state = m->state;
	out->start_ms = m->start_ms;
	out->reboots = m->status < 0 ? 0 : (uint32_t)m->status;
	out->parked = m->code < 0 ? 0 : (uint32_t)m->code;
	for (i = k = 0; k < nfds; k++) {
		while (i < LXM_ARRAY_LEN(place) && !brought[i])
			i++;
		if (i < LXM_ARRAY_LEN(place))
			*place[i++] = LXM_TAKE(fds[k], -1);
		else
			auto_fd_close(&fds[k]);
	}
}

static void close_all(int *fds, size_t nfds)
{
	size_t i;

	for (i = 0; i < nfds; i++)
		auto_fd_close(&fds[i]);
}

/* Waits for one message until `deadline` (lxm_mono_ms); < 0 is for ever. */
static int recv_until(int sock, int64_t deadline, struct mon_msg *m, unsigned char buf[MON_MAX], int *fds, size_t *nfds, struct lxm_err *e)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	int r, left;

	for (;;) {
		left = deadline < 0 ? -1 : (int)(deadline - lxm_mono_ms());
		if (deadline >= 0 && left < 0)
			left = 0;
		r = poll(&p, 1, left);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return lxm_err_sys(e, "wait for the monitor");
		if (r == 0)
			return lxm_err_set(e, ETIMEDOUT, "the monitor does not answer");
		r = mon_recv(sock, m, buf, fds, nfds, MSG_DONTWAIT, e);
		if (r == -EAGAIN)
			continue;
		if (r == 0)
			return lxm_err_set(e, ECONNRESET, "the monitor has gone");
		return r < 0 ? r : 0;
	}
}

static int64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : lxm_mono_ms() + timeout_ms;
}

int mon_connect(int rundir, int timeout_ms, int *sock_out, struct mon_hello *hello_out, struct lxm_err *e)
{
	unsigned char buf[MON_MAX];
	lxm_auto(fd_close) int sock = lxm_unix_connect(rundir, MON_SOCKET, SOCK_SEQPACKET);
	int64_t deadline = deadline_of(timeout_ms);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fds[MON_FDS], r;
	struct mon_msg m;
	size_t nfds;

	if (sock < 0) {
		errno = -sock;
		r = sock;
		sock = -1;
		(void)lxm_err_sys(e, "connect to the monitor");
		return r;
	}
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0)
		return lxm_err_set(e, EPERM, "the monitor's socket belongs to somebody else");
	for (;;) {
		r = recv_until(sock, deadline, &m, buf, fds, &nfds, e);
		if (r < 0)
			return r;
		if (m.kind == MON_HELLO)
			break;
		close_all(fds, nfds);
	}
	mon_take_hello(&m, fds, nfds, hello_out);
	*sock_out = LXM_TAKE(sock, -1);
	return 0;
}

int mon_wait_started(int sock, int timeout_ms, struct mon_hello *hello_out, struct lxm_err *e)
{
	unsigned char buf[MON_MAX];
	int64_t deadline = deadline_of(timeout_ms);
	int fds[MON_FDS], r;
	struct mon_msg m;
	size_t nfds;

	for (;;) {
		r = recv_until(sock, deadline, &m, buf, fds, &nfds, e);
		if (r < 0)
			return r;
		if (m.kind == MON_STARTED) {
			mon_take_hello(&m, fds, nfds, hello_out);
			return 0;
		}
		close_all(fds, nfds);
		if (m.kind == MON_FAILED)
			return lxm_err_set(e, m.code > 0 ? m.code : EIO, "%s", m.text);
	}
}

int mon_request(int sock, uint32_t kind, uint32_t seq, int32_t arg, uint32_t rows, uint32_t cols, int fd, struct lxm_err *e)
{
	struct mon_msg m = { .kind = kind, .seq = seq, .arg = arg, .rows = rows, .cols = cols };
	int r = mon_send(sock, &m, &fd, fd >= 0 ? 1 : 0, 0);

	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "send to the monitor");
	}
	return 0;
}

/* The reply to the request that was just sent with seq 1; the descriptors beyond the first are closed. */
static int await_reply(int sock, int64_t deadline, int32_t *arg_out, int *fd_out, struct lxm_err *e)
{
	unsigned char buf[MON_MAX];
	int fds[MON_FDS], r;
	struct mon_msg m;
	size_t nfds;

	for (;;) {
		r = recv_until(sock, deadline, &m, buf, fds, &nfds, e);
		if (r < 0)
			return r;
		if (m.seq == 1)
			break;
		close_all(fds, nfds);
	}
	if (arg_out)
		*arg_out = m.arg;
	if (fd_out)
		*fd_out = nfds ? LXM_TAKE(fds[0], -1) : -1;
	close_all(fds, nfds);
	return m.kind == MON_ERROR ? lxm_err_set(e, m.code > 0 ? m.code : EIO, "%s", m.text) : 0;
}

int mon_call(int rundir, uint32_t kind, int32_t arg, uint32_t rows, uint32_t cols, int fd, int timeout_ms, int32_t *arg_out, int *fd_out,
	     struct lxm_err *e)
{
	lxm_auto(mon_hello) struct mon_hello hello = MON_HELLO_EMPTY;
	lxm_auto(fd_close) int sock = -1;
	int64_t deadline = deadline_of(timeout_ms);
	int r;

	r = mon_connect(rundir, timeout_ms, &sock, &hello, e);
	if (r == 0)
		r = mon_request(sock, kind, 1, arg, rows, cols, fd, e);
	return r < 0 ? r : await_reply(sock, deadline, arg_out, fd_out, e);
}

int mon_call_nic(int rundir, uint32_t kind, const char *text, int fd, int timeout_ms, struct lxm_err *e)
{
	struct mon_msg m = { .kind = kind, .seq = 1, .text = text };
	lxm_auto(mon_hello) struct mon_hello hello = MON_HELLO_EMPTY;
	lxm_auto(fd_close) int sock = -1;
	int64_t deadline = deadline_of(timeout_ms);
	int r;

	r = mon_connect(rundir, timeout_ms, &sock, &hello, e);
	if (r < 0)
		return r;
	r = mon_send(sock, &m, &fd, fd >= 0 ? 1 : 0, 0);
	if (r < 0)
		return lxm_err_set(e, -r, "send to the monitor: %s", strerror(-r));
	return await_reply(sock, deadline, NULL, NULL, e);
}
