/*
 * The life of the lxcfs process: found or started, watched, replaced when it dies, ended with the last instance's daemon.
 *
 * What may block (starting it, asking it for its files) is one job on a worker, never two at a time; its end and the pauses are the
 * loop's. An lxcfs that does not answer is killed by a timer of the loop: the kernel then fails every question that waits for it, ours too.
 */
#include "lxmd/instance/lxcfs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "db/warning.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lib/base/time.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/schedule.h"
#include "lxmd/core/workers.h"
#include "lxmd/instance/lxcfs_process.h"
#include "lxmd/instance/lxcfs_view.h"
#include "lxmd/instance/run.h"
#include "lxmd/spawn/spawn.h"

#define ANSWER_MS    5000 /* an lxcfs that is silent for so long is hanging */
#define WAIT_MS	     1000 /* a start of an instance waits so long for one that is coming */
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 60000
#define STEADY_MS    10000 /* one that lived for so long is replaced at once */

enum state {
	AWAY,	/* none; a new one after a pause */
	COMING, /* the job works on it */
	ON,
};

struct lxcfs {
	struct lxmd *d;
	struct lxcfs_paths at; /* program NULL: none is to run */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum state state;    /* guarded by lock, and what follows */
	uint32_t generation; /* lxcfs_generation() */
	bool busy;	     /* the job is queued or runs */
	bool again;	     /* it shall run once more */
	bool stopping;
	int warned;  /* a warning is raised; -1: perhaps, by an earlier lxmd */
	int pidfd;   /* -1: none; closed by the job only, or when nothing runs */
	bool child;  /* ours to reap */
	int64_t started_ms, pause_ms;

	/* loop thread only */
	struct loop_watch *watch;
	loop_timer_id retry;
};

static void job(void *arg);
static void stop_watching(void *arg);

/* ---- warnings */

static int warn_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	static const char type[] = "LXCFS is not available";

	return arg ? db_warning_raise(tx, NULL, type, DB_SEV_MODERATE, NULL, arg, e) : db_warning_resolve(tx, NULL, type, NULL, e);
}

/* @why  NULL: all is well */
static void tell(struct lxcfs *l, const char *why)
{
	lxm_auto(free) char *text = why ? lxm_asprintf("instances see the host's processors and memory: %s", why) : NULL;
	struct lxm_err e = { 0 };

	if (text)
		lxm_warn("%s", text);
	if (db_write_lazy(l->d->db, warn_tx, text, &e) < 0)
		lxm_warn("note warning about lxcfs: %s", e.msg);
}

/* ---- the process, as one field of ours */

static void set_process(struct lxcfs *l, int pidfd, bool child)
{
	pthread_mutex_lock(&l->lock);
	l->pidfd = pidfd;
	l->child = child;
	l->started_ms = lxm_mono_ms();
	pthread_mutex_unlock(&l->lock);
}

/* End it and wait. The job, or whoever knows that it does not run; not on the loop thread. */
static void end_process(struct lxcfs *l, int sig)
{
	bool child;
	int pidfd;

	loop_call(l->d->loop, stop_watching, l);
	pthread_mutex_lock(&l->lock);
	pidfd = LXM_TAKE(l->pidfd, -1);
	child = l->child;
	pthread_mutex_unlock(&l->lock);
	if (pidfd >= 0)
		lxcfs_process_end(pidfd, sig, child);
}

/* Loop: it has not answered in time. Its death is the answer. */
static void on_silence(void *arg)
{
	struct lxcfs *l = arg;

	pthread_mutex_lock(&l->lock);
	if (l->pidfd >= 0) {
		lxm_warn("lxcfs does not answer; ending it");
		(void)sys_pidfd_send_signal(l->pidfd, SIGKILL);
	}
	pthread_mutex_unlock(&l->lock);
}

/* ---- watching */

static void want_job(struct lxcfs *l)
{
	bool start = false;

	pthread_mutex_lock(&l->lock);
	if (l->stopping) {
		pthread_mutex_unlock(&l->lock);
		return;
	}
	if (l->busy)
		l->again = true;
	else
		start = l->busy = true;
	pthread_mutex_unlock(&l->lock);
	if (start)
		workers_run(l->d->workers, job, l);
}

static void on_retry(void *arg)
{
	struct lxcfs *l = arg;

	l->retry = 0;
	want_job(l);
}

static void on_end(int fd, uint32_t revents, void *arg)
{
	struct lxcfs *l = arg;
	int64_t pause;

	loop_del(LXM_TAKE(l->watch, NULL));
	pthread_mutex_lock(&l->lock);
	l->state = AWAY;
	l->generation++;
	if (lxm_mono_ms() - l->started_ms > STEADY_MS)
		l->pause_ms = 0;
	pause = l->pause_ms;
	l->pause_ms = pause * 2 < PAUSE_MIN_MS ? PAUSE_MIN_MS : pause * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause * 2;
	pthread_mutex_unlock(&l->lock);
	lxm_warn("lxcfs ended; starting it again in %lld ms", (long long)pause);
	l->retry = loop_timer(l->d->loop, pause, on_retry, l);
}

static void begin_watching(void *arg)
{
	struct lxcfs *l = arg;
	struct lxm_err e = { 0 };
	int pidfd;

	pthread_mutex_lock(&l->lock);
	pidfd = l->stopping || l->watch ? -1 : l->pidfd;
	pthread_mutex_unlock(&l->lock);
	if (pidfd >= 0 && loop_add(l->d->loop, pidfd, EPOLLIN, on_end, l, &l->watch, &e) < 0)
		lxm_error("watch lxcfs: %s", e.msg);
}

static void stop_watching(void *arg)
{
	struct lxcfs *l = arg;

	(void)loop_timer_cancel(l->d->loop, LXM_TAKE(l->retry, 0));
	if (l->watch)
		loop_del(LXM_TAKE(l->watch, NULL));
}

/* ---- the job: whatever is there becomes a living lxcfs that instances see */

static int bring_up(struct lxcfs *l, struct lxm_err *e)
{
	loop_timer_id guard;
	int pidfd, r;

	/* the old one gives way before the next one comes: the host's values are better than none */
	end_process(l, SIGKILL);
	lxcfs_view_detach(l->at.dir);
	r = lxcfs_view_make(l->at.dir, e);
	if (r == 0)
		r = lxcfs_process_spawn(&l->at, &pidfd, e);
	if (r < 0)
		return r;
	set_process(l, pidfd, true);
	guard = loop_timer(l->d->loop, ANSWER_MS, on_silence, l);
	r = lxcfs_process_wait(&l->at, pidfd, ANSWER_MS, e);
	if (r == 0)
		r = lxcfs_view_attach(l->at.dir, e);
	(void)loop_timer_cancel(l->d->loop, guard);
	return r;
}

static void retry_later(void *arg)
{
	struct lxcfs *l = arg;

	pthread_mutex_lock(&l->lock);
	if (!l->stopping && !l->retry)
		l->retry = loop_timer(l->d->loop, PAUSE_MAX_MS, on_retry, l);
	pthread_mutex_unlock(&l->lock);
}

static void job(void *arg)
{
	struct lxcfs *l = arg;
	struct lxm_err e = { 0 };
	int r = bring_up(l, &e), warned;
	bool again;

	if (r < 0) {
		end_process(l, SIGKILL);
		lxcfs_view_detach(l->at.dir);
	}
	pthread_mutex_lock(&l->lock);
	l->state = r < 0 ? AWAY : ON;
	l->generation++;
	warned = l->warned;
	l->warned = r < 0;
	pthread_mutex_unlock(&l->lock);
	if (r < 0 && warned != 1)
		tell(l, e.msg);
	else if (r == 0 && warned)
		tell(l, NULL);
	loop_post(l->d->loop, r < 0 ? retry_later : begin_watching, l);
	pthread_mutex_lock(&l->lock);
	again = LXM_TAKE(l->again, false) && !l->stopping;
	l->busy = again;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (again)
		workers_run(l->d->workers, job, l);
}

/* ---- for the rest of the room */

/* Is what an earlier lxmd left as it should be? Then nothing needs to be done but to watch it. */
static void adopt(struct lxcfs *l)
{
	int pidfd = lxcfs_process_find(&l->at);

	if (pidfd < 0)
		return;
	set_process(l, pidfd, false);
	if (lxcfs_view_attached(l->at.dir)) {
		l->state = ON;
		loop_call(l->d->loop, begin_watching, l);
	}
}

/* Each minute: one that hangs has to die, and what it said must not fill the disk. */
static void check(struct lxmd *d, lxm_time since, lxm_time now)
{
	struct lxcfs *l = d->instances->lxcfs;
	lxm_auto(free) char *path = lxm_asprintf("%s/view/uptime", l->at.dir);
	lxm_auto(buf) struct lxm_buf text = { 0 };
	loop_timer_id guard;
	struct stat st;
	bool on;

	pthread_mutex_lock(&l->lock);
	on = l->state == ON && !l->stopping;
	pthread_mutex_unlock(&l->lock);
	if (!on)
		return;
	guard = loop_timer(d->loop, ANSWER_MS, on_silence, l);
	(void)lxm_read_file(path, 256, &text);
	(void)loop_timer_cancel(d->loop, guard);
	if (stat(l->at.log_path, &st) == 0 && st.st_size > LXCFS_LOG_MAX && truncate(l->at.log_path, 0) < 0)
		lxm_warn("empty '%s': %s", l->at.log_path, strerror(errno));
}

static struct lxcfs *lxcfs_new(struct lxmd *d)
{
	struct lxcfs *l = lxm_alloc(sizeof(*l));
	pthread_condattr_t attr;

	l->d = d;
	l->pidfd = -1;
	l->at.dir = lxm_asprintf("%s/lxcfs", d->dirs.run.path);
	l->at.pid_path = lxm_asprintf("%s/lxcfs.pid", d->dirs.run.path);
	l->at.log_path = lxm_asprintf("%s/lxcfs.log", d->dirs.log.path);
	l->warned = -1;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	return l;
}

/* None is to be, whatever an earlier lxmd has left. */
static void give_up(struct lxcfs *l, const char *why)
{
	l->pidfd = lxcfs_process_find(&l->at);
	end_process(l, SIGTERM);
	lxcfs_view_remove(l->at.dir);
	tell(l, why);
}

struct lxcfs *lxcfs_start(struct lxmd *d)
{
	const char *named = getenv("LXMD_LXCFS");
	struct lxcfs *l = lxcfs_new(d);
	struct lxm_err e = { 0 };

	if (named && !*named) {
		give_up(l, NULL);
		return l;
	}
	if (lxcfs_view_make(l->at.dir, &e) < 0) {
		give_up(l, e.msg);
		return l;
	}
	l->at.program = lxm_strdup(named ? named : "lxcfs");
	schedule_add(d->schedule, "lxcfs", check);
	adopt(l);
	if (l->state != ON) {
		l->state = COMING;
		want_job(l);
	}
	return l;
}

int lxcfs_plan(struct lxcfs *l, struct plan *p, struct lxm_err *e)
{
	size_t k;
	bool on;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	on = l->state == ON;
	pthread_mutex_unlock(&l->lock);
	for (k = 0; r == 0 && l->at.program && k < LXCFS_FILES; k++) {
		lxm_auto(free) char *base = lxm_asprintf("%s/base/%s", l->at.dir, lxcfs_files[k].name);
		lxm_auto(free) char *view = lxm_asprintf("%s/view/%s", l->at.dir, lxcfs_files[k].name);
		struct plan_step s = { .kind = PLAN_MOUNT,
				       .u.mount = { .source = base,
						    .target = lxcfs_files[k].path,
						    .flags = PLAN_MNT_BIND | PLAN_MNT_OPTIONAL,
						    .propagation = MS_SLAVE } };

		r = plan_add(p, &s, e);
		s.u.mount.source = view;
		s.u.mount.propagation = MS_PRIVATE;
		if (r == 0 && on)
			r = plan_add(p, &s, e);
	}
	return r;
}

uint32_t lxcfs_generation(struct lxcfs *l)
{
	struct timespec until;
	uint32_t g;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&l->lock);
	while (l->state == COMING && pthread_cond_timedwait(&l->changed, &l->lock, &until) == 0)
		;
	g = l->generation;
	pthread_mutex_unlock(&l->lock);
	return g;
}

void lxcfs_recheck(struct lxcfs *l, uint32_t generation)
{
	if (l->at.program && lxcfs_generation(l) != generation)
		want_job(l);
}

void lxcfs_stop(struct lxcfs *l, bool end)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	while (l->busy)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
	/* after what the job posted */
	loop_call(l->d->loop, stop_watching, l);
	if (end) {
		end_process(l, SIGTERM);
		lxcfs_view_remove(l->at.dir);
		(void)unlink(l->at.pid_path);
	}
	auto_fd_close(&l->pidfd);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
	free(l->at.program);
	free(l->at.dir);
	free(l->at.pid_path);
	free(l->at.log_path);
	free(l);
}
