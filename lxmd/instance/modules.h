/* Kernel modules of the host that an instance asks for (linux.kernel_modules). */
#ifndef LXM_INSTANCE_MODULES_H
#define LXM_INSTANCE_MODULES_H

#include "lib/base/err.h"

struct instance;

/**
 * Have the kernel modules that it asks for: those that are neither loaded nor built in are loaded. They stay, also after its end.
 *
 * Worker threads; runs modprobe. Returns 0 or -errno with the module's name.
 */
int instance_modules(const struct instance *i, struct lxm_err *e);

#endif
