/* See image_json.h. Request threads. */
#include "lxmd/api/image_json.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/image/image.h"
#include "lxmd/image/secret.h"

static json_t *aliases_json(const struct db_aliases *all)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < all->n; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "name", js_string(all->v[i].name), "description",
						      js_string(all->v[i].description)));
	return list;
}

json_t *image_json_editable(const struct db_image *im)
{
	return json_pack("{s:b, s:b, s:o, s:o, s:o}", "auto_update", im->auto_update, "public", im->public_, "expires_at",
			 js_time(im->expires_at), "properties", js_from_kv(&im->properties), "profiles",
			 js_from_strv(&im->profiles));
}

json_t *image_json(const struct db_image *im)
{
	json_t *o = image_json_editable(im);

	json_object_set_new(o, "fingerprint", js_string(im->fingerprint));
	json_object_set_new(o, "filename", js_string(im->filename));
	json_object_set_new(o, "size", json_integer(im->size));
	json_object_set_new(o, "type", json_string("container"));
	json_object_set_new(o, "architecture", js_string(im->architecture));
	json_object_set_new(o, "cached", json_boolean(im->cached));
	json_object_set_new(o, "aliases", aliases_json(&im->aliases));
	json_object_set_new(o, "created_at", js_time(im->created_at));
	json_object_set_new(o, "last_used_at", js_time_unset(im->last_used_at));
	json_object_set_new(o, "uploaded_at", js_time(im->uploaded_at));
	json_object_set_new(o, "project", js_string(im->project));
	if (!lxm_empty(im->source.server))
		json_object_set_new(o, "update_source",
				    json_pack("{s:o, s:o, s:o, s:o, s:s}", "server", js_string(im->source.server), "protocol",
					      js_string(im->source.protocol), "alias", js_string(im->source.alias), "certificate",
					      js_string(im->source.certificate), "image_type", "container"));
	return o;
}

json_t *image_url(const struct db_image *im, bool with_project)
{
	if (with_project && strcmp(im->project, "default") != 0)
		return js_url("/1.0/images/%s?project=%s", im->fingerprint, im->project);
	return js_url("/1.0/images/%s", im->fingerprint);
}

json_t *image_alias_json(const struct db_alias *a)
{
	return json_pack("{s:o, s:o, s:o, s:s}", "name", js_string(a->name), "description", js_string(a->description), "target",
			 js_string(a->fingerprint), "type", "container");
}

int image_of_request(struct request *rq, struct db_image *out, struct lxm_err *e)
{
	int r = image_get_fp(rq->d, rq_project(rq), rq_arg(rq, 0), out, e);

	if (rq_caller(rq)->trust >= CALLER_RESTRICTED || (r == 0 && out->public_))
		return r;
	if (r == 0 && image_secret_ok(rq->d, out->fingerprint, rq_query(rq, "secret")))
		return 0;
	/* to strangers every image that they may not see, every project and every prefix that fits several is alike */
	db_image_deinit(out);
	return lxm_err_set(e, ENOENT, "image '%.200s' not found", rq_arg(rq, 0));
}
