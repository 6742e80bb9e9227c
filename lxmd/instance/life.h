/* The life of an instance: create, start, stop, restart, freeze, rename, delete. */
#ifndef LXMD_INSTANCE_LIFE_H
#define LXMD_INSTANCE_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lxmd/instance/instance.h"

struct caller;
struct backup_source;
struct copy_source;
struct idmap;
struct lock;
struct migrate_sink;
struct op;
struct pool;

/*
 * Unless a comment says otherwise: worker threads; the caller holds the instance's lock (instance_lock_key()); they
 * block; on failure everything that was done on the host is undone; the lifecycle event is sent.
 * @op      for progress and cancellation, may be NULL
 * @caller  who asked, for events; may be NULL
 */

enum instance_source { SOURCE_NONE, SOURCE_IMAGE, SOURCE_COPY, SOURCE_MIGRATION, SOURCE_BACKUP };

/* A new instance; borrowed by instance_create(). */
struct instance_new {
	struct instance *i;	/* row filled but for id and pool, config and devices expanded, checked */
	enum instance_source source;
	const char *image; /* SOURCE_IMAGE: full fingerprint; copies: that of their source, or NULL */
	const struct copy_source *copy; /* SOURCE_COPY */
	const struct migrate_sink *sink; /* SOURCE_MIGRATION */
	const struct backup_source *backup; /* SOURCE_BACKUP */
	bool start;
};

/** Create, and start if asked. Takes the lock itself. i->row.id is set. */
int instance_create(struct lxmd *d, struct instance_new *n, struct op *op, const struct caller *caller, struct lxm_err *e);

/** -EEXIST (400) if it runs already. */
int instance_start(struct lxmd *d, struct instance *i, struct op *op, const struct caller *caller, struct lxm_err *e);

/**
 * Stop.
 *
 * @force       kill instead of asking init
 * @timeout_ms  how long a clean stop may take; < 0: for ever
 * @restarting  an ephemeral instance is not deleted
 *
 * -ESRCH (400) if it does not run; -ETIMEDOUT leaves it running.
 */
int instance_stop(struct lxmd *d, const struct instance *i, bool force, int64_t timeout_ms, bool restarting, struct op *op,
		  const struct caller *caller, struct lxm_err *e);
int instance_restart(struct lxmd *d, struct instance *i, bool force, int64_t timeout_ms, struct op *op,
		     const struct caller *caller, struct lxm_err *e);
int instance_freeze(struct lxmd *d, const struct instance *i, bool freeze, const struct caller *caller, struct lxm_err *e);

/**
 * A name is held from before its row is there until its volume is: with the volumes of one name told apart by nothing else, a creation that
 * fails beside a rename or another creation would take the other's volume away. -EBUSY (409).
 */
int instance_hold_name(struct lxmd *d, const char *project, const char *name, const char *what, struct lock **out, struct lxm_err *e);

/** Must be stopped (-EBUSY, 400). */
int instance_delete(struct lxmd *d, const struct instance *i, const struct caller *caller, struct lxm_err *e);
/** Must be stopped; -EEXIST if the name is taken. */
int instance_rename(struct lxmd *d, const struct instance *i, const char *name, const struct caller *caller,
		    struct lxm_err *e);

/**
 * Replace what PUT and PATCH can change, and bring a running instance in line (limits, hot devices).
 *
 * @was  as loaded, expanded
 * @now  the wanted one: same id and name; expanded here, and checked
 */
int instance_update(struct lxmd *d, const struct instance *was, struct instance *now, const struct caller *caller,
		    struct lxm_err *e);

/**
 * Bring an instance back to one of its snapshots: data, configuration, devices, profiles. A running one is stopped and
 * started again. Addresses and ids stay. The merged result passes instance_check() first.
 */
int instance_restore(struct lxmd *d, const struct instance *i, const char *snapshot, struct op *op,
		     const struct caller *caller, struct lxm_err *e);

/* What instance_rebuild() builds from. */
struct rebuild {
	const char *image;	    /* full fingerprint; NULL: an empty root */
	const char *architecture;   /* the image's, or NULL */
	struct lxm_kv image_config; /* image.*: replaces what the instance has */
};

/** Give a stopped instance (-EBUSY, 400) a fresh root; configuration, addresses and snapshots stay. */
int instance_rebuild(struct lxmd *d, const struct instance *i, const struct rebuild *b, struct op *op,
		     const struct caller *caller, struct lxm_err *e);

/**
 * Row and staged volume (VOLUME_OF_STAGED) become the instance's. Of a stopped instance; for replacements of its root.
 *
 * @was, @now  as it is, and as it shall be: same id and name, expanded
 *
 * Returns 0; else the old ones are its own. What was staged is gone in any case.
 */
int instance_take_over(struct lxmd *d, struct pool *pool, const struct instance *was, struct instance *now, struct lxm_err *e);

/** Make the root disk lie in that pool, by a device of the instance's own if a profile says otherwise; i is expanded. No I/O. */
void instance_pin_root(struct instance *i, const char *pool);

/** -EBUSY (400) with a text if it runs; verb: "delete". */
int instance_need_stopped(struct lxmd *d, const struct instance *i, const char *verb, struct lxm_err *e);

/** Remove every trace: volumes, snapshots, ids, row, log. Safe to repeat; nothing is told. Used by delete, undo and reconcile. */
int instance_destroy(struct lxmd *d, const struct instance *i, struct lxm_err *e);

/**
 * Give an instance the host ids that its configuration asks for, keeping those it has while they fit.
 *
 * @caller   a restricted one's project leaves as many ids for others as it holds itself
 * @changes  receives volatile.idmap.base and .size when they change
 *
 * Any thread. Returns 0, -EPERM (403, the caller's share), -ENOSPC, -EEXIST or -EINVAL.
 */
int instance_take_ids(struct lxmd *d, const struct instance *i, const struct caller *caller, struct lxm_kv *changes, struct lxm_err *e);

/** The host ids that its last start recorded. Any thread. False, and zeros, when there are none. */
bool instance_ids(const struct instance *i, uint32_t *base, uint32_t *size);
/** The id map that the recorded range and raw.idmap give; empty when privileged. idmap_deinit() it. Any thread. Returns 0 or -EINVAL. */
int instance_idmap(const struct instance *i, struct idmap *map, struct lxm_err *e);
/**
 * The map that a stopped instance's next start will give, as far as one sees from inside: the host ids may be others. As above.
 */
int instance_idmap_next(struct lxmd *d, const struct instance *i, struct idmap *map, struct lxm_err *e);

/** Remove RUN/ID. Any thread; a failure is logged. */
void instance_remove_rundir(struct lxmd *d, int64_t id);

#endif
