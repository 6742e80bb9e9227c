/* Snapshots of instances: a frozen copy of the instance's row, config, devices and profiles. */
#ifndef LXM_DB_SNAPSHOT_H
#define LXM_DB_SNAPSHOT_H

#include "db/instance.h"

struct db_snapshot {
	int64_t id, instance_id;
	char *project, *instance;  /* filled on load, ignored on create; owned, as all strings here */
	char *name, *description; /* name without the instance's */
	char *architecture;
	bool ephemeral, stateful;
	lxm_time created_at, expires_at; /* expires_at 0: never; created_at 0 on create: now */
	struct lxm_kv config;
	struct lxm_devs devices;
	struct lxm_strv profiles;
};

struct db_snapshots {
	struct db_snapshot *v; /* owned, n of them, by instance_id, then created_at, then id */
	size_t n;
};

void db_snapshot_deinit(struct db_snapshot *s);
void db_snapshots_deinit(struct db_snapshots *s);
LXM_AUTO_STRUCT(db_snapshot, struct db_snapshot, db_snapshot_deinit)
LXM_AUTO_STRUCT(db_snapshots, struct db_snapshots, db_snapshots_deinit)

/** Snapshots of one instance, or of all instances (instance_id 0), in a constant number of queries. */
int db_snapshot_list(struct db_tx *tx, int64_t instance_id, struct db_snapshots *out, struct lxm_err *e);
/** Those whose expiry is not 0 and not after `now`. */
int db_snapshot_list_expired(struct db_tx *tx, lxm_time now, struct db_snapshots *out, struct lxm_err *e);
/** DB_NONE. */
int db_snapshot_get(struct db_tx *tx, int64_t instance_id, const char *name, struct db_snapshot *out,
		    struct lxm_err *e);
/** Insert s for s->instance_id; sets s->id. -EEXIST. */
int db_snapshot_create(struct db_tx *tx, struct db_snapshot *s, struct lxm_err *e);
/** Description and expiry; DB_NONE. */
int db_snapshot_update(struct db_tx *tx, int64_t id, const char *description, lxm_time expires_at,
		       struct lxm_err *e);
/** Set some keys and leave the others alone; an empty value deletes the key. For volatile.*; DB_NONE. */
int db_snapshot_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e);
/** DB_NONE, -EEXIST. */
int db_snapshot_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e);
/** DB_NONE. */
int db_snapshot_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

#endif
