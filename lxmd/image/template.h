/* The file templates of images: the part of pongo2 (Django templates) that LXD images use. No file access of any kind. */
#ifndef LXMD_IMAGE_TEMPLATE_H
#define LXMD_IMAGE_TEMPLATE_H

#include <stddef.h>

#include "lib/base/kv.h"
#include "lib/base/str.h"

#define TEMPLATE_MAX	 (1024 * 1024)	   /* bytes of a template */
#define TEMPLATE_OUT_MAX (4 * 1024 * 1024) /* bytes that one may make */

/* What a template can see; all borrowed. */
struct template_vars {
	const char *trigger;		 /* "create", "copy", "rename", "start" */
	const char *path;		 /* target path inside the container */
	const struct lxm_kv *instance;	 /* name, architecture, type ("container"), privileged, ephemeral ("true" / "false") */
	const struct lxm_kv *config;	 /* expanded configuration; also behind config_get(key, default) */
	const struct lxm_devs *devices;	 /* expanded devices */
	const struct lxm_kv *properties; /* of the template's entry in metadata.yaml */
};

/**
 * Render a template.
 *
 * @text, @len  template; UTF-8 is not required
 * @vars        names that it sees: trigger, path, instance, container (the same), config, devices, properties, config_get()
 * @out         the text is appended; what is there after a failure is undefined
 *
 * Knows {{ }}, {% if elif else endif, for in reversed empty endfor, set, with, comment, autoescape, raw/verbatim, firstof %}, {# #},
 * operators == != < > <= >= in not and or + - * / %, literals, dotted and indexed access, filters (default, lower, upper, title, capfirst, trim,
 * length, first, last, join, split, replace, cut, safe, escape, urlencode, integer, yesno, truncatechars, ljust, rjust, linebreaksbr, add,
 * divisibleby...). include, import, extends, ssi and unknown tags or filters are errors. Nothing is escaped unless asked for.
 *
 * Any thread; no I/O, bounded time and memory. Returns 0, -EINVAL (with line number in the text) or -E2BIG.
 */
int template_render(const char *text, size_t len, const struct template_vars *vars, struct lxm_buf *out,
		    struct lxm_err *e);

#endif
