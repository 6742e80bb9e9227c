/* Which system calls of an instance are answered by lxm (security.syscalls.intercept.*), and changing that while it runs. */
#ifndef LXM_INSTANCE_INTERCEPT_H
#define LXM_INSTANCE_INTERCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/wire/plan.h"

struct instance;
struct lxmd;
struct run;

/** enum plan_intercept_flag. Root of a privileged one has the rights already; only what it is told differs. Any thread, no blocking. */
uint32_t instance_intercepted(const struct instance *i);

/** Does its cgroup say which devices open? Where root inside can come by a device node it must. Any thread, no blocking. */
bool instance_device_rules(const struct instance *i);

/** What mount() may do; borrows from the configuration. Any thread, no blocking. */
struct plan_mounts instance_mounts(const struct instance *i);

/**
 * Where the listener of an exec session's filter goes; free() it. NULL when nobody answers calls of this run: no key asks for it, or
 * did when it was started.
 */
char *instance_notify_path(struct lxmd *d, const struct instance *i);

/**
 * Give a running instance the rules for mount() of `now`, if they differ from those of `was`. A run that was started without
 * interception has nobody to tell: it takes all of it at its next start.
 *
 * Worker threads; waits for the answer. Returns 0 or -errno.
 */
int instance_intercept_apply(struct run *run, const struct instance *was, const struct instance *now, struct lxm_err *e);

/** It has started again from inside, by the plan of its start: bring the rules to what they are now. A failure is logged. */
void instance_intercept_rebooted(struct run *run, const struct instance *i);

#endif
