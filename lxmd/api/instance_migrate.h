/* The sending side of a copy to another server, for the handlers of instances and snapshots. */
#ifndef LXMD_API_INSTANCE_MIGRATE_H
#define LXMD_API_INSTANCE_MIGRATE_H

#include "lib/base/err.h"
#include "lxmd/http/request.h"
#include "lxmd/instance/instance.h"

/**
 * Answer a POST with "migration": an operation with sockets, or with "target" one that dials.
 *
 * @snapshot  one of the instance's, or NULL
 *
 * Request thread. Returns 0 (answered) or -errno.
 */
int instance_migrate_source(struct request *rq, const struct instance *i, const char *snapshot, const json_t *body, struct lxm_err *e);

/**
 * POST {"migration": true, ...}: into another pool or project, to another name or configuration on this server; or away from it.
 *
 * Request thread. Returns 0 (answered) or -errno.
 */
int instance_move_post(struct request *rq, const struct instance *i, json_t *body, struct lxm_err *e);

#endif
