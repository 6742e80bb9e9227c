/* Foreign YAML into a JSON tree, bounded: what metadata.yaml (and other small documents) are read through. */
#ifndef LXMD_IMAGE_YAML_H
#define LXMD_IMAGE_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/**
 * Parse one YAML document.
 *
 * Mappings become objects, sequences arrays, every scalar a string, an unquoted empty, "~" or "null" one null. Refuses anchors, aliases,
 * keys that are no scalars or come twice, nesting deeper than 8, more than 10,000 nodes, scalars over 64 KiB or with NUL, a second document.
 *
 * @out  new reference
 *
 * Any thread, no I/O. Returns 0 or -EINVAL with line and reason.
 */
int yaml_parse(const char *text, size_t len, json_t **out, struct lxm_err *e);

/** The same with another bound on the number of nodes. */
int yaml_parse_big(const char *text, size_t len, unsigned int max_nodes, json_t **out, struct lxm_err *e);

/** Append a tree as a YAML document: maps sorted by key, strings in double quotes. */
void yaml_emit(struct lxm_buf *out, const json_t *tree);

/** Append a string as a double-quoted YAML scalar. */
void yaml_emit_string(struct lxm_buf *out, const char *s);

#endif
