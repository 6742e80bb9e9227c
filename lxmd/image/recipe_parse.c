/*
 * recipe.yaml into struct recipe. lxmd, any thread, no I/O.
 *
 * One table for each kind of mapping says which keys there are and who reads them; everything else in the file is
 * an error that names file and line. The text is checked here once and for all: what comes out can go into an argument
 * vector (packages, services, suites) or below a root directory (paths) as it is.
 */
#include <ctype.h>
#include <string.h>

#include <yaml.h>

#include "lib/base/alloc.h"
#include "lxmd/image/recipe.h"

struct reader {
	yaml_document_t *doc;
	const char *file;
	struct lxm_err *e;
};

typedef int (*read_fn)(struct reader *rd, yaml_node_t *node, void *to);
struct key {
	const char *name;
	read_fn read;
	size_t offset; /* of the field in the struct that the mapping fills */
};

static int fail(struct reader *rd, const yaml_node_t *node, const char *fmt, ...) LXM_PRINTF(3, 4);
static int fail(struct reader *rd, const yaml_node_t *node, const char *fmt, ...)
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

static int scalar(struct reader *rd, yaml_node_t *node, const char **out)
{
	*out = "";
	if (node->type != YAML_SCALAR_NODE)
		return fail(rd, node, "text expected, not a list or a mapping");
	*out = (const char *)node->data.scalar.value;
	if (strlen(*out) != node->data.scalar.length)
		return fail(rd, node, "text holds a zero byte");
	return 0;
}

static int checked(struct reader *rd, yaml_node_t *node, bool (*ok)(const char *), const char **out)
{
	int r = scalar(rd, node, out);

	if (r < 0)
		return r;
	return ok(*out) ? 0 : fail(rd, node, "'%s' cannot stand here", *out);
}

static int string(struct reader *rd, yaml_node_t *node, bool (*ok)(const char *), char **to)
{
	const char *s;
	int r = checked(rd, node, ok, &s);

	if (r == 0)
		*to = lxm_strdup(s);
	return r;
}

static int list(struct reader *rd, yaml_node_t *node, bool (*ok)(const char *), struct lxm_strv *to)
{
	yaml_node_item_t *i;
	const char *s;
	int r;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail(rd, node, "a list is expected");
	for (i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(rd->doc, *i);

		r = checked(rd, item, ok, &s);
		if (r < 0)
			return r;
		if (lxm_strv_has(to, s))
			return fail(rd, item, "'%s' is listed twice", s);
		lxm_strv_add(to, s);
	}
	return 0;
}

static int map(struct reader *rd, yaml_node_t *node, bool (*key_ok)(const char *),
	       bool (*value_ok)(const char *), struct lxm_kv *to)
{
	yaml_node_pair_t *p;
	const char *k, *v;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return fail(rd, node, "a mapping is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);

		r = checked(rd, key, key_ok, &k);
		if (r == 0)
			r = checked(rd, yaml_document_get_node(rd->doc, p->value), value_ok, &v);
		if (r < 0)
			return r;
		if (lxm_kv_get(to, k))
			return fail(rd, key, "key '%s' stands here twice", k);
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
	static int fn(struct reader *rd, yaml_node_t *node, void *to)      \
	{                                                                  \
		return string(rd, node, ok, to);                           \
	}
#define LIST_READER(fn, ok)                                                \
	static int fn(struct reader *rd, yaml_node_t *node, void *to)      \
	{                                                                  \
		return list(rd, node, ok, to);                             \
	}
#define MAP_READER(fn, key_ok, value_ok)                                   \
	static int fn(struct reader *rd, yaml_node_t *node, void *to)      \
	{                                                                  \
		return map(rd, node, key_ok, value_ok, to);                \
	}

STRING_READER(read_text, text_ok)
STRING_READER(read_content, any_text)
STRING_READER(read_name, name_ok)
STRING_READER(read_path, path_ok)
STRING_READER(read_file_name, file_ok)
STRING_READER(read_variable, variable_ok)
LIST_READER(read_names, name_ok)
LIST_READER(read_packages, package_ok)
LIST_READER(read_services, service_ok)
LIST_READER(read_paths, path_ok)
LIST_READER(read_dpkg, dpkg_ok)
LIST_READER(read_triggers, trigger_ok)
MAP_READER(read_properties, property_ok, any_text)
MAP_READER(read_links, path_ok, text_ok)
MAP_READER(read_archs, file_ok, name_ok)

static int read_bool(struct reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = scalar(rd, node, &s);

	if (r < 0)
		return r;
	r = lxm_parse_bool(s);
	if (r < 0)
		return fail(rd, node, "'%s' is neither true nor false", s);
	*(bool *)to = r;
	return 0;
}

static int read_mode(struct reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = scalar(rd, node, &s);

	if (r < 0)
		return r;
	if (s[0] != '0' || strlen(s) != 4 || s[strspn(s, "01234567")])
		return fail(rd, node, "mode '%s' is not of the form \"0644\"", s);
	*(mode_t *)to = (mode_t)strtoul(s, NULL, 8);
	return 0;
}

static int read_builder(struct reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = scalar(rd, node, &s);
	int i;

	if (r < 0)
		return r;
	for (i = BUILDER_NONE + 1; i <= BUILDER_BUSYBOX; i++)
		if (lxm_streq(s, recipe_builder_name(i))) {
			*(enum recipe_builder *)to = i;
			return 0;
		}
	return fail(rd, node, "there is no builder '%s' (mmdebstrap, busybox)", s);
}

static int read_init(struct reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = scalar(rd, node, &s);
	int i;

	if (r < 0)
		return r;
	for (i = INIT_NONE + 1; i <= INIT_BUSYBOX; i++)
		if (lxm_streq(s, recipe_init_name(i))) {
			*(enum recipe_init *)to = i;
			return 0;
		}
	return fail(rd, node, "init '%s' is not known (systemd, sysvinit, runit, busybox)", s);
}

/* ---- mappings */

/* Keys of `own` fill obj, those of `part_keys` fill part (both may be NULL). */
static int fields(struct reader *rd, yaml_node_t *node, const struct key *own, void *obj,
		  const struct key *part_keys, struct recipe_part *part)
{
	yaml_node_pair_t *p, *q;
	const char *k, *other;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return fail(rd, node, "a mapping is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);
		const struct key *row;
		char *base = obj;

		r = scalar(rd, key, &k);
		if (r < 0)
			return r;
		for (q = node->data.mapping.pairs.start; q < p; q++)
			if (scalar(rd, yaml_document_get_node(rd->doc, q->key), &other) == 0 && lxm_streq(k, other))
				return fail(rd, key, "key '%s' stands here twice", k);
		for (row = own; row->name && !lxm_streq(row->name, k); row++)
			;
		if (!row->name && part_keys) {
			base = (char *)part;
			for (row = part_keys; row->name && !lxm_streq(row->name, k); row++)
				;
		}
		if (!row->name)
			return fail(rd, key, "unknown key '%s'", k);
		r = row->read(rd, yaml_document_get_node(rd->doc, p->value), base + row->offset);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct key file_keys[] = {
	{ "path",    read_path,      offsetof(struct recipe_file, path)    },
	{ "content", read_content,   offsetof(struct recipe_file, content) },
	{ "source",  read_file_name, offsetof(struct recipe_file, source)  },
	{ "mode",    read_mode,      offsetof(struct recipe_file, mode)    },
	{ NULL,      NULL,           0                                     },
};

static int read_files(struct reader *rd, yaml_node_t *node, void *to)
{
	struct recipe_part *part = to;
	yaml_node_item_t *i;
	int r;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail(rd, node, "a list of files is expected");
	for (i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(rd->doc, *i);
		struct recipe_file *f;

		part->files = lxm_realloc_n(part->files, part->nfiles + 1, sizeof(*f));
		f = &part->files[part->nfiles++];
		*f = (struct recipe_file){ .mode = 0644 };
		r = fields(rd, item, file_keys, f, NULL, NULL);
		if (r < 0)
			return r;
		if (!f->path || !f->content == !f->source)
			return fail(rd, item, "a file needs a path and either content or source");
	}
	return 0;
}

static const struct key tpl_keys[] = {
	{ "path",        read_path,       offsetof(struct recipe_tpl, path)        },
	{ "source",      read_file_name,  offsetof(struct recipe_tpl, source)      },
	{ "when",        read_triggers,   offsetof(struct recipe_tpl, when)        },
	{ "create_only", read_bool,       offsetof(struct recipe_tpl, create_only) },
	{ "properties",  read_properties, offsetof(struct recipe_tpl, properties)  },
	{ NULL,          NULL,            0                                        },
};

static int read_tpls(struct reader *rd, yaml_node_t *node, void *to)
{
	struct recipe_part *part = to;
	yaml_node_item_t *i;
	int r;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail(rd, node, "a list of file templates is expected");
	for (i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(rd->doc, *i);
		struct recipe_tpl *t;

		part->tpls = lxm_realloc_n(part->tpls, part->ntpls + 1, sizeof(*t));
		t = &part->tpls[part->ntpls++];
		*t = (struct recipe_tpl){ .path = NULL };
		r = fields(rd, item, tpl_keys, t, NULL, NULL);
		if (r < 0)
			return r;
		if (!t->path || !t->source || !t->when.n)
			return fail(rd, item, "a file template needs path, source and when");
	}
	return 0;
}

static const struct key service_keys[] = {
	{ "enable",  read_services, offsetof(struct recipe_part, enable)  },
	{ "disable", read_services, offsetof(struct recipe_part, disable) },
	{ "mask",    read_services, offsetof(struct recipe_part, mask)    },
	{ NULL,      NULL,          0                                     },
};

static int read_service_map(struct reader *rd, yaml_node_t *node, void *to)
{
	return fields(rd, node, service_keys, to, NULL, NULL);
}

static const struct key part_keys[] = {
	{ "packages",   read_packages,    offsetof(struct recipe_part, packages)   },
	{ "dpkg",       read_dpkg,        offsetof(struct recipe_part, dpkg)       },
	{ "services",   read_service_map, 0                                        },
	{ "remove",     read_paths,       offsetof(struct recipe_part, remove)     },
	{ "links",      read_links,       offsetof(struct recipe_part, links)      },
	{ "files",      read_files,       0                                        },
	{ "templates",  read_tpls,        0                                        },
	{ "properties", read_properties,  offsetof(struct recipe_part, properties) },
	{ NULL,         NULL,             0                                        },
};

static const struct key release_keys[] = {
	{ "version", read_name,      offsetof(struct recipe_release, version) },
	{ "suite",   read_name,      offsetof(struct recipe_release, suite)   },
	{ "keyring", read_file_name, offsetof(struct recipe_release, keyring) },
	{ "aliases", read_names,     offsetof(struct recipe_release, aliases) },
	{ NULL,      NULL,           0                                        },
};

static const struct key variant_keys[] = {
	{ "description", read_text,  offsetof(struct recipe_variant, description) },
	{ "extends",     read_name,  offsetof(struct recipe_variant, extends)     },
	{ "init",        read_init,  offsetof(struct recipe_variant, init)        },
	{ "releases",    read_names, offsetof(struct recipe_variant, releases)    },
	{ NULL,          NULL,       0                                            },
};

static int read_releases(struct reader *rd, yaml_node_t *node, void *to)
{
	struct recipe *rc = to;
	yaml_node_pair_t *p;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return fail(rd, node, "a mapping of releases is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);
		struct recipe_release *rel;

		rc->releases = lxm_realloc_n(rc->releases, rc->nreleases + 1, sizeof(*rel));
		rel = &rc->releases[rc->nreleases++];
		*rel = (struct recipe_release){ .name = NULL };
		r = read_name(rd, key, &rel->name);
		if (r == 0)
			r = fields(rd, yaml_document_get_node(rd->doc, p->value), release_keys, rel, part_keys, &rel->part);
		if (r < 0)
			return r;
		if (!rel->suite)
			rel->suite = lxm_strdup(rel->name);
		if (rel->version && !lxm_strv_has(&rel->aliases, rel->version))
			lxm_strv_add(&rel->aliases, rel->version);
	}
	return 0;
}

static int read_variants(struct reader *rd, yaml_node_t *node, void *to)
{
	struct recipe *rc = to;
	yaml_node_pair_t *p;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return fail(rd, node, "a mapping of variants is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);
		struct recipe_variant *v;
		size_t i;

		rc->variants = lxm_realloc_n(rc->variants, rc->nvariants + 1, sizeof(*v));
		v = &rc->variants[rc->nvariants++];
		*v = (struct recipe_variant){ .name = NULL };
		r = read_name(rd, key, &v->name);
		if (r == 0)
			r = fields(rd, yaml_document_get_node(rd->doc, p->value), variant_keys, v, part_keys, &v->part);
		if (r < 0)
			return r;
		/* only upwards: no circle is possible */
		for (i = 0; v->extends && i + 1 < rc->nvariants; i++)
			if (lxm_streq(rc->variants[i].name, v->extends))
				break;
		if (v->extends && i + 1 >= rc->nvariants)
			return fail(rd, key, "variant '%s' extends '%s', which does not stand above it", v->name, v->extends);
		if (v->extends && v->init == INIT_NONE)
			v->init = rc->variants[i].init;
		if (v->init == INIT_NONE)
			return fail(rd, key, "variant '%s' has no init", v->name);
	}
	return 0;
}

static const struct key recipe_keys[] = {
	{ "description",     read_text,     offsetof(struct recipe, description)     },
	{ "os",              read_text,     offsetof(struct recipe, os)              },
	{ "builder",         read_builder,  offsetof(struct recipe, builder)         },
	{ "mirror_variable", read_variable, offsetof(struct recipe, mirror_variable) },
	{ "components",      read_names,    offsetof(struct recipe, components)      },
	{ "architectures",   read_archs,    offsetof(struct recipe, architectures)   },
	{ "default_release", read_name,     offsetof(struct recipe, default_release) },
	{ "releases",        read_releases, 0                                        },
	{ "variants",        read_variants, 0                                        },
	{ NULL,              NULL,          0                                        },
};

/* ---- the whole */

/* A name means one thing: no release is called as another or its alias, no variant twice. */
static int names_unique(struct reader *rd, const yaml_node_t *root, const struct recipe *rc)
{
	lxm_auto(strv) struct lxm_strv seen = { 0 };
	size_t i, k;

	for (i = 0; i < rc->nreleases; i++) {
		const struct recipe_release *rel = &rc->releases[i];

		for (k = 0; k <= rel->aliases.n; k++) {
			const char *s = k ? rel->aliases.v[k - 1] : rel->name;

			if (lxm_strv_has(&seen, s))
				return fail(rd, root, "release name '%s' is used twice", s);
			lxm_strv_add(&seen, s);
		}
	}
	for (i = 0; i < rc->nvariants; i++)
		for (k = 0; k < i; k++)
			if (lxm_streq(rc->variants[i].name, rc->variants[k].name))
				return fail(rd, root, "variant '%s' is there twice", rc->variants[i].name);
	return 0;
}

static int recipe_check(struct reader *rd, const yaml_node_t *root, const struct recipe *rc)
{
	size_t i;

	if (!rc->description || !rc->os || rc->builder == BUILDER_NONE || !rc->architectures.n || !rc->nvariants)
		return fail(rd, root, "description, os, builder, architectures and variants are required");
	if (rc->builder == BUILDER_MMDEBSTRAP && (!rc->nreleases || !rc->components.n))
		return fail(rd, root, "builder mmdebstrap needs releases and components");
	if (!rc->nreleases != !rc->default_release)
		return fail(rd, root, "releases and default_release come together");
	for (i = 0; i < rc->nreleases; i++)
		if (lxm_streq(rc->releases[i].name, rc->default_release))
			break;
	if (rc->nreleases && i == rc->nreleases)
		return fail(rd, root, "default_release '%s' is none of the releases", rc->default_release);
	return names_unique(rd, root, rc);
}

int recipe_parse(const char *name, const char *file, const char *text, size_t len, struct recipe **out,
		 struct lxm_err *e)
{
	lxm_auto(recipe) struct recipe *rc = lxm_alloc(sizeof(*rc));
	yaml_parser_t parser;
	yaml_document_t doc;
	struct reader rd = { .doc = &doc, .file = file, .e = e };
	yaml_node_t *root;
	int r;

	rc->name = lxm_strdup(name);
	if (!lxm_utf8_ok(text, len))
		return lxm_err_set(e, EINVAL, "%s: not UTF-8 text", file);
	if (!yaml_parser_initialize(&parser))
		return lxm_err_set(e, ENOMEM, "%s: no memory", file);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &doc)) {
		r = lxm_err_set(e, EINVAL, "%s:%zu: %s", file, parser.problem_mark.line + 1,
				parser.problem ? parser.problem : "not YAML");
		yaml_parser_delete(&parser);
		return r;
	}
	root = yaml_document_get_root_node(&doc);
	if (!root)
		r = lxm_err_set(e, EINVAL, "%s:1: the file is empty", file);
	else
		r = fields(&rd, root, recipe_keys, rc, part_keys, &rc->part);
	if (r == 0)
		r = recipe_check(&rd, root, rc);
	yaml_document_delete(&doc);
	yaml_parser_delete(&parser);
	if (r < 0)
		return r;
	*out = LXM_TAKE(rc, NULL);
	return 0;
}
