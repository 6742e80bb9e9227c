/* Images: rows, properties, aliases, profiles and where they came from. */
#ifndef LXM_DB_IMAGE_H
#define LXM_DB_IMAGE_H

#include "db/db.h"

struct db_alias {
	int64_t id;
	char *project, *name, *description, *fingerprint; /* owned; project and fingerprint filled on load */
	int type;					   /* enum db_instance_type of its image */
};

struct db_aliases {
	struct db_alias *v; /* owned, n of them, by project and name */
	size_t n;
};

/* Where a cached or updatable image came from; server NULL: it was uploaded, published or built here. */
struct db_image_source {
	char *server, *protocol, *alias, *certificate; /* owned */
};

struct db_image {
	int64_t id;
	char *project, *fingerprint, *filename, *architecture; /* owned; fingerprint 64 lowercase hex digits */
	int type;					       /* enum db_instance_type */
	int64_t size;					       /* bytes of its files together */
	bool public_;					       /* readable without trust */
	bool cached;		      /* fetched for an instance; expires when unused */
	bool auto_update, split;      /* split: metadata and rootfs in two files */
	lxm_time created_at;	      /* from its metadata */
	lxm_time expires_at;	      /* 0: never */
	lxm_time uploaded_at;	      /* 0 on create: now */
	lxm_time last_used_at;
	struct lxm_kv properties;
	struct lxm_strv profiles;     /* applied to new instances that name none */
	struct db_aliases aliases;    /* filled on load, ignored on create */
	struct db_image_source source;
};

struct db_images {
	struct db_image *v; /* owned, n of them, by project and fingerprint */
	size_t n;
};

void db_image_deinit(struct db_image *i);
void db_images_deinit(struct db_images *i);
void db_alias_deinit(struct db_alias *a);
void db_aliases_deinit(struct db_aliases *a);
LXM_AUTO_STRUCT(db_image, struct db_image, db_image_deinit)
LXM_AUTO_STRUCT(db_images, struct db_images, db_images_deinit)
LXM_AUTO_STRUCT(db_alias, struct db_alias, db_alias_deinit)
LXM_AUTO_STRUCT(db_aliases, struct db_aliases, db_aliases_deinit)

/* `project` is the one that holds the images: see db_project_for(). `out` is emptied first. */

/** All images of a project (NULL: of every project), with everything, in five queries. */
int db_image_list(struct db_tx *tx, const char *project, bool public_only, struct db_images *out,
		  struct lxm_err *e);
/**
 * One image by a prefix of its fingerprint.
 *
 * @prefix  1 to 64 lowercase hex digits
 *
 * Returns 0, DB_NONE, -EINVAL when the prefix is not hex, -ENOTUNIQ when it fits more than one image, or -errno.
 */
int db_image_get(struct db_tx *tx, const char *project, const char *prefix, struct db_image *out,
		 struct lxm_err *e);
/** Image by alias; DB_NONE. */
int db_image_get_by_alias(struct db_tx *tx, const char *project, const char *alias, struct db_image *out,
			  struct lxm_err *e);
/** Cached image that came from this server, protocol and alias; DB_NONE. */
int db_image_get_by_source(struct db_tx *tx, const char *project, const char *server, const char *protocol,
			   const char *alias, struct db_image *out, struct lxm_err *e);
/** How many rows of all projects name this whole fingerprint: the files may go when it drops to 0. */
int db_image_count(struct db_tx *tx, const char *fingerprint, int64_t *out, struct lxm_err *e);
/** Insert with properties, profiles and source; sets i->id. -EEXIST, -ENOENT naming an unknown project or profile. */
int db_image_create(struct db_tx *tx, struct db_image *i, struct lxm_err *e);
/** Replace what PUT can change of i->id: public, auto_update, expires_at, properties, profiles; also cached; DB_NONE. */
int db_image_update(struct db_tx *tx, const struct db_image *i, struct lxm_err *e);
int db_image_set_last_used(struct db_tx *tx, int64_t id, lxm_time t, struct lxm_err *e);
/** With its aliases; DB_NONE. */
int db_image_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

/** All aliases of a project (NULL: every project); public_only: of public images. */
int db_alias_list(struct db_tx *tx, const char *project, bool public_only, struct db_aliases *out,
		  struct lxm_err *e);
/** DB_NONE. */
int db_alias_get(struct db_tx *tx, const char *project, const char *name, struct db_alias *out, struct lxm_err *e);
/** -EEXIST; -ENOENT when there is no image of that whole fingerprint in the project. */
int db_alias_create(struct db_tx *tx, const char *project, const char *name, const char *description,
		    const char *fingerprint, struct lxm_err *e);
/** Point it to another image, change its description; DB_NONE, -ENOENT as above. */
int db_alias_update(struct db_tx *tx, const char *project, const char *name, const char *description,
		    const char *fingerprint, struct lxm_err *e);
/** DB_NONE, -EEXIST. */
int db_alias_rename(struct db_tx *tx, const char *project, const char *name, const char *to, struct lxm_err *e);
/** DB_NONE. */
int db_alias_delete(struct db_tx *tx, const char *project, const char *name, struct lxm_err *e);
/** Move all aliases of one image to another of the same project (refresh, rebuild). */
int db_alias_move(struct db_tx *tx, int64_t from_image, int64_t to_image, struct lxm_err *e);

#endif
