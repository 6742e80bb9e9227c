/* metadata.yaml of an image: strict, bounded reading into a struct, and writing it again. */
#ifndef LXMD_IMAGE_METADATA_H
#define LXMD_IMAGE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

#define IMAGE_METADATA_MAX (1024 * 1024) /* bytes of metadata.yaml */

/* One file that is rendered into the container. */
struct image_template {
	char *target;		   /* owned; absolute path inside the container, no "." or ".." component */
	char *source;		   /* owned; plain file name below templates/, no '/' */
	struct lxm_strv when;	   /* "create", "copy", "rename", "start" */
	bool create_only;	   /* leave an existing file alone */
	struct lxm_kv properties;  /* `properties` while rendering */
	long uid, gid;		   /* -1: 0, the owner of a new file */
	int mode;		   /* -1: 0644, or what the existing file has */
};

struct image_metadata {
	char *architecture;		  /* owned; "x86_64", never NULL after parsing */
	lxm_time created_at, expires_at;  /* 0: none */
	struct lxm_kv properties;
	struct image_template *templates; /* owned, n_templates, in file order */
	size_t n_templates;
};

/** Empties *m; fine on a zeroed one. */
void image_metadata_deinit(struct image_metadata *m);
LXM_AUTO_STRUCT(image_metadata, struct image_metadata, image_metadata_deinit)

/**
 * Read the text of a metadata.yaml.
 *
 * @text, @len  the file; need not end in NUL
 * @out         filled on success only; image_metadata_deinit() it
 *
 * A known architecture is required (Debian's names become the kernel's). Refuses aliases and anchors, nesting deeper than 8, more than 10,000 nodes, invalid UTF-8, scalars over 64 KiB, relative or
 * escaping template paths; unknown keys are skipped. Any thread, no I/O. Returns 0 or -EINVAL.
 */
int image_metadata_parse(const char *text, size_t len, struct image_metadata *out, struct lxm_err *e);

/**
 * Read metadata.yaml below an unpacked image's or a volume's directory. It must be a regular file: links are refused.
 *
 * @dirfd  directory descriptor (O_PATH is fine); borrowed
 *
 * Any thread; reads one file. Returns 0, -ENOENT, -EINVAL or another -errno.
 */
int image_metadata_read(int dirfd, struct image_metadata *out, struct lxm_err *e);

/** The text of a metadata.yaml that says the same; appended to out. */
void image_metadata_emit(const struct image_metadata *m, struct lxm_buf *out);

/** As the API shows it: {architecture, creation_date, expiry_date, properties, templates}. New reference. */
json_t *image_metadata_json(const struct image_metadata *m);

/** From the body of PUT instances/NAME/metadata, with the checks of image_metadata_parse(). Returns 0 or -EINVAL. */
int image_metadata_from_json(const json_t *o, struct image_metadata *out, struct lxm_err *e);

/** Does the template apply to this trigger ("create", "copy", "rename", "start")? */
bool image_template_fires(const struct image_template *t, const char *trigger);

#endif
