/* The lxm-forward processes of proxy devices: started, watched, started again when they die, found again by the next lxmd. */
#ifndef LXMD_DEVICE_FORWARDS_H
#define LXMD_DEVICE_FORWARDS_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/wire/forward.h"

struct device_live;
struct lxmd;

/** Make d->forwards. Main thread, before instances are adopted. */
void forwards_start(struct lxmd *d);
/** Let go of all: the processes live on. Main thread, while the loop runs and no worker does. */
void forwards_stop(struct lxmd *d);

/**
 * Have a process for a device of a running instance, in place of the one there is.
 *
 * @label  "INSTANCE/DEVICE", for ps and messages
 * @job    borrowed; pid and generation are filled in
 *
 * One that an earlier lxmd started with the very same job goes on. Worker threads; blocks until it listens. Returns 0 or -errno with what
 * the process said; then there is none.
 */
int forward_set(struct lxmd *d, const struct device_live *live, int64_t instance, const char *device, const char *label,
		struct forward_job *job, struct lxm_err *e);

/** End the process of a device, and forget it. None is fine. Worker threads; blocks until it is gone. */
void forward_end(struct lxmd *d, int64_t instance, const char *device);

/** After adopting an instance: end processes in its run directory whose device is none of these. Main thread, workers. */
void forwards_sweep(struct lxmd *d, int64_t instance, const struct lxm_devs *devices);

/** Remove the path of a listening socket in the instance, if nobody listens there any more; what goes wrong is dropped. Worker threads; blocks. */
void forward_unlisten(const struct device_live *live, const char *label, struct forward_job *job);

#endif
