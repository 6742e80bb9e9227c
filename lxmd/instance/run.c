/*
 * The table of what runs, and the ear on each monitor. A run is born by a start (or by adoption of a monitor that
 * outlived an earlier lxmd) and ends when its monitor says so, or when the monitor dies. The loop thread hears the
 * end, a worker cleans up (end.c), then the run leaves the table and waiters go on.
 */
#include "lxmd/instance/run.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/guest/guest.h"
#include "lxmd/instance/end.h"
#include "lxmd/instance/exec.h"
#include "lxmd/network/netns_state.h"
#include "lxmd/spawn/spawn.h"

#define CLEANUP_TIMEOUT_MS 15000

struct run *run_ref(struct run *r)
{
	__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void run_unref(struct run *r)
{
	if (!r || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL))
		return;
	auto_fd_close(&r->rundir);
	auto_fd_close(&r->init_pidfd);
	auto_fd_close(&r->park);
	auto_fd_close(&r->mon_sock);
	auto_fd_close(&r->mon_pidfd);
	net_cache_free(r->net);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->net_lock);
	pthread_mutex_destroy(&r->limits_lock);
	meters_deinit(&r->meters);
	pthread_cond_destroy(&r->changed);
	free(r->project);
	free(r->name);
	free(r);
}

/* Index of the run with that id, or where it belongs. Called with the table's lock held. */
static size_t find(const struct instances *in, int64_t id)
{
	size_t lo = 0, hi = in->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (in->v[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct run *run_get(struct lxmd *d, int64_t id)
{
	struct instances *in = d->instances;
	struct run *r = NULL;
	size_t i;

	pthread_mutex_lock(&in->lock);
	i = find(in, id);
	if (i < in->n && in->v[i]->id == id)
		r = run_ref(in->v[i]);
	pthread_mutex_unlock(&in->lock);
	return r;
}

size_t run_list(struct lxmd *d, struct run ***v_out)
{
	struct instances *in = d->instances;
	size_t i, n;

	pthread_mutex_lock(&in->lock);
	n = in->n;
	*v_out = lxm_realloc_n(NULL, n, sizeof(**v_out));
	for (i = 0; i < n; i++)
		(*v_out)[i] = run_ref(in->v[i]);
	pthread_mutex_unlock(&in->lock);
	return n;
}

int run_add(struct lxmd *d, int64_t id, const char *project, const char *name, int rundir_taken, struct run **out,
	    struct lxm_err *e)
{
	struct instances *in = d->instances;
	struct run *r = lxm_alloc(sizeof(*r));
	pthread_condattr_t attr;
	bool taken;
	size_t i;

	r->d = d;
	r->id = id;
	r->project = lxm_strdup(project);
	r->name = lxm_strdup(name);
	r->rundir = rundir_taken;
	r->init_pidfd = r->park = r->mon_sock = r->mon_pidfd = -1;
	r->refs = 2; /* the table's and the caller's */
	snprintf(r->cgroup, sizeof(r->cgroup), "%s/%lld", in->cgroup_parent, (long long)id);
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->net_lock, NULL);
	pthread_mutex_init(&r->limits_lock, NULL);
	meters_init(&r->meters);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);

	pthread_mutex_lock(&in->lock);
	i = find(in, id);
	taken = i < in->n && in->v[i]->id == id;
	if (!taken) {
		if (in->n == in->cap) {
			in->cap = in->cap ? in->cap * 2 : 64;
			in->v = lxm_realloc_n(in->v, in->cap, sizeof(*in->v));
		}
		memmove(in->v + i + 1, in->v + i, (in->n - i) * sizeof(*in->v));
		in->v[i] = r;
		in->n++;
	}
	pthread_mutex_unlock(&in->lock);
	if (taken) {
		r->refs = 1;
		run_unref(r);
		return lxm_err_http(e, 400, EEXIST, "instance '%s' is already running", name);
	}
	*out = r;
	return 0;
}

static void set_phase(struct run *r, enum run_phase phase)
{
	pthread_mutex_lock(&r->lock);
	r->phase = phase;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void run_remove(struct run *r)
{
	struct instances *in = r->d->instances;
	bool mine = false;
	size_t i;

	pthread_mutex_lock(&in->lock);
	i = find(in, r->id);
	if (i < in->n && in->v[i] == r) {
		memmove(in->v + i, in->v + i + 1, (in->n - i - 1) * sizeof(*in->v));
		in->n--;
		mine = true;
	}
	pthread_mutex_unlock(&in->lock);
	set_phase(r, RUN_GONE);
	if (mine)
		run_unref(r);
}

/* Worker: clean up behind an instance that ended. */
static void end_job(void *arg)
{
	struct run *r = arg;

	instance_ended(r);
	if (r->mon_pidfd >= 0 && spawn_wait(r->mon_pidfd, 10000, NULL) == -ETIMEDOUT)
		lxm_warn("monitor of instance '%s' does not end", r->name);
	run_unref(r);
}

void run_set_guest(struct run *r, struct guest *g)
{
	struct guest *old = g;

	pthread_mutex_lock(&r->lock);
	/* a reboot or an update that is told late, behind the end: nobody would close it again */
	if (!g || r->phase < RUN_ENDED) {
		old = r->guest;
		r->guest = g;
	}
	pthread_mutex_unlock(&r->lock);
	guest_close(old);
}

/* Loop thread: nothing more comes from this monitor. */
static void hang_up(struct run *r)
{
	loop_del(r->watch);
	r->watch = NULL;
	auto_fd_close(&r->mon_sock);
	set_phase(r, RUN_ENDED);
	run_set_guest(r, NULL);
	worker_group_run(r->d->instances->jobs, end_job, run_ref(r));
}

/* Worker: make what a HELLO brought the run's own. */
static void take_hello(struct run *r, struct mon_hello *h)
{
	struct net_cache *net = NULL;
	struct lxm_err e = { 0 };

	run_set_guest(r, h->guest >= 0 ? guest_open(r->d, r->id, h->pid, h->pidfd, LXM_TAKE(h->guest, -1)) : NULL);
	if (h->netlink >= 0 && net_cache_new(LXM_TAKE(h->netlink, -1), &net, &e) < 0)
		lxm_warn("instance '%s': its network cannot be read: %s", r->name, e.msg);
	pthread_mutex_lock(&r->lock);
	auto_fd_close(&r->init_pidfd);
	r->init_pidfd = LXM_TAKE(h->pidfd, -1);
	auto_fd_close(&r->park);
	r->park = LXM_TAKE(h->park, -1);
	r->init_pid = h->pid;
	r->started_at = (lxm_time)h->start_ms;
	r->frozen = r->ready = false;
	pthread_mutex_unlock(&r->lock);
	pthread_mutex_lock(&r->net_lock);
	net_cache_free(r->net);
	r->net = net;
	pthread_mutex_unlock(&r->net_lock);
	mon_hello_deinit(h);
}

struct reboot {
	struct run *run;
	struct mon_hello hello;
};

static void reboot_job(void *arg)
{
	struct reboot *b = arg;

	take_hello(b->run, &b->hello);
	instance_rebooted(b->run);
	run_unref(b->run);
	free(b);
}

static void adopt_job(void *arg)
{
	struct run *r = arg;

	execs_adopt(r);
	run_unref(r);
}

/* Loop thread. Returns false when the connection is over. */
static bool on_message(struct run *r, const struct mon_msg *m, int *fds, size_t nfds)
{
	struct reboot *b;
	size_t i;

	switch (m->kind) {
	case MON_REBOOTED:
		b = lxm_alloc(sizeof(*b));
		b->run = run_ref(r);
		mon_take_hello(m, fds, nfds, &b->hello);
		worker_group_run(r->d->instances->jobs, reboot_job, b);
		return true;
	case MON_STOPPED:
		pthread_mutex_lock(&r->lock);
		r->reason = m->reason;
		r->status = m->status;
		snprintf(r->end_text, sizeof(r->end_text), "%s", m->text);
		pthread_mutex_unlock(&r->lock);
		break;
	case MON_PARKED:
		worker_group_run(r->d->instances->jobs, adopt_job, run_ref(r));
		break;
	case MON_ERROR:
		lxm_warn("instance '%s': monitor: %s", r->name, m->text);
		break;
	default:
		break;
	}
	for (i = 0; i < nfds; i++)
		(void)close(fds[i]);
	return m->kind != MON_STOPPED;
}

static void on_monitor(int fd, uint32_t revents, void *arg)
{
	unsigned char buf[MON_MAX];
	struct lxm_err e = { 0 };
	struct run *r = arg;
	struct mon_msg m;
	int fds[MON_FDS];

	for (;;) {
		size_t nfds = MON_FDS;
		int got = mon_recv(fd, &m, buf, fds, &nfds, MSG_DONTWAIT, &e);

		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			lxm_error("instance '%s': its monitor is gone%s%s", r->name, got < 0 ? ": " : "", got < 0 ? e.msg : "");
			pthread_mutex_lock(&r->lock);
			r->reason = MON_REASON_SIGNAL;
			r->status = 9;
			pthread_mutex_unlock(&r->lock);
			hang_up(r);
			return;
		}
		if (!on_message(r, &m, fds, nfds)) {
			hang_up(r);
			return;
		}
	}
}

int run_started(struct run *r, int sock, int mon_pidfd, struct mon_hello *hello, struct lxm_err *e)
{
	r->mon_sock = sock;
	r->mon_pidfd = mon_pidfd;
	take_hello(r, hello);
	set_phase(r, RUN_RUNNING);
	/* the watch lives as long as the table's reference: hang_up() runs before the run leaves the table */
	return loop_add(r->d->loop, sock, EPOLLIN, on_monitor, r, &r->watch, e);
}

int run_status(struct run *r)
{
	int s;

	if (!r)
		return API_STOPPED;
	pthread_mutex_lock(&r->lock);
	if (r->phase == RUN_RUNNING)
		s = r->frozen ? API_FROZEN : r->ready ? API_READY : API_RUNNING;
	else
		s = API_STOPPED;
	pthread_mutex_unlock(&r->lock);
	return s;
}

static struct timespec deadline(int64_t timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

int run_wait_gone(struct run *r, int64_t timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (r->phase != RUN_GONE && rc == 0)
		rc = timeout_ms < 0 ? pthread_cond_wait(&r->changed, &r->lock) :
				      pthread_cond_timedwait(&r->changed, &r->lock, &until);
	rc = r->phase == RUN_GONE ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&r->lock);
	return rc;
}

int run_wait_settled(struct run *r, int64_t timeout_ms, struct lxm_err *e)
{
	struct timespec until = deadline(timeout_ms);
	enum run_phase phase;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while ((r->phase == RUN_STARTING || r->phase == RUN_ENDED) && rc == 0)
		rc = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	phase = r->phase;
	pthread_mutex_unlock(&r->lock);
	if (phase == RUN_RUNNING || phase == RUN_GONE)
		return phase == RUN_GONE;
	return lxm_err_set(e, EBUSY, "instance '%s' is %s", r->name, phase == RUN_STARTING ? "starting" : "stopping");
}

struct run *run_get_settled(struct lxmd *d, int64_t id)
{
	lxm_auto(run_unref) struct run *r = run_get(d, id);
	enum run_phase phase;

	if (!r)
		return NULL;
	pthread_mutex_lock(&r->lock);
	phase = r->phase;
	pthread_mutex_unlock(&r->lock);
	if ((phase == RUN_ENDED || phase == RUN_GONE) && run_wait_gone(r, CLEANUP_TIMEOUT_MS) == 0)
		return NULL;
	return LXM_TAKE(r, NULL);
}

int run_pidfd(struct run *r, struct lxm_err *e)
{
	int fd = -1;

	pthread_mutex_lock(&r->lock);
	if (r->phase == RUN_RUNNING)
		fd = fcntl(r->init_pidfd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&r->lock);
	return fd < 0 ? lxm_err_http(e, 400, ESRCH, "instance '%s' is not running", r->name) : fd;
}

int run_park(struct run *r)
{
	int fd;

	pthread_mutex_lock(&r->lock);
	fd = r->park >= 0 ? fcntl(r->park, F_DUPFD_CLOEXEC, 3) : -1;
	pthread_mutex_unlock(&r->lock);
	return fd;
}
