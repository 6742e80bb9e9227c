/* How a volume is named, and what a runtime needs to know to mount one. */
#ifndef LXMD_STORAGE_VOLUME_H
#define LXMD_STORAGE_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

enum volume_kind {
	VOLUME_INSTANCE, /* name "c1" */
	VOLUME_SNAPSHOT, /* of an instance, name "c1/snap0" */
	VOLUME_CUSTOM,	 /* name "data" or, for its snapshots, "data/snap0" */
	VOLUME_STAGED,	 /* what is about to replace instance "c1": see pool_volume_replace() */
	VOLUME_CUSTOM_STAGED, /* a custom volume or snapshot of one that is being made: see pool_custom_place() */
};

/* Names a volume of a pool; borrowed strings, meant to be written at the call. */
struct volume_id {
	enum volume_kind kind;
	const char *project;
	const char *name;
};

/* pool_volume_delete(pool, VOLUME_OF_INSTANCE("default", "c1"), e) */
#define VOLUME_ID(k, project, name) (&(const struct volume_id){ (k), (project), (name) })
#define VOLUME_OF_INSTANCE(project, name) VOLUME_ID(VOLUME_INSTANCE, project, name)
#define VOLUME_OF_STAGED(project, name)	  VOLUME_ID(VOLUME_STAGED, project, name)

enum volume_root_kind {
	VOLUME_ROOT_OVERLAY, /* mount overlay: `lower` below, `dir` holds "upper" and "work" */
	VOLUME_ROOT_BIND,    /* mount `lower` itself (idmapped bind) */
};

/* Where the root file system of a volume lies. All paths absolute, below directories of mode 0700. */
struct volume_root {
	enum volume_root_kind kind;
	char *lower; /* owned; OVERLAY: read-only image tree; BIND: the tree itself */
	char *dir;   /* owned; OVERLAY: directory that holds upper/ and work/; BIND: NULL */
};

/** Empties *r; fine on a zeroed one. */
void volume_root_deinit(struct volume_root *r);
LXM_AUTO_STRUCT(volume_root, struct volume_root, volume_root_deinit)

struct volume_usage {
	uint64_t used;	/* bytes that the volume occupies by itself (what it shares with an image not counted) */
	uint64_t total; /* its quota in bytes, 0: none */
};

/** Is this a name that a volume of this kind may have (lib/conf/names.h)? "v/s" is checked as both. Any thread. Returns 0 or -EINVAL. */
int volume_id_check(const struct volume_id *v, struct lxm_err *e);

/**
 * The path of a checked volume inside its pool; free() it.
 *
 * instances/NAME in project default, else instances/PROJECT_NAME (an instance name holds no '_': reversible by the last one);
 * staged/ likewise; snapshots/INSTANCE/SNAP; custom/PROJECT@NAME and snapshots/@PROJECT@NAME/SNAP (a volume name holds no '@');
 * staged/@PROJECT@NAME and staged/@PROJECT@NAME@SNAP.
 */
char *volume_path(const struct volume_id *v);

/** The opposite for one entry of instances/: project and name, free() both. -EINVAL if it is no such name. */
int volume_instance_of_dir(const char *dirname, char **project_out, char **name_out);

#endif
