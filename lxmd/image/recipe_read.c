/*
 * Readers of a recipe's nodes, see recipe_read.h. lxmd, any thread, no I/O.
 *
 * The text is checked here once and for all: what comes out can go into an argument vector (packages, services, suites) or below a
 * root directory (paths) as it is.
 */
#include "lxmd/image/recipe_read.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

int recipe_fail(struct recipe_reader *rd, const yaml_node_t *node, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return lxm_err_set(rd->e, EINVAL, "%s:%zu: %s", rd->file, node->start_mark.line + 1, text);
}

/* ---- words */

static bool word_ok(const char *s, const char *first, const char *rest)
{
	return *s && strchr(first, *s) && s[strspn(s, rest)] == '\0' && strlen(s) <= 128;
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool name_ok(const char *s)
{
	return word_ok(s, LOWER DIGITS, LOWER DIGITS "._-");
}

static bool package_ok(const char *s)
{
	return word_ok(s, LOWER DIGITS, LOWER DIGITS "+.-");
}

static bool service_ok(const char *s)
{
	return word_ok(s, LOWER UPPER DIGITS, LOWER UPPER DIGITS "@._-");
}

static bool file_ok(const char *s)
{
	return word_ok(s, LOWER UPPER DIGITS, LOWER UPPER DIGITS "._-");
}

static bool variable_ok(const char *s)
{
	return word_ok(s, UPPER, UPPER DIGITS "_") && lxm_starts(s, "LXM_");
}

static bool text_ok(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ')
			return false;
	return true;
}

/* Absolute, normal: no empty, "." or ".." component, nothing unprintable. */
static bool path_ok(const char *s)
{
	size_t n;

	if (*s != '/' || !s[1] || strlen(s) >= 1024 || !text_ok(s))
		return false;
	for (; *s; s += n) {
		s++;
		n = strcspn(s, "/");
		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
	}
	return true;
}

static bool dpkg_ok(const char *s)
{
	return (lxm_starts(s, "path-exclude=/") || lxm_starts(s, "path-include=/")) && text_ok(s);
}

static bool trigger_ok(const char *s)
{
	return lxm_streq(s, "create") || lxm_streq(s, "copy") || lxm_streq(s, "rename") || lxm_streq(s, "start");
}

/* ---- scalars and lists */

int recipe_scalar(struct recipe_reader *rd, yaml_node_t *node, const char **out)
{
	*out = "";
	if (node->type != YAML_SCALAR_NODE)
		return recipe_fail(rd, node, "text expected, not a list or a mapping");
	*out = (const char *)node->data.scalar.value;
	if (strlen(*out) != node->data.scalar.length)
		return recipe_fail(rd, node, "text holds a zero byte");
	return 0;
}

static int checked(struct recipe_reader *rd, yaml_node_t *node, bool (*ok)(const char *), const char **out)
{
	int r = recipe_scalar(rd, node, out);

	if (r < 0)
		return r;
	return ok(*out) ? 0 : recipe_fail(rd, node, "'%s' cannot stand here", *out);
}

static int string(struct recipe_reader *rd, yaml_node_t *node, bool (*ok)(const char *), char **to)
{
	const char *s;
	int r = checked(rd, node, ok, &s);

	if (r == 0)
		*to = lxm_strdup(s);
	return r;
}

static int list(struct recipe_reader *rd, yaml_node_t *node, bool (*ok)(const char *), struct lxm_strv *to)
{
	yaml_node_item_t *i;
	const char *s;
	int r;

	if (node->type != YAML_SEQUENCE_NODE)
		return recipe_fail(rd, node, "a list is expected");
	for (i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(rd->doc, *i);

		r = checked(rd, item, ok, &s);
		if (r < 0)
			return r;
		if (lxm_strv_has(to, s))
			return recipe_fail(rd, item, "'%s' is listed twice", s);
		lxm_strv_add(to, s);
	}
	return 0;
}

static int map(struct recipe_reader *rd, yaml_node_t *node, bool (*key_ok)(const char *), bool (*value_ok)(const char *), struct lxm_kv *to)
{
	yaml_node_pair_t *p;
	const char *k, *v;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return recipe_fail(rd, node, "a mapping is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);

		r = checked(rd, key, key_ok, &k);
		if (r == 0)
			r = checked(rd, yaml_document_get_node(rd->doc, p->value), value_ok, &v);
		if (r < 0)
			return r;
		if (lxm_kv_get(to, k))
			return recipe_fail(rd, key, "key '%s' stands here twice", k);
		lxm_kv_set(to, k, v);
	}
	return 0;
}

static bool any_text(const char *s)
{
	return lxm_utf8_ok(s, strlen(s));
}

static bool property_ok(const char *s)
{
	return word_ok(s, LOWER, LOWER DIGITS "._-");
}

#define STRING_READER(fn, ok)                                              \
	int fn(struct recipe_reader *rd, yaml_node_t *node, void *to)      \
	{                                                                  \
		return string(rd, node, ok, to);                           \
	}
#define LIST_READER(fn, ok)                                                \
	int fn(struct recipe_reader *rd, yaml_node_t *node, void *to)      \
	{                                                                  \
		return list(rd, node, ok, to);                             \
	}
#define MAP_READER(fn, key_ok, value_ok)                                   \
	int fn(struct recipe_reader *rd, yaml_node_t *node, void *to)      \
	{                                                                  \
		return map(rd, node, key_ok, value_ok, to);                \
	}

STRING_READER(recipe_read_text, text_ok)
STRING_READER(recipe_read_content, any_text)
STRING_READER(recipe_read_name, name_ok)
STRING_READER(recipe_read_path, path_ok)
STRING_READER(recipe_read_file_name, file_ok)
STRING_READER(recipe_read_variable, variable_ok)
LIST_READER(recipe_read_names, name_ok)
LIST_READER(recipe_read_packages, package_ok)
LIST_READER(recipe_read_services, service_ok)
LIST_READER(recipe_read_paths, path_ok)
LIST_READER(recipe_read_dpkg, dpkg_ok)
LIST_READER(recipe_read_triggers, trigger_ok)
MAP_READER(recipe_read_properties, property_ok, any_text)
MAP_READER(recipe_read_links, path_ok, text_ok)
MAP_READER(recipe_read_archs, file_ok, name_ok)

int recipe_read_bool(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = recipe_scalar(rd, node, &s);

	if (r < 0)
		return r;
	r = lxm_parse_bool(s);
	if (r < 0)
		return recipe_fail(rd, node, "'%s' is neither true nor false", s);
	*(bool *)to = r;
	return 0;
}

int recipe_read_mode(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = recipe_scalar(rd, node, &s);

	if (r < 0)
		return r;
	if (s[0] != '0' || strlen(s) != 4 || s[strspn(s, "01234567")])
		return recipe_fail(rd, node, "mode '%s' is not of the form \"0644\"", s);
	*(mode_t *)to = (mode_t)strtoul(s, NULL, 8);
	return 0;
}

/* ---- mappings */

static const struct recipe_key *key_find(const struct recipe_key *row, const char *name)
{
	for (; row && row->name; row++)
		if (lxm_streq(row->name, name))
			return row;
	return NULL;
}

int recipe_fields(struct recipe_reader *rd, yaml_node_t *node, const struct recipe_key *own, void *obj, const struct recipe_key *part_keys,
		  struct recipe_part *part)
{
	yaml_node_pair_t *p, *q;
	const char *k, *other;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return recipe_fail(rd, node, "a mapping is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);
		const struct recipe_key *row;
		char *base = obj;

		r = recipe_scalar(rd, key, &k);
		if (r < 0)
			return r;
		for (q = node->data.mapping.pairs.start; q < p; q++)
			if (recipe_scalar(rd, yaml_document_get_node(rd->doc, q->key), &other) == 0 && lxm_streq(k, other))
				return recipe_fail(rd, key, "key '%s' stands here twice", k);
		row = key_find(own, k);
		if (!row) {
			base = (char *)part;
			row = key_find(part_keys, k);
		}
		if (!row)
			return recipe_fail(rd, key, "unknown key '%s'", k);
		r = row->read(rd, yaml_document_get_node(rd->doc, p->value), base + row->offset);
		if (r < 0)
			return r;
	}
	return 0;
}
