/* Time: milliseconds since the epoch inside, RFC 3339 outside. */
#ifndef LXM_BASE_TIME_H
#define LXM_BASE_TIME_H

#include <stdint.h>

#include "lib/base/err.h"

/* Milliseconds since 1970-01-01 UTC; 0 is "never". */
typedef int64_t lxm_time;

/** The wall clock. */
lxm_time lxm_now(void);
/** Monotonic clock in milliseconds, for time-outs. */
int64_t lxm_mono_ms(void);
int64_t lxm_mono_us(void);
/** "2026-01-02T03:04:05.678Z" into out (32 bytes); 0 gives "1970-01-01T00:00:00Z". Returns out. */
char *lxm_time_str(lxm_time t, char out[32]);
/** RFC 3339 (any offset), empty, or year 1 or 1970-01-01T00:00:00Z (both give 0). Returns 0, -EINVAL. */
int lxm_time_parse(const char *s, lxm_time *out);

#endif
