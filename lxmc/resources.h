/* The host's resources as `lxmc info --resources` shows them. */
#ifndef LXM_LXMC_RESOURCES_H
#define LXM_LXMC_RESOURCES_H

#include <jansson.h>

/** Print what GET /1.0/resources answered. */
void resources_print(const json_t *resources);

#endif
