/* Builds an image from a recipe of templates/ and caches it under its aliases. */
#ifndef LXMD_IMAGE_BUILD_H
#define LXMD_IMAGE_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct lxmd;
struct op;

struct template_image {
	char fingerprint[65]; /* SHA-256, lowercase hex */
	uint64_t size;	      /* bytes of the stored image files */
	bool cached;	      /* it was there already, nothing was built */
};

/**
 * The image of a template, built now unless it is there.
 *
 * @op       receives progress (key "build_progress" and stages such as "Downloading packages") and carries
 *           cancellation; may be NULL for neither
 * @project  where image and aliases are recorded
 * @name     "debian/12", "debian/trixie/sysvinit", "busybox"
 * @rebuild  build also when the alias exists; the alias moves to the new image, the old one stays
 *
 * Worker thread; takes seconds to minutes. Callers that ask for the same template at the same time share one
 * build; when the caller that leads it cancels, another one starts it again. Nothing of a failed or cancelled build
 * stays but its log (LOG/template-NAME.log), whose last complaints are in the error; when lxmd is killed, the
 * build's processes die with it and the scratch directory goes at the next start. Returns 0, -ENOENT for no such
 * template, -ECANCELED, -ENOPKG when a program or keyring is missing (the text names the package), or another -errno.
 */
int template_build(struct lxmd *d, struct op *op, const char *project, const char *name, bool rebuild,
		   struct template_image *out, struct lxm_err *e);

/**
 * The image that a template has in a project now.
 *
 * @pick  the resolved template; its aliases are looked up in their order
 * @out   filled when there is one; `cached` is true
 *
 * Any thread; database reads. Returns 0, -ENOENT, or another -errno.
 */
struct recipe_pick;
int template_image_find(struct lxmd *d, const char *project, const struct recipe_pick *pick,
			struct template_image *out, struct lxm_err *e);

#endif
