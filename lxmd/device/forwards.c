/*
 * One lxm-forward for each proxy device that needs a process. Which one belongs to a device is known by a lock: the process holds a
 * write lock on RUN/INSTANCE/forward.DEVICE as long as it lives, and the file holds its job. So the next lxmd finds it whatever has
 * happened meanwhile, and sees whether it does what the configuration says now.
 *
 * Workers set and end; the loop thread hears a process die and has a worker start another one, later each time it dies soon. A process
 * ends by itself with the instance's init and is not started again then.
 */
#include "lxmd/device/forwards.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/device/device_priv.h"
#include "lxmd/spawn/spawn.h"

#define REPORT_MS  20000 /* a file system of the instance may keep it waiting */
#define STEADY_MS  10000 /* who lived that long is started again at once */
#define BACKOFF_MS 60000
#define PREFIX	   "forward."

struct forward {
	struct lxmd *d;
	struct spawner *spawner;
	int64_t instance;
	char *device, *label;
	struct lxm_buf job; /* encoded */
	int init;	    /* pidfd of the instance's init */
	int refs;	    /* atomic: the table's, a worker's, a timer's */

	pthread_mutex_t work;	  /* held while a process is started */
	bool gone;		  /* atomic: out of the table */
	int pidfd;		  /* of the process, -1: none now. Who may: the loop thread, and a worker that holds `work` while none is watched */
	bool child;		  /* ours to reap */
	int64_t born_ms, wait_ms; /* when it was started; how long the next one waits */
	struct loop_watch *watch; /* loop thread */
	loop_timer_id timer;	  /* loop thread */
};

struct forwards {
	pthread_mutex_t lock;
	struct forward **v; /* guarded by lock; each holds a reference */
	size_t n;	    /* guarded by lock */
};

static struct forward *ref(struct forward *f)
{
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

static void unref(struct forward *f)
{
	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	auto_fd_close(&f->init);
	auto_fd_close(&f->pidfd);
	lxm_buf_deinit(&f->job);
	pthread_mutex_destroy(&f->work);
	free(f->device);
	free(f->label);
	free(f);
}
LXM_AUTO_PTR(forward_unref, struct forward, unref)

void forwards_start(struct lxmd *d)
{
	d->forwards = lxm_alloc(sizeof(*d->forwards));
	pthread_mutex_init(&d->forwards->lock, NULL);
}

/* ---- processes */

static void process_end(int *pidfd, bool child)
{
	struct pollfd p = { .fd = *pidfd, .events = POLLIN };

	if (*pidfd < 0)
		return;
	(void)sys_pidfd_send_signal(*pidfd, SIGKILL);
	(void)poll(&p, 1, 5000);
	if (child)
		(void)spawn_reap(*pidfd, NULL);
	auto_fd_close(pidfd);
}

static int lock_open(const struct lxmd *d, int64_t instance, const char *device, int flags)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%lld/" PREFIX "%s", (long long)instance, device);
	return openat(d->dirs.run.fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

/* A pidfd of whoever holds the lock, -1: nobody. Its holder before and after is the process in between. */
static int lock_holder(int fd)
{
	struct flock was = { .l_type = F_WRLCK, .l_whence = SEEK_SET }, is = was;
	lxm_auto(fd_close) int pidfd = -1;

	if (fcntl(fd, F_GETLK, &was) < 0 || was.l_type == F_UNLCK || was.l_pid <= 0)
		return -1;
	pidfd = sys_pidfd_open(was.l_pid, 0);
	if (pidfd < 0 || fcntl(fd, F_GETLK, &is) < 0 || is.l_type == F_UNLCK || is.l_pid != was.l_pid)
		return -1;
	return LXM_TAKE(pidfd, -1);
}

static bool same_job(int fd, const struct lxm_buf *job)
{
	char had[FORWARD_JOB_MAX];
	ssize_t n = pread(fd, had, sizeof(had), 0);

	return n == (ssize_t)job->len && memcmp(had, job->data, job->len) == 0;
}

static int hear(int sock, struct lxm_err *e)
{
	struct file_report rep;
	int fds[2], r = file_report_recv(sock, &rep, fds, REPORT_MS, e);

	auto_fd_close(&fds[0]);
	auto_fd_close(&fds[1]);
	if (r == 0)
		return lxm_err_set(e, EIO, "lxm-forward ended without a word");
	if (r > 0 && rep.kind == FILE_FAILED)
		return lxm_err_set(e, rep.code ? rep.code : EIO, "%s", rep.text);
	return r < 0 ? r : 0;
}

static int launch(struct spawner *s, const char *label, const struct lxm_buf *job, int init, int lock, int *pidfd_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int job_fd = -1, sock = -1, pidfd = -1;
	int r = wire_seal(job, "a job", &job_fd, e);

	if (r == 0)
		r = spawn_forward(s, label, job_fd, init, lock, &sock, &pidfd, e);
	if (r == 0)
		r = hear(sock, e);
	if (r < 0) {
		process_end(&pidfd, true);
		return r;
	}
	*pidfd_out = LXM_TAKE(pidfd, -1);
	return 0;
}

/* Find or start the process; `work` is held. */
static int bring_up(struct forward *f, struct lxm_err *e)
{
	lxm_auto(fd_close) int lock = lock_open(f->d, f->instance, f->device, O_CREAT), holder = -1;

	if (lock < 0)
		return lxm_err_sys(e, "open the lock of the device");
	f->born_ms = lxm_mono_ms();
	holder = lock_holder(lock);
	f->child = holder < 0;
	if (holder >= 0 && same_job(lock, &f->job)) {
		f->pidfd = LXM_TAKE(holder, -1);
		return 0;
	}
	process_end(&holder, false);
	f->child = true;
	if (ftruncate(lock, 0) < 0 || pwrite(lock, f->job.data, f->job.len, 0) != (ssize_t)f->job.len)
		return lxm_err_sys(e, "write the job of the device");
	return launch(f->spawner, f->label, &f->job, f->init, lock, &f->pidfd, e);
}

/* ---- watching: the loop thread */

static void on_end(int fd, uint32_t revents, void *arg);
static void on_time(void *arg);

static bool is_gone(struct forward *f)
{
	return __atomic_load_n(&f->gone, __ATOMIC_ACQUIRE);
}

static void watch(void *arg)
{
	struct forward *f = arg;
	struct lxm_err e = { 0 };

	if (is_gone(f))
		return;
	if (f->pidfd < 0)
		f->timer = loop_timer(f->d->loop, f->wait_ms, on_time, f);
	else if (loop_add(f->d->loop, f->pidfd, EPOLLIN, on_end, f, &f->watch, &e) < 0)
		lxm_warn("proxy '%s': its process is not watched: %s", f->label, e.msg);
}

static void unwatch(void *arg)
{
	struct forward *f = arg;

	loop_del(f->watch);
	f->watch = NULL;
	(void)loop_timer_cancel(f->d->loop, f->timer);
	f->timer = 0;
}

static bool init_lives(const struct forward *f)
{
	struct pollfd p = { .fd = f->init, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static void later(struct forward *f)
{
	f->wait_ms = f->wait_ms ? f->wait_ms * 2 : 500;
	if (f->wait_ms > BACKOFF_MS)
		f->wait_ms = BACKOFF_MS;
}

/* Worker: another process. */
static void revive(void *arg)
{
	lxm_auto(forward_unref) struct forward *f = arg;
	struct lxm_err e = { 0 };
	int r = 0;

	pthread_mutex_lock(&f->work);
	if (!is_gone(f) && init_lives(f)) {
		r = bring_up(f, &e);
		if (r < 0) {
			later(f);
			lxm_warn("proxy '%s': %s; next try in %lld ms", f->label, e.msg, (long long)f->wait_ms);
		}
		loop_call(f->d->loop, watch, f);
	}
	pthread_mutex_unlock(&f->work);
}

static void on_time(void *arg)
{
	struct forward *f = arg;

	f->timer = 0;
	workers_run(f->d->workers, revive, ref(f));
}

static void on_end(int fd, uint32_t revents, void *arg)
{
	struct forward *f = arg;
	int status = 0;

	loop_del(f->watch);
	f->watch = NULL;
	if (f->child)
		(void)spawn_reap(f->pidfd, &status);
	auto_fd_close(&f->pidfd);
	if (!init_lives(f))
		return;
	lxm_warn("proxy '%s': its process ended (%d), starting another one", f->label, status);
	if (lxm_mono_ms() - f->born_ms >= STEADY_MS)
		f->wait_ms = 0;
	f->timer = loop_timer(f->d->loop, f->wait_ms, on_time, f);
	later(f);
}

/* ---- the table */

static struct forward *table_take(struct forwards *t, int64_t instance, const char *device)
{
	struct forward *f = NULL;
	size_t i;

	pthread_mutex_lock(&t->lock);
	for (i = 0; i < t->n && !f; i++) {
		if (t->v[i]->instance != instance || !lxm_streq(t->v[i]->device, device))
			continue;
		f = t->v[i];
		t->v[i] = t->v[--t->n];
		__atomic_store_n(&f->gone, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&t->lock);
	return f;
}

static void table_put(struct forwards *t, struct forward *f)
{
	pthread_mutex_lock(&t->lock);
	t->v = lxm_realloc_n(t->v, t->n + 1, sizeof(*t->v));
	t->v[t->n++] = f;
	pthread_mutex_unlock(&t->lock);
}

void forward_end(struct lxmd *d, int64_t instance, const char *device)
{
	lxm_auto(forward_unref) struct forward *f = table_take(d->forwards, instance, device);

	if (!f)
		return;
	loop_call(d->loop, unwatch, f);
	/* one that is being started right now is waited for */
	pthread_mutex_lock(&f->work);
	process_end(&f->pidfd, f->child);
	pthread_mutex_unlock(&f->work);
}

int forward_set(struct lxmd *d, const struct device_live *live, int64_t instance, const char *device, const char *label,
		struct forward_job *job, struct lxm_err *e)
{
	lxm_auto(forward_unref) struct forward *f = lxm_alloc(sizeof(*f));
	int r;

	forward_end(d, instance, device);
	f->d = d;
	f->spawner = live->spawner;
	f->instance = instance;
	f->device = lxm_strdup(device);
	f->label = lxm_strdup(label);
	f->refs = 1;
	f->pidfd = -1;
	f->init = fcntl(live->init_pidfd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_init(&f->work, NULL);
	job->pid = (uint32_t)live->init_pid;
	job->generation = live->started_ms;
	r = f->init < 0 ? lxm_err_sys(e, "watch the instance") : forward_job_encode(job, &f->job, e);
	if (r == 0)
		r = bring_up(f, e);
	if (r < 0)
		return r;
	table_put(d->forwards, ref(f));
	loop_call(d->loop, watch, f);
	return 0;
}

void forward_unlisten(const struct device_live *live, const char *label, struct forward_job *job)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	struct lxm_err e = { 0 };
	int pidfd = -1;

	job->pid = (uint32_t)live->init_pid;
	job->flags |= FORWARD_UNLISTEN;
	if (forward_job_encode(job, &b, &e) == 0 &&
	    launch(live->spawner, label, &b, live->init_pidfd, live->init_pidfd, &pidfd, &e) == 0)
		process_end(&pidfd, true);
	else
		lxm_debug("proxy '%s': %s", label, e.msg);
}

void forwards_sweep(struct lxmd *d, int64_t instance, const struct lxm_devs *devices)
{
	char name[24];
	struct dirent *ent;
	DIR *dir;
	int fd;

	(void)snprintf(name, sizeof(name), "%lld", (long long)instance);
	fd = openat(d->dirs.run.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && (ent = readdir(dir))) {
		const char *device = lxm_starts(ent->d_name, PREFIX) ? ent->d_name + strlen(PREFIX) : NULL;
		const struct lxm_dev *dev = device ? lxm_devs_get(devices, device) : NULL;
		lxm_auto(fd_close) int lock = -1, holder = -1;

		if (!device || (dev && lxm_streq(lxm_kv_get(&dev->kv, "type"), "proxy")))
			continue;
		lock = lock_open(d, instance, device, 0);
		holder = lock < 0 ? -1 : lock_holder(lock);
		process_end(&holder, false);
		(void)unlinkat(fd, ent->d_name, 0);
	}
	if (dir)
		(void)closedir(dir);
}

void forwards_stop(struct lxmd *d)
{
	struct forwards *t = d->forwards;
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->n; i++) {
		__atomic_store_n(&t->v[i]->gone, true, __ATOMIC_RELEASE);
		/* a worker that starts one right now is waited for; the next one sees that it is gone */
		pthread_mutex_lock(&t->v[i]->work);
		pthread_mutex_unlock(&t->v[i]->work);
		loop_call(d->loop, unwatch, t->v[i]);
		unref(t->v[i]);
	}
	pthread_mutex_destroy(&t->lock);
	free(t->v);
	free(t);
	d->forwards = NULL;
}
