/* See image_body.h. Request threads. */
#include "lxmd/api/image_body.h"

#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"

void image_body_deinit(struct image_body *b)
{
	free(b->filename);
	lxm_kv_deinit(&b->properties);
	lxm_strv_deinit(&b->aliases);
	lxm_strv_deinit(&b->profiles);
	memset(b, 0, sizeof(*b));
}

static int read_aliases(const json_t *body, struct lxm_strv *out, struct lxm_err *e)
{
	json_t *list = NULL, *one;
	size_t i;
	int r = js_get_arr(body, "aliases", &list, e);

	if (r < 0 || !list)
		return r;
	json_array_foreach(list, i, one)
	{
		const char *name = json_is_string(one) ? json_string_value(one) : js_str(one, "name");

		if (!name)
			return lxm_err_set(e, EINVAL, "key 'aliases' must hold objects with a 'name'");
		r = conf_name_alias(name, e);
		if (r < 0)
			return r;
		lxm_strv_add(out, name);
	}
	return 0;
}

int image_body_read(const json_t *body, struct image_body *out, struct lxm_err *e)
{
	const char *filename = NULL;
	int r = js_get_str(body, "filename", &filename, e);

	if (r == 0)
		r = js_get_bool(body, "public", &out->public_, e);
	if (r == 0)
		r = js_get_bool(body, "auto_update", &out->auto_update, e);
	if (r == 0)
		r = js_get_time(body, "expires_at", &out->expires_at, e);
	if (r == 0)
		r = js_get_kv(body, "properties", &out->properties, NULL, e);
	if (r == 0)
		r = js_get_strv(body, "profiles", &out->profiles, &out->has_profiles, e);
	if (r == 0)
		r = read_aliases(body, &out->aliases, e);
	if (r == 0 && !lxm_empty(filename))
		out->filename = lxm_strdup(filename);
	return r;
}

int image_remote_read(const json_t *source, struct image_remote *out, struct lxm_err *e)
{
	const char *type = NULL, *alias = NULL, *fingerprint = NULL, *kind = NULL;
	int r = js_get_str(source, "type", &type, e);

	memset(out, 0, sizeof(*out));
	if (r == 0)
		r = js_get_str(source, lxm_streq(type, "url") ? "url" : "server", &out->server, e);
	if (r == 0)
		r = js_get_str(source, "protocol", &out->protocol, e);
	if (r == 0)
		r = js_get_str(source, "certificate", &out->certificate, e);
	if (r == 0)
		r = js_get_str(source, "alias", &alias, e);
	if (r == 0)
		r = js_get_str(source, "fingerprint", &fingerprint, e);
	if (r == 0)
		r = js_get_str(source, "secret", &out->secret, e);
	if (r == 0)
		r = js_get_str(source, "project", &out->project, e);
	if (r == 0)
		r = js_get_str(source, "image_type", &kind, e);
	if (r < 0)
		return r;
	if (lxm_streq(kind, "virtual-machine"))
		return lxm_err_set(e, EINVAL, "source.image_type '%s': lxm runs containers only", kind);
	if (lxm_streq(type, "url"))
		out->protocol = "direct";
	else if (lxm_empty(out->protocol))
		out->protocol = "lxd";
	out->name = lxm_empty(alias) ? fingerprint : alias;
	return image_remote_check(out, e);
}
