/* Events: what happens, told to everybody who listens on /1.0/events. */
#ifndef LXMD_CORE_EVENT_H
#define LXMD_CORE_EVENT_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/err.h"
#include "lxmd/core/caller.h"

struct events;
struct event_listener;
struct lxmd;
struct ws;

/* Kinds, as bits: a listener has a set of them. */
enum event_type {
	EVENT_LOGGING = 1,
	EVENT_OPERATION = 2,
	EVENT_LIFECYCLE = 4,
	EVENT_NETWORK_ACL = 8,
	EVENT_ALL = 15,
};

/**
 * Tell that something was done.
 *
 * @project   the project it belongs to, NULL: every listener hears it
 * @action    "instance-started", as LXD names it
 * @source    URL of the thing, "/1.0/instances/c1"; "?project=P" is added for other projects than default
 * @context   stolen, may be NULL: more facts
 * @caller    who did it, NULL: the daemon itself
 *
 * Any thread; never blocks; cheap when nobody listens.
 */
void event_lifecycle(struct lxmd *d, const char *project, const char *action, const char *source,
		     json_t *context, const struct caller *caller);

/**
 * Tell anything else.
 *
 * @type      one bit
 * @project   NULL: every listener hears it
 * @metadata  stolen
 */
void event_send(struct events *ev, enum event_type type, const char *project, json_t *metadata);

/** True if somebody listens for that kind: lets callers skip building metadata. Any thread. */
bool event_wanted(struct events *ev, enum event_type type);

/* ---- used by lxmd/api/events.c and the daemon */

/** The daemon's one set of listeners; events_free() it. Main thread. */
struct events *events_new(struct lxmd *d);
/** Listeners are cut off. After the loop has ended. NULL is fine. */
void events_free(struct events *ev);

/**
 * Parse a "type=" list: "operation,lifecycle"; empty or NULL gives all.
 * Returns the set of bits, or -EINVAL naming the unknown word.
 */
int event_types_parse(const char *list, struct lxm_err *e);

/**
 * Register a listener; from here on its events are queued, so do it before the 101 goes out.
 *
 * @types    set of enum event_type
 * @project  copied; NULL: all projects
 * @who      copied: who is no administrator hears only of their projects
 *
 * Any thread. Returns 0, or -EAGAIN (503) with e when there are too many. Give it a websocket with
 * event_attach(), or event_drop() it.
 */
int event_listen(struct events *ev, int types, const char *project, const struct caller *who, struct event_listener **l_out,
		 struct lxm_err *e);
/** The websocket is there (reference taken): what was queued goes out. The listener ends with it. Any thread. */
void event_attach(struct event_listener *l, struct ws *ws);
/** Forget a listener that got no websocket. Any thread. */
void event_drop(struct event_listener *l);

/** Begin to turn log lines into logging events (while somebody listens for them). Main thread. */
void events_capture_log(struct events *ev);

#endif
