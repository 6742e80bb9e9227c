/* The guest API: what an instance can ask about itself on its own /dev/lxd/sock (LXD's devlxd). */
#ifndef LXMD_GUEST_GUEST_H
#define LXMD_GUEST_GUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"

struct guest;
struct guests;
struct lxmd;

/* An instance as its guest may see it. Zeroed is empty. */
struct guest_info {
	char *project, *name;	 /* owned */
	struct lxm_kv config;	 /* expanded */
	struct lxm_devs devices; /* expanded */
	bool ready;		 /* the guest has said so since it started */
};

void guest_info_deinit(struct guest_info *i);
LXM_AUTO_STRUCT(guest_info, struct guest_info, guest_info_deinit)

/* What the guest API asks of the instances' room. Worker threads; may block. */
struct guest_ops {
	/** Fill *out with what the instance is now. Returns 0 or -errno. */
	int (*load)(struct lxmd *d, int64_t id, struct guest_info *out, struct lxm_err *e);
	/** The guest says that it is ready, or that it is not any more. Returns 0 or -errno. */
	int (*set_ready)(struct lxmd *d, int64_t id, bool ready, struct lxm_err *e);
};

/**
 * Make the room's object, d->guests.
 *
 * @ops  static
 *
 * Main thread, before the first guest_open().
 */
void guests_start(struct lxmd *d, const struct guest_ops *ops);
/** Wait for requests under way and free everything. Main thread, every guest closed, loop alive. NULL is fine. */
void guests_stop(struct lxmd *d);

/**
 * Serve one instance: whoever connects to this socket is that instance, and is checked to live in its pid namespace.
 *
 * @init_pid, @init_pidfd  its init; borrowed
 * @listen_fd              listening end of its /dev/lxd/sock, taken
 *
 * Any thread. Returns it, guest_close() it; NULL when that is impossible, with a warning in the log.
 */
struct guest *guest_open(struct lxmd *d, int64_t id, pid_t init_pid, int init_pidfd, int listen_fd);
/** Cut off everybody and stop accepting; a request that is being answered ends by itself. Any thread; NULL is fine. */
void guest_close(struct guest *g);

struct guest *guest_ref(struct guest *g);
void guest_unref(struct guest *g);
LXM_AUTO_PTR(guest_unref, struct guest, guest_unref)

/* Kinds of events, as bits. */
enum guest_event { GUEST_CONFIG = 1, GUEST_DEVICE = 2 };

/** Tell those inside who listen on /1.0/events. @metadata stolen. Any thread; never blocks; NULL g is fine. */
void guest_tell(struct guest *g, enum guest_event type, json_t *metadata);

#endif
