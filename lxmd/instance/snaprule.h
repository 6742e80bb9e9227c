/* What the values of snapshots.* mean: names, expiry. Pure functions. */
#ifndef LXMD_INSTANCE_SNAPRULE_H
#define LXMD_INSTANCE_SNAPRULE_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

/**
 * The name of the next snapshot.
 *
 * @pattern  value of snapshots.pattern: "snap%d", "{{ creation_date|date:'2006-01-02' }}"
 * @taken    names that exist
 *
 * "%d" becomes one more than the highest number in use; a name without it that is taken gets "-0", "-1" ... behind it.
 * Any thread. Returns 0 with a name to free(), or -EINVAL if it would be no valid name.
 */
int snaprule_name(const char *pattern, lxm_time now, const struct lxm_strv *taken, char **name_out, struct lxm_err *e);

/**
 * When a snapshot made at `from` expires.
 *
 * @expr  value of snapshots.expiry, "1M 2H 3d 4w 5m 6y" (minutes, hours, days, weeks, months, years), in any part; NULL: never
 *
 * Returns the time, 0 for never.
 */
lxm_time snaprule_expiry(const char *expr, lxm_time from);

#endif
