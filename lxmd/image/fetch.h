/* Images of other servers: fetching them, keeping them fresh, sending ours. */
#ifndef LXMD_IMAGE_FETCH_H
#define LXMD_IMAGE_FETCH_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

struct lxmd;
struct op;

/* An image on another server. Borrowed strings; NULL counts as "". */
struct image_remote {
	const char *server;	 /* https://HOST[:PORT][/PATH]; "direct": address of the image */
	const char *protocol;	 /* "simplestreams", "lxd", "incus", "direct" */
	const char *certificate; /* PEM: the only one that the server may show; "": the system's authorities decide */
	const char *name;	 /* alias or fingerprint; "" for "direct" */
	const char *secret;	 /* opens a private image of an LXD, Incus or lxm */
	const char *project;	 /* of that server */
};

/** Check the form of everything that a client said. Any thread, no I/O. Returns 0 or -EINVAL (400). */
int image_remote_check(const struct image_remote *from, struct lxm_err *e);

/* What to fetch and how to keep it. Zeroed fields mean "none". */
struct image_fetch {
	const char *project; /* where it is to be; never NULL */
	struct image_remote from;
	bool cached; /* for a new instance: one of that name that is kept fresh anyway is taken as it is, and goes when unused */
	bool public_, auto_update;
	lxm_time expires_at;		 /* 0: as metadata.yaml says */
	const char *filename;		 /* as shown; NULL: the fingerprint */
	const struct lxm_kv *properties; /* set over those of the server and of metadata.yaml; may be NULL */
	const struct lxm_strv *aliases;	 /* names to make; may be NULL */
	const struct lxm_strv *profiles; /* NULL: {"default"} */
};

/**
 * Get an image of another server into the store.
 *
 * @op      receives progress (key "download_progress") and carries cancellation; NULL: the daemon's stop does
 * @fp_out  receives the fingerprint (65 bytes)
 *
 * Worker threads; blocks on the network. Two requests for one image share one download. What is in the project already is
 * kept, and no longer counts as cached if it is wanted for itself. Nothing of a failed, cancelled or killed download
 * stays. lxmd itself talks to nobody: lxm-fetch does, without rights. Returns 0, -ENOENT (the server has no such image),
 * -ECANCELED, -EBADMSG (hash or size), -ENOSPC, -EFBIG or another -errno.
 */
int image_fetch(struct lxmd *d, const struct image_fetch *f, struct op *op, char fp_out[65], struct lxm_err *e);

/**
 * Look for a newer version of an image where it came from, and put that in its place: aliases and profiles go along.
 *
 * @refreshed_out  true: there was one; false also for images that came from no server
 *
 * As image_fetch().
 */
int image_refresh(struct lxmd *d, const char *project, const char *fp, struct op *op, bool *refreshed_out, struct lxm_err *e);

/* Where to send an image. Borrowed strings; NULL counts as "". */
struct image_target {
	const char *server, *certificate, *secret, *project;
	const struct lxm_strv *profiles; /* may be NULL */
};

/** Check the form of a target. Any thread, no I/O. Returns 0 or -EINVAL (400). */
int image_target_check(const struct image_target *to, struct lxm_err *e);

/** Upload an image to a server that gave us a secret for it, and wait until it is there. As image_fetch(). */
int image_push(struct lxmd *d, const char *fp, const struct image_target *to, struct op *op, struct lxm_err *e);

/**
 * A setting of images.*: the project's own, else the server's, else the default.
 *
 * Reads the database. Returns a copy (free() it), NULL when there is none or the database failed.
 */
char *image_setting(struct lxmd *d, const char *project, const char *key);

/** Once, at start: look by the clock for newer versions and for cached images that nobody uses. Main thread. */
void image_upkeep_start(struct lxmd *d);

#endif
