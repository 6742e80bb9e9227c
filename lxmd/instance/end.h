/* What follows when an instance ends or reboots by itself. */
#ifndef LXMD_INSTANCE_END_H
#define LXMD_INSTANCE_END_H

struct run;

/**
 * Clean up behind an instance that ended: cgroups that a killed monitor left, devices, volatile state, events; delete
 * it when it is ephemeral. The run leaves the table at the end.
 *
 * Worker thread. Never fails: what goes wrong is logged.
 */
void instance_ended(struct run *r);

/** Tell about a reboot from inside. Worker thread. */
void instance_rebooted(struct run *r);

#endif
