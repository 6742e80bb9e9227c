/* Snapshots by the clock: snapshots.schedule and snapshots.expiry. */
#ifndef LXMD_INSTANCE_SNAPTASK_H
#define LXMD_INSTANCE_SNAPTASK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/time.h"

struct instance;
struct lxmd;

/** Enter the tasks into d->schedule. Main thread, from instances_start(). */
void snaptask_add(struct lxmd *d);

/** Does a snapshots.schedule ask for one in the minutes after `since` up to `now`? @id spreads things over the minutes of @hourly etc. */
bool snaptask_due(const char *spec, lxm_time since, lxm_time now, int64_t id);

/** Before a start: the snapshot that "@startup" asks for. A failure is logged. Worker threads, under the instance's lock. */
void snaptask_startup(struct lxmd *d, const struct instance *i);

#endif
