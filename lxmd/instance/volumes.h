/* Custom volumes as far as instances and the rules of their snapshots come in. */
#ifndef LXMD_INSTANCE_VOLUMES_H
#define LXMD_INSTANCE_VOLUMES_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/time.h"

struct caller;
struct db_volume;
struct lxmd;
struct op;

/** -EBUSY (400) while a running instance has the volume mounted. Any thread; reads the database. */
int volumes_check_unmounted(struct lxmd *d, const struct db_volume *v, struct lxm_err *e);

/* A snapshot to be made. Zeroed: name by snapshots.pattern, expiry by snapshots.expiry. */
struct volumes_snapshot_new {
	const char *name, *description;
	bool has_expiry;
	lxm_time expires_at; /* 0: never */
};

/** The next name by snapshots.pattern; free() it. Any thread. */
int volumes_snapshot_name(struct lxmd *d, const struct db_volume *v, char **name_out, struct lxm_err *e);

/** Take a snapshot; the caller holds the volume's lock. Worker threads. Returns 0, -EEXIST, -EINVAL, -EPERM (restricted.snapshots) or -errno. */
int volumes_snapshot(struct lxmd *d, const struct db_volume *v, const struct volumes_snapshot_new *n, struct op *op,
		     const struct caller *caller, struct lxm_err *e);

/** Enter snapshots.schedule and snapshots.expiry of volumes into d->schedule. Main thread, from instances_start(). */
void volumes_add_tasks(struct lxmd *d);

#endif
