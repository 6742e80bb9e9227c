/*
 * One timer on the loop, armed for the next full minute; each task then goes to a worker unless it is still busy. The
 * wall clock may jump: what lies more than an hour back is not made up for, and a clock set back makes nothing happen
 * until it comes to where it was, or an hour has passed.
 */
#include "lxmd/core/schedule.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"

#define MINUTE 60000
#define HOUR   (60 * MINUTE)
#define TASKS_MAX 8

struct task {
	struct schedule *s;
	const char *name;
	schedule_fn fn;
	lxm_time since; /* guarded by lock: minutes up to this one are done */
	lxm_time now;	/* set before it is handed to the worker */
	bool busy;	/* guarded by lock */
};

struct schedule {
	struct lxmd *d;
	pthread_mutex_t lock;
	struct task tasks[TASKS_MAX]; /* guarded by lock, n of them */
	size_t n;
	struct worker_group *jobs;
	bool stopping;		      /* guarded by lock */
	loop_timer_id timer;	      /* guarded by lock */
};

static void run(void *arg)
{
	struct task *t = arg;
	struct schedule *s = t->s;

	t->fn(s->d, t->since, t->now);
	pthread_mutex_lock(&s->lock);
	t->since = t->now;
	t->busy = false;
	pthread_mutex_unlock(&s->lock);
}

static void tick(void *arg);

/* lock held */
static void arm(struct schedule *s)
{
	lxm_time now = lxm_now();

	s->timer = loop_timer(s->d->loop, MINUTE - now % MINUTE + 5, tick, s);
}

/* lock held */
static void begin(struct schedule *s, struct task *t, lxm_time now)
{
	if (t->since < now - HOUR || t->since > now + HOUR)
		t->since = now - MINUTE;
	if (t->busy) {
		lxm_debug("schedule: %s takes longer than a minute", t->name);
		return;
	}
	if (t->since >= now)
		return;
	t->now = now;
	t->busy = true;
	worker_group_run(s->jobs, run, t);
}

static void tick(void *arg)
{
	struct schedule *s = arg;
	lxm_time now = lxm_now();
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n && !s->stopping && __atomic_load_n(&s->d->ready, __ATOMIC_ACQUIRE); i++)
		begin(s, &s->tasks[i], now - now % MINUTE);
	if (!s->stopping)
		arm(s);
	pthread_mutex_unlock(&s->lock);
}

struct schedule *schedule_new(struct lxmd *d)
{
	struct schedule *s = lxm_alloc(sizeof(*s));

	s->d = d;
	pthread_mutex_init(&s->lock, NULL);
	s->jobs = worker_group_new(d->workers);
	pthread_mutex_lock(&s->lock);
	arm(s);
	pthread_mutex_unlock(&s->lock);
	return s;
}

void schedule_add(struct schedule *s, const char *name, schedule_fn fn)
{
	lxm_time now = lxm_now();

	pthread_mutex_lock(&s->lock);
	if (s->n < TASKS_MAX)
		s->tasks[s->n++] = (struct task){ .s = s, .name = name, .fn = fn, .since = now - now % MINUTE };
	else
		lxm_error("schedule: no room for %s", name);
	pthread_mutex_unlock(&s->lock);
}

int schedule_stop(struct schedule *s, int timeout_ms)
{
	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	(void)loop_timer_cancel(s->d->loop, s->timer);
	pthread_mutex_unlock(&s->lock);
	return worker_group_wait(s->jobs, timeout_ms);
}

void schedule_free(struct schedule *s)
{
	if (!s)
		return;
	worker_group_free(s->jobs);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
