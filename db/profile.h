/* Profiles with their configuration and devices. */
#ifndef LXM_DB_PROFILE_H
#define LXM_DB_PROFILE_H

#include "db/db.h"

struct db_profile {
	int64_t id;
	char *project, *name, *description; /* owned */
	struct lxm_kv config;
	struct lxm_devs devices;
	struct lxm_strv used_by; /* URLs of instances; filled by get and list */
};

struct db_profiles {
	struct db_profile *v; /* owned, n of them, by project and name */
	size_t n;
};

void db_profile_deinit(struct db_profile *p);
void db_profiles_deinit(struct db_profiles *p);
LXM_AUTO_STRUCT(db_profile, struct db_profile, db_profile_deinit)
LXM_AUTO_STRUCT(db_profiles, struct db_profiles, db_profiles_deinit)

/*
 * `project` is the one that holds the profiles: see db_project_for(). `out` is emptied first. All functions: 0,
 * DB_NONE where named, -errno.
 */
/** All profiles of a project, or of every project (NULL), in four queries whatever their number. */
int db_profile_list(struct db_tx *tx, const char *project, struct db_profiles *out, struct lxm_err *e);
/** One profile; DB_NONE. */
int db_profile_get(struct db_tx *tx, const char *project, const char *name, struct db_profile *out,
		   struct lxm_err *e);
/** Both without used_by, which grows with the instances: for what is done with each request. */
int db_profile_list_values(struct db_tx *tx, const char *project, struct db_profiles *out, struct lxm_err *e);
int db_profile_get_values(struct db_tx *tx, const char *project, const char *name, struct db_profile *out, struct lxm_err *e);
/** Names only, sorted. */
int db_profile_names(struct db_tx *tx, const char *project, struct lxm_strv *out, struct lxm_err *e);
/** Insert p with everything; sets p->id. -EEXIST when the name is taken, -ENOENT for an unknown project. */
int db_profile_create(struct db_tx *tx, struct db_profile *p, struct lxm_err *e);
/** Replace description, config and devices of p->id; DB_NONE. */
int db_profile_update(struct db_tx *tx, const struct db_profile *p, struct lxm_err *e);
/** DB_NONE, -EEXIST. */
int db_profile_rename(struct db_tx *tx, const char *project, const char *name, const char *to, struct lxm_err *e);
/** DB_NONE; -EBUSY naming how many instances use it. */
int db_profile_delete(struct db_tx *tx, const char *project, const char *name, struct lxm_err *e);

#endif
