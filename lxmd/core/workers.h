/* Workers: threads on demand for everything that may block. */
#ifndef LXMD_CORE_WORKERS_H
#define LXMD_CORE_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct workers;
struct worker_group;

typedef void (*worker_fn)(void *arg);

/**
 * @max  most threads at one time; jobs beyond wait in a queue, first come first served
 *
 * Any thread. No thread is started yet. Returns the pool; workers_free() it.
 */
struct workers *workers_new(unsigned int max);

/**
 * Run every job that is queued and wait for all threads to end; what workers_run() is given afterwards is
 * dropped. Not on a worker. NULL is fine.
 */
void workers_close(struct workers *w);

/** workers_close(), and free. No thread may use the pool any more. NULL is fine. */
void workers_free(struct workers *w);

/**
 * Run fn(arg) on a worker thread: an idle one, else a new one, else when one becomes free. Threads that
 * had nothing to do for some seconds end, so that an idle daemon has none.
 *
 * Any thread; never blocks. All signals are blocked on workers; stacks are 512 KiB.
 */
void workers_run(struct workers *w, worker_fn fn, void *arg);

/**
 * The same for a job of a share: of one share an eighth of the threads are busy at most, and of all shares three quarters; what
 * comes beyond that waits, and keeps nobody else waiting. Jobs of one share must not wait for each other.
 *
 * @name  copied; NULL: no share, as workers_run()
 */
void workers_run_share(struct workers *w, const char *name, worker_fn fn, void *arg);

/**
 * Jobs that belong together, so that one can wait for all of them: a part of the daemon gives its own ones to a group, and frees
 * what they use once it has waited for the group. Any thread. worker_group_free() it before the pool.
 */
struct worker_group *worker_group_new(struct workers *w);
/** workers_run() and workers_run_share() in a group. Any thread; never block. */
void worker_group_run(struct worker_group *g, worker_fn fn, void *arg);
void worker_group_run_share(struct worker_group *g, const char *name, worker_fn fn, void *arg);
/** Has any of its jobs not ended yet? Any thread. */
bool worker_group_busy(struct worker_group *g);
/**
 * Wait until all its jobs have ended; timeout_ms < 0: for ever. Not on one of its jobs, nor with a lock that they take.
 * Returns 0, or -EBUSY when the time is up.
 */
int worker_group_wait(struct worker_group *g, int64_t timeout_ms);
/** Waits for its jobs. Nobody may give it another one. NULL is fine. */
void worker_group_free(struct worker_group *g);

/** Jobs queued and running now; not those that are kept back for their share. Any thread. */
unsigned int workers_busy(struct workers *w);

#endif
