/* What runs now: one struct run for each instance that has a monitor, and the table of them. */
#ifndef LXMD_INSTANCE_RUN_H
#define LXMD_INSTANCE_RUN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/time.h"
#include "lib/wire/cgroup.h"
#include "lib/wire/monitor.h"
#include "lxmd/instance/idmap.h"
#include "lxmd/instance/meters.h"

struct loop_watch;
struct lxmd;
struct net_cache;
struct restarts;
struct run;
struct session;
struct files;
struct guest;
struct seccomp_cache;
struct apparmor;
struct cpus;
struct lxcfs;
struct kernel_room;
struct rows_cache;
struct spawner;
struct thrash;
struct usage_cache;
struct worker_group;

/* d->instances. Everything but the table is set at start and never changes. */
struct instances {
	struct spawner *spawner;
	struct seccomp_cache *seccomp;
	struct apparmor *apparmor;
	struct lxcfs *lxcfs;
	struct kernel_room *room;
	struct cgroup_layout cgroups;
	char cgroup_parent[32]; /* "lxm", or one of this daemon's own when LXMD_DIR is set */
	struct idmap_pool ids;
	struct files *files; /* who works on files: files.c */
	struct cpus *cpus; /* who runs on which CPUs: cpus.c */
	struct rows_cache *rows; /* what the database says: rows.c */
	struct usage_cache *usages; /* what they use: usage_all.c */
	struct worker_group *jobs; /* what works for instances and is no operation: their ends, reboots, starts without a client */
	uint32_t exec_grace_s; /* how long exec sessions wait for the next lxmd, and then for a client */

	pthread_mutex_t lock;
	struct restarts *restarts; /* guarded by lock: boot.c */
	struct session *execs; /* guarded by lock: exec_list.c */
	struct run **v;	  /* guarded by lock; sorted by id; each holds a reference */
	size_t n, cap;	  /* guarded by lock */
	bool host_goes;	  /* guarded by lock: instances_shutdown() was called */
};

enum run_phase {
	RUN_STARTING, /* its monitor works on the plan */
	RUN_RUNNING,
	RUN_ENDED, /* init is gone; cleaning up */
	RUN_GONE,  /* everything is cleaned up and it is out of the table */
};

struct run {
	struct lxmd *d;
	int64_t id;
	char *project, *name; /* fixed: a running instance cannot be renamed */
	char cgroup[64];      /* "PARENT/ID" */
	int rundir;	      /* RUN/ID */

	pthread_mutex_t lock;
	pthread_cond_t changed;	 /* signalled when phase changes */
	enum run_phase phase;	 /* guarded by lock, and what follows */
	bool frozen;
	bool stop_asked;	 /* a client asked for the end: no autorestart, and the event says who */
	bool restarting;	 /* the end belongs to a restart: an ephemeral instance stays */
	bool no_events;		 /* adopted or failed: the end is not told */
	bool ready;		 /* the guest has said so since it started */
	pid_t init_pid;
	int init_pidfd;
	struct guest *guest;	 /* the ear on its /dev/lxd/sock, NULL: none */
	int park;		 /* where helpers leave exec sessions when lxmd ends: mon_hello.park */
	lxm_time started_at;
	uint32_t reason;	 /* enum mon_reason, once ended */
	int32_t status;
	char end_text[200];

	pthread_mutex_t limits_lock; /* held while its limits are written: workers and the main thread; before `lock` */
	struct thrash *thrash;	  /* guarded by limits_lock; the ear on its memory pressure, NULL: none */

	pthread_mutex_t net_lock; /* held while its network is read, which may take a while: never on the loop thread */
	struct net_cache *net;	  /* guarded by net_lock; NULL if there is no network namespace */

	struct meters meters;	  /* what it uses */

	int mon_sock;		   /* loop thread only once it is watched */
	int mon_pidfd;		   /* -1 for an adopted monitor: init reaps it */
	struct loop_watch *watch;  /* loop thread */
	int refs;		   /* atomic */
};

/** The run of an instance, NULL when it is stopped. Any thread; run_unref() it. */
struct run *run_get(struct lxmd *d, int64_t id);
/**
 * The same for whoever needs a stopped instance: one that has ended, and so is shown as stopped already, is waited for until
 * all behind it is cleaned up. Worker threads; NULL when the instance is stopped for good.
 */
struct run *run_get_settled(struct lxmd *d, int64_t id);
struct run *run_ref(struct run *r);
void run_unref(struct run *r);
LXM_AUTO_PTR(run_unref, struct run, run_unref)

/** Every run, referenced; sorted by id. free() the vector after run_unref() of each. Any thread. */
size_t run_list(struct lxmd *d, struct run ***v_out);

/**
 * Enter a run (phase STARTING) into the table.
 *
 * Any thread. Returns it with a reference for the caller, or NULL with -EEXIST when the instance runs already.
 */
int run_add(struct lxmd *d, int64_t id, const char *project, const char *name, int rundir_taken, struct run **out,
	    struct lxm_err *e);

/** The start failed: out of the table again, waiters see RUN_GONE. */
void run_remove(struct run *r);

/**
 * Init runs: take over the monitor's connection and descriptors, and watch it.
 *
 * @sock, @mon_pidfd, @hello  taken
 */
int run_started(struct run *r, int sock, int mon_pidfd, struct mon_hello *hello, struct lxm_err *e);

/** Replace the ear on its /dev/lxd/sock (taken, may be NULL); the one before is closed, and so is a new one when the run has ended. Any thread. */
void run_set_guest(struct run *r, struct guest *g);

/** API status (API_RUNNING, API_READY ...); NULL gives API_STOPPED. Any thread. */
int run_status(struct run *r);

/** Wait until it is gone. Workers only. Returns 0 or -ETIMEDOUT. timeout_ms < 0: for ever. */
int run_wait_gone(struct run *r, int64_t timeout_ms);

/**
 * Wait while it is about to run or about to end. Workers only.
 *
 * Returns 0 when it runs, 1 when it is gone, -EBUSY when the time is up.
 */
int run_wait_settled(struct run *r, int64_t timeout_ms, struct lxm_err *e);

/** A dup of init's pidfd, or -ESRCH with a text when it does not run. Caller closes. Any thread. */
int run_pidfd(struct run *r, struct lxm_err *e);
/** A dup of its park socket, -1: none. Caller closes. Any thread. */
int run_park(struct run *r);

#endif
