/* Recipes: templates/DISTRO/recipe.yaml read into structs, and names such as "debian/12/cloud" resolved. */
#ifndef LXMD_IMAGE_RECIPE_H
#define LXMD_IMAGE_RECIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/kv.h"
#include "lib/base/str.h"

enum recipe_builder { BUILDER_NONE, BUILDER_MMDEBSTRAP, BUILDER_BUSYBOX };
enum recipe_init { INIT_NONE, INIT_SYSTEMD, INIT_SYSVINIT, INIT_RUNIT, INIT_BUSYBOX };

/* One file that the recipe puts into the root filesystem. */
struct recipe_file {
	char *path;    /* absolute, inside the root filesystem */
	char *content; /* text, or NULL when source is set */
	char *source;  /* file below the recipe's files/, or NULL */
	mode_t mode;   /* permission bits; owner is root */
};

/* One file that the daemon renders when an instance is made from the image (metadata.yaml `templates`). */
struct recipe_tpl {
	char *path;	     /* absolute, inside the instance */
	char *source;	     /* file below the recipe's templates/ */
	struct lxm_strv when; /* create, copy, rename, start */
	bool create_only;    /* leave a file that exists alone */
	struct lxm_kv properties;
};

/* What a recipe can ask for, at the top level, in a release and in a variant; the three are added up. */
struct recipe_part {
	struct lxm_strv packages; /* beside the smallest system */
	struct lxm_strv dpkg;	  /* dpkg options that hold during the build only (path-exclude=...) */
	struct lxm_strv enable, disable, mask; /* services, by the variant's init */
	struct lxm_strv remove;	  /* paths, the last component may hold * and ?; removed before files are put in */
	struct lxm_kv links;	  /* symbolic links: path to target */
	struct lxm_kv properties; /* image properties */
	struct recipe_file *files;
	size_t nfiles;
	struct recipe_tpl *tpls;
	size_t ntpls;
};

struct recipe_release {
	char *name, *version, *suite, *keyring; /* keyring: file that signs the suite, for the error text; may be NULL */
	struct lxm_strv aliases;		/* further names, version included */
	struct recipe_part part;
};

struct recipe_variant {
	char *name, *description;
	char *extends;		   /* variant whose part comes first; NULL for none */
	enum recipe_init init;	   /* taken from `extends` when it is not given */
	struct lxm_strv releases; /* empty: every release */
	struct recipe_part part;
};

/* templates/NAME/recipe.yaml as it stands in the file. */
struct recipe {
	char *name, *description, *os;
	enum recipe_builder builder;
	char *mirror_variable;		/* environment variable that names another mirror; NULL for none */
	struct lxm_strv components;	/* archive components */
	struct lxm_kv architectures;	/* kernel's name to the distro's */
	char *default_release;		/* NULL when there are no releases */
	struct recipe_release *releases;
	size_t nreleases;
	struct recipe_variant *variants; /* the first one is the default */
	size_t nvariants;
	struct recipe_part part;
};

/* One name resolved: what to build. Strings and parts are copies. */
struct recipe_pick {
	struct recipe *recipe; /* owned */
	char *name;	       /* canonical: "debian/bookworm/cloud"; the default variant is left out */
	char *arch, *distro_arch;
	struct recipe_release *release; /* borrowed from recipe; NULL when it has none */
	struct recipe_variant *variant; /* borrowed from recipe */
	enum recipe_init init;
	struct lxm_strv aliases;  /* every name that means this pick, canonical first */
	struct lxm_kv properties; /* os, release, variant, description, architecture and the recipe's own */
	struct recipe_part part;  /* top level + release + variants it extends + variant */
};

void recipe_free(struct recipe *r);
LXM_AUTO_PTR(recipe, struct recipe, recipe_free)
void recipe_pick_deinit(struct recipe_pick *p);
LXM_AUTO_STRUCT(pick, struct recipe_pick, recipe_pick_deinit)
void recipe_part_deinit(struct recipe_part *p);
/** Add everything `from` asks for to `to`; later properties and links win. */
void recipe_part_add(struct recipe_part *to, const struct recipe_part *from);

/**
 * Read a recipe from text.
 *
 * @name  the folder's name; becomes recipe->name
 * @file  name of the file, for messages
 *
 * Any thread. An unknown or repeated key, a wrong type or a bad value is -EINVAL, told as "FILE:LINE: ...".
 * Returns 0 and *out (recipe_free()), -EINVAL or another -errno.
 */
int recipe_parse(const char *name, const char *file, const char *text, size_t len, struct recipe **out,
		 struct lxm_err *e);

/** Read DIR/NAME/recipe.yaml. dirfd: templates directory. Returns 0, -ENOENT for no such template, or another -errno. */
int recipe_load(int dirfd, const char *name, struct recipe **out, struct lxm_err *e);

/** Names of all folders that hold a recipe, sorted, added to `out`. Returns 0 or -errno. */
int recipe_list(int dirfd, struct lxm_strv *out, struct lxm_err *e);

/** True if s can be the name of a template: DISTRO[/RELEASE[/VARIANT]] of [a-z0-9][a-z0-9._-]*, at most 128 bytes. */
bool recipe_name_ok(const char *s);

/**
 * Resolve DISTRO[/RELEASE[/VARIANT]] ("debian", "debian/12", "debian/trixie/sysvinit", "busybox").
 *
 * @dirfd  templates directory; borrowed
 * @arch   kernel's name of the architecture ("x86_64"); NULL for this machine's
 * @out    filled on success; recipe_pick_deinit()
 *
 * Any thread; reads one file. Returns 0, -ENOENT when the name means nothing (the text lists what exists),
 * -EINVAL for a bad name or recipe, -EOPNOTSUPP for an architecture the recipe does not have.
 */
int recipe_resolve(int dirfd, const char *name, const char *arch, struct recipe_pick *out, struct lxm_err *e);

/** Fill a pick from a recipe in memory; the recipe becomes the pick's on success. As recipe_resolve(). */
int recipe_pick(struct recipe *r, const char *release, const char *variant, const char *arch,
		struct recipe_pick *out, struct lxm_err *e);

/** Words of the enums ("mmdebstrap", "systemd"). */
const char *recipe_builder_name(enum recipe_builder b);
const char *recipe_init_name(enum recipe_init i);

#endif
