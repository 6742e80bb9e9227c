/* One run of lxm-fetch. Inside this room only. */
#ifndef LXMD_IMAGE_FETCH_RUN_H
#define LXMD_IMAGE_FETCH_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/kv.h"
#include "lib/wire/fetch.h"

struct lxmd;
struct op;

/* One thread. fetch_run_end() it, whatever fetch_run_begin() answered. */
struct fetch_run {
	struct lxmd *d;
	struct op *op; /* borrowed, may be NULL */
	const char *progress_key, *stage; /* of the progress */
	int sock, pidfd;
	int meta, rootfs; /* filled after fetch_run_finish(); rootfs -1: a unified image */
	/* filled by fetch_run_begin() */
	char fingerprint[65];
	struct lxm_kv properties;
	/* for the speed */
	int64_t since_ms;
};

/**
 * Start lxm-fetch and wait until it has found the image.
 *
 * @job       url, name and so on; bounds and proxies are filled in here, and `outside` where a restricted caller asks
 * @send_fds  FETCH_PUSH: the image's files (second -1: unified); NULL: empty files are made
 *
 * Returns 0 or what lxm-fetch failed for; -ECANCELED.
 */
int fetch_run_begin(struct fetch_run *run, struct lxmd *d, struct op *op, struct fetch_job *job, const int *send_fds, struct lxm_err *e);

/** Is the project restricted? What it fetches by the clock, where nobody asks, goes as its tenants' own requests do. */
bool fetch_is_tenants(struct lxmd *d, const char *project);

/** Let it go on, and wait for its end; shows the progress. As above. */
int fetch_run_finish(struct fetch_run *run, struct lxm_err *e);

/** Was the work called off: by the operation, or without one by the daemon's stop? */
bool fetch_run_cancelled(const struct fetch_run *run);

/** Kill what runs, close everything. */
void fetch_run_end(struct fetch_run *run);
LXM_AUTO_STRUCT(fetch_run, struct fetch_run, fetch_run_end)

#endif
