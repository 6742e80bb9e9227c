/* Secrets that open one image to whoever knows them, for copies to other servers. */
#ifndef LXMD_IMAGE_SECRET_H
#define LXMD_IMAGE_SECRET_H

#include <stdbool.h>

#include "lib/base/err.h"

struct lxmd;
struct op;

/**
 * Remember a secret for an image, good for an hour or, once used, for a minute.
 *
 * @fp      full fingerprint
 * @secret  64 hex digits; copied
 * @op      the token operation that shows it; a reference is kept, and it ends with the secret's first use
 *
 * Any thread. Returns 0 or -EBUSY (503) when there are too many.
 */
int image_secret_add(struct lxmd *d, const char *fp, const char *secret, struct op *op, struct lxm_err *e);

/** Does this secret open this image? The first use starts its last minute. Compared in constant time. Any thread. */
bool image_secret_ok(struct lxmd *d, const char *fp, const char *secret);

#endif
