/* The devices of an instance, as a whole and one by one. */
#ifndef LXMD_INSTANCE_DEVICES_H
#define LXMD_INSTANCE_DEVICES_H

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lxmd/device/device.h"

struct instance;
struct lxmd;
struct plan;
struct run;

/** What a driver is told about one device; everything is borrowed from the arguments. `changes` may be NULL. */
struct device_ctx instance_device(struct lxmd *d, const struct instance *i, const struct lxm_dev *dev,
				  struct lxm_kv *changes);

/**
 * Start all devices but the root disk: disks by path, then the others by name.
 *
 * @running  they run already, and the plan is for the next reboot: nothing is started
 * @plan     receives their steps
 * @changes  receives volatile keys
 *
 * Any thread; touches the host's network. On failure none is left started. Returns 0 or -errno naming the device.
 */
int instance_devices_start(struct lxmd *d, struct plan *plan, const struct instance *i, bool running, struct lxm_kv *changes,
			   struct lxm_err *e);

/**
 * All but the root disk in the order in which they start: disks by path, then the others by name.
 *
 * @out  receives a vector to free(); what it points to is the instance's
 */
size_t instance_devices_order(const struct instance *i, const struct lxm_dev ***out);

/**
 * Let the devices in which `now` differs from `was` leave and come.
 *
 * @live     the running instance; NULL: it is stopped
 * @changes  receives volatile keys
 *
 * Worker threads, under the instance's lock; blocks. On failure all is as before, as far as that can be had. Returns 0 or -errno
 * naming the device.
 */
int instance_devices_change(struct lxmd *d, const struct instance *was, const struct instance *now, const struct device_live *live,
			    struct lxm_kv *changes, struct lxm_err *e);

/** What drivers are told about a running instance. Returns out's pidfd, which the caller closes, or -ESRCH. Any thread. */
int instance_device_live(struct run *run, struct device_live *out, struct lxm_err *e);

/**
 * Init runs: start what needs its namespaces.
 *
 * @live      borrowed
 * @all       go on behind a device that fails, with a warning: the instance stays up whatever happens
 * @changes   volatile keys that are not in `i` yet; may be NULL
 *
 * Any thread but the loop's; blocks. Returns 0; 1 when its nodes have changed, so that the plan for a reboot is due; or -errno naming the
 * device; instance_devices_undo_start() undoes it.
 */
int instance_devices_started(struct lxmd *d, const struct instance *i, const struct device_live *live, bool all,
			     struct lxm_kv *changes, struct lxm_err *e);

/**
 * Release the host side of all devices after a start that failed. Never fails.
 *
 * @changes  what the start gathered, which is not stored yet; loses what is about what is released
 */
void instance_devices_undo_start(struct lxmd *d, const struct instance *i, struct lxm_kv *changes);

/** The host's device nodes may have changed: let those of a running instance follow. A plugs_fn (lxmd/device/plugs.h). */
int instance_devices_follow(struct lxmd *d, int64_t id);

/** A bridge was made anew under running instances: their NICs get back what they had on it (routes, filters, VLANs). Worker threads; blocks. */
void instance_devices_rejoin(struct lxmd *d, const char *bridge);

/** Release the host side of all devices. Never fails. */
void instance_devices_stop(struct lxmd *d, const struct instance *i);

#endif
