/* Profiles that come with lxm: YAML files beside the programs, see profiles/. */
#ifndef LXM_LXMC_SHIPPED_H
#define LXM_LXMC_SHIPPED_H

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/** Their names, sorted; without "default", which every server has. Empty where none are installed. */
void shipped_list(struct lxm_strv *out);

/**
 * Read one.
 *
 * @name  as typed by the user
 * @out   receives the body of a POST to /1.0/profiles, with its name
 *
 * Returns 0, -ENOENT (the message names those that there are) or -EINVAL.
 */
int shipped_read(const char *name, json_t **out, struct lxm_err *e);

#endif
