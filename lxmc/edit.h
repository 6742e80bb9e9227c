/* Editing objects as YAML: in $EDITOR on a terminal, from stdin otherwise. */
#ifndef LXM_LXMC_EDIT_H
#define LXM_LXMC_EDIT_H

#include <jansson.h>
#include <stdbool.h>

#include "lxmc/entity.h"

/** True when stdin is a file or a pipe that can hold a YAML document (not a terminal, device or socket). */
bool edit_stdin_has_data(void);

/** A YAML map as JSON; *out stays NULL for an empty text. Returns 0 or -EINVAL. */
int yaml_body(const char *text, size_t n, json_t **out, struct lxm_err *e);

/**
 * Let the user edit a text.
 *
 * @text    begins with comments, if any
 * @suffix  of the temporary file, ".yaml"
 * @out     what was saved; free() it
 *
 * Runs $VISUAL, $EDITOR or vi, and waits. Returns 0, 1 if nothing was changed, -errno.
 */
int edit_text(const char *text, const char *suffix, char **out, size_t *n_out, struct lxm_err *e);

/** GET, edit, PUT with If-Match; with data on stdin that is taken instead. url borrowed. */
int edit_object(struct client *c, const struct entity *ent, const char *url, struct lxm_err *e);

#endif
