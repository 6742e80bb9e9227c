/* What the files of the policy share. */
#ifndef LXMD_INSTANCE_POLICY_PRIV_H
#define LXMD_INSTANCE_POLICY_PRIV_H

#include "lib/base/err.h"
#include "lib/base/kv.h"

struct instance;

/** "WHAT is not allowed here by the project's RULE", which need not be set: not to allow is the default. Returns -EPERM. */
int policy_refuse(const char *rule, const char *what, struct lxm_err *e);

/** Is this device a proxy to a Unix socket of the host's? */
bool policy_host_socket(const struct lxm_kv *dev);

/** restricted.devices.disk.paths: 0 when every host path lies below one of `value` (NULL: there is no such rule), else -EPERM. */
int policy_rule_paths(const struct instance *i, const char *value, struct lxm_err *e);
/** raw.idmap: host ids are low-level too, but restricted.idmap.* of the project can name some that are its own. Returns 0 or -EPERM. */
int policy_rule_idmap(const struct instance *i, const struct lxm_kv *project, struct lxm_err *e);

#endif
