/* Instances as the API shows them (contract sections 8.1 and 8.2). */
#ifndef LXMD_INSTANCE_RENDER_H
#define LXMD_INSTANCE_RENDER_H

#include <jansson.h>
#include <stdbool.h>

#include "lxmd/instance/instance.h"

struct run;

/**
 * The object of GET instances/NAME.
 *
 * @run   what runs, or NULL when it is stopped; borrowed
 *
 * Any thread; no I/O. Returns a new reference.
 */
json_t *instance_json(const struct instance *i, struct run *run);

/**
 * The full object of recursion=2: instance_json() with state, snapshots and backups.
 *
 * @usage  also measure what its root disk occupies (walks its tree: not for lists)
 *
 * Any thread; reads cgroups and the network. Returns a new reference.
 */
json_t *instance_full_json(struct lxmd *d, const struct instance *i, struct run *run, bool usage);

/** The object of GET instances/NAME/state. Any thread; reads cgroups and the network. New reference. */
json_t *instance_state_json(struct lxmd *d, const struct instance *i, struct run *run, bool usage);

/** What an ETag covers: all that a PUT can change but volatile.*. New reference. */
json_t *instance_etag_json(const struct instance *i);

#endif
