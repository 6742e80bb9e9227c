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

/**
 * Is this a name that a volume of this kind may have?
 *
 * Instances: 1-63 of [A-Za-z0-9-], no digit or dash first, no dash last. Custom volumes and snapshots: 1-63 printable ASCII
 * without '/', blanks or a leading dot or dash. "v/s" is checked as both. Any thread. Returns 0 or -EINVAL.
 */
int volume_id_check(const struct volume_id *v, struct lxm_err *e);

/**
 * The directory name of a volume inside its kind's directory: NAME in project default, else PROJECT_NAME.
 * An instance name holds no '_', so it is reversible by the last '_'. free() it.
 */
char *volume_dirname(const struct volume_id *v);

#endif
