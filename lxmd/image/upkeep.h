/* When images are looked at by the clock. Inside this room only. */
#ifndef LXMD_IMAGE_UPKEEP_H
#define LXMD_IMAGE_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/time.h"

struct db_image;

/** Does one of the moments that come every `hours` (0: never), `shift` minutes late, lie after `since` and not after `now`? */
bool upkeep_due(lxm_time since, lxm_time now, uint64_t hours, unsigned int shift_minutes);

/** Is this a cached image of which nothing was made for `days` (0: for ever)? */
bool upkeep_expired(const struct db_image *im, lxm_time now, uint64_t days);

#endif
