/* Instances that do nothing but wait for memory: noticed by the kernel's pressure figures, held back until they are calm. */
#ifndef LXMD_INSTANCE_THRASH_H
#define LXMD_INSTANCE_THRASH_H

#include <stdbool.h>

struct instance;
struct run;
struct thrash;

/*
 * An instance at its memory limit reads again and again what it has just had to give up, and takes the disk and the CPUs from its
 * neighbours while it gets nowhere. The kernel tells us (PSI triggers of its cgroup: a descriptor in the event loop, nothing
 * polls); then its disk requests and its CPU weight are cut down (limits_slow()), a warning says so, and both end when the kernel has had
 * nothing to tell for a while. Instances without a hard memory limit are not watched.
 */

/**
 * Watch a running instance if its configuration has a hard memory limit, stop watching it if not. After its start, its adoption, a
 * reboot from inside (@anew: it has a new cgroup), and each change of its limits.
 *
 * @i  copied as far as it is needed
 *
 * Workers and the main thread, with r->limits_lock held. A host without PSI is fine: nothing is watched then.
 */
void thrash_follow(struct run *r, const struct instance *i, bool anew);

/** It is gone. Any thread but the loop's; takes r->limits_lock. */
void thrash_forget(struct run *r);

/** Is it held back now? With r->limits_lock held. */
bool thrash_slow(const struct run *r);

/** lxmd ends: nothing is heard any more. Loop thread. */
void thrash_unwatch(struct run *r);

#endif
