/* Image objects as the API shows them, and the checks that all image handlers share. */
#ifndef LXMD_API_IMAGE_JSON_H
#define LXMD_API_IMAGE_JSON_H

#include <jansson.h>

#include "db/image.h"
#include "lxmd/http/request.h"

/** The whole object. New reference. */
json_t *image_json(const struct db_image *im);
/** What PUT can change: what the ETag is made of. New reference. */
json_t *image_json_editable(const struct db_image *im);
/** "/1.0/images/FP", with ?project= for other projects than default when all projects are listed. New reference. */
json_t *image_url(const struct db_image *im, bool with_project);
/** An alias object {name, description, target, type}. New reference. */
json_t *image_alias_json(const struct db_alias *a);

/**
 * The image of the request's path (a fingerprint or its unique prefix), if the caller may see it: trusted callers all, others public ones
 * and those that ?secret= opens.
 *
 * @out  db_image_deinit() it
 *
 * Returns 0 or -ENOENT: what may not be seen is not there.
 */
int image_of_request(struct request *rq, struct db_image *out, struct lxm_err *e);

#endif
