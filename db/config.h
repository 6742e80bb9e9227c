/* Server configuration: the part the cluster shares. */
#ifndef LXM_DB_CONFIG_H
#define LXM_DB_CONFIG_H

#include "db/db.h"

/** Everything that is set; `out` is emptied first. */
int db_config_load(struct db_tx *tx, struct lxm_kv *out, struct lxm_err *e);
/** Replace everything. */
int db_config_replace(struct db_tx *tx, const struct lxm_kv *kv, struct lxm_err *e);
/** Set some keys, "" deletes. */
int db_config_set_keys(struct db_tx *tx, const struct lxm_kv *kv, struct lxm_err *e);

#endif
