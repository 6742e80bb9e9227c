/* The plan that a reboot from inside runs, kept by the monitor: as new as the configuration. */
#ifndef LXMD_INSTANCE_REPLAN_H
#define LXMD_INSTANCE_REPLAN_H

struct instance;
struct run;

/*
 * The monitor runs a reboot by itself, without lxmd. So whatever changes a running instance is followed by a new plan. A mark in the
 * run directory says that one is due: it outlives lxmd, and the next one finds it. Worker threads and the main thread, under the
 * instance's lock.
 */

/** Before anything of what runs is changed. */
void replan_due(struct run *run);
/** Give the monitor a plan for the instance as it is now: expanded, with its volatile keys. What fails is logged, and stays due. */
void replan(struct run *run, const struct instance *i);
/** The same if it is due. */
void replan_if_due(struct run *run, const struct instance *i);

#endif
