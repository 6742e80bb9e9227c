/* The room's start and stop, called from main. */
#ifndef LXMD_INSTANCE_INSTANCES_H
#define LXMD_INSTANCE_INSTANCES_H

#include <stdbool.h>

#include "lib/base/err.h"

struct lxmd;

/**
 * Take over what runs and put in order what is half done: adopt monitors that outlived an earlier lxmd, sweep run
 * directories and cgroups without one, remove instances whose creation was cut off.
 *
 * Main thread, after storage, images and networks. Returns 0 or -errno.
 */
int instances_start(struct lxmd *d, struct lxm_err *e);

/** Start what boot.autostart and the last state ask for, in order, on a worker. When the API answers. */
void instances_autostart(struct lxmd *d);

/**
 * Let go of the monitors, and wait for what works for instances: starts without a client, and what follows an end. Instances run on.
 * Main thread, after http and operations have stopped. Returns 0, or -EBUSY when the time is up.
 */
int instances_quiet(struct lxmd *d, int timeout_ms);
/** Main thread, after instances_quiet(). */
void instances_stop(struct lxmd *d);

/** Stop every running instance cleanly, by boot.stop.priority, within each one's boot.host_shutdown_timeout;
 * instances_stop() then takes managed networks off the host, if none was started meanwhile. Returns false at once
 * when it was called before. Workers. */
bool instances_shutdown(struct lxmd *d);

#endif
