/*
 * The ear on memory pressure. The loop hears of pressure and of calm and only notes what is wanted; a worker writes cgroup files and
 * the warning. One struct thrash for each instance with a hard memory limit, shared by its run, the loop and jobs.
 */
#include "lxmd/instance/thrash.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "db/warning.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/limits.h"
#include "lxmd/instance/run.h"

/*
 * Some process waits for memory, not for any disk but for what it had to give up, for 0.3 of 2 s. One that reads much through a
 * full cache stays below that. Windows of 2 s are granted without CAP_SYS_RESOURCE as well.
 */
#define TRIGGER "some 300000 2000000"
#define CALM_MS 5000 /* without a word from the kernel before it is let go */

/*
 * Held back it reads so little that hardly a page comes to be missed twice, and the kernel falls silent though nothing is better: while
 * processes of it wait for the disk this much (per cent of ten seconds) it stays held back, for a minute at most.
 */
#define WAITS_FOR_DISK 20
#define SILENT_MS 60000

static const char warning_type[] = "Instance is out of memory and held back";

struct thrash {
	struct lxmd *d;
	struct run *run; /* borrowed: thrash_forget() comes first; used with its limits_lock held and `gone` false */
	int refs;	 /* atomic */
	int64_t last_ms; /* loop thread: the kernel's last word */
	loop_timer_id timer; /* loop thread */
	struct loop_watch *watch; /* loop thread */
	int fd;		 /* loop thread once it is watched */
	bool wanted;	 /* atomic: it is to be held back */
	bool slow;	 /* guarded by run->limits_lock: it is, and what follows */
	bool gone;
	struct instance i; /* what it is held back from */
};

static void thrash_unref(struct thrash *t)
{
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	auto_fd_close(&t->fd);
	instance_deinit(&t->i);
	run_unref(t->run);
	free(t);
}

static struct thrash *thrash_ref(struct thrash *t)
{
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

/* ---- workers: doing what is wanted */

struct warn {
	const char *project, *url, *message; /* message NULL: it is over */
};

static int warn_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	const struct warn *w = arg;

	return w->message ? db_warning_raise(tx, w->project, warning_type, DB_SEV_LOW, w->url, w->message, e) :
			    db_warning_resolve(tx, w->project, warning_type, w->url, e);
}

static void tell(const struct thrash *t, bool slow)
{
	lxm_auto(free) char *url = instance_url(t->run->name);
	struct warn w = { t->run->project, url, slow ? "it needs more than limits.memory: its disk requests and CPU time are cut down" : NULL };
	struct lxm_err e = { 0 };

	if (slow)
		lxm_warn("instance '%s' needs more than its limits.memory: held back", t->run->name);
	else
		lxm_info("instance '%s' is calm again", t->run->name);
	if (db_write_lazy(t->d->db, warn_tx, &w, &e) < 0)
		lxm_warn("note warning about instance '%s': %s", t->run->name, e.msg);
}

static void act_job(void *arg)
{
	struct thrash *t = arg;
	struct lxm_err e = { 0 };
	bool slow, changed = false;

	pthread_mutex_lock(&t->run->limits_lock);
	slow = __atomic_load_n(&t->wanted, __ATOMIC_RELAXED);
	if (!t->gone && slow != t->slow) {
		changed = true;
		if (limits_slow(t->run, &t->i, slow, &e) < 0)
			lxm_warn("instance '%s': %s: %s", t->run->name, slow ? "hold back" : "let go", e.msg);
		t->slow = slow;
	}
	pthread_mutex_unlock(&t->run->limits_lock);
	if (changed)
		tell(t, slow);
	thrash_unref(t);
}

/* Loop thread. */
static void act(struct thrash *t, bool slow)
{
	__atomic_store_n(&t->wanted, slow, __ATOMIC_RELAXED);
	worker_group_run(t->d->instances->jobs, act_job, thrash_ref(t));
}

/* ---- loop thread: hearing */

static bool waits_for_disk(const struct thrash *t)
{
	char text[256];
	double percent;

	return cgroup_read(&t->d->instances->cgroups, "unified", t->run->cgroup, "io.pressure", text, sizeof(text)) > 0 &&
	       sscanf(text, "some avg10=%lf", &percent) == 1 && percent >= WAITS_FOR_DISK;
}

static void on_calm(void *arg)
{
	struct thrash *t = arg;
	int64_t quiet = lxm_mono_ms() - t->last_ms;

	t->timer = 0;
	if (quiet < CALM_MS)
		t->timer = loop_timer(t->d->loop, CALM_MS - quiet, on_calm, t);
	else if (quiet < SILENT_MS && waits_for_disk(t))
		t->timer = loop_timer(t->d->loop, CALM_MS, on_calm, t);
	else
		act(t, false);
}

static void on_pressure(int fd, uint32_t revents, void *arg)
{
	struct thrash *t = arg;

	(void)fd;
	if (revents & EPOLLERR) {
		/* the cgroup is gone: a reboot from inside, or its end */
		loop_del(t->watch);
		t->watch = NULL;
		return;
	}
	t->last_ms = lxm_mono_ms();
	if (t->timer)
		return;
	t->timer = loop_timer(t->d->loop, CALM_MS, on_calm, t);
	act(t, true);
}

static void deaf(struct thrash *t)
{
	loop_del(t->watch);
	t->watch = NULL;
	(void)loop_timer_cancel(t->d->loop, t->timer);
	t->timer = 0;
}

static void deaf_job(void *arg)
{
	deaf(arg);
	thrash_unref(arg);
}

void thrash_unwatch(struct run *r)
{
	if (r->thrash)
		deaf_job(LXM_TAKE(r->thrash, NULL));
}

/* ---- any thread: following */

static bool has_limit(const struct instance *i)
{
	return !lxm_empty(lxm_kv_get(&i->config, "limits.memory")) && !lxm_streq(lxm_kv_get(&i->config, "limits.memory.enforce"), "soft");
}

static void copy(struct instance *to, const struct instance *from)
{
	instance_deinit(to);
	to->row.id = from->row.id;
	to->row.project = lxm_strdup(from->row.project);
	to->row.name = lxm_strdup(from->row.name);
	lxm_kv_copy(&to->config, &from->config);
	lxm_devs_copy(&to->devices, &from->devices);
}

/* With limits_lock held. */
static void let_go(struct run *r)
{
	struct thrash *t = r->thrash;

	if (!t)
		return;
	t->gone = true;
	r->thrash = NULL;
	loop_post(r->d->loop, deaf_job, t);
}

void thrash_follow(struct run *r, const struct instance *i, bool anew)
{
	const struct cgroup_layout *l = &r->d->instances->cgroups;
	struct thrash *t = r->thrash;
	struct lxm_err e = { 0 };
	bool ended;
	int fd;

	if (t && (anew || !has_limit(i))) {
		if (t->slow)
			tell(t, false);
		let_go(r);
		t = NULL;
	}
	if (t)
		copy(&t->i, i);
	/* one that has ended just now has been forgotten already */
	pthread_mutex_lock(&r->lock);
	ended = r->phase >= RUN_ENDED;
	pthread_mutex_unlock(&r->lock);
	if (t || ended || !has_limit(i))
		return;
	fd = cgroup_open(l, "unified", r->cgroup, "memory.pressure", O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return;
	if (write(fd, TRIGGER, sizeof(TRIGGER)) < 0) {
		lxm_debug("instance '%s': its memory pressure cannot be watched: %s", r->name, strerror(errno));
		close(fd);
		return;
	}
	t = lxm_alloc(sizeof(*t));
	*t = (struct thrash){ .d = r->d, .run = run_ref(r), .refs = 1, .fd = fd };
	copy(&t->i, i);
	r->thrash = t;
	if (loop_add(r->d->loop, fd, EPOLLPRI, on_pressure, t, &t->watch, &e) < 0)
		lxm_warn("instance '%s': watch its memory pressure: %s", r->name, e.msg);
}

void thrash_forget(struct run *r)
{
	pthread_mutex_lock(&r->limits_lock);
	if (r->thrash && r->thrash->slow)
		tell(r->thrash, false);
	let_go(r);
	pthread_mutex_unlock(&r->limits_lock);
}

bool thrash_slow(const struct run *r)
{
	return r->thrash && r->thrash->slow;
}
