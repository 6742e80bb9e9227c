/* What op.c and ops.c share: the inside of an operation. Nobody else includes this. */
#ifndef LXMD_CORE_OP_IMPL_H
#define LXMD_CORE_OP_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/time.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/op.h"

#define OP_KEEP_MS	10000  /* how long a final operation stays readable */
#define OP_LOST_KEEP_MS 600000 /* one that a restart cut off: who asked may have to find lxmd again first */

struct op_socket {
	char *name;
	char secret[OP_SECRET_LEN + 1];
	bool required, used, connected;
};

/* Somebody who waits for the end (op_when_done). */
struct op_waiter {
	struct op *op; /* a reference */
	void (*fn)(struct op *op, void *arg);
	void *arg;
	loop_timer_id timer; /* 0: no limit */
	struct op_waiter *next;
};

struct op {
	atomic_int refs;
	struct lxmd *d;
	char id[37], url[64];
	char *project, *description; /* never change */
	struct op_spec spec;	     /* callbacks and arg only */
	struct caller caller;
	lxm_time created_at;
	struct op *hash_next; /* guarded by the registry's lock; so are slot and over */
	int slot;	      /* its note in op_slots.h, -1: none */
	bool over;	      /* final */

	pthread_mutex_t lock;
	pthread_cond_t ended;
	/* guarded by lock: */
	int status; /* enum api_status */
	lxm_time updated_at;
	json_t *resources, *metadata;
	bool may_cancel, started, run_begun, cancel_asked, arg_freed;
	bool lasting;  /* op_set_lasting() */
	bool let_go;   /* lasting, and the daemon ends: nobody is to wait for it */
	char *err;
	unsigned int busy; /* callbacks running */
	struct op_socket *sockets;
	size_t n_sockets;
	struct op_waiter *waiters;
	int64_t progress_at_ms;	      /* last event */
	loop_timer_id progress_timer; /* holds a reference, as the next */
	loop_timer_id connect_timer;
	loop_timer_id forget_timer; /* final, and still in the registry; holds no reference but the registry's */
};

/** The object of the API; with op->lock held. */
json_t *op_json_locked(struct op *op);
/** Adds the "containers" twin of "instances"; steals and returns. */
json_t *op_resources(json_t *resources);
/** Cancel whether or not the client may (daemon's end). */
void op_cancel_now(struct op *op);
/** Run a waiter that was taken off the list, without op->lock. */
void op_waiter_fire(struct op_waiter *w);
/** What works for operations: ops_stop() waits for it, behind their end too. */
struct worker_group *ops_jobs(struct ops *ops);
/** Take a final operation out of the registry (drops the registry's reference). */
void ops_forget(struct ops *ops, struct op *op);
/** Have ops_forget() called in some time; with op->lock held, or before others know of it. */
void op_forget_later(struct op *op, int64_t ms);
/** One more operation has ended, well or not; may be called with op->lock held. */
void ops_ended(struct ops *ops, struct op *op, bool well);
/** One more is lasting; the same. */
void ops_lasting(struct ops *ops);
/** Tell those who wait for a lasting operation that they wait in vain: the daemon ends. */
void op_let_go(struct op *op);

#endif
