/* The loop: one epoll thread that watches descriptors and timers. Its callbacks never block. */
#ifndef LXMD_CORE_LOOP_H
#define LXMD_CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct loop;
struct loop_watch;

/* On the loop thread; revents are EPOLL* bits. */
typedef void (*loop_fd_fn)(int fd, uint32_t revents, void *arg);
/* On the loop thread. */
typedef void (*loop_fn)(void *arg);

/* Names one armed timer; 0 is none. */
typedef uint64_t loop_timer_id;

/** Start the thread. Main thread. Returns 0 or -errno; loop_free() it. */
int loop_new(struct loop **loop_out, struct lxm_err *e);

/* Something that wants to be told before the loop ends; embed it. Loop thread only. */
struct loop_hook {
	loop_fn fn;
	void *arg;
	struct loop_hook *next, *prev; /* the loop's */
};

/**
 * Run what was posted, call the hooks, run what they posted, then end the thread and free everything. Descriptors stay open, they are their
 * owners'; timers that did not fire are forgotten. Not on the loop thread. NULL is fine.
 */
void loop_free(struct loop *loop);

/**
 * Watch a descriptor, level-triggered (or with EPOLLET / EPOLLONESHOT in events).
 *
 * @fd         stays the caller's; must stay open until loop_del()
 * @events     EPOLLIN | EPOLLOUT ...; EPOLLHUP and EPOLLERR always come
 * @arg        handed to cb; must live until loop_del()
 * @watch_out  receives the handle for loop_mod() and loop_del(); written before cb can run
 *
 * Any thread. Returns 0 or -errno.
 */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn cb, void *arg,
	     struct loop_watch **watch_out, struct lxm_err *e);

/** Change the events a watch wants; 0 leaves only EPOLLHUP and EPOLLERR. Any thread. Returns 0 or -errno. */
int loop_mod(struct loop_watch *w, uint32_t events);

/**
 * Stop watching and free the handle; NULL is fine. Call it before closing the descriptor.
 *
 * Loop thread only (others go through loop_post() or loop_call()); the callback is not called again, not
 * even for events that this round has already fetched.
 */
void loop_del(struct loop_watch *w);

/** Run fn(arg) on the loop thread soon, in the order posted. Any thread; never blocks. */
void loop_post(struct loop *loop, loop_fn fn, void *arg);

/**
 * Run fn(arg) on the loop thread and wait until it returned; on the loop thread itself: a plain call.
 * Any other thread, holding no lock that a loop callback takes.
 */
void loop_call(struct loop *loop, loop_fn fn, void *arg);

/** Have hook->fn(hook->arg) called once when the loop ends. Loop thread only. */
void loop_hook_add(struct loop *loop, struct loop_hook *hook);
/** Take it back; one that is not added is fine. Loop thread only. */
void loop_hook_del(struct loop *loop, struct loop_hook *hook);

/** True on the loop thread. */
bool loop_here(const struct loop *loop);

/** Run fn(arg) once after `ms` milliseconds (0: next round). Any thread. Returns the id, never 0. */
loop_timer_id loop_timer(struct loop *loop, int64_t ms, loop_fn fn, void *arg);

/**
 * Forget a timer; 0 or one that fired already is fine.
 * Any thread. True if it was still armed, so that fn will not run; false if it fired, is firing, or is 0.
 */
bool loop_timer_cancel(struct loop *loop, loop_timer_id id);

#endif
