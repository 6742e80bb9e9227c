/* Making images of instances, and what all operations that make an image end with. */
#ifndef LXMD_API_IMAGE_PUBLISH_H
#define LXMD_API_IMAGE_PUBLISH_H

#include <jansson.h>

#include "lib/base/err.h"

struct op;
struct request;

/** POST /1.0/images with source.type instance, container or snapshot. Answers as a handler does. */
int api_image_publish(struct request *rq, const json_t *body, const json_t *source, struct lxm_err *e);

/** Set an operation's final resources and metadata {fingerprint, size}, and tell of the new image. Worker threads. Returns 0 or -errno. */
int api_image_done(struct op *op, const char *project, const char *fp, struct lxm_err *e);

#endif
