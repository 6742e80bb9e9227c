/* Waiting for an operation's end: with a callback on any thread, or blocking on a worker. */
#include <time.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op_impl.h"

void op_waiter_fire(struct op_waiter *w)
{
	w->fn(w->op, w->arg);
	op_unref(w->op);
	free(w);
}

static void on_wait_time(void *arg)
{
	struct op_waiter *w = arg, **at;

	pthread_mutex_lock(&w->op->lock);
	for (at = &w->op->waiters; *at && *at != w; at = &(*at)->next)
		;
	if (*at)
		*at = w->next;
	pthread_mutex_unlock(&w->op->lock);
	op_waiter_fire(w);
}

void op_when_done(struct op *op, int64_t timeout_ms, void (*fn)(struct op *op, void *arg), void *arg)
{
	struct op_waiter *w;

	pthread_mutex_lock(&op->lock);
	if (op->status >= API_SUCCESS || op->let_go || timeout_ms == 0) {
		pthread_mutex_unlock(&op->lock);
		fn(op, arg);
		return;
	}
	w = lxm_alloc(sizeof(*w));
	w->op = op_ref(op);
	w->fn = fn;
	w->arg = arg;
	w->next = op->waiters;
	op->waiters = w;
	if (timeout_ms > 0)
		w->timer = loop_timer(op->d->loop, timeout_ms, on_wait_time, w);
	pthread_mutex_unlock(&op->lock);
}

int op_wait(struct op *op, int64_t timeout_ms)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&op->lock);
	while (op->status < API_SUCCESS && r == 0)
		r = timeout_ms < 0 ? pthread_cond_wait(&op->ended, &op->lock) :
				     pthread_cond_timedwait(&op->ended, &op->lock, &until);
	r = op->status >= API_SUCCESS ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&op->lock);
	return r;
}
