/* Projects, and which project an object of some kind really lives in. */
#ifndef LXM_DB_PROJECT_H
#define LXM_DB_PROJECT_H

#include "db/db.h"

#define DB_DEFAULT_PROJECT "default"

struct db_project {
	int64_t id;
	char *name, *description; /* owned */
	struct lxm_kv config;	  /* features.*, limits.*, restricted.* ... */
	struct lxm_strv used_by;  /* URLs of what is in it, its default profile aside; filled by get and list */
};

struct db_projects {
	struct db_project *v; /* owned, n of them, by name */
	size_t n;
};

void db_project_deinit(struct db_project *p);
void db_projects_deinit(struct db_projects *p);
LXM_AUTO_STRUCT(db_project, struct db_project, db_project_deinit)
LXM_AUTO_STRUCT(db_projects, struct db_projects, db_projects_deinit)

/** All projects. `out` is emptied first. Returns 0 or -errno. */
int db_project_list(struct db_tx *tx, struct db_projects *out, struct lxm_err *e);
/** One project. Returns 0, DB_NONE or -errno. */
int db_project_get(struct db_tx *tx, const char *name, struct db_project *out, struct lxm_err *e);
/** The same without used_by, which grows with what is in it. */
int db_project_get_values(struct db_tx *tx, const char *name, struct db_project *out, struct lxm_err *e);
/** 0 if there is such a project, DB_NONE, or -errno; costs one look-up. */
int db_project_exists(struct db_tx *tx, const char *name, struct lxm_err *e);

/* Kinds of objects whose home a project's features.* decide. */
enum db_feature {
	DB_FEATURE_IMAGES,
	DB_FEATURE_PROFILES,
	DB_FEATURE_VOLUMES, /* custom storage volumes */
	DB_FEATURE_NETWORKS,
	DB_FEATURE_ZONES,
};

/**
 * The project that objects of a kind are looked up in: `project` itself if its feature is on, else "default".
 *
 * @out  receives a name; free() it
 *
 * Every look-up of an image, profile, custom volume, network or zone on behalf of a client goes through this.
 * Returns 0, DB_NONE for an unknown project, or -errno.
 */
int db_project_for(struct db_tx *tx, const char *project, enum db_feature f, char **out, struct lxm_err *e);

/** Insert p (name, description, config) and, if it has profiles of its own, an empty profile `default`. Sets p->id. Returns 0, -EEXIST or -errno. */
int db_project_create(struct db_tx *tx, struct db_project *p, struct lxm_err *e);
/** Replace description and config of p->id. Returns 0, DB_NONE or -errno. */
int db_project_update(struct db_tx *tx, const struct db_project *p, struct lxm_err *e);
/** Returns 0, DB_NONE, -EEXIST or -errno. */
int db_project_rename(struct db_tx *tx, const char *name, const char *to, struct lxm_err *e);
/** Delete with its profile `default`. Returns 0, DB_NONE, -EBUSY when something is in it, or -errno. */
int db_project_delete(struct db_tx *tx, const char *name, struct lxm_err *e);

#endif
