/* What the daemon does by the clock: tasks that are called each minute on a worker. */
#ifndef LXMD_CORE_SCHEDULE_H
#define LXMD_CORE_SCHEDULE_H

#include "lib/base/time.h"

struct lxmd;
struct schedule;

/*
 * Called for the minutes that have begun after `since` and not after `now` (both at a minute's begin; usually one
 * minute apart, at most an hour). Looks at d->stopping now and then. Not called again before it returns: the next call
 * covers what was missed.
 */
typedef void (*schedule_fn)(struct lxmd *d, lxm_time since, lxm_time now);

/** The daemon's schedule; nothing is called before the daemon is ready. Main thread; schedule_free() it. */
struct schedule *schedule_new(struct lxmd *d);

/** Add a task. @name for the log, static. Any thread. */
void schedule_add(struct schedule *s, const char *name, schedule_fn fn);

/**
 * Call nothing any more, and wait up to timeout_ms for what runs. Main thread, before the parts that the tasks use go.
 * NULL is fine. Returns 0, or -EBUSY when a task still runs.
 */
int schedule_stop(struct schedule *s, int timeout_ms);
/** After schedule_stop() and the loop's end. NULL is fine. */
void schedule_free(struct schedule *s);

#endif
