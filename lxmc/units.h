/* Times and sizes as people read them. */
#ifndef LXM_LXMC_UNITS_H
#define LXM_LXMC_UNITS_H

#include <stdint.h>

/** RFC 3339 as "2026/01/02 03:04 UTC"; "" for never; what cannot be read comes back as it is. free() it. */
char *unit_time(const char *rfc3339);

/** The same in words ("Jan 2, 2026 at 3:04am (UTC)", as lxc's image lists say it). free() it. */
char *unit_time_long(const char *rfc3339);

/** Size with decimal units as lxc prints sizes ("12.35MB"); free() it. */
char *unit_bytes_si(uint64_t n);

#endif
