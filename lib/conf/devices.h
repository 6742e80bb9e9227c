/* Inside lib/conf: device types with their key tables. */
#ifndef LXM_CONF_DEVICES_H
#define LXM_CONF_DEVICES_H

#include "lib/conf/tables.h"

enum {
	DEV_LATER = 1 << 0, /* known, but lxm has no such device yet */
	DEV_VM = 1 << 1,    /* virtual machines only */
};

struct devtype {
	const char *name; /* "disk"; for nics the nictype */
	unsigned int flags;
	struct conftable table;
};

#define DEVTYPE(what, name, flags, rows)                            \
	{                                                           \
		name, flags, { what, rows, LXM_ARRAY_LEN(rows) } \
	}

extern const struct devtype devtypes[]; /* sorted by name */
extern const size_t devtypes_n;
extern const struct devtype devtypes_nic[]; /* sorted by nictype */
extern const size_t devtypes_nic_n;

#endif
