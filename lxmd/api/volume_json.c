/* See volume_json.h. */
#include "lxmd/api/volume_json.h"

#include <string.h>

#include "db/instance.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lxmd/api/scope.h"
#include "lxmd/core/daemon.h"
#include "lxmd/storage/pool.h"

struct collect {
	const char *pool, *project, *name;
	int type;
	struct db_volumes *out;
	struct db_instances instances;
};

static int load(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	struct collect *c = arg;
	struct db_pool pool = { 0 };
	int r = db_pool_get(tx, c->pool, &pool, e);

	db_pool_deinit(&pool);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "storage pool '%.100s' not found", c->pool);
	if (r == 0 && c->project)
		r = db_project_for(tx, c->project, DB_FEATURE_VOLUMES, &home, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "project '%.100s' not found", c->project);
	db_volumes_deinit(c->out);
	if (r == 0 && (c->type == DB_VOL_CUSTOM || c->type == DB_VOL_ANY))
		r = db_volume_list(tx, c->pool, home, DB_VOL_CUSTOM, c->out, e);
	if (r == 0 && (c->type == DB_VOL_CONTAINER || c->type == DB_VOL_ANY))
		r = db_instance_list(tx, c->project, DB_CONTAINER, 0, &c->instances, e);
	return r;
}

static struct db_volume *add(struct db_volumes *out)
{
	struct db_volume *v;

	out->v = lxm_realloc_n(out->v, out->n + 1, sizeof(*out->v));
	v = &out->v[out->n++];
	memset(v, 0, sizeof(*v));
	return v;
}

static void add_instances(struct collect *c)
{
	size_t i;

	for (i = 0; i < c->instances.n; i++) {
		const struct db_instance *in = &c->instances.v[i];
		struct db_volume *v;

		if (!in->pool || strcmp(in->pool, c->pool) != 0)
			continue;
		v = add(c->out);
		v->type = DB_VOL_CONTAINER;
		v->pool = lxm_strdup(c->pool);
		v->project = lxm_strdup(in->project);
		v->name = lxm_strdup(in->name);
		v->description = lxm_strdup(in->description);
		v->created_at = in->created_at;
		lxm_strv_take(&v->used_by, lxm_asprintf(strcmp(in->project, "default") == 0 ? "/1.0/instances/%s" :
											       "/1.0/instances/%s?project=%s",
							in->name, in->project));
	}
}

static void add_images(struct lxmd *d, struct collect *c)
{
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(strv) struct lxm_strv fps = { 0 };
	size_t i;

	if (storage_pool_get(d, c->pool, &pool, NULL) < 0)
		return;
	pool_images(pool, &fps);
	for (i = 0; i < fps.n; i++) {
		struct db_volume *v = add(c->out);

		v->type = DB_VOL_IMAGE;
		v->pool = lxm_strdup(c->pool);
		v->project = lxm_strdup("default");
		v->name = lxm_strdup(fps.v[i]);
		lxm_strv_take(&v->used_by, lxm_asprintf("/1.0/images/%s", fps.v[i]));
	}
}

/* Leaves only the volume of that name. */
static void keep_name(struct db_volumes *out, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < out->n; i++) {
		if (strcmp(out->v[i].name, name) == 0)
			out->v[n++] = out->v[i];
		else
			db_volume_deinit(&out->v[i]);
	}
	out->n = n;
}

int volumes_collect(struct lxmd *d, const char *pool, const char *project, int type, const char *name, struct db_volumes *out,
		    struct lxm_err *e)
{
	struct collect c = { pool, project, name, type, out, { 0 } };
	int r = db_read(d->db, load, &c, e);

	if (r == 0)
		add_instances(&c);
	if (r == 0 && (type == DB_VOL_IMAGE || type == DB_VOL_ANY))
		add_images(d, &c);
	if (r == 0 && name)
		keep_name(out, name);
	db_instances_deinit(&c.instances);
	return r;
}

json_t *volume_json_editable(const struct db_volume *v)
{
	return json_pack("{s:o, s:o}", "description", js_string(v->description), "config", js_from_kv(&v->config));
}

json_t *volume_json(const struct request *rq, const struct db_volume *v)
{
	json_t *o = volume_json_editable(v);

	json_object_set_new(o, "name", js_string(v->name));
	json_object_set_new(o, "type", json_string(db_volume_type_name(v->type)));
	json_object_set_new(o, "content_type", json_string(db_content_name(v->content)));
	json_object_set_new(o, "used_by", scope_urls(rq, &v->used_by));
	json_object_set_new(o, "location", json_string("none"));
	json_object_set_new(o, "project", js_string(v->project));
	json_object_set_new(o, "created_at", js_time_unset(v->created_at));
	return o;
}

json_t *volume_url(const struct db_volume *v, bool with_project)
{
	if (with_project && strcmp(v->project, "default") != 0)
		return js_url("/1.0/storage-pools/%s/volumes/%s/%s?project=%s", v->pool, db_volume_type_name(v->type), v->name, v->project);
	return js_url("/1.0/storage-pools/%s/volumes/%s/%s", v->pool, db_volume_type_name(v->type), v->name);
}

json_t *volume_snapshot_editable(const struct db_volsnap *s)
{
	return json_pack("{s:o, s:o}", "description", js_string(s->description), "expires_at", js_time_unset(s->expires_at));
}

json_t *volume_snapshot_json(const struct db_volume *v, const struct db_volsnap *s)
{
	json_t *o = volume_snapshot_editable(s);

	json_object_set_new(o, "name", js_string(s->name));
	json_object_set_new(o, "config", js_from_kv(&s->config));
	json_object_set_new(o, "content_type", json_string(db_content_name(v->content)));
	json_object_set_new(o, "created_at", js_time_unset(s->created_at));
	return o;
}

json_t *volume_json_of_snapshot(const struct request *rq, const struct db_volume *v, const struct db_volsnap *s)
{
	lxm_auto(free) char *name = lxm_asprintf("%s/%s", v->name, s->name);
	/* borrowed from both */
	struct db_volume as = { .name = name, .description = s->description, .type = v->type, .content = v->content, .project = v->project,
				.created_at = s->created_at, .config = s->config };

	return volume_json(rq, &as);
}

json_t *volume_snapshot_url(const struct db_volume *v, const struct db_volsnap *s, bool with_project)
{
	if (with_project && strcmp(v->project, "default") != 0)
		return js_url("/1.0/storage-pools/%s/volumes/custom/%s/snapshots/%s?project=%s", v->pool, v->name, s->name, v->project);
	return js_url("/1.0/storage-pools/%s/volumes/custom/%s/snapshots/%s", v->pool, v->name, s->name);
}
