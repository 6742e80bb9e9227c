/* What bodies of POST /1.0/images have in common: how the new image is to be kept, and where it comes from. */
#ifndef LXMD_API_IMAGE_BODY_H
#define LXMD_API_IMAGE_BODY_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"
#include "lxmd/image/fetch.h"

/* Zeroed is empty. */
struct image_body {
	char *filename; /* owned; NULL: none named */
	bool public_, auto_update, has_profiles;
	lxm_time expires_at;
	struct lxm_kv properties;
	struct lxm_strv aliases, profiles;
};

void image_body_deinit(struct image_body *b);
LXM_AUTO_STRUCT(image_body, struct image_body, image_body_deinit)

/** Read filename, public, auto_update, expires_at, properties, aliases, profiles. Request thread. Returns 0 or -EINVAL. */
int image_body_read(const json_t *body, struct image_body *out, struct lxm_err *e);

/**
 * Read a `source` that names an image on a server, and check it.
 *
 * @out  borrows its strings from source
 *
 * Returns 0 or -EINVAL.
 */
int image_remote_read(const json_t *source, struct image_remote *out, struct lxm_err *e);

#endif
