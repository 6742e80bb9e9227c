/*
 * Named locks: "one at a time" for things that have a name but no struct of their own, such as an
 * instance while an operation changes it.
 *
 * Order when several are needed: project/, network/, pool/, fetch/, image/, volume/, instance/; within a kind by
 * name. None is held over a network peer's answer unless it guards exactly that transfer.
 * Holding one is not tied to a thread: an operation may take it on one thread and release it on another.
 */
#ifndef LXMD_CORE_LOCKS_H
#define LXMD_CORE_LOCKS_H

#include <stddef.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

struct locks;
struct lock;

/** An empty set of named locks; locks_free() it. */
struct locks *locks_new(void);
/** Every lock must have been released. NULL is fine. */
void locks_free(struct locks *ls);

/* What a holder that took the lock by lock_try_brief() is waited for. */
#define LOCK_BRIEF_MS 5000

/**
 * Take a lock if it is free.
 *
 * @key       "KIND/NAME", such as "instance/17"; copied
 * @what      what the holder does, in words for the user, such as "Stopping instance"; copied
 * @lock_out  receives the lock, lock_release() it; untouched on failure
 *
 * Worker threads only: refuses at once, except that lxmd's own housekeeping (lock_try_brief()) is waited for. Returns 0, or -EBUSY
 * (HTTP 409) with a text that names what the present holder does.
 */
int lock_try(struct locks *ls, const char *key, const char *what, struct lock **lock_out,
	     struct lxm_err *e);

/**
 * The same for lxmd's own housekeeping, which nobody asked for and which is over in moments: whoever wants the lock
 * meanwhile waits for it instead of being refused, LOCK_BRIEF_MS at most.
 *
 * Any thread; never blocks. Returns 0, or -EBUSY as above.
 */
int lock_try_brief(struct locks *ls, const char *key, const char *what, struct lock **lock_out, struct lxm_err *e);

/**
 * Take a lock, waiting for it.
 *
 * @timeout_ms  how long to wait, -1 for ever
 *
 * Worker threads only (blocks). Returns 0, or -EBUSY as above when the time is up.
 */
int lock_take(struct locks *ls, const char *key, const char *what, int timeout_ms,
	      struct lock **lock_out, struct lxm_err *e);

/** Change the words that a refused caller sees. Any thread; the holder's right. */
void lock_describe(struct lock *l, const char *what);

/** What the holder of a key does, or NULL when it is free; free() it. Any thread. */
char *lock_holder(struct locks *ls, const char *key);

/** Give a lock back; NULL is fine. Any thread. */
void lock_release(struct lock *l);
LXM_AUTO_PTR(lock_release, struct lock, lock_release)

#endif
