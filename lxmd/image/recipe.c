/*
 * Recipes on disk and the names that pick from them. lxmd, any thread.
 *
 * The templates directory belongs to the administrator, names come from clients: a name is checked for form before
 * it becomes a path, and every other word used for a build is the recipe's own, never the client's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/image/recipe.h"

#define RECIPE_MAX (256 * 1024) /* bytes of a recipe.yaml */

const char *recipe_builder_name(enum recipe_builder b)
{
	static const char *const names[] = { "none", "mmdebstrap", "busybox" };

	return names[b];
}

const char *recipe_init_name(enum recipe_init i)
{
	static const char *const names[] = { "none", "systemd", "sysvinit", "runit", "busybox" };

	return names[i];
}

/* ---- parts */

void recipe_part_deinit(struct recipe_part *p)
{
	size_t i;

	for (i = 0; i < p->nfiles; i++) {
		free(p->files[i].path);
		free(p->files[i].content);
		free(p->files[i].source);
	}
	for (i = 0; i < p->ntpls; i++) {
		free(p->tpls[i].path);
		free(p->tpls[i].source);
		lxm_strv_deinit(&p->tpls[i].when);
		lxm_kv_deinit(&p->tpls[i].properties);
	}
	free(p->files);
	free(p->tpls);
	lxm_strv_deinit(&p->packages);
	lxm_strv_deinit(&p->dpkg);
	lxm_strv_deinit(&p->enable);
	lxm_strv_deinit(&p->disable);
	lxm_strv_deinit(&p->mask);
	lxm_strv_deinit(&p->remove);
	lxm_kv_deinit(&p->links);
	lxm_kv_deinit(&p->properties);
	*p = (struct recipe_part){ .files = NULL };
}

static void strv_add_new(struct lxm_strv *to, const struct lxm_strv *from)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		if (!lxm_strv_has(to, from->v[i]))
			lxm_strv_add(to, from->v[i]);
}

void recipe_part_add(struct recipe_part *to, const struct recipe_part *from)
{
	size_t i;

	strv_add_new(&to->packages, &from->packages);
	strv_add_new(&to->dpkg, &from->dpkg);
	strv_add_new(&to->enable, &from->enable);
	strv_add_new(&to->disable, &from->disable);
	strv_add_new(&to->mask, &from->mask);
	strv_add_new(&to->remove, &from->remove);
	lxm_kv_merge(&to->links, &from->links);
	lxm_kv_merge(&to->properties, &from->properties);
	to->files = lxm_realloc_n(to->files, to->nfiles + from->nfiles + 1, sizeof(*to->files));
	for (i = 0; i < from->nfiles; i++) {
		const struct recipe_file *f = &from->files[i];

		to->files[to->nfiles++] = (struct recipe_file){
			.path = lxm_strdup(f->path),
			.content = lxm_strdup(f->content),
			.source = lxm_strdup(f->source),
			.mode = f->mode,
		};
	}
	to->tpls = lxm_realloc_n(to->tpls, to->ntpls + from->ntpls + 1, sizeof(*to->tpls));
	for (i = 0; i < from->ntpls; i++) {
		const struct recipe_tpl *f = &from->tpls[i];
		struct recipe_tpl *t = &to->tpls[to->ntpls++];

		*t = (struct recipe_tpl){
			.path = lxm_strdup(f->path),
			.source = lxm_strdup(f->source),
			.create_only = f->create_only,
		};
		lxm_strv_copy(&t->when, &f->when);
		lxm_kv_copy(&t->properties, &f->properties);
	}
}

void recipe_free(struct recipe *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->nreleases; i++) {
		free(r->releases[i].name);
		free(r->releases[i].version);
		free(r->releases[i].suite);
		free(r->releases[i].keyring);
		lxm_strv_deinit(&r->releases[i].aliases);
		recipe_part_deinit(&r->releases[i].part);
	}
	for (i = 0; i < r->nvariants; i++) {
		free(r->variants[i].name);
		free(r->variants[i].description);
		free(r->variants[i].extends);
		lxm_strv_deinit(&r->variants[i].releases);
		recipe_part_deinit(&r->variants[i].part);
	}
	free(r->releases);
	free(r->variants);
	free(r->name);
	free(r->description);
	free(r->os);
	free(r->mirror_variable);
	free(r->default_release);
	lxm_strv_deinit(&r->components);
	lxm_kv_deinit(&r->architectures);
	recipe_part_deinit(&r->part);
	free(r);
}

void recipe_pick_deinit(struct recipe_pick *p)
{
	recipe_free(p->recipe);
	free(p->name);
	free(p->arch);
	free(p->distro_arch);
	lxm_strv_deinit(&p->aliases);
	lxm_kv_deinit(&p->properties);
	recipe_part_deinit(&p->part);
	*p = (struct recipe_pick){ .recipe = NULL };
}

/* ---- files */

bool recipe_name_ok(const char *s)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	int parts = 1;

	if (strlen(s) > 128)
		return false;
	for (;; parts++) {
		size_t n = strcspn(s, "/");

		if (n == 0 || n > 63 || !strchr(first, *s) ||
		    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") < n)
			return false;
		s += n;
		if (!*s)
			return parts <= 3;
		s++;
	}
}

int recipe_load(int dirfd, const char *name, struct recipe **out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(free) char *path = NULL;
	int r;

	if (!recipe_name_ok(name) || strchr(name, '/'))
		return lxm_err_set(e, EINVAL, "'%s' is not the name of a template", name);
	path = lxm_asprintf("%s/recipe.yaml", name);
	r = lxm_read_file_at(dirfd, path, RECIPE_MAX, &text);
	if (r == -ENOENT || r == -ENOTDIR)
		return lxm_err_set(e, ENOENT, "there is no template '%s'", name);
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "read 'templates/%s'", path);
	}
	r = recipe_parse(name, path, text.data ? text.data : "", text.len, out, e);
	return r < 0 ? lxm_err_wrap(e, r, "template '%s'", name) : 0;
}

int recipe_list(int dirfd, struct lxm_strv *out, struct lxm_err *e)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	DIR *dir;

	if (fd < 0)
		return lxm_err_sys(e, "open the templates directory");
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return lxm_err_sys(e, "read the templates directory");
	}
	while ((de = readdir(dir))) {
		lxm_auto(free) char *path = lxm_asprintf("%s/recipe.yaml", de->d_name);

		if (recipe_name_ok(de->d_name) && faccessat(dirfd, path, R_OK, AT_EACCESS) == 0)
			lxm_strv_add(out, de->d_name);
	}
	(void)closedir(dir);
	lxm_strv_sort(out);
	return 0;
}

/* ---- picking */

static struct recipe_release *release_find(struct recipe *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->nreleases; i++)
		if (lxm_streq(r->releases[i].name, name) || lxm_strv_has(&r->releases[i].aliases, name))
			return &r->releases[i];
	return NULL;
}

static struct recipe_variant *variant_find(struct recipe *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->nvariants; i++)
		if (lxm_streq(r->variants[i].name, name))
			return &r->variants[i];
	return NULL;
}

static int no_release(const struct recipe *r, const char *name, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf all = { 0 };
	size_t i;

	for (i = 0; i < r->nreleases; i++)
		lxm_buf_fmt(&all, "%s%s", i ? ", " : "", r->releases[i].name);
	return lxm_err_set(e, ENOENT, "template '%s' has no release '%s' (it has: %s)", r->name, name,
			   all.data ? all.data : "none");
}

static int no_variant(const struct recipe *r, const char *name, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf all = { 0 };
	size_t i;

	for (i = 0; i < r->nvariants; i++)
		lxm_buf_fmt(&all, "%s%s", i ? ", " : "", r->variants[i].name);
	return lxm_err_set(e, ENOENT, "template '%s' has no variant '%s' (it has: %s)", r->name, name, all.data);
}

/* What a variant extends comes before itself. recipe_parse() has seen to it that there is no circle. */
static void part_add_variant(struct recipe_part *to, struct recipe *r, const struct recipe_variant *v)
{
	if (v->extends)
		part_add_variant(to, r, variant_find(r, v->extends));
	recipe_part_add(to, &v->part);
}

static void pick_names(struct recipe_pick *p)
{
	bool plain = p->variant == p->recipe->variants;
	const char *tail = plain ? "" : p->variant->name, *slash = plain ? "" : "/";
	size_t i;

	if (!p->release) {
		p->name = lxm_asprintf("%s%s%s", p->recipe->name, slash, tail);
		lxm_strv_add(&p->aliases, p->name);
		return;
	}
	p->name = lxm_asprintf("%s/%s%s%s", p->recipe->name, p->release->name, slash, tail);
	lxm_strv_add(&p->aliases, p->name);
	for (i = 0; i < p->release->aliases.n; i++)
		lxm_strv_take(&p->aliases,
			      lxm_asprintf("%s/%s%s%s", p->recipe->name, p->release->aliases.v[i], slash, tail));
}

static void pick_properties(struct recipe_pick *p)
{
	const struct recipe *r = p->recipe;
	const char *version = p->release && p->release->version ? p->release->version : "";
	lxm_auto(buf) struct lxm_buf what = { 0 };

	lxm_buf_str(&what, r->description);
	if (p->release)
		lxm_buf_fmt(&what, " %s%s%s", version, *version ? " " : "", p->release->name);
	lxm_buf_fmt(&what, " (%s, %s)", p->variant->description ? p->variant->description : p->variant->name,
		    p->distro_arch);
	lxm_kv_copy(&p->properties, &p->part.properties);
	lxm_kv_set(&p->properties, "os", r->os);
	if (p->release)
		lxm_kv_set(&p->properties, "release", p->release->name);
	if (*version)
		lxm_kv_set(&p->properties, "version", version);
	lxm_kv_set(&p->properties, "variant", p->variant->name);
	lxm_kv_set(&p->properties, "architecture", p->distro_arch);
	lxm_kv_set(&p->properties, "description", what.data);
	lxm_kv_set(&p->properties, "name", p->name);
}

int recipe_pick(struct recipe *r, const char *release, const char *variant, const char *arch,
		struct recipe_pick *out, struct lxm_err *e)
{
	struct recipe_release *rel = NULL;
	struct recipe_variant *var;
	struct utsname uts;
	const char *distro;

	if (!r->nreleases) { /* DISTRO/VARIANT: there is no release to name */
		if (release && variant)
			return no_release(r, release, e);
		variant = variant ? variant : release;
	} else {
		rel = release_find(r, release ? release : r->default_release);
		if (!rel)
			return no_release(r, release, e);
	}
	var = variant ? variant_find(r, variant) : r->variants;
	if (!var)
		return no_variant(r, variant, e);
	if (rel && var->releases.n && !lxm_strv_has(&var->releases, rel->name))
		return lxm_err_set(e, ENOENT, "template '%s' has no variant '%s' for release '%s'", r->name, var->name,
				   rel->name);
	if (!arch)
		arch = uname(&uts) == 0 ? uts.machine : "unknown";
	distro = lxm_kv_get(&r->architectures, arch);
	if (!distro)
		return lxm_err_set(e, EOPNOTSUPP, "template '%s' knows no architecture '%s'", r->name, arch);

	*out = (struct recipe_pick){ .recipe = r, .release = rel, .variant = var, .init = var->init };
	out->arch = lxm_strdup(arch);
	out->distro_arch = lxm_strdup(distro);
	recipe_part_add(&out->part, &r->part);
	if (rel)
		recipe_part_add(&out->part, &rel->part);
	part_add_variant(&out->part, r, var);
	pick_names(out);
	pick_properties(out);
	return 0;
}

int recipe_resolve(int dirfd, const char *name, const char *arch, struct recipe_pick *out, struct lxm_err *e)
{
	lxm_auto(recipe) struct recipe *rc = NULL;
	lxm_auto(strv) struct lxm_strv part = { 0 };
	int r;

	if (!recipe_name_ok(name))
		return lxm_err_set(e, EINVAL, "'%.128s' is not the name of a template (DISTRO[/RELEASE[/VARIANT]])", name);
	lxm_strv_split(&part, name, '/');
	r = recipe_load(dirfd, part.v[0], &rc, e);
	if (r < 0)
		return r;
	r = recipe_pick(rc, part.n > 1 ? part.v[1] : NULL, part.n > 2 ? part.v[2] : NULL, arch, out, e);
	if (r == 0)
		rc = NULL;
	return r;
}
