/*
 * Threads on demand. A job goes to an idle thread if there is one, else a new thread is made, up to a
 * maximum; beyond that jobs queue. A thread that waited IDLE_S seconds in vain ends, so that a daemon with
 * nothing to do keeps neither threads nor their stacks. Threads are detached; workers_free() counts
 * them out.
 *
 * Jobs of a share (one for each client that is not trusted with everything) get a part of the threads: a share that has its
 * part keeps further jobs back in a queue of its own, and all shares together leave some threads to everybody else.
 */
#include "lxmd/core/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/time.h"

#define IDLE_S 2
#ifdef LXM_SAN
#define STACK_BYTES (4096 * 1024) /* instrumented frames are large */
#else
#define STACK_BYTES (512 * 1024)
#endif

struct job {
	worker_fn fn;
	void *arg;
	struct share *share; /* NULL: of none */
	struct worker_group *group; /* NULL: of none */
	struct job *next;
};

struct worker_group {
	struct workers *w;
	unsigned int n; /* guarded by the pool's lock: jobs that have not ended */
	pthread_cond_t none;
};

/* Lives while it has jobs. Guarded by the pool's lock. */
struct share {
	char *name;
	unsigned int going; /* in the pool's queue or running */
	struct job *first, **last_at; /* kept back */
	struct share *next;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a job came, or stop */
	pthread_cond_t gone; /* a thread ended */
	struct job *first, **last_at; /* guarded by lock, and the rest */
	unsigned int max, threads, idle, queued, running;
	unsigned int shared; /* going, of all shares */
	struct share *shares;
	bool stop;
};

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

struct workers *workers_new(unsigned int max)
{
	struct workers *w = lxm_alloc(sizeof(*w));

	assert(max > 0);
	pthread_mutex_init(&w->lock, NULL);
	cond_init(&w->work);
	cond_init(&w->gone);
	w->last_at = &w->first;
	w->max = max;
	return w;
}

/* Waits for a job with the lock held; NULL when the thread shall end. */
static struct job *job_next(struct workers *w)
{
	struct timespec until;
	struct job *j;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	while (!w->first) {
		if (w->stop || r == ETIMEDOUT)
			return NULL;
		w->idle++;
		r = pthread_cond_timedwait(&w->work, &w->lock, &until);
		w->idle--;
	}
	j = w->first;
	w->first = j->next;
	if (!w->first)
		w->last_at = &w->first;
	w->queued--;
	return j;
}

static void let_go(struct workers *w, struct job *j);

/* May one more job of a share go? With the lock held. */
static bool share_may(const struct workers *w, const struct share *s)
{
	return w->stop || (s->going < (w->max + 7) / 8 && w->shared < w->max - w->max / 4);
}

static struct share *share_get(struct workers *w, const char *name)
{
	struct share *s;

	for (s = w->shares; s && strcmp(s->name, name) != 0; s = s->next)
		;
	if (s)
		return s;
	s = lxm_alloc(sizeof(*s));
	s->name = lxm_strdup(name);
	s->last_at = &s->first;
	s->next = w->shares;
	w->shares = s;
	return s;
}

static void share_drop(struct workers *w, struct share *s)
{
	struct share **at;

	for (at = &w->shares; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	free(s->name);
	free(s);
}

/* Gives jobs that were kept back to the pool, one of each share in turn: who got one goes to the end. With the lock held. */
static void share_feed(struct workers *w)
{
	struct share **at = &w->shares, *s, *served = NULL, **end = &served;

	while ((s = *at)) {
		struct job *j = s->first;

		if (!j || !share_may(w, s)) {
			at = &s->next;
			continue;
		}
		s->first = j->next;
		if (!s->first)
			s->last_at = &s->first;
		*at = s->next;
		s->next = NULL;
		*end = s;
		end = &s->next;
		let_go(w, j);
	}
	*at = served;
}

static void share_ended(struct workers *w, struct share *s)
{
	s->going--;
	w->shared--;
	if (!s->going && !s->first)
		share_drop(w, s);
	share_feed(w);
}

static void *worker_main(void *arg)
{
	struct workers *w = arg;
	struct job *j;

	pthread_setname_np(pthread_self(), "worker");
	pthread_mutex_lock(&w->lock);
	while ((j = job_next(w))) {
		w->running++;
		pthread_mutex_unlock(&w->lock);
		j->fn(j->arg);
		pthread_mutex_lock(&w->lock);
		w->running--;
		if (j->share)
			share_ended(w, j->share);
		if (j->group && --j->group->n == 0)
			pthread_cond_broadcast(&j->group->none);
		free(j);
	}
	w->threads--;
	if (w->threads == 0)
		pthread_cond_broadcast(&w->gone);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* With the lock held. Returns 0 or a positive errno value. */
static int thread_start(struct workers *w)
{
	pthread_attr_t attr;
	pthread_t t;
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t, &attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		w->threads++;
	return r;
}

/* Into the pool's queue, and somebody to take it. With the lock held. */
static void let_go(struct workers *w, struct job *j)
{
	int r = 0;

	if (j->share) {
		j->share->going++;
		w->shared++;
	}
	j->next = NULL;
	*w->last_at = j;
	w->last_at = &j->next;
	w->queued++;
	if (w->queued <= w->idle) /* idle threads count until they wake, so compare with all that is queued */
		pthread_cond_signal(&w->work);
	else if (w->threads < w->max)
		r = thread_start(w);
	if (r)
		lxm_warn("start a worker thread: %s; the job waits for another", strerror(r));
}

static void job_add(struct workers *w, const char *name, struct worker_group *group, worker_fn fn, void *arg)
{
	struct job *j = lxm_alloc(sizeof(*j));
	struct share *s;

	j->fn = fn;
	j->arg = arg;
	pthread_mutex_lock(&w->lock);
	if (w->stop && w->threads == 0) { /* the daemon ends; nobody waits for this any more */
		pthread_mutex_unlock(&w->lock);
		free(j);
		return;
	}
	j->group = group;
	if (group)
		group->n++;
	s = j->share = name ? share_get(w, name) : NULL;
	if (s && (s->first || !share_may(w, s))) {
		*s->last_at = j;
		s->last_at = &j->next;
	} else {
		let_go(w, j);
	}
	pthread_mutex_unlock(&w->lock);
}

void workers_run_share(struct workers *w, const char *name, worker_fn fn, void *arg)
{
	job_add(w, name, NULL, fn, arg);
}

void workers_run(struct workers *w, worker_fn fn, void *arg)
{
	job_add(w, NULL, NULL, fn, arg);
}

unsigned int workers_busy(struct workers *w)
{
	unsigned int n;

	pthread_mutex_lock(&w->lock);
	n = w->queued + w->running;
	pthread_mutex_unlock(&w->lock);
	return n;
}

struct worker_group *worker_group_new(struct workers *w)
{
	struct worker_group *g = lxm_alloc(sizeof(*g));

	g->w = w;
	cond_init(&g->none);
	return g;
}

void worker_group_run_share(struct worker_group *g, const char *name, worker_fn fn, void *arg)
{
	job_add(g->w, name, g, fn, arg);
}

void worker_group_run(struct worker_group *g, worker_fn fn, void *arg)
{
	job_add(g->w, NULL, g, fn, arg);
}

bool worker_group_busy(struct worker_group *g)
{
	bool busy;

	pthread_mutex_lock(&g->w->lock);
	busy = g->n > 0;
	pthread_mutex_unlock(&g->w->lock);
	return busy;
}

int worker_group_wait(struct worker_group *g, int64_t timeout_ms)
{
	int64_t until = lxm_mono_ms() + timeout_ms;
	const struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	int r = 0;

	pthread_mutex_lock(&g->w->lock);
	while (g->n && r == 0)
		r = timeout_ms < 0 ? pthread_cond_wait(&g->none, &g->w->lock) : pthread_cond_timedwait(&g->none, &g->w->lock, &ts);
	r = g->n ? -EBUSY : 0;
	pthread_mutex_unlock(&g->w->lock);
	return r;
}

void worker_group_free(struct worker_group *g)
{
	if (!g)
		return;
	(void)worker_group_wait(g, -1);
	pthread_cond_destroy(&g->none);
	free(g);
}

void workers_close(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	share_feed(w);
	pthread_cond_broadcast(&w->work);
	while (w->threads > 0)
		pthread_cond_wait(&w->gone, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	workers_close(w);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->gone);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
