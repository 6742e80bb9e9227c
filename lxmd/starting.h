/*
 * SIGTERM and SIGINT while lxmd starts. A part that waits for what does not come (a lock of a database, storage, a
 * silent peer) must not keep lxmd from being ended politely: a thread of its own reads the signals until the start is over.
 */
#ifndef LXMD_STARTING_H
#define LXMD_STARTING_H

#include "lib/base/err.h"

struct starting;

/**
 * Begin to watch. The signals must be blocked in the calling thread.
 *
 * Main thread, before daemon_open(). Returns NULL with a warning in the log when it cannot be done: then signals wait
 * for the end of the start.
 */
struct starting *starting_watch(void);

/**
 * Say what comes next, for the log.
 *
 * @s     NULL is fine
 * @part  what starts now; a literal
 *
 * Main thread. Returns 0, or -ECANCELED when a signal has asked lxmd to end: then the start is given up. A part that
 * does not return within moments of the signal is left where it is: the process ends with 0, instances live on.
 */
int starting_next(struct starting *s, const char *part, struct lxm_err *e);

/** The start is over; frees s, NULL is fine. Main thread. Returns the signal that asked lxmd to end meanwhile, or 0. */
int starting_done(struct starting *s);

#endif
