/*
 * recipe.yaml into struct recipe. lxmd, any thread, no I/O.
 *
 * One table for each kind of mapping says which keys there are and who reads them; everything else in the file is
 * an error that names file and line (recipe_read.h).
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/image/recipe.h"
#include "lxmd/image/recipe_read.h"

static int read_builder(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = recipe_scalar(rd, node, &s);
	int i;

	if (r < 0)
		return r;
	for (i = BUILDER_NONE + 1; i <= BUILDER_BUSYBOX; i++)
		if (lxm_streq(s, recipe_builder_name(i))) {
			*(enum recipe_builder *)to = i;
			return 0;
		}
	return recipe_fail(rd, node, "there is no builder '%s' (mmdebstrap, busybox)", s);
}

static int read_init(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	const char *s;
	int r = recipe_scalar(rd, node, &s);
	int i;

	if (r < 0)
		return r;
	for (i = INIT_NONE + 1; i <= INIT_BUSYBOX; i++)
		if (lxm_streq(s, recipe_init_name(i))) {
			*(enum recipe_init *)to = i;
			return 0;
		}
	return recipe_fail(rd, node, "init '%s' is not known (systemd, sysvinit, runit, busybox)", s);
}

/* ---- mappings */

static const struct recipe_key file_keys[] = {
	{ "path",    recipe_read_path,      offsetof(struct recipe_file, path)    },
	{ "content", recipe_read_content,   offsetof(struct recipe_file, content) },
	{ "source",  recipe_read_file_name, offsetof(struct recipe_file, source)  },
	{ "mode",    recipe_read_mode,      offsetof(struct recipe_file, mode)    },
	{ NULL,      NULL,           0                                     },
};

static int read_files(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	struct recipe_part *part = to;
	yaml_node_item_t *i;
	int r;

	if (node->type != YAML_SEQUENCE_NODE)
		return recipe_fail(rd, node, "a list of files is expected");
	for (i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(rd->doc, *i);
		struct recipe_file *f;

		part->files = lxm_realloc_n(part->files, part->nfiles + 1, sizeof(*f));
		f = &part->files[part->nfiles++];
		*f = (struct recipe_file){ .mode = 0644 };
		r = recipe_fields(rd, item, file_keys, f, NULL, NULL);
		if (r < 0)
			return r;
		if (!f->path || !f->content == !f->source)
			return recipe_fail(rd, item, "a file needs a path and either content or source");
	}
	return 0;
}

static const struct recipe_key tpl_keys[] = {
	{ "path",        recipe_read_path,       offsetof(struct recipe_tpl, path)        },
	{ "source",      recipe_read_file_name,  offsetof(struct recipe_tpl, source)      },
	{ "when",        recipe_read_triggers,   offsetof(struct recipe_tpl, when)        },
	{ "create_only", recipe_read_bool,       offsetof(struct recipe_tpl, create_only) },
	{ "properties",  recipe_read_properties, offsetof(struct recipe_tpl, properties)  },
	{ NULL,          NULL,            0                                        },
};

static int read_tpls(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	struct recipe_part *part = to;
	yaml_node_item_t *i;
	int r;

	if (node->type != YAML_SEQUENCE_NODE)
		return recipe_fail(rd, node, "a list of file templates is expected");
	for (i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
		yaml_node_t *item = yaml_document_get_node(rd->doc, *i);
		struct recipe_tpl *t;

		part->tpls = lxm_realloc_n(part->tpls, part->ntpls + 1, sizeof(*t));
		t = &part->tpls[part->ntpls++];
		*t = (struct recipe_tpl){ .path = NULL };
		r = recipe_fields(rd, item, tpl_keys, t, NULL, NULL);
		if (r < 0)
			return r;
		if (!t->path || !t->source || !t->when.n)
			return recipe_fail(rd, item, "a file template needs path, source and when");
	}
	return 0;
}

static const struct recipe_key service_keys[] = {
	{ "enable",  recipe_read_services, offsetof(struct recipe_part, enable)  },
	{ "disable", recipe_read_services, offsetof(struct recipe_part, disable) },
	{ "mask",    recipe_read_services, offsetof(struct recipe_part, mask)    },
	{ NULL,      NULL,          0                                     },
};

static int read_service_map(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	return recipe_fields(rd, node, service_keys, to, NULL, NULL);
}

static const struct recipe_key part_keys[] = {
	{ "packages",   recipe_read_packages,    offsetof(struct recipe_part, packages)   },
	{ "dpkg",       recipe_read_dpkg,        offsetof(struct recipe_part, dpkg)       },
	{ "services",   read_service_map, 0                                        },
	{ "remove",     recipe_read_paths,       offsetof(struct recipe_part, remove)     },
	{ "links",      recipe_read_links,       offsetof(struct recipe_part, links)      },
	{ "files",      read_files,       0                                        },
	{ "templates",  read_tpls,        0                                        },
	{ "properties", recipe_read_properties,  offsetof(struct recipe_part, properties) },
	{ NULL,         NULL,             0                                        },
};

static const struct recipe_key release_keys[] = {
	{ "version", recipe_read_name,      offsetof(struct recipe_release, version) },
	{ "suite",   recipe_read_name,      offsetof(struct recipe_release, suite)   },
	{ "keyring", recipe_read_file_name, offsetof(struct recipe_release, keyring) },
	{ "aliases", recipe_read_names,     offsetof(struct recipe_release, aliases) },
	{ NULL,      NULL,           0                                        },
};

static const struct recipe_key variant_keys[] = {
	{ "description", recipe_read_text,  offsetof(struct recipe_variant, description) },
	{ "extends",     recipe_read_name,  offsetof(struct recipe_variant, extends)     },
	{ "init",        read_init,  offsetof(struct recipe_variant, init)        },
	{ "releases",    recipe_read_names, offsetof(struct recipe_variant, releases)    },
	{ NULL,          NULL,       0                                            },
};

static int read_releases(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	struct recipe *rc = to;
	yaml_node_pair_t *p;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return recipe_fail(rd, node, "a mapping of releases is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);
		struct recipe_release *rel;

		rc->releases = lxm_realloc_n(rc->releases, rc->nreleases + 1, sizeof(*rel));
		rel = &rc->releases[rc->nreleases++];
		*rel = (struct recipe_release){ .name = NULL };
		r = recipe_read_name(rd, key, &rel->name);
		if (r == 0)
			r = recipe_fields(rd, yaml_document_get_node(rd->doc, p->value), release_keys, rel, part_keys, &rel->part);
		if (r < 0)
			return r;
		if (!rel->suite)
			rel->suite = lxm_strdup(rel->name);
		if (rel->version && !lxm_strv_has(&rel->aliases, rel->version))
			lxm_strv_add(&rel->aliases, rel->version);
	}
	return 0;
}

static int read_variants(struct recipe_reader *rd, yaml_node_t *node, void *to)
{
	struct recipe *rc = to;
	yaml_node_pair_t *p;
	int r;

	if (node->type != YAML_MAPPING_NODE)
		return recipe_fail(rd, node, "a mapping of variants is expected");
	for (p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(rd->doc, p->key);
		struct recipe_variant *v;
		size_t i;

		rc->variants = lxm_realloc_n(rc->variants, rc->nvariants + 1, sizeof(*v));
		v = &rc->variants[rc->nvariants++];
		*v = (struct recipe_variant){ .name = NULL };
		r = recipe_read_name(rd, key, &v->name);
		if (r == 0)
			r = recipe_fields(rd, yaml_document_get_node(rd->doc, p->value), variant_keys, v, part_keys, &v->part);
		if (r < 0)
			return r;
		/* only upwards: no circle is possible */
		for (i = 0; v->extends && i + 1 < rc->nvariants; i++)
			if (lxm_streq(rc->variants[i].name, v->extends))
				break;
		if (v->extends && i + 1 >= rc->nvariants)
			return recipe_fail(rd, key, "variant '%s' extends '%s', which does not stand above it", v->name, v->extends);
		if (v->extends && v->init == INIT_NONE)
			v->init = rc->variants[i].init;
		if (v->init == INIT_NONE)
			return recipe_fail(rd, key, "variant '%s' has no init", v->name);
	}
	return 0;
}

static const struct recipe_key recipe_keys[] = {
	{ "description",     recipe_read_text,     offsetof(struct recipe, description)     },
	{ "os",              recipe_read_text,     offsetof(struct recipe, os)              },
	{ "builder",         read_builder,  offsetof(struct recipe, builder)         },
	{ "mirror_variable", recipe_read_variable, offsetof(struct recipe, mirror_variable) },
	{ "components",      recipe_read_names,    offsetof(struct recipe, components)      },
	{ "architectures",   recipe_read_archs,    offsetof(struct recipe, architectures)   },
	{ "default_release", recipe_read_name,     offsetof(struct recipe, default_release) },
	{ "releases",        read_releases, 0                                        },
	{ "variants",        read_variants, 0                                        },
	{ NULL,              NULL,          0                                        },
};

/* ---- the whole */

/* A name means one thing: no release is called as another or its alias, no variant twice. */
static int names_unique(struct recipe_reader *rd, const yaml_node_t *root, const struct recipe *rc)
{
	lxm_auto(strv) struct lxm_strv seen = { 0 };
	size_t i, k;

	for (i = 0; i < rc->nreleases; i++) {
		const struct recipe_release *rel = &rc->releases[i];

		for (k = 0; k <= rel->aliases.n; k++) {
			const char *s = k ? rel->aliases.v[k - 1] : rel->name;

			if (lxm_strv_has(&seen, s))
				return recipe_fail(rd, root, "release name '%s' is used twice", s);
			lxm_strv_add(&seen, s);
		}
	}
	for (i = 0; i < rc->nvariants; i++)
		for (k = 0; k < i; k++)
			if (lxm_streq(rc->variants[i].name, rc->variants[k].name))
				return recipe_fail(rd, root, "variant '%s' is there twice", rc->variants[i].name);
	return 0;
}

static int recipe_check(struct recipe_reader *rd, const yaml_node_t *root, const struct recipe *rc)
{
	size_t i;

	if (!rc->description || !rc->os || rc->builder == BUILDER_NONE || !rc->architectures.n || !rc->nvariants)
		return recipe_fail(rd, root, "description, os, builder, architectures and variants are required");
	if (rc->builder == BUILDER_MMDEBSTRAP && (!rc->nreleases || !rc->components.n))
		return recipe_fail(rd, root, "builder mmdebstrap needs releases and components");
	if (!rc->nreleases != !rc->default_release)
		return recipe_fail(rd, root, "releases and default_release come together");
	for (i = 0; i < rc->nreleases; i++)
		if (lxm_streq(rc->releases[i].name, rc->default_release))
			break;
	if (rc->nreleases && i == rc->nreleases)
		return recipe_fail(rd, root, "default_release '%s' is none of the releases", rc->default_release);
	return names_unique(rd, root, rc);
}

int recipe_parse(const char *name, const char *file, const char *text, size_t len, struct recipe **out,
		 struct lxm_err *e)
{
	lxm_auto(recipe) struct recipe *rc = lxm_alloc(sizeof(*rc));
	yaml_parser_t parser;
	yaml_document_t doc;
	struct recipe_reader rd = { .doc = &doc, .file = file, .e = e };
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
		r = recipe_fields(&rd, root, recipe_keys, rc, part_keys, &rc->part);
	if (r == 0)
		r = recipe_check(&rd, root, rc);
	yaml_document_delete(&doc);
	yaml_parser_delete(&parser);
	if (r < 0)
		return r;
	*out = LXM_TAKE(rc, NULL);
	return 0;
}
