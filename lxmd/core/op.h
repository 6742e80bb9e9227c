/*
 * Operations: background work that the API shows below /1.0/operations.
 *
 * Life: op_new() registers it (Pending), op_start() sets it going (Running), it ends as Success, Failure
 * or Cancelled and stays readable for 10 s. Each change is an event to every listener of its project.
 */
#ifndef LXMD_CORE_OP_H
#define LXMD_CORE_OP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/time.h"
#include "lxmd/core/caller.h"

struct lxmd;
struct loop;
struct op;
struct ops;
struct ws;

enum op_class { OP_TASK, OP_WEBSOCKET, OP_TOKEN };

/* What run() answers when the work goes on, driven by events: somebody calls op_finish() later. */
#define OP_LATER 1

/* How an operation fails for whose websockets nobody came in time. */
#define OP_NOBODY_CAME "Timed out waiting for websockets to connect"

#define OP_SECRET_LEN 64 /* hex digits of a websocket secret */

struct op_spec {
	const char *id;	    /* borrowed; the UUID under which a lasting operation was known to an earlier lxmd; NULL: a new one */
	lxm_time created_at; /* of the same; 0: now */
	int64_t connect_ms; /* how long to wait for the required sockets, 0: 5 s */
	enum op_class cls;
	const char *project;	 /* borrowed; NULL: belongs to no project, every listener hears of it */
	const char *description; /* borrowed; "Creating instance" */
	json_t *resources; /* stolen, may be NULL: {"instances":["/1.0/instances/c1"]}; "containers" is added by itself */
	json_t *metadata;  /* stolen, may be NULL */
	bool may_cancel;   /* op_set_may_cancel() changes it later */
	const struct caller *caller; /* borrowed, may be NULL: the daemon itself */

	/*
	 * The work, on a worker thread. OP_TASK: called after op_start(). OP_WEBSOCKET: called once all
	 * required sockets (op_add_socket) are connected. OP_TOKEN: NULL, the operation stays Running until
	 * op_finish() or a cancel.
	 * 0 ends the operation as Success, < 0 as Failure with e->msg, OP_LATER leaves it Running.
	 * When a cancel was asked for, whatever end there is becomes Cancelled unless it is Success.
	 */
	int (*run)(struct op *op, void *arg, struct lxm_err *e);
	/*
	 * A cancel was asked for, or the required sockets did not come in time: end soon. On a worker
	 * thread, beside run(). May be NULL (run() looks at op_is_cancelled(); tokens end at once).
	 * A websocket operation that has not reached run() yet ends by itself after this returned.
	 */
	void (*cancel)(struct op *op, void *arg);
	/*
	 * A client opened the websocket that op_add_socket() named `name`. On the loop thread; call
	 * ws_start() on it, here or later, and ws_ref() to keep it. < 0 cuts it off.
	 */
	int (*connect)(struct op *op, const char *name, struct ws *ws, void *arg);
	/* Frees arg, once, after the operation is final and no callback of it runs any more; may be NULL. */
	void (*free_arg)(void *arg);
	void *arg; /* owned by the operation from op_new() on, also when op_new() fails */
};

/**
 * Register an operation (Pending) and tell the listeners.
 *
 * @spec    see above; stolen parts are gone in any case
 * @op_out  receives a reference for the caller, op_unref() it
 *
 * Any thread. Returns 0, -ESHUTDOWN while the daemon stops, or -EAGAIN when a restricted caller has too many.
 */
int op_new(struct lxmd *d, const struct op_spec *spec, struct op **op_out, struct lxm_err *e);

struct op *op_ref(struct op *op);
void op_unref(struct op *op);
LXM_AUTO_PTR(op_unref, struct op, op_unref)

/**
 * Announce one websocket of an OP_WEBSOCKET operation; between op_new() and op_start().
 *
 * @name        "0", "1", "2", "control", "fs" ...; copied
 * @required    run() waits for it, and op_start() + 5 s without it fails the operation
 * @secret_out  receives the hex secret (OP_SECRET_LEN digits and NUL) for the metadata's `fds`
 */
void op_add_socket(struct op *op, const char *name, bool required, char secret_out[OP_SECRET_LEN + 1]);

/** Set it going: Running, and run() follows as described there. Any thread; once; never blocks. */
void op_start(struct op *op);

/** 36 characters; borrowed for the reference's life. */
const char *op_id(const struct op *op);
/** "/1.0/operations/UUID"; borrowed for the reference's life. */
const char *op_url(const struct op *op);
/** NULL when it belongs to none; borrowed. */
const char *op_project(const struct op *op);
/** Who asked; zeroed when the daemon itself did. */
const struct caller *op_caller(const struct op *op);
struct lxmd *op_daemon(const struct op *op);

/**
 * What it does goes on without lxmd from now on, and the next one will make the operation again under its id: the
 * daemon's end neither cancels it nor waits for it. From run(), or before op_start(). Any thread.
 */
void op_set_lasting(struct op *op);

/** Replace the whole metadata (stolen) and tell the listeners. Any thread. */
void op_set_metadata(struct op *op, json_t *metadata);
/** Set one key of the metadata object (value stolen) and tell the listeners. Any thread. */
void op_set_metadata_key(struct op *op, const char *key, json_t *value);
/** A copy of the metadata (caller decrefs), NULL if there is none. Any thread. */
json_t *op_metadata(struct op *op);
/** Replace the resources (stolen). Any thread; no event by itself. */
void op_set_resources(struct op *op, json_t *resources);
/** Any thread; no event by itself. */
void op_set_may_cancel(struct op *op, bool may);

/**
 * Show progress: sets metadata KEY to "STAGE: 42% (31.2MB/s)" and `progress` beside it; at most ten
 * events a second are sent, the last value is never lost.
 *
 * @op           NULL is fine (work that nobody watches)
 * @key          ends in "_progress", such as "download_progress"; one key per operation at a time
 * @stage        "Unpack"; NULL clears the line
 * @percent      0 to 100, -1 when it is not known
 * @speed_bytes  per second, 0 when it is not known
 *
 * Any thread.
 */
void op_progress(struct op *op, const char *key, const char *stage, int percent, uint64_t speed_bytes);

/** True once a cancel was asked for: a long run() looks now and then. NULL gives false. Any thread. */
bool op_is_cancelled(struct op *op);

/** True for class OP_TOKEN. */
bool op_is_token(const struct op *op);

/** True in a final state. Any thread. */
bool op_is_final(struct op *op);

/**
 * End an operation whose run() answered OP_LATER, or a token.
 *
 * @err  NULL or code 0: Success; otherwise Failure with its msg (Cancelled after a cancel)
 *
 * Any thread; a second call does nothing.
 */
void op_finish(struct op *op, const struct lxm_err *err);

/** The object as the API shows it. Any thread. The caller decrefs. */
json_t *op_json(struct op *op);

/* ---- used by lxmd/api/operations.c and the daemon */

/** The daemon's set of operations; ops_free() it. Main thread. */
struct ops *ops_new(struct lxmd *d);
/** All operations must be final or forgotten. NULL is fine. */
void ops_free(struct ops *ops);
/**
 * Refuse new ones, cancel what can be cancelled, wait up to timeout_ms for the rest.
 * Main thread. Returns 0, or -EBUSY when some still run.
 */
int ops_stop(struct ops *ops, int timeout_ms);

/**
 * Note each operation that runs in a file of `rundir` from now on (lxmd/core/op_slots.h), and recall what is noted there
 * already. Without the file (complained of) all goes on, and nothing is known after a restart. Main thread, before any op_new().
 */
void ops_remember(struct ops *ops, int rundir);

/**
 * Those noted by an earlier lxmd that nobody has made again under their id: final, as Failure, for some minutes. Main
 * thread, once all that go on were made again and before any client comes.
 */
void ops_recall(struct ops *ops);

/** The first operation that fits(), in no order; NULL when there is none. fits() may look into it, and not block. Any thread; op_unref() it. */
struct op *ops_find(struct ops *ops, bool (*fits)(struct op *op, void *arg), void *arg);

/** Find by UUID; NULL when there is none. Any thread; op_unref() it. */
struct op *ops_get(struct ops *ops, const char *id);

/**
 * The map from lowercase status to a list, {} when there are none.
 *
 * @project    only that project's and those of none; NULL: all
 * @who        only what op_visible() to them
 * @recursion  0: URLs, else objects
 */
json_t *ops_list(struct ops *ops, const char *project, const struct caller *who, int recursion);

/**
 * May that caller know of the operation? Administrators of each; others of those in their projects and of what
 * they began themselves. Any thread.
 */
bool op_visible(const struct op *op, const struct caller *who);

/** Ask for a cancel. Returns 0, or -EINVAL (400) when it cannot be cancelled or does not run. Any thread. */
int op_cancel(struct op *op, struct lxm_err *e);

/**
 * Call fn(op, arg) once, when the operation is final or after timeout_ms (< 0: no limit), whichever
 * is first; at once if it is final already. fn runs on any thread and must not block.
 */
void op_when_done(struct op *op, int64_t timeout_ms, void (*fn)(struct op *op, void *arg), void *arg);

/** Wait on this thread. Workers only. Returns 0 when it is final, -ETIMEDOUT otherwise. */
int op_wait(struct op *op, int64_t timeout_ms);

/**
 * A client comes with a secret: use it up and remember which socket it opens.
 * Compared in constant time. Returns the socket's index, or -EPERM (403) with e. Any thread.
 */
int op_claim_socket(struct op *op, const char *secret, struct lxm_err *e);
/** Hand over the websocket of a claimed index (reference taken). Any thread. */
void op_connect_socket(struct op *op, int index, struct ws *ws);
/** True if `secret` equals metadata.secret or a socket's secret: untrusted callers may wait with it. */
bool op_secret_ok(struct op *op, const char *secret);

#endif
