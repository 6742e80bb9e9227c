/* The table of storage drivers. A new one is a pair of lines here and a file. */
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/userns.h"
#include "lxmd/storage/driver.h"

static const struct storage_driver *const drivers[] = { &driver_overlay, &driver_dir };

const struct storage_driver *storage_driver_find(const char *name)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(drivers); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}

const char *const *storage_drivers(void)
{
	static const char *const names[] = { "overlay", "dir", NULL };

	/* an overlay of ours needs trusted xattrs, which a container's root has not */
	return names + lxm_in_userns();
}
