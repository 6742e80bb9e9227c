/* What the files about limits of projects share. */
#ifndef LXMD_CORE_QUOTA_PRIV_H
#define LXMD_CORE_QUOTA_PRIV_H

#include "db/image.h"
#include "db/instance.h"
#include "db/profile.h"
#include "db/storage.h"
#include "lxmd/core/quota.h"

#define QUOTA_POOL "limits.disk.pool." /* and the pool's name */

/* What is in a project. */
struct stock {
	const char *project;
	struct db_instances rows;
	struct db_profiles profiles; /* where its instances find theirs */
	struct db_volumes volumes;
	struct db_images images;
	size_t networks;
};

void stock_deinit(struct stock *s);
LXM_AUTO_STRUCT(stock, struct stock, stock_deinit)

/** Load what the limits in `of` are about. Returns 0 or -errno. */
int stock_load(struct db_tx *tx, const char *project, unsigned int of, struct stock *out, struct lxm_err *e);
/** Put a copy of it in the place of the row of its id or name, or behind all. */
void stock_put(struct stock *s, const struct db_instance *wanted);

/**
 * The use of what a limits.* key is about.
 *
 * @strict  what has no value, or one that cannot be added up, is an error; else it counts as near as can be
 *
 * Returns 0, or -EINVAL naming the instance or volume.
 */
int stock_total(const struct stock *s, const char *key, bool strict, int64_t *out, struct lxm_err *e);

#endif
