/*
 * Threads on demand. A job goes to an idle thread if there is one, else a new thread is made, up to a
 * maximum; beyond that jobs queue. A thread that waited IDLE_S seconds in vain ends, so that a daemon with
 * nothing to do keeps neither threads nor their stacks. Threads are detached; workers_free() counts
 * them out.
 */
#include "lxmd/core/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define IDLE_S 10
#ifdef LXM_SAN
#define STACK_BYTES (4096 * 1024) /* instrumented frames are large */
#else
#define STACK_BYTES (512 * 1024)
#endif

struct job {
	worker_fn fn;
	void *arg;
	struct job *next;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a job came, or stop */
	pthread_cond_t gone; /* a thread ended */
	struct job *first, **last_at; /* guarded by lock, and the rest */
	unsigned int max, threads, idle, queued, running;
	bool stop;
};

struct workers *workers_new(unsigned int max)
{
	struct workers *w = lxm_alloc(sizeof(*w));
	pthread_condattr_t attr;

	assert(max > 0);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &attr);
	pthread_cond_init(&w->gone, &attr);
	pthread_condattr_destroy(&attr);
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
		free(j);
		pthread_mutex_lock(&w->lock);
		w->running--;
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

void workers_run(struct workers *w, worker_fn fn, void *arg)
{
	struct job *j = lxm_alloc(sizeof(*j));
	int r = 0;

	j->fn = fn;
	j->arg = arg;
	pthread_mutex_lock(&w->lock);
	if (w->stop && w->threads == 0) { /* the daemon ends; nobody waits for this any more */
		pthread_mutex_unlock(&w->lock);
		free(j);
		return;
	}
	*w->last_at = j;
	w->last_at = &j->next;
	w->queued++;
	if (w->queued <= w->idle) /* idle threads count until they wake, so compare with all that is queued */
		pthread_cond_signal(&w->work);
	else if (w->threads < w->max)
		r = thread_start(w);
	pthread_mutex_unlock(&w->lock);
	if (r)
		lxm_warn("start a worker thread: %s; the job waits for another", strerror(r));
}

unsigned int workers_busy(struct workers *w)
{
	unsigned int n;

	pthread_mutex_lock(&w->lock);
	n = w->queued + w->running;
	pthread_mutex_unlock(&w->lock);
	return n;
}

void workers_close(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
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
