/* What the handlers of custom volumes share. Request threads. */
#ifndef LXMD_API_VOLUMES_H
#define LXMD_API_VOLUMES_H

#include "db/storage.h"
#include "lxmd/http/request.h"

struct lxmd;
struct pool;

/** The custom volume of the request's path. -ENOENT; -EINVAL for one of another type. */
int volume_find_custom(struct request *rq, struct db_volume *out, struct lxm_err *e);
/** Check the config (empty values are dropped) of a volume in `project` against `was`, NULL for a new one. */
int volume_check_config(struct lxmd *d, struct pool *pool, const char *project, const struct lxm_kv *was, struct lxm_kv *config, struct lxm_err *e);
/** A lifecycle event about a volume. */
void volume_tell(struct request *rq, const char *action, const struct db_volume *v);
/** "resources" of an operation. New reference. */
json_t *volume_resources(const struct db_volume *v);

/**
 * The part of POST .../volumes for a body with a source. Answers as a handler does.
 *
 * @row  what the body says of the new volume, config not checked yet; taken over or left empty
 */
int volume_copy_post(struct request *rq, json_t *source, struct pool *pool, struct db_volume *row, struct lxm_err *e);
/** PUT with "restore"; blocks until it is done. */
int volume_restore(struct request *rq, const struct db_volume *v, const char *snapshot, struct lxm_err *e);

#endif
