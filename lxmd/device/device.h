/* Devices of instances: one vtable row per type; each builds its part of the start plan and cleans up after. */
#ifndef LXMD_DEVICE_DEVICE_H
#define LXMD_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"

struct cgroup_layout;
struct lxmd;
struct plan;
struct spawner;

enum device_flags {
	DEVICE_HOT_ADD = 1 << 0,    /* may be added to a running instance */
	DEVICE_HOT_REMOVE = 1 << 1, /* may be removed from one */
	DEVICE_HOT_UPDATE = 1 << 2, /* some properties may change meanwhile */
	DEVICE_ON_HOST = 1 << 3,    /* reaches host paths, nodes or links: restricted projects look closer */
};

/*
 * One device of one instance, for the length of a call. Everything is borrowed but what `changes` points to.
 * Volatile keys are full names ("volatile.eth0.hwaddr"): read in `config`, set in `changes` ("" deletes); the
 * caller stores `changes` with the instance when the call succeeded, and also when the start failed later.
 */
struct device_ctx {
	struct lxmd *d;
	int64_t instance; /* id */
	const char *project;
	const char *instance_name;
	const char *name;	     /* the device's */
	const struct lxm_kv *kv;     /* its expanded properties, "type" among them */
	const struct lxm_kv *config; /* the instance's expanded configuration with volatile.* */
	struct lxm_kv *changes;	     /* receives volatile keys; may be NULL for device_validate() */
	bool privileged;	     /* security.privileged */
	bool replan;		     /* for device_start(): it runs, and this plan is for its next reboot */
	bool device_rules;	     /* its cgroup says which devices open; else any node that it has does */
	const struct lxm_devs *devices; /* all of the instance's, this one among them; may be NULL for device_validate() */
};

/* The instance while it runs; for hot changes. Borrowed. */
struct device_live {
	int init_pidfd;
	pid_t init_pid;
	uint64_t started_ms; /* when init was started: tells it from one before a reboot */
	int rundir; /* of its monitor */
	struct spawner *spawner;
	const struct cgroup_layout *cgroups;
	const char *cgroup; /* "PARENT/ID" */
	bool again;	    /* for device_started(): it rebooted, or a later lxmd found it running */
};

/**
 * Check one device as part of a merged configuration, without acting.
 *
 * @instance  false for a profile's device: ctx->instance, config and changes are not looked at then
 *
 * Any thread; may read the database. Returns 0, -EINVAL (names device, key, value and remedy), -ENOENT (a network
 * or path that is not there) or -EOPNOTSUPP (names the type).
 */
int device_validate(const struct device_ctx *c, bool instance, struct lxm_err *e);

/**
 * Once, when a device comes to an instance (create, update, copy): chooses what must not change later
 * (volatile.NAME.hwaddr) and reserves fixed addresses. Safe to repeat.
 */
int device_add(struct device_ctx *c, struct lxm_err *e);
/** When it leaves the instance for good, or the instance is deleted: gives reservations back. Never fails. */
void device_remove(struct device_ctx *c);

/**
 * Add this device's steps to the start plan and prepare its host side.
 *
 * @plan  under construction; borrowed
 *
 * The order among devices is the caller's (root first, disks by path, then the others by name). On failure nothing
 * of this device stays; device_stop() undoes it when the start fails later. With c->replan the device is there already, as its
 * volatile keys say: only steps are added, the host stays as it is whatever happens. Returns 0 or -errno.
 */
int device_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e);
/**
 * Once init runs: what needs its namespaces. Also after a reboot from inside, whose init has new ones, and when a later lxmd takes the
 * running instance over. Blocks. Returns 0, 1 (its nodes have changed) or -errno; device_stop() undoes it.
 */
int device_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
/** After the instance stopped or never came up: release host side state. Never fails, safe to repeat, quick. */
void device_stop(struct device_ctx *c);

/** Add to a running instance. -EOPNOTSUPP where the type cannot. */
int device_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
int device_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);
/* Answer of device_hot_update() besides 0: nothing was done, remove and add it instead. */
enum { DEVICE_ANEW = 1 };
/**
 * Apply changed properties to a running instance.
 *
 * @c    the device as it is to be, with the instance's new configuration
 * @old  the properties that it had
 *
 * Returns 0, DEVICE_ANEW, or -errno with everything as before.
 */
int device_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
		      struct lxm_err *e);

/** The host may have other device nodes than before: follow it. Worker threads, under the instance's lock. Returns 1 if it did, 0 or -errno. */
int device_follow(struct device_ctx *c, const struct device_live *live, struct lxm_err *e);

/** Flags of a type (enum device_flags); 0 for unknown ones. */
unsigned int device_type_flags(const char *type);
/** True if the device is the root disk: type disk, path "/", and a pool. The root's plan step is the caller's. */
bool device_is_root(const struct lxm_kv *kv);
/** The bridge or network that a nic names ("network", else "parent"), or NULL. */
const char *device_nic_network(const struct lxm_kv *kv);

#endif
