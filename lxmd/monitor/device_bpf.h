/* Device rules on cgroup v2: a BPF program made from PLAN_CGROUP_DEV. */
#ifndef LXM_MONITOR_DEVICE_BPF_H
#define LXM_MONITOR_DEVICE_BPF_H

#include "lib/base/err.h"
#include "lib/wire/plan.h"

/** Load the plan's device rules and attach them to a v2 cgroup directory. The last matching rule wins, none: denied. */
int device_bpf_attach(const struct plan_view *plan, int cgroup, struct lxm_err *e);

#endif
