/* Options of launch, init, copy and move that go into the body of the request for an instance. */
#ifndef LXM_LXMC_BODY_H
#define LXM_LXMC_BODY_H

#include <jansson.h>

#include "lxmc/client.h"

/** --profile and --no-profiles; the body keeps its profiles if neither is given. */
void body_add_profiles(struct cli *cli, json_t *body);
/** --config KEY=VALUE. Returns 0 or a usage error. */
int body_add_config(struct cli *cli, json_t *body, struct lxm_err *e);
/** --device DEVICE,KEY=VALUE, on top of what the profiles (asked for from c) say of it. Returns 0 or a usage error. */
int body_add_devices(struct cli *cli, struct client *c, json_t *body, struct lxm_err *e);

#endif
