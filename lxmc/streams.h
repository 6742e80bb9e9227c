/* Image servers that speak simplestreams, read by this command: what is there. */
#ifndef LXM_LXMC_STREAMS_H
#define LXM_LXMC_STREAMS_H

#include <jansson.h>

#include "lxmc/cli.h"
#include "lxmc/conf.h"

/**
 * Whether an argument ("images:debian/12") names a remote of that kind.
 *
 * @name_out  what stands behind the colon; borrowed
 *
 * Returns 1 and fills rm, 0 if it does not, -errno.
 */
int streams_remote(struct cli *cli, const char *arg, struct remote *rm, const char **name_out, struct lxm_err *e);

/** All its images as a list of objects as the API has them; new reference. */
int streams_images(struct cli *cli, const struct remote *rm, json_t **list_out, struct lxm_err *e);

/** The one with that alias (of this machine's architecture if several have it) or beginning of a fingerprint; borrowed. */
int streams_pick(const struct remote *rm, const json_t *list, const char *name, json_t **out, struct lxm_err *e);

#endif
