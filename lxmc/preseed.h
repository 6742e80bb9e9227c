/* Preseeds: a server's first configuration as one document, applied as a whole or not at all. */
#ifndef LXM_LXMC_PRESEED_H
#define LXM_LXMC_PRESEED_H

#include <jansson.h>

#include "lxmc/client.h"

/**
 * Apply keys config, projects, storage_pools, networks and profiles, in that order. What exists is changed (given keys
 * win), what does not is created; when something fails, what was created goes away again.
 *
 * @preseed  borrowed; unknown top-level keys are an error
 */
int preseed_apply(struct client *c, const json_t *preseed, struct lxm_err *e);

/** The server's present state as a preseed; new reference. */
int preseed_dump(struct client *c, json_t **out, struct lxm_err *e);

#endif
