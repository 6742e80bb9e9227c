/* YAML out of JSON and JSON out of YAML, as lxc writes and reads it. */
#ifndef LXM_LXMC_YAML_H
#define LXM_LXMC_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "lib/base/err.h"

/**
 * YAML text of a value: keys named in `order` first, the others sorted; strings of several lines as blocks; strings
 * that would read back as something else quoted.
 *
 * @order  NULL-terminated keys for the outermost map (or the maps of the outermost list); NULL: all sorted
 *
 * free() it.
 */
char *yaml_dump(const json_t *data, const char *const *order);
/** The same, to stdout. */
void yaml_print(const json_t *data, const char *const *order);

/**
 * The first document of a text.
 *
 * Plain scalars become numbers, booleans and null, but below the keys config, devices, properties, environment and
 * entries everything stays the string that was written, as the API wants it. An empty text is JSON null.
 *
 * Returns 0 with a new reference, or -EINVAL with line and reason.
 */
int yaml_load(const char *text, size_t n, json_t **out, struct lxm_err *e);

#endif
