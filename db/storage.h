/* Storage pools, their volumes, and the volumes' snapshots. */
#ifndef LXM_DB_STORAGE_H
#define LXM_DB_STORAGE_H

#include "db/db.h"

enum db_state { DB_PENDING = 0, DB_CREATED = 1, DB_ERRORED = 2 }; /* pools and networks */

struct db_pool {
	int64_t id;
	char *name, *description, *driver; /* owned */
	int state;			   /* enum db_state */
	struct lxm_kv config;
	struct lxm_strv used_by; /* URLs of instances, custom volumes, images, profiles; filled by get and list */
};

struct db_pools {
	struct db_pool *v; /* owned, n of them, by name */
	size_t n;
};

enum db_volume_type { DB_VOL_CONTAINER, DB_VOL_VM, DB_VOL_CUSTOM, DB_VOL_IMAGE, DB_VOL_ANY = -1 };
enum db_content { DB_FILESYSTEM, DB_BLOCK };

struct db_volume {
	int64_t id;
	char *pool, *project, *name, *description; /* owned */
	int type;				   /* enum db_volume_type */
	int content;				   /* enum db_content */
	lxm_time created_at;			   /* 0 on create: now */
	struct lxm_kv config;
	struct lxm_strv used_by; /* URLs; custom volumes only, filled by get and list */
};

struct db_volumes {
	struct db_volume *v; /* owned, n of them, by pool, project, type and name */
	size_t n;
};

struct db_volsnap {
	int64_t id, volume_id;
	char *name, *description; /* owned; name without the volume's */
	lxm_time created_at, expires_at;
	struct lxm_kv config;
};

struct db_volsnaps {
	struct db_volsnap *v; /* owned, n of them, by volume_id, created_at, id */
	size_t n;
};

void db_pool_deinit(struct db_pool *p);
void db_pools_deinit(struct db_pools *p);
void db_volume_deinit(struct db_volume *v);
void db_volumes_deinit(struct db_volumes *v);
void db_volsnap_deinit(struct db_volsnap *s);
void db_volsnaps_deinit(struct db_volsnaps *s);
LXM_AUTO_STRUCT(db_pool, struct db_pool, db_pool_deinit)
LXM_AUTO_STRUCT(db_pools, struct db_pools, db_pools_deinit)
LXM_AUTO_STRUCT(db_volume, struct db_volume, db_volume_deinit)
LXM_AUTO_STRUCT(db_volumes, struct db_volumes, db_volumes_deinit)
LXM_AUTO_STRUCT(db_volsnap, struct db_volsnap, db_volsnap_deinit)
LXM_AUTO_STRUCT(db_volsnaps, struct db_volsnaps, db_volsnaps_deinit)

/** "container", "virtual-machine", "custom", "image". */
const char *db_volume_type_name(int type);
/** The other way; -EINVAL. */
int db_volume_type_parse(const char *name);
/** "filesystem", "block". */
const char *db_content_name(int content);

/** All pools, oldest first. */
int db_pool_list(struct db_tx *tx, struct db_pools *out, struct lxm_err *e);
int db_pool_get(struct db_tx *tx, const char *name, struct db_pool *out, struct lxm_err *e); /* DB_NONE */
int db_pool_create(struct db_tx *tx, struct db_pool *p, struct lxm_err *e);	/* sets p->id; -EEXIST */
int db_pool_update(struct db_tx *tx, const struct db_pool *p, struct lxm_err *e); /* description, config; DB_NONE */
int db_pool_set_state(struct db_tx *tx, int64_t id, int state, struct lxm_err *e); /* DB_NONE */
/** With the rows of its image volumes; DB_NONE, -EBUSY while instances, custom volumes or profiles use it. */
int db_pool_delete(struct db_tx *tx, const char *name, struct lxm_err *e);

/**
 * Volumes.
 *
 * @pool, @project  NULL for all; `project` is the one that holds the volumes, see db_project_for()
 * @type            DB_VOL_ANY for all
 */
int db_volume_list(struct db_tx *tx, const char *pool, const char *project, int type, struct db_volumes *out,
		   struct lxm_err *e);
/** DB_NONE. */
int db_volume_get(struct db_tx *tx, const char *pool, const char *project, int type, const char *name,
		  struct db_volume *out, struct lxm_err *e);
/** Sets v->id. -EEXIST; -ENOENT naming the unknown pool or project. */
int db_volume_create(struct db_tx *tx, struct db_volume *v, struct lxm_err *e);
/** Description and config of v->id; DB_NONE. */
int db_volume_update(struct db_tx *tx, const struct db_volume *v, struct lxm_err *e);
/** Set some config keys, "" deletes; DB_NONE. */
int db_volume_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e);
/** DB_NONE, -EEXIST. */
int db_volume_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e);
/** Another pool, project and name at once; DB_NONE, -EEXIST, -ENOENT naming the unknown pool or project. */
int db_volume_move(struct db_tx *tx, int64_t id, const char *pool, const char *project, const char *name, struct lxm_err *e);
/** With its snapshots; DB_NONE. */
int db_volume_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

/** Snapshots of one volume, or of all (volume_id 0). */
int db_volsnap_list(struct db_tx *tx, int64_t volume_id, struct db_volsnaps *out, struct lxm_err *e);
int db_volsnap_list_expired(struct db_tx *tx, lxm_time now, struct db_volsnaps *out, struct lxm_err *e);
int db_volsnap_get(struct db_tx *tx, int64_t volume_id, const char *name, struct db_volsnap *out,
		   struct lxm_err *e); /* DB_NONE */
int db_volsnap_create(struct db_tx *tx, struct db_volsnap *s, struct lxm_err *e); /* sets s->id; -EEXIST */
int db_volsnap_update(struct db_tx *tx, int64_t id, const char *description, lxm_time expires_at,
		      struct lxm_err *e); /* DB_NONE */
int db_volsnap_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e); /* DB_NONE, -EEXIST */
/** Set some config keys, "" deletes; DB_NONE. */
int db_volsnap_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e);
int db_volsnap_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);			 /* DB_NONE */

#endif
