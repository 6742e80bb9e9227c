/*
 * The helper while its program runs: the program's parent, and keeper of copies of lxmd's ends of its pipes or pty. As long as
 * lxmd is there it only waits. When lxmd goes, it leaves a socket to itself with the instance's monitor and waits for the next
 * lxmd; the protocol is described in lib/wire/exec.h. Single-threaded, in the container's namespaces but for the pids'.
 */
#include "lxmd/helper/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/time.h"

#define LOST_MAX 8 /* so often in a row is it taken by nobody who asks */

struct keep {
	struct session *s;
	int end[4]; /* in the order of EXEC_HAVE_IN, OUT, ERR, PTY; -1: none or given up */
	bool attached, exited;
	int status;
	int64_t deadline_ms; /* when to stop waiting for an lxmd, 0: not waiting */
	unsigned int lost;
};

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 137;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static uint32_t have(const struct keep *k)
{
	uint32_t mask = k->exited ? EXEC_HAVE_EXITED : 0;
	unsigned int i;

	for (i = 0; i < LXM_ARRAY_LEN(k->end); i++)
		mask |= k->end[i] >= 0 ? 1u << i : 0;
	return mask;
}

static void shut(struct keep *k, uint32_t mask)
{
	unsigned int i;

	for (i = 0; i < LXM_ARRAY_LEN(k->end); i++)
		if (mask >> i & 1)
			auto_fd_close(&k->end[i]);
}

/* What lasts waits only with its result. */
static void arm(struct keep *k)
{
	if (!k->attached && !k->deadline_ms && (k->exited || !k->s->job->lasting))
		k->deadline_ms = lxm_mono_ms() + (int64_t)k->s->job->grace_s * 1000;
}

/* No lxmd: leave word with the monitor. Returns false when that cannot be done. */
static bool park(struct keep *k)
{
	static const struct exec_report parked = { .kind = EXEC_PARKED };
	int sv[2], r;

	k->attached = false;
	if (++k->lost > LOST_MAX || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return false;
	r = exec_report_send(HELP_FD_PARK, &parked, &sv[1], 1);
	if (r == 0 && dup3(sv[0], HELP_FD_REPORT, O_CLOEXEC) < 0)
		r = -errno;
	(void)close(sv[0]);
	(void)close(sv[1]);
	arm(k);
	return r == 0;
}

static void send_state(struct keep *k)
{
	const struct exec_report state = { .kind = EXEC_STATE, .pid = k->s->pid, .status = k->status, .have = have(k) };
	int fds[EXEC_FDS] = { HELP_FD_JOB, k->s->pidfd };
	size_t n = 2, i;

	for (i = 0; i < LXM_ARRAY_LEN(k->end); i++)
		if (k->end[i] >= 0)
			fds[n++] = k->end[i];
	(void)exec_report_send(HELP_FD_REPORT, &state, fds, n);
}

/* Something came from lxmd. Returns false when there is no more to do. */
static bool take_order(struct keep *k)
{
	unsigned char buf[EXEC_REPORT_MAX];
	struct exec_report r;
	int fds[EXEC_FDS], got = exec_report_recv(HELP_FD_REPORT, &r, buf, fds, MSG_DONTWAIT, NULL);

	if (got == -EAGAIN)
		return true;
	if (got <= 0)
		return park(k);
	exec_fds_close(fds);
	if (r.kind == EXEC_SHUT)
		shut(k, r.have);
	if (r.kind == EXEC_ASK) {
		k->attached = true;
		k->deadline_ms = 0;
		k->lost = 0;
		send_state(k);
	}
	return r.kind != EXEC_DONE;
}

static void take_end(struct keep *k)
{
	struct exec_report ended = { .kind = EXEC_EXITED };

	k->exited = true;
	ended.status = k->status = wait_status(k->s->pid);
	if (k->attached)
		(void)exec_report_send(HELP_FD_REPORT, &ended, NULL, 0);
	arm(k);
}

/* Nobody will come. Our own end kills the program, but not what it started. */
static void hang_up(struct keep *k)
{
	if (k->exited)
		return;
	(void)kill(-k->s->pid, SIGHUP);
	shut(k, ~0U);
	(void)kill(-k->s->pid, SIGKILL);
}

/* Milliseconds for poll, -1: no limit. */
static int patience(const struct keep *k)
{
	int64_t left = k->deadline_ms - lxm_mono_ms();

	if (!k->deadline_ms)
		return -1;
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

void session_keep(struct session *s)
{
	struct keep k = { .s = s, .attached = true, .end = { -1, -1, -1, s->master } };
	int i;

	for (i = 0; i < 3; i++)
		if (fcntl(HELP_FD_KEEP_IN + i, F_GETFD) >= 0)
			k.end[i] = HELP_FD_KEEP_IN + i;
	for (;;) {
		struct pollfd p[2] = { { HELP_FD_REPORT, POLLIN, 0 }, { k.exited ? -1 : s->pidfd, POLLIN, 0 } };

		if (poll(p, 2, patience(&k)) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			take_end(&k);
		if (p[0].revents && !take_order(&k))
			break;
		if (k.deadline_ms && lxm_mono_ms() >= k.deadline_ms)
			break;
	}
	hang_up(&k);
}
