/*
 * The epoll thread of lxmd.
 *
 * One lock guards the posted functions and the timers; it is never held while a callback runs. Watches
 * belong to the loop thread: loop_del() marks one dead, and the memory goes at the end of the round, so
 * that an event fetched earlier in the same round finds a dead watch instead of freed memory.
 *
 * Timers are a binary heap of slots. A timer's id is its slot number and the slot's generation, so that
 * an id kept too long can never cancel somebody else's timer.
 */
#include "lxmd/core/loop.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "lib/base/alloc.h"
#include "lib/base/time.h"

#define EVENTS_PER_ROUND 64

struct loop_watch {
	struct loop *loop;
	int fd;
	loop_fd_fn cb;
	void *arg;
	bool dead;
	struct loop_watch *next_dead;
};

struct post {
	loop_fn fn;
	void *arg;
	struct post *next;
};

struct timer {
	int64_t at_ms;
	loop_fn fn;
	void *arg;
	uint32_t generation;
	int heap_at; /* position in the heap, -1: slot is free */
};

struct loop {
	int epfd, wakefd;
	pthread_t thread;
	struct loop_watch *dead; /* loop thread only */
	struct loop_hook *hooks; /* loop thread only */
	pthread_mutex_t lock;
	bool stop;		       /* guarded by lock, and the rest */
	bool woken;		       /* wakefd was written and not yet read */
	struct post *first, **last_at; /* in the order posted */
	struct timer *timers;
	size_t n_timers;   /* slots */
	uint32_t *heap;	   /* slot numbers, earliest first */
	size_t n_heap;
	uint32_t *free_slots;
	size_t n_free;
};

/* ---- timers, all with the lock held */

static int64_t heap_key(const struct loop *l, size_t i)
{
	return l->timers[l->heap[i]].at_ms;
}

static void heap_swap(struct loop *l, size_t a, size_t b)
{
	uint32_t t = l->heap[a];

	l->heap[a] = l->heap[b];
	l->heap[b] = t;
	l->timers[l->heap[a]].heap_at = (int)a;
	l->timers[l->heap[b]].heap_at = (int)b;
}

static void heap_up(struct loop *l, size_t i)
{
	while (i > 0 && heap_key(l, i) < heap_key(l, (i - 1) / 2)) {
		heap_swap(l, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void heap_down(struct loop *l, size_t i)
{
	for (;;) {
		size_t least = i, c;

		for (c = 2 * i + 1; c <= 2 * i + 2 && c < l->n_heap; c++)
			if (heap_key(l, c) < heap_key(l, least))
				least = c;
		if (least == i)
			return;
		heap_swap(l, i, least);
		i = least;
	}
}

static uint32_t slot_take(struct loop *l)
{
	size_t i, n = l->n_timers;

	if (l->n_free == 0) {
		l->n_timers = n ? n * 2 : 32;
		l->timers = lxm_realloc_n(l->timers, l->n_timers, sizeof(*l->timers));
		l->heap = lxm_realloc_n(l->heap, l->n_timers, sizeof(*l->heap));
		l->free_slots = lxm_realloc_n(l->free_slots, l->n_timers, sizeof(*l->free_slots));
		memset(l->timers + n, 0, (l->n_timers - n) * sizeof(*l->timers));
		for (i = l->n_timers; i > n; i--) {
			l->timers[i - 1].heap_at = -1;
			l->free_slots[l->n_free++] = (uint32_t)(i - 1);
		}
	}
	return l->free_slots[--l->n_free];
}

static void timer_remove(struct loop *l, struct timer *t)
{
	size_t at = (size_t)t->heap_at;
	uint32_t slot = l->heap[at];

	l->n_heap--;
	if (at != l->n_heap) {
		heap_swap(l, at, l->n_heap);
		heap_up(l, at);
		heap_down(l, at);
	}
	t->heap_at = -1;
	t->generation++;
	l->free_slots[l->n_free++] = slot;
}

static void loop_wake(struct loop *l)
{
	uint64_t one = 1;

	if (l->woken)
		return;
	l->woken = true;
	(void)!write(l->wakefd, &one, sizeof(one));
}

loop_timer_id loop_timer(struct loop *loop, int64_t ms, loop_fn fn, void *arg)
{
	struct timer *t;
	uint32_t slot;
	loop_timer_id id;

	pthread_mutex_lock(&loop->lock);
	slot = slot_take(loop);
	t = &loop->timers[slot];
	t->at_ms = lxm_mono_ms() + (ms > 0 ? ms : 0);
	t->fn = fn;
	t->arg = arg;
	t->heap_at = (int)loop->n_heap;
	loop->heap[loop->n_heap++] = slot;
	heap_up(loop, (size_t)t->heap_at);
	id = ((uint64_t)t->generation << 32) | (slot + 1u);
	if (t->heap_at == 0 && !loop_here(loop))
		loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
	return id;
}

bool loop_timer_cancel(struct loop *loop, loop_timer_id id)
{
	uint32_t slot = (uint32_t)id - 1u;
	bool armed = false;

	if (id == 0)
		return false;
	pthread_mutex_lock(&loop->lock);
	if (slot < loop->n_timers && loop->timers[slot].heap_at >= 0 &&
	    loop->timers[slot].generation == (uint32_t)(id >> 32)) {
		timer_remove(loop, &loop->timers[slot]);
		armed = true;
	}
	pthread_mutex_unlock(&loop->lock);
	return armed;
}

/* Runs every timer that is due; returns milliseconds until the next one, -1 for none. */
static int timers_run(struct loop *l)
{
	int64_t now = lxm_mono_ms(), wait;

	pthread_mutex_lock(&l->lock);
	while (l->n_heap > 0 && heap_key(l, 0) <= now) {
		struct timer *t = &l->timers[l->heap[0]];
		loop_fn fn = t->fn;
		void *arg = t->arg;

		timer_remove(l, t);
		pthread_mutex_unlock(&l->lock);
		fn(arg);
		pthread_mutex_lock(&l->lock);
	}
	wait = l->n_heap ? heap_key(l, 0) - lxm_mono_ms() : -1;
	if (l->n_heap && wait < 0)
		wait = 0;
	if (l->first)
		wait = 0;
	pthread_mutex_unlock(&l->lock);
	return wait > 3600000 ? 3600000 : (int)wait;
}

/* ---- posted functions */

void loop_post(struct loop *loop, loop_fn fn, void *arg)
{
	struct post *p = lxm_alloc(sizeof(*p));

	p->fn = fn;
	p->arg = arg;
	pthread_mutex_lock(&loop->lock);
	*loop->last_at = p;
	loop->last_at = &p->next;
	if (!loop_here(loop)) /* the loop itself looks before it sleeps */
		loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* Runs what was posted up to now; what these functions post waits for the next round. */
static bool posts_run(struct loop *l)
{
	struct post *p, *next;
	bool any;

	pthread_mutex_lock(&l->lock);
	p = l->first;
	l->first = NULL;
	l->last_at = &l->first;
	pthread_mutex_unlock(&l->lock);
	any = p != NULL;
	for (; p; p = next) {
		next = p->next;
		p->fn(p->arg);
		free(p);
	}
	return any;
}

struct call {
	loop_fn fn;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done; /* guarded by lock */
};

static void call_run(void *arg)
{
	struct call *c = arg;

	c->fn(c->arg);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void loop_call(struct loop *loop, loop_fn fn, void *arg)
{
	struct call c = { .fn = fn, .arg = arg };

	if (loop_here(loop)) {
		fn(arg);
		return;
	}
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.cond, NULL);
	loop_post(loop, call_run, &c);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.cond);
	pthread_mutex_destroy(&c.lock);
}

bool loop_here(const struct loop *loop)
{
	return pthread_equal(pthread_self(), loop->thread);
}

/* ---- descriptors */

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn cb, void *arg,
	     struct loop_watch **watch_out, struct lxm_err *e)
{
	struct loop_watch *w = lxm_alloc(sizeof(*w));
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->loop = loop;
	w->fd = fd;
	w->cb = cb;
	w->arg = arg;
	if (watch_out)
		*watch_out = w;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int r = lxm_err_sys(e, "watch descriptor %d", fd);

		if (watch_out)
			*watch_out = NULL;
		free(w);
		return r;
	}
	return 0;
}

int loop_mod(struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void loop_del(struct loop_watch *w)
{
	if (!w)
		return;
	assert(loop_here(w->loop));
	assert(!w->dead);
	(void)epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->dead = true;
	w->next_dead = w->loop->dead;
	w->loop->dead = w;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
	assert(loop_here(loop));
	hook->prev = NULL;
	hook->next = loop->hooks;
	if (hook->next)
		hook->next->prev = hook;
	loop->hooks = hook;
}

void loop_hook_del(struct loop *loop, struct loop_hook *hook)
{
	assert(loop_here(loop));
	if (loop->hooks != hook && !hook->prev)
		return;
	if (hook->prev)
		hook->prev->next = hook->next;
	else
		loop->hooks = hook->next;
	if (hook->next)
		hook->next->prev = hook->prev;
	hook->next = hook->prev = NULL;
}

/* Takes off and runs one hook; false when there is none. */
static bool hook_run(struct loop *l)
{
	struct loop_hook *hook = l->hooks;

	if (!hook)
		return false;
	loop_hook_del(l, hook);
	hook->fn(hook->arg);
	return true;
}

static void bury(struct loop *l)
{
	struct loop_watch *w;

	while ((w = l->dead)) {
		l->dead = w->next_dead;
		free(w);
	}
}

static void loop_round(struct loop *l, int wait_ms)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	int i, n = epoll_wait(l->epfd, ev, EVENTS_PER_ROUND, wait_ms);

	for (i = 0; i < n; i++) {
		struct loop_watch *w = ev[i].data.ptr;
		uint64_t v;

		if (!w) {
			pthread_mutex_lock(&l->lock);
			(void)!read(l->wakefd, &v, sizeof(v));
			l->woken = false;
			pthread_mutex_unlock(&l->lock);
		} else if (!w->dead) {
			w->cb(w->fd, ev[i].events, w->arg);
		}
	}
	(void)posts_run(l);
	bury(l);
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;
	bool stop;

	pthread_setname_np(pthread_self(), "loop");
	pthread_mutex_lock(&l->lock); /* until loop_new() has written l->thread */
	pthread_mutex_unlock(&l->lock);
	do {
		loop_round(l, timers_run(l));
		pthread_mutex_lock(&l->lock);
		stop = l->stop;
		pthread_mutex_unlock(&l->lock);
	} while (!stop);
	while (posts_run(l) || hook_run(l))
		;
	bury(l);
	return NULL;
}

int loop_new(struct loop **loop_out, struct lxm_err *e)
{
	struct loop *l = lxm_alloc(sizeof(*l));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	sigset_t all, old;
	int r;

	l->last_at = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epfd < 0 || l->wakefd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev) < 0) {
		r = lxm_err_sys(e, "make the event loop");
		goto undo;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&l->lock);
	r = -pthread_create(&l->thread, NULL, loop_main, l);
	pthread_mutex_unlock(&l->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		lxm_err_set(e, -r, "start the event loop's thread: %s", strerror(-r));
		goto undo;
	}
	*loop_out = l;
	return 0;
undo:
	auto_fd_close(&l->epfd);
	auto_fd_close(&l->wakefd);
	free(l);
	return r;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop_here(loop));
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
	pthread_join(loop->thread, NULL);
	auto_fd_close(&loop->epfd);
	auto_fd_close(&loop->wakefd);
	pthread_mutex_destroy(&loop->lock);
	free(loop->timers);
	free(loop->heap);
	free(loop->free_slots);
	free(loop);
}
