/* When the daemon has had nothing to do for a while, it gives back memory that only work needs. */
#ifndef LXMD_CORE_IDLE_H
#define LXMD_CORE_IDLE_H

struct lxmd;
struct idle;

/** Main thread, with the loop there; idle_free() it. */
struct idle *idle_new(struct lxmd *d);
/** Give nothing back any more, and wait for what runs. Main thread, before the parts that have added something go. NULL is fine. */
void idle_stop(struct idle *i);
/** After the loop's end, before the workers are freed. NULL is fine. */
void idle_free(struct idle *i);

/**
 * Something is being done: IDLE_MS after the last of it, with no worker busy, memory is given back once.
 *
 * Any thread; a few nanoseconds but for the first call after a rest. NULL is fine.
 */
void idle_note(struct idle *i);

/** Have fn(d) called whenever memory is given back, on a worker. Main thread, while the daemon starts. */
void idle_add(struct idle *i, void (*fn)(struct lxmd *d));

#define IDLE_MS 3000

#endif
