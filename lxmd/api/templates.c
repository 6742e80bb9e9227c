/*
 * Image templates, an extension of lxm's own (doc/api-extensions.md, image_templates): listing what the recipes in
 * templates/ offer, and the operation that builds an image of one. lxmd, request threads.
 */
#include <fcntl.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/build.h"
#include "lxmd/image/recipe.h"

/* ---- objects */

static json_t *file_paths(const struct recipe_part *part)
{
	json_t *o = json_array();
	size_t i;

	for (i = 0; i < part->nfiles; i++)
		json_array_append_new(o, json_string(part->files[i].path));
	return o;
}

static json_t *tpl_paths(const struct recipe_part *part)
{
	json_t *o = json_array();
	size_t i;

	for (i = 0; i < part->ntpls; i++)
		json_array_append_new(o, json_string(part->tpls[i].path));
	return o;
}

static json_t *services(const struct recipe_part *part)
{
	return json_pack("{s:o, s:o, s:o}", "enable", js_from_strv(&part->enable), "disable",
			 js_from_strv(&part->disable), "mask", js_from_strv(&part->mask));
}

static json_t *template_json(struct request *rq, const struct recipe_pick *p, bool whole)
{
	struct template_image image = { 0 };
	struct lxm_err none = { 0 };
	json_t *o = json_object();

	(void)template_image_find(rq->d, rq_project(rq), p, &image, &none);
	json_object_set_new(o, "name", json_string(p->name));
	json_object_set_new(o, "aliases", js_from_strv(&p->aliases));
	json_object_set_new(o, "description", js_string(lxm_kv_get(&p->properties, "description")));
	json_object_set_new(o, "os", json_string(p->recipe->os));
	json_object_set_new(o, "release", js_string(p->release ? p->release->name : NULL));
	json_object_set_new(o, "version", js_string(p->release ? p->release->version : NULL));
	json_object_set_new(o, "variant", json_string(p->variant->name));
	json_object_set_new(o, "init", json_string(recipe_init_name(p->init)));
	json_object_set_new(o, "builder", json_string(recipe_builder_name(p->recipe->builder)));
	json_object_set_new(o, "architecture", json_string(p->arch));
	json_object_set_new(o, "packages", js_from_strv(&p->part.packages));
	json_object_set_new(o, "properties", js_from_kv(&p->properties));
	json_object_set_new(o, "fingerprint", json_string(image.fingerprint));
	if (whole) {
		json_object_set_new(o, "services", services(&p->part));
		json_object_set_new(o, "files", file_paths(&p->part));
		json_object_set_new(o, "templates", tpl_paths(&p->part));
	}
	return o;
}

/* ---- list and show */

static int open_templates(struct lxmd *d, struct lxm_err *e)
{
	int fd = open(d->templates_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? lxm_err_sys(e, "open '%s'", d->templates_dir) : fd;
}

/* Each release with each variant that it has; combinations that the recipe or this machine lacks are left out. */
static int add_recipe(struct request *rq, int dirfd, const char *name, json_t *list, struct lxm_err *e)
{
	lxm_auto(recipe) struct recipe *rc = NULL;
	size_t i, k;
	int r = recipe_load(dirfd, name, &rc, e);

	if (r < 0)
		return r;
	for (i = 0; i < (rc->nreleases ? rc->nreleases : 1); i++)
		for (k = 0; k < rc->nvariants; k++) {
			lxm_auto(pick) struct recipe_pick p = { 0 };
			lxm_auto(free) char *full =
				rc->nreleases ? lxm_asprintf("%s/%s/%s", name, rc->releases[i].name, rc->variants[k].name)
					      : lxm_asprintf("%s/%s", name, rc->variants[k].name);

			r = recipe_resolve(dirfd, full, NULL, &p, e);
			if (r == -ENOENT || r == -EOPNOTSUPP)
				continue;
			if (r < 0)
				return r;
			json_array_append_new(list, rq_recursion(rq) ? template_json(rq, &p, false)
								     : js_url("/1.0/templates/%s", p.name));
		}
	return 0;
}

int api_templates_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(fd_close) int dirfd = open_templates(rq->d, e);
	lxm_auto(json) json_t *list = json_array();
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;
	int r = dirfd < 0 ? dirfd : recipe_list(dirfd, &names, e);

	for (i = 0; r >= 0 && i < names.n; i++)
		r = add_recipe(rq, dirfd, names.v[i], list, e);
	return r < 0 ? r : reply_sync(rq, LXM_TAKE(list, NULL));
}

int api_template_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(fd_close) int dirfd = open_templates(rq->d, e);
	lxm_auto(pick) struct recipe_pick p = { 0 };
	int r = dirfd < 0 ? dirfd : recipe_resolve(dirfd, rq_arg(rq, 0), NULL, &p, e);

	return r < 0 ? r : reply_sync(rq, template_json(rq, &p, true));
}

/* ---- build */

struct job {
	char *project, *name;
	bool rebuild;
};

static void job_free(void *arg)
{
	struct job *j = arg;

	free(j->project);
	free(j->name);
	free(j);
}

static int job_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct job *j = arg;
	struct template_image image;
	lxm_auto(free) char *size = NULL;
	int r = template_build(op_daemon(op), op, j->project, j->name, j->rebuild, &image, e);

	if (r < 0)
		return r;
	size = lxm_asprintf("%llu", (unsigned long long)image.size);
	op_set_metadata(op, json_pack("{s:s, s:s, s:b}", "fingerprint", image.fingerprint, "size", size, "cached",
				      image.cached));
	return 0;
}

int api_template_build(struct request *rq, const json_t *source, struct lxm_err *e)
{
	lxm_auto(fd_close) int dirfd = open_templates(rq->d, e);
	lxm_auto(pick) struct recipe_pick p = { 0 };
	const char *name = NULL;
	bool rebuild = false;
	struct job *j;
	int r = dirfd < 0 ? dirfd : js_need_str(source, "name", &name, e);

	if (r == 0)
		r = js_get_bool(source, "rebuild", &rebuild, e);
	if (r == 0)
		r = recipe_resolve(dirfd, name, NULL, &p, e);
	if (r < 0)
		return r;
	j = lxm_alloc(sizeof(*j));
	*j = (struct job){ lxm_strdup(rq_project(rq)), lxm_strdup(name), rebuild };
	return reply_op_new(rq,
			    &(struct op_spec){ .cls = OP_TASK,
					       .project = rq_project(rq),
					       .description = "Building image from template",
					       .may_cancel = true,
					       .run = job_run,
					       .free_arg = job_free,
					       .arg = j },
			    e);
}
