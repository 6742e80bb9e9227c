/*
 * lxm-monitor: one small single-threaded process for each running instance. It starts init by the plan, is its parent,
 * keeps its console, answers lxmd, runs the plan again when the container reboots, and cleans up at the end. It outlives
 * lxmd and needs nothing from it meanwhile.
 *
 * Started by lxmd/spawn with three descriptors (mon.h) and the instance's id. The loop takes no memory: all state is in
 * one static struct, of which only touched pages count.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"

#ifdef LXM_SAN
/* leak checking needs ptrace, which a process between namespaces has not */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

#define HASTY_MS       5000 /* a reboot sooner after the start than this is a hasty one */
#define HASTY_MAX      5u   /* so many in a row cost nothing */
#define HASTY_PAUSE_MS 1000

static struct mon mon;

enum { TAG_INIT, TAG_LISTEN, TAG_PTY, TAG_CONSOLE, TAG_PARK, TAG_CLIENT };

static int watch(const struct mon *m, int fd, uint32_t events, uint32_t tag)
{
	struct epoll_event ev = { .events = events, .data.u32 = tag };

	return epoll_ctl(m->ep, EPOLL_CTL_ADD, fd, &ev);
}

/* A new init and its console. */
static int watch_init(struct mon *m, struct lxm_err *e)
{
	if (watch(m, m->pidfd, EPOLLIN, TAG_INIT) < 0 || (m->pty >= 0 && watch(m, m->pty, EPOLLIN | EPOLLOUT | EPOLLET, TAG_PTY) < 0))
		return lxm_err_sys(e, "watch init");
	return 0;
}

/* How init ended; reboot(2) in a pid namespace shows as a signal. */
static void take_end(struct mon *m, struct mon_msg *end)
{
	siginfo_t si = { 0 };

	while (waitid(P_PIDFD, (id_t)m->pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
	*end = (struct mon_msg){ .kind = MON_STOPPED, .status = si.si_status };
	if (si.si_code == CLD_EXITED)
		end->reason = MON_REASON_EXIT;
	else if (si.si_status == SIGINT)
		end->reason = MON_REASON_POWEROFF;
	else if (si.si_status == SIGHUP)
		end->reason = MON_REASON_REBOOT;
	else
		end->reason = MON_REASON_SIGNAL;
	if (end->reason == MON_REASON_POWEROFF || end->reason == MON_REASON_REBOOT)
		end->status = 0;
	/* lxmd has copies: closing alone would leave a readable entry in the epoll set */
	(void)epoll_ctl(m->ep, EPOLL_CTL_DEL, m->pidfd, NULL);
	auto_fd_close(&m->pidfd);
	m->pid = 0;
	m->asked = 0;
}

static bool may_reboot(const struct mon *m)
{
	struct plan_view plan;
	bool yes;

	if (m->state == MON_STATE_STOPPING)
		return false; /* lxmd asked for a stop: an init that answers with a reboot does not get round it */
	if (plan_open(m->plan_fd, &plan, NULL) < 0)
		return false;
	yes = !(plan.options & PLAN_STOP_ON_REBOOT);
	plan_close(&plan);
	return yes;
}

static int run_again(struct mon *m, struct lxm_err *e)
{
	static const struct mon_msg event = { .kind = MON_REBOOTED };
	int r;

	m->again_ms = 0;
	if (m->next_fd >= 0) {
		(void)close(m->plan_fd);
		m->plan_fd = LXM_TAKE(m->next_fd, -1);
	}
	r = start_run(m, e);
	if (r == 0)
		r = watch_init(m, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "start again after a reboot");
	m->reboots++;
	(void)control_event(m, &event, true);
	root_rest_close(&m->rest);
	return 0;
}

/*
 * Namespaces, mounts and links of a start are made at the host's cost, outside of every limit. So a container that does
 * nothing but reboot waits between its starts.
 */
static int reboot(struct mon *m, struct lxm_err *e)
{
	int64_t now = lxm_mono_ms();

	cleanup_first(m);
	cleanup_rest(m);
	auto_fd_close(&m->pty);
	m->hasty = now - m->born_ms < HASTY_MS ? m->hasty + 1 : 0;
	if (m->hasty <= HASTY_MAX)
		return run_again(m, e);
	m->again_ms = now + HASTY_PAUSE_MS;
	m->state = MON_STATE_STARTING;
	return 0;
}

/* One line that tells a later lxmd how the instance ended. */
static void write_stopped(struct mon *m, const struct mon_msg *end)
{
	lxm_auto(fd_close) int fd = openat(m->rundir, MON_STOPPED_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %d\n", mon_reason_name(end->reason), end->status);

	if (fd >= 0)
		(void)lxm_write_all(fd, line, (size_t)n);
}

static void save_console(struct mon *m)
{
	struct plan_view plan;
	struct plan_step p;

	if (plan_open(m->plan_fd, &plan, NULL) < 0)
		return;
	if (plan_find(&plan, PLAN_CONSOLE, &p) && *p.u.console.log)
		console_save(m, p.u.console.log);
	plan_close(&plan);
}

static void finish(struct mon *m, const struct mon_msg *end)
{
	m->state = MON_STATE_ENDED;
	cleanup_first(m);
	save_console(m);
	/* the name first: whoever reads STOPPED may start a new monitor at once */
	(void)unlinkat(m->rundir, MON_SOCKET, 0);
	console_close(m);
	sessions_close(m);
	/* on paper only for a later lxmd: a file costs milliseconds on a disk when it is removed again */
	if (control_event(m, end, false) == 0)
		write_stopped(m, end);
	control_close(m);
	cleanup_rest(m);
}

/* Returns true: the instance has ended for good. */
static bool failed_again(struct mon *m, struct mon_msg *end, const struct lxm_err *e)
{
	end->reason = MON_REASON_FAILED;
	end->text = e->msg;
	fprintf(stderr, "lxm-monitor %s: %s\n", m->id, e->msg);
	finish(m, end);
	return true;
}

/* Returns true when the instance has ended for good. */
static bool on_init_end(struct mon *m)
{
	struct lxm_err e = { 0 };
	struct mon_msg end;

	m->tick_ms = 0;
	console_pump(m); /* its last words */
	take_end(m, &end);
	if (end.reason == MON_REASON_REBOOT && may_reboot(m))
		return reboot(m, &e) < 0 && failed_again(m, &end, &e);
	finish(m, &end);
	return true;
}

/* While a start waits: is it time, or has somebody asked for a stop? Returns true when the instance has ended for good. */
static bool on_pause(struct mon *m)
{
	struct mon_msg end = { .kind = MON_STOPPED, .reason = MON_REASON_SIGNAL, .status = SIGKILL };
	struct lxm_err e = { 0 };

	if (m->state == MON_STATE_STOPPING) {
		finish(m, &end);
		return true;
	}
	return lxm_mono_ms() >= m->again_ms && run_again(m, &e) < 0 && failed_again(m, &end, &e);
}

/* Milliseconds until the loop has something to do by itself, -1: never. */
static int loop_timeout(const struct mon *m)
{
	int64_t left = m->again_ms - lxm_mono_ms();

	if (m->again_ms)
		return left > 0 ? (int)left : 0;
	return m->pump_again ? 0 : m->pump_later ? console_pause_ms(m) : m->asked ? 20 : m->stall_ms ? 500 : -1;
}

static void loop(struct mon *m)
{
	struct epoll_event ev[8];
	int i, n, slot;

	for (;;) {
		if (m->again_ms && on_pause(m))
			return;
		n = epoll_wait(m->ep, ev, (int)LXM_ARRAY_LEN(ev), loop_timeout(m));
		if (m->pump_again || m->pump_later || m->stall_ms)
			console_pump(m);
		if (m->asked)
			control_retry(m);
		for (i = 0; i < n; i++) {
			uint32_t tag = ev[i].data.u32;

			if (tag == TAG_INIT) {
				if (m->pidfd >= 0 && on_init_end(m))
					return;
				break; /* the other events may be of descriptors that are closed now */
			} else if (tag == TAG_LISTEN) {
				slot = control_accept(m);
				if (slot >= 0)
					(void)watch(m, m->clients[slot], EPOLLIN | EPOLLRDHUP, TAG_CLIENT + (uint32_t)slot);
			} else if (tag == TAG_PTY || tag == TAG_CONSOLE) {
				console_pump(m);
			} else if (tag == TAG_PARK) {
				sessions_read(m);
			} else if (m->clients[tag - TAG_CLIENT] >= 0) {
				control_read(m, (int)(tag - TAG_CLIENT));
			}
		}
		/* a client that attached in this turn */
		if (m->console_new && m->console >= 0)
			(void)watch(m, m->console, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, TAG_CONSOLE);
		m->console_new = false;
	}
}

static int prepare(struct mon *m, struct lxm_err *e)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };
	static const int ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(ignored); i++)
		(void)sigaction(ignored[i], &ign, NULL);
	(void)prctl(PR_SET_NAME, "lxm-monitor");
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)umask(0);
	for (i = MON_FD_PLAN; i < MON_FD_FIRST_FREE; i++)
		if (fcntl((int)i, F_SETFD, FD_CLOEXEC) < 0)
			return lxm_err_sys(e, "descriptor %zu is missing", i);
	/* a change of user ids must not drop capabilities: see clone_init() and fs_as() */
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		return lxm_err_sys(e, "set secure bits");
	m->own_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (m->own_netns < 0)
		return lxm_err_sys(e, "open '/proc/self/ns/net'");
	(void)unlinkat(m->rundir, MON_STOPPED_FILE, 0);
	if (sessions_open(m, e) < 0)
		return -e->code;
	return control_open(m, e);
}

static int start_first(struct mon *m, struct lxm_err *e)
{
	int r = prepare(m, e);

	if (r == 0)
		r = start_run(m, e);
	if (r == 0)
		r = watch_init(m, e);
	if (r == 0 && (watch(m, m->listen, EPOLLIN, TAG_LISTEN) < 0 || watch(m, m->park[0], EPOLLIN, TAG_PARK) < 0 ||
		       watch(m, m->clients[0], EPOLLIN | EPOLLRDHUP, TAG_CLIENT) < 0))
		r = lxm_err_sys(e, "watch the control socket");
	return r;
}

/* The start used more stack than the loop will: give those pages back. */
static void stack_trim(void)
{
	const uintptr_t page = 4096, keep = 2 * page;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(page - 1);

	(void)madvise((void *)(here - keep - 128 * page), 128 * page, MADV_DONTNEED);
}

/* init runs, but the monitor cannot watch it. */
static void abandon(struct mon *m)
{
	struct mon_msg end;

	if (m->pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(m->pidfd, SIGKILL);
	take_end(m, &end);
	cleanup_first(m);
	cleanup_rest(m);
}

int main(int argc, char **argv)
{
	struct mon *m = &mon;
	struct mon_msg report = { .kind = MON_STARTED };
	struct lxm_err e = { 0 };
	int i;

	if (argc != 2 || strlen(argv[1]) >= sizeof(m->id)) {
		fprintf(stderr, "lxm-monitor is started by lxmd\n");
		return 2;
	}
	strcpy(m->id, argv[1]);
	(void)sys_close_range(MON_FD_FIRST_FREE, ~0U, 0);
	m->ep = epoll_create1(EPOLL_CLOEXEC);
	m->plan_fd = MON_FD_PLAN;
	m->rundir = MON_FD_RUNDIR;
	m->next_fd = m->listen = m->own_netns = m->root = m->intercept = m->dev = m->guest = m->held_netns = m->pidfd = m->pty = m->console = -1;
	m->park[0] = m->park[1] = -1;
	for (i = 0; i < MON_CLIENTS; i++)
		m->clients[i] = -1;
	m->clients[0] = MON_FD_CONTROL;
	if (start_first(m, &e) < 0) {
		report = (struct mon_msg){ .kind = MON_FAILED, .code = e.code, .text = e.msg };
		abandon(m);
		if (m->listen >= 0)
			(void)unlinkat(m->rundir, MON_SOCKET, 0);
		(void)control_event(m, &report, false);
		return 1;
	}
	(void)control_event(m, &report, true);
	root_rest_close(&m->rest);
	stack_trim();
	loop(m);
	return 0;
}
