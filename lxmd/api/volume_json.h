/* Volumes of a pool as the API shows them: custom ones have rows; those of instances and images follow from what is there. */
#ifndef LXMD_API_VOLUME_JSON_H
#define LXMD_API_VOLUME_JSON_H

#include "db/storage.h"
#include "lxmd/http/request.h"

/**
 * Collect the volumes of a pool.
 *
 * @project  NULL: of all projects
 * @type     DB_VOL_* or DB_VOL_ANY
 * @name     only this one; NULL: all
 * @out      emptied first; instances' and images' entries have id 0
 *
 * Request threads. Returns 0, or -ENOENT for an unknown pool or project.
 */
int volumes_collect(struct lxmd *d, const char *pool, const char *project, int type, const char *name, struct db_volumes *out,
		    struct lxm_err *e);

/** One object of a list or a GET, `used_by` as far as the caller may see it. New reference. */
json_t *volume_json(const struct request *rq, const struct db_volume *v);
/** What PUT can change. New reference. */
json_t *volume_json_editable(const struct db_volume *v);
/** "/1.0/storage-pools/P/volumes/TYPE/V". New reference. */
json_t *volume_url(const struct db_volume *v, bool with_project);

/** A snapshot as the API shows it by itself (name "s"). New reference. */
json_t *volume_snapshot_json(const struct db_volume *v, const struct db_volsnap *s);
/** What PUT can change of it. New reference. */
json_t *volume_snapshot_editable(const struct db_volsnap *s);
/** The same as one of the volumes of a pool (name "v/s"). New reference. */
json_t *volume_json_of_snapshot(const struct request *rq, const struct db_volume *v, const struct db_volsnap *s);
/** "/1.0/storage-pools/P/volumes/custom/V/snapshots/S". New reference. */
json_t *volume_snapshot_url(const struct db_volume *v, const struct db_volsnap *s, bool with_project);

#endif
