/* See userns.h. */
#include "lib/base/userns.h"

#include <stdint.h>
#include <stdio.h>

#include "lib/base/fd.h"

bool lxm_in_userns(void)
{
	lxm_auto(buf) struct lxm_buf map = { 0 };
	unsigned long inside, outside, count;

	if (lxm_read_file("/proc/self/uid_map", 1 << 16, &map) < 0 || !map.data)
		return false;
	return sscanf(map.data, "%lu %lu %lu", &inside, &outside, &count) != 3 || inside != 0 || outside != 0 || count < UINT32_MAX;
}
