/* Instances with their configuration, devices and profiles. */
#ifndef LXM_DB_INSTANCE_H
#define LXM_DB_INSTANCE_H

#include "db/db.h"

enum db_instance_type { DB_CONTAINER = 0, DB_VM = 1, DB_ANY_TYPE = -1 };

struct db_instance {
	int64_t id; /* never used again after a delete: kernel objects are named after it */
	char *project, *name, *description; /* owned, as all strings here */
	char *architecture;		    /* "x86_64" */
	char *location;			    /* cluster member, "none" on a single host */
	char *pool;			    /* pool that holds its root volume; NULL while not decided */
	int type;			    /* enum db_instance_type */
	bool ephemeral, stateful;
	lxm_time created_at, last_used_at; /* created_at 0 on create: now */
	struct lxm_kv config;		   /* its own, volatile.* included; not merged with profiles */
	struct lxm_devs devices;	   /* its own */
	struct lxm_strv profiles;	   /* names in the order of application */
};

struct db_instances {
	struct db_instance *v; /* owned, n of them, by project and name */
	size_t n;
};

void db_instance_deinit(struct db_instance *i);
void db_instances_deinit(struct db_instances *i);
void db_instance_copy(struct db_instance *to, const struct db_instance *from); /* `to` is emptied first */
LXM_AUTO_STRUCT(db_instance, struct db_instance, db_instance_deinit)
LXM_AUTO_STRUCT(db_instances, struct db_instances, db_instances_deinit)

/** What db_instance_list() loads besides the row itself. */
enum { DB_WITH_CONFIG = 1, DB_WITH_DEVICES = 2, DB_WITH_PROFILES = 4, DB_WITH_ALL = 7 };

/**
 * All instances of a project, or of every project.
 *
 * @project  NULL for all
 * @type     DB_CONTAINER, DB_VM or DB_ANY_TYPE
 * @with     DB_WITH_*: one query each, whatever the number of instances
 * @out      emptied first
 */
int db_instance_list(struct db_tx *tx, const char *project, int type, unsigned int with, struct db_instances *out,
		     struct lxm_err *e);
/** One instance with everything; DB_NONE. */
int db_instance_get(struct db_tx *tx, const char *project, const char *name, struct db_instance *out,
		    struct lxm_err *e);
int db_instance_get_id(struct db_tx *tx, int64_t id, struct db_instance *out, struct lxm_err *e);
/** The id alone; DB_NONE. */
int db_instance_find(struct db_tx *tx, const char *project, const char *name, int64_t *id_out, struct lxm_err *e);
/** Names only, sorted. */
int db_instance_names(struct db_tx *tx, const char *project, struct lxm_strv *out, struct lxm_err *e);
/** Instances that use a profile, directly; everything loaded. For pushing a changed profile to them. */
int db_instance_list_by_profile(struct db_tx *tx, int64_t profile_id, struct db_instances *out, struct lxm_err *e);

/**
 * Insert i with config, devices and profiles; sets i->id.
 *
 * Profiles are names in the project that i->project keeps its profiles in. -EEXIST when the name is taken, -ENOENT
 * naming the unknown project, profile or pool.
 */
int db_instance_create(struct db_tx *tx, struct db_instance *i, struct lxm_err *e);
/** Replace what PUT can change of i->id: description, architecture, ephemeral, config, devices, profiles; DB_NONE. */
int db_instance_update(struct db_tx *tx, const struct db_instance *i, struct lxm_err *e);
/** DB_NONE, -EEXIST. */
int db_instance_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e);
/** Give it to another project, under a name there; its profiles are the old project's until they are written anew. DB_NONE, -EEXIST, -ENOENT. */
int db_instance_set_project(struct db_tx *tx, int64_t id, const char *project, const char *name, struct lxm_err *e);
/** With its snapshots, config and devices; DB_NONE. */
int db_instance_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

/** Set some keys and leave the others alone; an empty value deletes the key. For volatile.*; DB_NONE. */
int db_instance_set_config_keys(struct db_tx *tx, int64_t id, const struct lxm_kv *kv, struct lxm_err *e);
/** DB_NONE. */
int db_instance_set_last_used(struct db_tx *tx, int64_t id, lxm_time t, struct lxm_err *e);
int db_instance_set_stateful(struct db_tx *tx, int64_t id, bool stateful, struct lxm_err *e);
/** -ENOENT for an unknown pool; DB_NONE. */
int db_instance_set_pool(struct db_tx *tx, int64_t id, const char *pool, struct lxm_err *e);

#endif
