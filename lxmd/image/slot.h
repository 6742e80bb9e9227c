/* Slots for images that other servers push to us: opened by a client, filled by whoever knows the secret. */
#ifndef LXMD_IMAGE_SLOT_H
#define LXMD_IMAGE_SLOT_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/base/err.h"

struct lxmd;
struct op;

/* What a slot says of the image to come. */
struct image_slot {
	char *project; /* owned */
	json_t *body;  /* owned; the request that opened it */
};

void image_slot_deinit(struct image_slot *s);
LXM_AUTO_STRUCT(image_slot, struct image_slot, image_slot_deinit)

/**
 * Open a slot for an hour.
 *
 * @fp      full fingerprint of the image that may come
 * @secret  64 hex digits; copied
 * @body    copied: the request may still be read by its own thread
 * @op      the token operation that shows it; a reference is kept, a cancel of it closes the slot, its use ends it
 *
 * Any thread. Returns 0 or -EBUSY (503) when there are too many.
 */
int image_slot_add(struct lxmd *d, const char *project, const char *fp, const char *secret, json_t *body, struct op *op,
		   struct lxm_err *e);

/** Is there an open slot for this image with this secret? In constant time; either may be NULL. Any thread. */
bool image_slot_fits(struct lxmd *d, const char *fp, const char *secret);

/** Use a slot up: *out tells what for. Any thread. Returns 0, or -EPERM (403) when there is none. */
int image_slot_take(struct lxmd *d, const char *fp, const char *secret, struct image_slot *out, struct lxm_err *e);

#endif
