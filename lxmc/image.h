/* Finding and making images, shared by launch and the image verbs. */
#ifndef LXM_LXMC_IMAGE_H
#define LXM_LXMC_IMAGE_H

#include <jansson.h>

#include "lxmc/client.h"

/**
 * The fingerprint that a local alias or a (short) fingerprint means.
 *
 * @fingerprint_out  free() it; untouched unless 0 is returned
 *
 * Returns 0, 1 if there is no such image, -errno.
 */
int image_resolve(struct client *c, const char *name, char **fingerprint_out, struct lxm_err *e);

/** The same, but no such image is an error that says where it was looked for. */
int image_find(struct client *c, const char *name, char **fingerprint_out, struct lxm_err *e);

/**
 * What `source` of a new image or instance says so that a server fetches an image from another one, with a secret if it is private.
 *
 * @address  "https://..." of the server that has it
 */
int image_server_source(struct client *from, const char *fingerprint, const char *address, json_t **source_out,
			struct lxm_err *e);
/** The same for an image server that speaks simplestreams; image is an alias or a whole fingerprint. Returns 0 or -EINVAL. */
int image_streams_source(const struct remote *rm, const char *image, json_t **source_out);

/** Give an image the aliases of the --alias options; --reuse moves those that exist. */
int image_add_aliases(struct cli *cli, struct client *c, const char *fingerprint, struct lxm_err *e);
/** One alias; reuse: move it if it exists. One that means this image already is fine. */
int image_add_alias(struct client *c, const char *alias, const char *fingerprint, bool reuse, struct lxm_err *e);

/**
 * What `source` of a new instance must say for the image the user named: a local alias or fingerprint first, then
 * REMOTE:IMAGE, then a template, which is built now with visible progress.
 *
 * @source_out  new reference
 */
int image_source(struct cli *cli, struct client *c, const char *image, json_t **source_out, struct lxm_err *e);

/** Build a template's image, or find it built. @fingerprint_out free() it; may be NULL. */
int template_build_image(struct client *c, const char *name, bool rebuild, char **fingerprint_out,
			 struct lxm_err *e);
/** True if the server has a template of that name. */
bool template_exists(struct client *c, const char *name);

#endif
