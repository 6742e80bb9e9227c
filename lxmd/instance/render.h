/* Instances as the API shows them. */
#ifndef LXMD_INSTANCE_RENDER_H
#define LXMD_INSTANCE_RENDER_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/str.h"
#include "lxmd/instance/instance.h"

struct db_snapshot;
struct db_backups;
struct db_snapshots;
struct run;

/**
 * Append the object of GET instances/NAME to a text (lib/api/json_write.h).
 *
 * @run   what runs, or NULL when it is stopped; borrowed
 *
 * Any thread; no I/O.
 */
void instance_write(struct lxm_buf *b, const struct instance *i, struct run *run);
/** The same as a tree, read from that text; for the few who look into it. New reference. */
json_t *instance_json(const struct instance *i, struct run *run);

/**
 * The full object of recursion=2: what instance_write() writes, with state, snapshots and backups.
 *
 * @usage      also measure what its root disk occupies (walks its tree: not for lists)
 * @snapshots  what snapshot_list() gave for all instances; NULL: read those of this one
 * @backups    what backup_list() gave likewise
 *
 * Any thread; reads cgroups and the network.
 */
void instance_full_write(struct lxm_buf *b, struct lxmd *d, const struct instance *i, struct run *run, bool usage,
			 const struct db_snapshots *snapshots, const struct db_backups *backups);

/** The object of GET instances/NAME/snapshots/SNAPSHOT; usage as above. Any thread; reads the database. New reference. */
json_t *snapshot_json(struct lxmd *d, const struct instance *i, const struct db_snapshot *s, bool usage);

/** The object of GET instances/NAME/state. Any thread; reads cgroups and the network. */
void instance_state_write(struct lxm_buf *b, struct lxmd *d, const struct instance *i, struct run *run, bool usage);

/** What an ETag covers: all that a PUT can change but volatile.*. New reference. */
json_t *instance_etag_json(const struct instance *i);

#endif
