/* Custom volumes and their snapshots: rows and data together. */
#ifndef LXMD_STORAGE_CUSTOM_H
#define LXMD_STORAGE_CUSTOM_H

#include <stdbool.h>

#include "db/storage.h"
#include "lib/base/err.h"

struct caller;
struct lock;
struct lxmd;
struct op;

/*
 * Data are made under a name of their own, get their place, and then the row is written; a row goes first and data follow. What
 * lxmd leaves behind when it dies in between has no row: the next start removes it or sets it aside.
 *
 * Unless a comment says otherwise: worker or request threads; block on disk; the caller holds the volume's lock (custom_lock());
 * on failure everything is undone; the lifecycle event is sent in `home` terms of the row. @caller who asked, for events; may be
 * NULL. Rows are those of custom_load() and borrowed.
 */

/** The project that holds the custom volumes of `project`; free() *home_out. -ENOENT. Any thread, no lock. */
int custom_home(struct lxmd *d, const char *project, char **home_out, struct lxm_err *e);
/** One volume by the project that holds it, with used_by. -ENOENT. Any thread, no lock. */
int custom_load(struct lxmd *d, const char *pool, const char *home, const char *name, struct db_volume *out, struct lxm_err *e);
/** The snapshots of a volume, oldest first. Any thread, no lock. */
int custom_snapshots(struct lxmd *d, const struct db_volume *v, struct db_volsnaps *out, struct lxm_err *e);
/** One of them; -ENOENT. */
int custom_snapshot_load(struct lxmd *d, const struct db_volume *v, const char *name, struct db_volsnap *out, struct lxm_err *e);

/** One thing at a time with one volume. @timeout_ms 0: -EBUSY (409) at once. */
int custom_lock(struct lxmd *d, const char *pool, const char *home, const char *name, const char *what, int timeout_ms,
		struct lock **out, struct lxm_err *e);

/** Set what `volume.*` of the pool says of keys that a new volume's config leaves open. Any thread, no lock. */
int custom_defaults(struct lxmd *d, const char *pool, struct lxm_kv *config, struct lxm_err *e);

/** An empty volume. v->pool, project, name, description, config are set; v->id is filled. */
int custom_create(struct lxmd *d, struct db_volume *v, const struct caller *caller, struct lxm_err *e);

/**
 * Bring the limit of a volume in line with a new configuration, in use or not, before that is written; the other way round to undo it.
 *
 * Returns 0, -EOPNOTSUPP or -ENOSPC as pool_volume_limit().
 */
int custom_resize(struct lxmd *d, const struct db_volume *v, const struct lxm_kv *config, struct lxm_err *e);

/* What to copy. */
struct custom_copy {
	const struct db_volume *from;
	const char *snapshot; /* of `from`: a copy of this one alone; NULL: the volume itself */
	bool volume_only;     /* without snapshots */
	bool refresh;	      /* `to` exists already: bring it and its snapshots in line */
};

/**
 * Copy, also between pools and projects. Caller holds both locks.
 *
 * @to  as for custom_create(); with refresh as from custom_load(), and nothing may have it mounted
 */
int custom_copy(struct lxmd *d, const struct custom_copy *how, struct db_volume *to, struct op *op, const struct caller *caller,
		struct lxm_err *e);

/** Another name, project and pool, any of them. Refused while it is in use. Caller holds both locks. */
int custom_move(struct lxmd *d, const struct db_volume *v, const char *pool, const char *home, const char *name, struct op *op,
		const struct caller *caller, struct lxm_err *e);

/** -EBUSY (400) while it is in use. Its snapshots go with it. */
int custom_delete(struct lxmd *d, const struct db_volume *v, const struct caller *caller, struct lxm_err *e);

/** s->name, description and expires_at are set; the rest is filled. */
int custom_snapshot(struct lxmd *d, const struct db_volume *v, struct db_volsnap *s, struct op *op, const struct caller *caller,
		    struct lxm_err *e);
int custom_snapshot_delete(struct lxmd *d, const struct db_volume *v, const char *name, const struct caller *caller, struct lxm_err *e);
int custom_snapshot_rename(struct lxmd *d, const struct db_volume *v, const char *from, const char *to, const struct caller *caller,
			   struct lxm_err *e);
int custom_snapshot_update(struct lxmd *d, const struct db_volume *v, const struct db_volsnap *s, const struct caller *caller,
			   struct lxm_err *e);
/** Nothing may have the volume mounted. */
int custom_restore(struct lxmd *d, const struct db_volume *v, const char *name, struct op *op, const struct caller *caller,
		   struct lxm_err *e);

#endif
