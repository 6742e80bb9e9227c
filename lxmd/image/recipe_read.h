/* Inside lxmd/image: YAML nodes into fields of structs, by tables; every complaint names file and line. */
#ifndef LXMD_IMAGE_RECIPE_READ_H
#define LXMD_IMAGE_RECIPE_READ_H

#include <stddef.h>

#include <yaml.h>

#include "lib/base/err.h"

struct recipe_part;

/* One text that is being read. */
struct recipe_reader {
	yaml_document_t *doc;
	const char *file; /* for messages */
	struct lxm_err *e;
};

/** Read a node into the field at `to`. Returns 0 or -EINVAL. */
typedef int (*recipe_read_fn)(struct recipe_reader *rd, yaml_node_t *node, void *to);

/* A key of a mapping; a table of them ends at name NULL. */
struct recipe_key {
	const char *name;
	recipe_read_fn read;
	size_t offset; /* of the field in the struct that the mapping fills */
};

/** Fails with -EINVAL at that node. */
int recipe_fail(struct recipe_reader *rd, const yaml_node_t *node, const char *fmt, ...) LXM_PRINTF(3, 4);

/** The text of a node, borrowed; "" if it is none. Returns 0 or -EINVAL. */
int recipe_scalar(struct recipe_reader *rd, yaml_node_t *node, const char **out);

/**
 * A mapping: each of its keys is in one of the tables, and none stands there twice.
 *
 * @own        keys that fill obj
 * @part_keys  keys that fill part; NULL: none
 *
 * Returns 0 or -EINVAL.
 */
int recipe_fields(struct recipe_reader *rd, yaml_node_t *node, const struct recipe_key *own, void *obj, const struct recipe_key *part_keys,
		  struct recipe_part *part);

/* Readers of one text that has to be of a kind; `to` is a char **. Content may have lines, text is one. */
int recipe_read_text(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_content(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_name(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_path(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_file_name(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_variable(struct recipe_reader *rd, yaml_node_t *node, void *to);

/* Of a list of such texts without twins; `to` is a struct lxm_strv *. */
int recipe_read_names(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_packages(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_services(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_paths(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_dpkg(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_triggers(struct recipe_reader *rd, yaml_node_t *node, void *to);

/* Of a mapping of texts; `to` is a struct lxm_kv *. */
int recipe_read_properties(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_links(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_archs(struct recipe_reader *rd, yaml_node_t *node, void *to);

/* Of a truth (bool *) and of a file mode such as "0644" (mode_t *). */
int recipe_read_bool(struct recipe_reader *rd, yaml_node_t *node, void *to);
int recipe_read_mode(struct recipe_reader *rd, yaml_node_t *node, void *to);

#endif
