/* What the handlers below /1.0/instances share: reading bodies, state changes, URLs. */
#ifndef LXMD_API_INSTANCE_BODY_H
#define LXMD_API_INSTANCE_BODY_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/err.h"
#include "lxmd/http/request.h"
#include "lxmd/instance/instance.h"

struct op;

/** Read architecture, description, ephemeral, config, devices, profiles of a body over what row has. Returns 0 or -EINVAL. */
int instance_body_read(json_t *body, struct db_instance *row, struct lxm_err *e);

/** Is the name of a new instance free? Request thread; one database read. Returns 0 or -EEXIST (409). */
int instance_check_free(struct lxmd *d, const struct db_instance *row, struct lxm_err *e);

/** POST instances with a tarball as its body (instance_import.c). Answers as a handler does. */
int api_instance_import(struct request *rq, struct lxm_err *e);

/** The URL of an instance in a list, as the client addressed the collection. New reference. */
json_t *instance_list_url(struct request *rq, const struct instance *i);

enum state_action { STATE_START, STATE_STOP, STATE_RESTART, STATE_FREEZE, STATE_UNFREEZE };

struct state_change {
	enum state_action action;
	bool force;
	int64_t timeout_ms; /* -1: for ever */
};

/** Read {"action","timeout","force","stateful"}. Returns 0 or -EINVAL. */
int state_change_read(json_t *o, struct state_change *out, struct lxm_err *e);

/**
 * Do it, under the instance's lock.
 *
 * @skip  an instance that is in the wanted state already is no error
 *
 * Worker thread. Returns 0 or -errno.
 */
int state_change_run(struct lxmd *d, int64_t id, const struct state_change *c, bool skip, struct op *op, struct lxm_err *e);

/** "Starting instance" ... */
const char *state_change_text(enum state_action a);

#endif
