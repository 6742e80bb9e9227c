/* CPU sets on disk: what cpus.c and cpus_host.c share. */
#ifndef LXMD_INSTANCE_CPUS_PRIV_H
#define LXMD_INSTANCE_CPUS_PRIV_H

#include "lib/base/err.h"
#include "lxmd/instance/cpuset.h"

struct cgroup_layout;

/** CPUs that instances below PARENT can have, and those of them that are not set apart (isolcpus). */
void cpus_host_read(const struct cgroup_layout *l, const char *parent, struct cpuset *usable, struct cpuset *spread);
/** The same after a CPU has come or gone: the kernel tells its groups a moment later than us, and gets a second for it. */
void cpus_host_reread(const struct cgroup_layout *l, const char *parent, struct cpuset *usable, struct cpuset *spread);
/** CPUs of one NUMA node. Returns 0 or -ENOENT. */
int cpus_host_node(unsigned int node, struct cpuset *out);
/** v1: let PARENT have all that the host has again; an offline CPU leaves every group for good there. */
void cpus_host_restore(const struct cgroup_layout *l, const char *parent);
/**
 * Write the CPUs of one instance. On v1 a group below it that stands in the way, or has been given all of the old set, follows.
 *
 * @path  "PARENT/ID"
 * @text  "0-1"; NULL: as the parent has it
 *
 * Returns 0, -ENOENT (it does not run) or another -errno.
 */
int cpus_host_write(const struct cgroup_layout *l, const char *path, const char *text);

/** A socket that is readable when a CPU went on or off line. fd or -errno. */
int cpus_host_listen(void);

#endif
