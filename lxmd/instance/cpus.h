/* limits.cpu and limits.cpu.nodes: which CPUs each running instance may use, and keeping that even as they come and go. */
#ifndef LXMD_INSTANCE_CPUS_H
#define LXMD_INSTANCE_CPUS_H

#include <stdint.h>

#include "lib/base/err.h"

struct cpus;
struct instance;
struct lxmd;
struct run;

/*
 * An instance that names CPUs ("0-1", "0,3") gets those; one that names a number of them gets the least loaded ones, of its NUMA
 * nodes where it names some. An instance with neither key has no row here and costs nothing: nothing is written for it.
 */

/** The table, d->instances->cpus. Main thread, once the cgroup parent is made; cpus_free() it. */
struct cpus *cpus_new(struct lxmd *d);
void cpus_free(struct cpus *c);

/** Can this host give what the keys ask for? Any thread; reads sysfs. Returns 0 or -EINVAL naming what is missing. */
int cpus_check(struct lxmd *d, const struct instance *i, struct lxm_err *e);

/**
 * Choose the CPUs of an instance that is about to start. It is not moved until cpus_started(); cpus_drop() if it never comes to that.
 *
 * @text_out  receives the set ("0,2"), free() it; NULL: none is asked for
 *
 * Any thread; no disk, but sysfs for limits.cpu.nodes. Returns 0 or -EINVAL.
 */
int cpus_take(struct lxmd *d, const struct instance *i, char **text_out, struct lxm_err *e);
/** The CPUs of an instance that runs; as text_out above. */
void cpus_now(struct lxmd *d, int64_t id, char **text_out);
/** It runs: whom its coming has displaced is moved on a worker. Any thread, never blocks. */
void cpus_started(struct lxmd *d, int64_t id);
/** It is gone; others may spread out, on a worker. Fine for one without a row. Any thread, never blocks. */
void cpus_drop(struct lxmd *d, int64_t id);
/** It runs already, under an earlier lxmd: keeps the CPUs it has. Main thread. */
void cpus_adopt(struct lxmd *d, const struct run *r, const struct instance *i);

/** The keys of a running instance have changed: written at once; others move on a worker. On failure all is as before. */
int cpus_change(struct lxmd *d, const struct run *r, const struct instance *i, struct lxm_err *e);

#endif
