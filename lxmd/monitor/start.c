/*
 * The parent's side of a start, and the clean-up after an end. Runs in the monitor as root of the host. The order:
 *
 *	parent							child
 *	cgroups and limits
 *	clone3 with euid of the container's root
 *	id maps, cgroups joined		-- TELL_MAPPED -->	root of the container, cgroup namespace
 *	overlay or bind root		-- TELL_FD -->		proc, sysfs, devpts made meanwhile; root attached
 *	/dev				-- TELL_FD -->		attached
 *	host directories, devices	-- TELL_FD... -->	attached in the plan's order, paths protected
 *	links				-- TELL_DONE -->	console, links up, pivot, files, limits, filter
 *					<-- TOLD_CONSOLE --
 *					<-- end of file --	execve
 *
 * What fails on either side ends the child and undoes the rest.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/base/fd.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"
#include "lxmd/monitor/intercept.h"
#include "lxmd/monitor/netlink.h"

/* Raising a hard limit takes a right that root inside has not; the monitor itself has no use for a low one. */
static int rlimit_step_raise(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)p->u.rlimit.resource, &r) < 0 || r.rlim_max >= p->u.rlimit.hard)
		return 0;
	r.rlim_max = p->u.rlimit.hard;
	(void)setrlimit((__rlimit_resource_t)p->u.rlimit.resource, &r);
	return 0;
}

/* Which steps run outside, and when. The inside rows are in child.c. */
static const struct {
	int (*before)(struct start *s, const struct plan_step *p, struct lxm_err *e); /* init does not exist yet */
	int (*beside)(struct start *s, const struct plan_step *p, struct lxm_err *e); /* it waits in its namespaces */
} steps[PLAN_KINDS] = {
	[PLAN_CGROUP] = { cgroup_step_make, NULL },
	[PLAN_CGROUP_SET] = { cgroup_step_set, NULL },
	[PLAN_CGROUP_DEV] = { cgroup_step_dev, NULL },
	[PLAN_MOUNT] = { NULL, mount_step_outside },
	[PLAN_NIC] = { NULL, nic_step_make },
	[PLAN_NIC_ADDR] = { NULL, nic_step_outside },
	[PLAN_NIC_ROUTE] = { NULL, nic_step_outside },
	[PLAN_NIC_PROXY] = { NULL, nic_step_outside },
	[PLAN_NIC_PORT] = { NULL, nic_step_port },
	[PLAN_RLIMIT] = { rlimit_step_raise, NULL },
};

int tell(struct start *s, char what, int fd, struct lxm_err *e)
{
	ssize_t n = lxm_send_fds(s->sock, &what, 1, &fd, fd >= 0 ? 1 : 0, 0);

	return n < 0 ? lxm_err_set(e, (int)-n, "talk to init's process: %s", strerror((int)-n)) : 0;
}

static int run_before(struct start *s, struct lxm_err *e)
{
	struct plan_step p;
	size_t pos = 0;
	int r = 0, kind;

	for (kind = 1; r == 0 && kind < PLAN_KINDS; kind++)
		for (pos = 0; r == 0 && steps[kind].before && plan_next_of(&s->plan, kind, &pos, &p);)
			r = steps[kind].before(s, &p, e);
	return r < 0 ? r : cgroup_devices_done(s, e);
}

/* euid of the container's root: kernel counters (inotify instances and more) are then its own and not shared by all. */
static int clone_init(struct start *s, int sock, struct lxm_err *e)
{
	uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	int cgroup = s->unified >= 0 ? s->cgroup[s->unified] : -1;

	if (!(s->plan.options & PLAN_HOST_NET))
		flags |= CLONE_NEWNET;
	if (!(s->plan.options & PLAN_PRIVILEGED)) {
		flags |= CLONE_NEWUSER;
		if (syscall(SYS_setresuid, -1, s->uid0, -1) < 0)
			return lxm_err_sys(e, "act as the container's root");
	}
	s->pid = sys_clone3(flags, &s->pidfd, cgroup);
	if (s->pid == 0) {
		(void)close(s->sock);
		s->sock = sock;
		child_main(s);
	}
	if (s->pid < 0)
		(void)lxm_err_sys(e, "make namespaces%s", errno == EPERM ? " (in a chroot the kernel allows none for users)" : "");
	(void)syscall(SYS_setresuid, -1, 0, -1);
	return s->pid < 0 ? -e->code : 0;
}

static int map_write(struct start *s, const char *file, uint32_t which, struct lxm_err *e)
{
	char text[4096];
	struct plan_step p;
	size_t pos = 0, n = 0;
	int r;

	while (plan_next_of(&s->plan, PLAN_IDMAP, &pos, &p))
		if (p.u.idmap.which & which && n + 40 < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%u %u %u\n", p.u.idmap.inside, p.u.idmap.host, p.u.idmap.count);
	r = lxm_write_str_at(s->proc, file, text);
	if (r == 0)
		return 0;
	errno = -r;
	return lxm_err_sys(e, "write '%s'", file);
}

/* Ids, cgroups, namespaces' descriptors: what the child waits for first. */
static int stage_adopt(struct start *s, struct lxm_err *e)
{
	struct plan_step p;
	char text[32];
	int r = 0;

	snprintf(text, sizeof(text), "/proc/%d", (int)s->pid);
	s->proc = open(text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->proc < 0)
		return lxm_err_sys(e, "open '%s'", text);
	if (!(s->plan.options & PLAN_PRIVILEGED)) {
		r = map_write(s, "uid_map", PLAN_MAP_UID, e);
		if (r == 0)
			r = map_write(s, "gid_map", PLAN_MAP_GID, e);
		s->userns = openat(s->proc, "ns/user", O_RDONLY | O_CLOEXEC);
		if (r == 0 && s->userns < 0)
			r = lxm_err_sys(e, "open the user namespace");
	}
	if (r == 0 && !(s->plan.options & PLAN_HOST_NET)) {
		s->netns = openat(s->proc, "ns/net", O_RDONLY | O_CLOEXEC);
		if (s->netns < 0)
			r = lxm_err_sys(e, "open the network namespace");
	}
	if (r == 0)
		r = cgroup_attach(s, e);
	if (r < 0)
		return r;
	(void)plan_find(&s->plan, PLAN_OPTIONS, &p);
	snprintf(text, sizeof(text), "%d", p.u.options.oom_score_adj);
	r = lxm_write_str_at(s->proc, "oom_score_adj", text);
	if (r < 0 && p.u.options.oom_score_adj)
		return lxm_err_set(e, -r, "set oom_score_adj to %s: %s", text, strerror(-r));
	return tell(s, TELL_MAPPED, -1, e);
}

static int stage_beside(struct start *s, struct lxm_err *e)
{
	lxm_auto(fd_close) int dev = -1;
	struct plan_step p;
	size_t pos;
	int r = root_make(s, &s->m->root, e), kind;

	if (r == 0)
		r = tell(s, TELL_FD, s->m->root, e);
	if (r == 0)
		r = dev_make(s, &dev, e);
	if (r == 0)
		r = tell(s, TELL_FD, dev, e);
	if (r == 0)
		r = s->nl = nl_open(e);
	if (r > 0)
		r = 0;
	for (kind = 1; r == 0 && kind < PLAN_KINDS; kind++) {
		for (pos = 0; r == 0 && steps[kind].beside && plan_next_of(&s->plan, kind, &pos, &p);)
			r = steps[kind].beside(s, &p, e);
		if (r == 0 && kind == PLAN_MOUNT)
			r = mounts_flush(s, e);
	}
	return r < 0 ? r : tell(s, TELL_DONE, -1, e);
}

/* Takes what the child sends until it has executed init or failed. */
static int stage_listen(struct start *s, int flags, struct lxm_err *e)
{
	bool reset = false, ready = false;
	struct told told;
	size_t nfds;
	ssize_t n;
	int fd;

	for (;;) {
		nfds = 1;
		fd = -1;
		n = lxm_recv_fds(s->sock, &told, sizeof(told), &fd, &nfds, flags);
		/* a child that ends without having read everything: told once, ahead of its last words */
		if (n == -ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (n != (ssize_t)sizeof(told))
			break;
		if (told.what == TOLD_CONSOLE && nfds == 1) {
			auto_fd_close(&s->m->pty);
			s->m->pty = fd;
			continue;
		}
		if (told.what == TOLD_NOTIFY && nfds == 1) {
			auto_fd_close(&s->notify);
			s->notify = fd;
			continue;
		}
		auto_fd_close(&fd);
		if (told.what == TOLD_EXEC) {
			ready = true;
			continue;
		}
		told.err.msg[sizeof(told.err.msg) - 1] = 0;
		*e = told.err;
		return told.err.code > 0 ? -told.err.code : -EIO;
	}
	if (n < 0)
		return lxm_err_set(e, (int)-n, "listen to init's process: %s", strerror((int)-n));
	/* end of file: executed, or dead without a word. An init that has ended by now did run. */
	return ready ? 0 : lxm_err_set(e, ECHILD, "init's process was killed while it was set up");
}

static void start_close(struct start *s)
{
	plan_close(&s->plan);
	cgroup_close(s);
	auto_fd_close(&s->sock);
	auto_fd_close(&s->proc);
	auto_fd_close(&s->userns);
	auto_fd_close(&s->netns);
	auto_fd_close(&s->nl);
	auto_fd_close(&s->notify);
	while (s->batch.nfd)
		(void)close(s->batch.fd[--s->batch.nfd]);
}

/* Ends and reaps the child, whatever it does. */
static void child_end(struct start *s)
{
	siginfo_t si;

	if (s->pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(s->pidfd, SIGKILL);
	while (waitid(P_PIDFD, (id_t)s->pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
	auto_fd_close(&s->pidfd);
}

static int start_steps(struct start *s, struct lxm_err *e)
{
	lxm_auto(fd_close) int theirs = -1;
	int sv[2], r;

	r = run_before(s, e);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return lxm_err_sys(e, "make a socket");
	s->sock = sv[0];
	theirs = sv[1];
	r = clone_init(s, theirs, e);
	auto_fd_close(&theirs);
	if (r == 0)
		r = stage_adopt(s, e);
	if (r == 0)
		r = stage_beside(s, e);
	if (r == 0)
		return stage_listen(s, 0, e);
	if (s->pidfd >= 0) {
		/* the child's own words, if it failed first, say more than a broken socket */
		struct lxm_err theirs_e = { 0 };

		if (r == -EPIPE || r == -ECONNRESET) {
			int r2 = stage_listen(s, MSG_DONTWAIT, &theirs_e);

			if (r2 < 0 && theirs_e.msg[0]) {
				*e = theirs_e;
				r = r2;
			}
		}
	}
	return r;
}

int start_run(struct mon *m, struct lxm_err *e)
{
	struct start s = { .m = m, .sock = -1, .pidfd = -1, .proc = -1, .userns = -1, .netns = -1, .nl = -1, .notify = -1, .unified = -1 };
	int r = plan_open(m->plan_fd, &s.plan, e);

	if (r < 0)
		return r;
	s.uid0 = plan_host_id(&s.plan, PLAN_MAP_UID, 0);
	s.gid0 = plan_host_id(&s.plan, PLAN_MAP_GID, 0);
	m->state = MON_STATE_STARTING;
	r = start_steps(&s, e);
	if (r < 0) {
		child_end(&s);
		cleanup_first(m);
		cleanup_rest(m);
	} else {
		m->pidfd = s.pidfd;
		m->pid = s.pid;
		m->start_ms = (uint64_t)lxm_now();
		m->born_ms = lxm_mono_ms();
		m->state = MON_STATE_RUNNING;
		if (m->pty >= 0)
			(void)fcntl(m->pty, F_SETFL, O_NONBLOCK);
		if (s.notify >= 0)
			r = intercept_start(m, LXM_TAKE(s.notify, -1), &s.plan, e);
	}
	start_close(&s);
	return r;
}

void cleanup_first(struct mon *m)
{
	struct timespec pause = { 0, 500000 };
	struct plan_view plan;
	int tries;

	if (plan_open(m->plan_fd, &plan, NULL) < 0)
		return;
	for (tries = 0; !cgroup_clean(&plan) && tries < 40; tries++)
		(void)nanosleep(&pause, NULL);
	/* before lxmd hears of the end: the next start may want the same links and addresses */
	links_give_back(m);
	nic_addr_clean(m, &plan);
	plan_close(&plan);
}

void cleanup_rest(struct mon *m)
{
	intercept_stop(m);
	guest_close(m);
	root_rest_close(&m->rest);
	/* may sync the upper layer to disk */
	auto_fd_close(&m->root);
	/* not the cgroups: the instance may have been started anew, under the same names */
	links_clean(m);
}
