/*
 * Exec sessions without an lxmd. While one is there the monitor has no part in them; when it ends, each session's helper
 * sends a socket to itself here (lib/wire/exec.h), and the next lxmd takes them over. Nothing is read or written meanwhile:
 * output waits in the kernel's pipes and ptys, which the helpers hold.
 *
 * Helpers live in the container's user namespace, out of the reach of its processes; what they send is decoded strictly and
 * decides nothing but which descriptor is kept. The table is fixed: who comes when it is full is turned away.
 */
#include "lxmd/monitor/mon.h"

#include <poll.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lib/wire/exec.h"

#define ROUND_MAX 64 /* messages in one turn of the loop */

int sessions_open(struct mon *m, struct lxm_err *e)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, m->park) < 0 ? lxm_err_sys(e, "make a socket") : 0;
}

/* Forget those whose helper has ended: their socket says so. */
static void sweep(struct mon *m)
{
	uint32_t i, kept = 0;

	for (i = 0; i < m->nparked; i++) {
		struct pollfd p = { .fd = m->parked[i], .events = POLLRDHUP };

		if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR)))
			auto_fd_close(&m->parked[i]);
		else
			m->parked[kept++] = m->parked[i];
	}
	m->nparked = kept;
}

static void keep(struct mon *m, int *fd)
{
	if (m->nparked == MON_PARKED_MAX)
		sweep(m);
	if (m->nparked < MON_PARKED_MAX)
		m->parked[m->nparked++] = LXM_TAKE(*fd, -1);
}

void sessions_read(struct mon *m)
{
	static const struct mon_msg event = { .kind = MON_PARKED };
	unsigned char buf[EXEC_REPORT_MAX];
	uint32_t before = m->nparked;
	struct exec_report r;
	int fds[EXEC_FDS], turn, got = 1;

	for (turn = 0; turn < ROUND_MAX && got > 0; turn++) {
		got = exec_report_recv(m->park[0], &r, buf, fds, MSG_DONTWAIT, NULL);
		if (got > 0 && r.kind == EXEC_PARKED && fds[0] >= 0)
			keep(m, &fds[0]);
		if (got > 0)
			exec_fds_close(fds);
		else if (got == -EBADMSG)
			got = 1;
	}
	if (m->nparked > before)
		(void)control_event(m, &event, false);
}

uint32_t sessions_take(struct mon *m, int *fd_out)
{
	*fd_out = -1;
	if (m->nparked)
		*fd_out = m->parked[--m->nparked];
	return m->nparked;
}

void sessions_close(struct mon *m)
{
	while (m->nparked)
		(void)close(m->parked[--m->nparked]);
	auto_fd_close(&m->park[0]);
	auto_fd_close(&m->park[1]);
}
