/* The server's own configuration: two databases seen as one map. */
#ifndef LXMD_API_SERVER_CONFIG_H
#define LXMD_API_SERVER_CONFIG_H

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"

struct lxmd;

/** Everything that is set, of this host and of the cluster. Blocks on the database. Returns 0 or -errno. */
int server_config_load(struct lxmd *d, struct lxm_kv *out, struct lxm_err *e);

/** As clients see it: secrets are "true". */
json_t *server_config_json(const struct lxm_kv *config);

/** Sets storage, storage_version and storage_supported_drivers of an `environment`. */
void server_add_storage(struct lxmd *d, json_t *environment);

#endif
