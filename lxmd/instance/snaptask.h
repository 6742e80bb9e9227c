/* Snapshots by the clock: snapshots.schedule and snapshots.expiry. */
#ifndef LXMD_INSTANCE_SNAPTASK_H
#define LXMD_INSTANCE_SNAPTASK_H

struct instance;
struct lxmd;

/** Enter the tasks into d->schedule. Main thread, from instances_start(). */
void snaptask_add(struct lxmd *d);

/** Before a start: the snapshot that "@startup" asks for. A failure is logged. Worker threads, under the instance's lock. */
void snaptask_startup(struct lxmd *d, const struct instance *i);

#endif
