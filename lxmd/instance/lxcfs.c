/*
 * The life of the lxcfs process: found or started, watched, replaced when it dies, ended with the last instance's daemon.
 *
 * What may block (starting it, asking it for its files) is one job on a worker, never two at a time; its end and the pauses are the
 * loop's. An lxcfs that does not answer is killed by a timer of the loop: the kernel then fails every question that waits for it, ours too.
 */
#include "lxmd/instance/lxcfs.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
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
#include "lxmd/instance/lxcfs_view.h"
#include "lxmd/instance/run.h"
#include "lxmd/spawn/spawn.h"

#define ANSWER_MS    5000 /* an lxcfs that is silent for so long is hanging */
#define WAIT_MS	     1000 /* a start of an instance waits so long for one that is coming */
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 60000
#define STEADY_MS    10000 /* one that lived for so long is replaced at once */
#define LOG_MAX	     (1 << 20)
#define MEMORY_MAX   (2ull << 30) /* each file that an instance has open costs it some memory: see doc/security.md */

enum state {
	AWAY,	/* none; a new one after a pause */
	COMING, /* the job works on it */
	ON,
};

struct lxcfs {
	struct lxmd *d;
	char *program;			  /* NULL: none is to run */
	char *dir, *pid_path, *log_path; /* owned */

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

/* ---- the process */

/* lxcfs holds a lock on its pid file: whoever has it is the one, and alive. -1: none. */
static int find_left(struct lxcfs *l)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET }, once_more = lock;
	lxm_auto(fd_close) int fd = open(l->pid_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int pidfd;

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK || lock.l_pid <= 1)
		return -1;
	pidfd = sys_pidfd_open(lock.l_pid, 0);
	if (pidfd >= 0 && (fcntl(fd, F_GETLK, &once_more) < 0 || once_more.l_type == F_UNLCK || once_more.l_pid != lock.l_pid))
		auto_fd_close(&pidfd);
	return pidfd;
}

static int spawn(struct lxcfs *l, int *pidfd_out, struct lxm_err *e)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "MALLOC_ARENA_MAX=2", NULL };
	lxm_auto(free) char *fs = lxm_asprintf("%s/fs", l->dir);
	lxm_auto(fd_close) int log = open(l->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	const char *argv[] = { "lxcfs", "-f", "--enable-loadavg", "--enable-pidfd", "-p", l->pid_path, fs, NULL };
	struct spawn_spec spec = { .path = l->program, .argv = argv, .env = env, .setsid = true, .as_max = MEMORY_MAX };
	int r;

	if (log < 0)
		return lxm_err_sys(e, "open '%s'", l->log_path);
	spec.fds[0] = (struct spawn_fd){ log, 1 };
	spec.fds[1] = (struct spawn_fd){ log, 2 };
	spec.nfds = 2;
	r = spawn_child(&spec, pidfd_out, NULL, e);
	if (r == -ENOENT)
		return lxm_err_set(e, ENOENT, "the program lxcfs is missing (package lxcfs)");
	return r;
}

static bool ended(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* The last line that it said. */
static int last_words(struct lxcfs *l, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	char *line;

	if (lxm_read_file(l->log_path, LOG_MAX, &text) < 0 || !text.len)
		return lxm_err_set(e, EIO, "lxcfs ended at once");
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = 0;
	line = strrchr(text.data, '\n');
	return lxm_err_set(e, EIO, "lxcfs ended: %.200s", line ? line + 1 : text.data);
}

static int wait_mounted(struct lxcfs *l, int pidfd, struct lxm_err *e)
{
	int64_t until = lxm_mono_ms() + ANSWER_MS;

	while (!lxcfs_view_mounted(l->dir)) {
		if (ended(pidfd, 2))
			return last_words(l, e);
		if (lxm_mono_ms() > until)
			return lxm_err_set(e, ETIMEDOUT, "lxcfs does not come up");
	}
	return 0;
}

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
	if (pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(pidfd, sig);
	if (!ended(pidfd, 1000)) {
		(void)sys_pidfd_send_signal(pidfd, SIGKILL);
		(void)ended(pidfd, 1000);
	}
	if (child)
		(void)spawn_reap(pidfd, NULL);
	(void)close(pidfd);
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
	lxcfs_view_detach(l->dir);
	r = lxcfs_view_make(l->dir, e);
	if (r == 0)
		r = spawn(l, &pidfd, e);
	if (r < 0)
		return r;
	set_process(l, pidfd, true);
	guard = loop_timer(l->d->loop, ANSWER_MS, on_silence, l);
	r = wait_mounted(l, pidfd, e);
	if (r == 0)
		r = lxcfs_view_attach(l->dir, e);
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
		lxcfs_view_detach(l->dir);
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
	int pidfd = find_left(l);

	if (pidfd < 0)
		return;
	set_process(l, pidfd, false);
	if (lxcfs_view_attached(l->dir)) {
		l->state = ON;
		loop_call(l->d->loop, begin_watching, l);
	}
}

/* Each minute: one that hangs has to die, and what it said must not fill the disk. */
static void check(struct lxmd *d, lxm_time since, lxm_time now)
{
	struct lxcfs *l = d->instances->lxcfs;
	lxm_auto(free) char *path = lxm_asprintf("%s/view/uptime", l->dir);
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
	if (stat(l->log_path, &st) == 0 && st.st_size > LOG_MAX && truncate(l->log_path, 0) < 0)
		lxm_warn("empty '%s': %s", l->log_path, strerror(errno));
}

static struct lxcfs *lxcfs_new(struct lxmd *d)
{
	struct lxcfs *l = lxm_alloc(sizeof(*l));
	pthread_condattr_t attr;

	l->d = d;
	l->pidfd = -1;
	l->dir = lxm_asprintf("%s/lxcfs", d->dirs.run.path);
	l->pid_path = lxm_asprintf("%s/lxcfs.pid", d->dirs.run.path);
	l->log_path = lxm_asprintf("%s/lxcfs.log", d->dirs.log.path);
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
	l->pidfd = find_left(l);
	end_process(l, SIGTERM);
	lxcfs_view_remove(l->dir);
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
	if (lxcfs_view_make(l->dir, &e) < 0) {
		give_up(l, e.msg);
		return l;
	}
	l->program = lxm_strdup(named ? named : "lxcfs");
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
	for (k = 0; r == 0 && l->program && k < LXCFS_FILES; k++) {
		lxm_auto(free) char *base = lxm_asprintf("%s/base/%s", l->dir, lxcfs_files[k].name);
		lxm_auto(free) char *view = lxm_asprintf("%s/view/%s", l->dir, lxcfs_files[k].name);
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
	if (l->program && lxcfs_generation(l) != generation)
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
		lxcfs_view_remove(l->dir);
		(void)unlink(l->pid_path);
	}
	auto_fd_close(&l->pidfd);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
	free(l->program);
	free(l->dir);
	free(l->pid_path);
	free(l->log_path);
	free(l);
}
