/* What an instance is made or rebuilt from: the `source` of a body. */
#ifndef LXMD_API_INSTANCE_SOURCE_H
#define LXMD_API_INSTANCE_SOURCE_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lxmd/http/request.h"
#include "lxmd/image/fetch.h"
#include "lxmd/instance/copy.h"
#include "lxmd/instance/life.h"
#include "lxmd/instance/migrate.h"

/* Zeroed is empty. */
struct source {
	enum instance_source type;
	char fp[65];		 /* image; of a copy: what its source was made from, or "" */
	struct copy_source copy; /* SOURCE_COPY; strings below */
	char *project, *name, *snapshot;
	bool refresh; /* copies and migrations: bring an instance that is there up to date */
	struct migrate_sink sink; /* SOURCE_MIGRATION; its link is owned, `peer` below */
	struct migrate_peer peer;
	bool fetch;   /* SOURCE_IMAGE: fp is not known before source_fetch() */
	bool profiles_named; /* the body names profiles: an image's count for nothing */
	struct image_remote remote; /* where to fetch; borrows from json */
	json_t *json;
};

void source_deinit(struct source *s);
LXM_AUTO_STRUCT(source, struct source, source_deinit)

/**
 * Read `source` and find what it names.
 *
 * @row  what the body says so far; receives what the source gives and the body leaves open: image.* keys, architecture,
 *       profiles, and of a copy everything that the body has no key for
 *
 * Request thread; reads the database. Returns 0, -EINVAL, -ENOENT, -EPERM or -EOPNOTSUPP.
 */
int source_read(struct request *rq, struct db_instance *row, struct source *out, struct lxm_err *e);

/** Of the volatile keys of a body: those that an instance keeps when it moves here from another server. All others go. */
void source_keep_volatile(struct lxm_kv *config);

/**
 * Fetch the image of a source that lies on another server, and let `row` have what it gives. Nothing to do for other sources.
 *
 * @project  where the image is kept, as a cached one
 * @op       for progress and cancellation
 *
 * Worker threads; blocks on the network. Returns 0 or as image_fetch().
 */
int source_fetch(struct lxmd *d, const char *project, struct source *s, struct db_instance *row, struct op *op, struct lxm_err *e);

#endif
