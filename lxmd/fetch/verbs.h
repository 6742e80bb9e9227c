/* The verbs of lxm-fetch, one file each, and the walls around them. */
#ifndef LXMD_FETCH_VERBS_H
#define LXMD_FETCH_VERBS_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lxmd/fetch/web.h"

/*
 * Each does its whole job: finds the image, reports it, waits for lxmd's word, fills the files (lib/wire/fetch.h).
 * *split_out tells whether both files are filled. Returns 0 or -errno.
 */
int pull_streams(struct web *w, bool *split_out, struct lxm_err *e);
int pull_server(struct web *w, bool *split_out, struct lxm_err *e);
int pull_direct(struct web *w, bool *split_out, struct lxm_err *e);
int push_image(struct web *w, bool *split_out, struct lxm_err *e);

/**
 * Give up everything but the given descriptors, the network, and reading what names and authorities need (/etc, /usr, /lib).
 *
 * Before any thread and any connection. Returns 0 or -errno; a kernel without Landlock is no failure.
 */
int sandbox_enter(struct lxm_err *e);

#endif
