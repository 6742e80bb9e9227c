/* What the files about custom volumes share. */
#ifndef LXMD_STORAGE_CUSTOM_PRIV_H
#define LXMD_STORAGE_CUSTOM_PRIV_H

#include "lxmd/storage/custom.h"
#include "lxmd/storage/pool_priv.h"

/* The id of a volume (name v->name) or of one of its snapshots ("v/s"). */
#define CUSTOM_ID(v, name) VOLUME_ID(VOLUME_CUSTOM, (v)->project, (name))

/* In a row until its data have followed: PROJECT/NAME of a volume, NAME of a snapshot. mend.c reads it. */
#define CUSTOM_RENAMED "volatile.lxm.renamed_from"

/** Give a volume, which may be staged, the limit that its configuration's `size` is; see pool_volume_limit(). */
int custom_limit(struct pool *pool, const struct volume_id *v, const struct lxm_kv *config, bool anyway, struct lxm_err *e);

/** A lifecycle event about a volume, or a snapshot of it (else NULL). */
void custom_tell(struct lxmd *d, const struct db_volume *v, const char *action, const char *snapshot, const struct caller *caller);

#endif
