/* Preseeds, see preseed.h. */
#include "lxmc/preseed.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"

/* The lists of a preseed, in the order in which one may need the other. */
static const struct {
	const char *key;
	const struct entity *ent;
	const char *fixed; /* key that only creation takes ("driver"); NULL: none */
} sections[] = {
	{ "projects", &entity_project, NULL },
	{ "storage_pools", &entity_storage, "driver" },
	{ "networks", &entity_network, "type" },
	{ "profiles", &entity_profile, NULL },
};

/* Given keys win over what is there, map by map. */
static int merge(json_t *object, void *arg, struct lxm_err *e)
{
	const json_t *given = arg;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)given, key, v) {
		json_t *have = json_object_get(object, key);

		if (json_is_object(have) && json_is_object(v))
			json_object_update(have, v);
		else
			json_object_set(object, key, v);
	}
	return 0;
}

static char *project_of(const json_t *item)
{
	lxm_auto(free) char *enc = *jtext(item, "project") ? lxm_url_encode(jtext(item, "project"), NULL) : NULL;

	return enc ? lxm_asprintf("?project=%s", enc) : lxm_strdup("");
}

/* One object: change it, or create it and note its path in `made`. */
static int apply_item(struct client *c, size_t section, json_t *item, struct lxm_strv *made, struct lxm_err *e)
{
	const struct entity *ent = sections[section].ent;
	const char *name = jtext(item, "name");
	lxm_auto(free) char *project = project_of(item), *one = NULL, *url = NULL;
	lxm_auto(json) json_t *have = NULL, *body = NULL;
	struct lxm_err why = { 0 };
	int r;

	if (!*name)
		return lxm_err_set(e, EINVAL, "an entry of %s has no name", sections[section].key);
	one = client_url(c, ent->one, name);
	url = lxm_asprintf("%s%s", one, project);
	r = client_get(c, lxm_strdup(url), &have, &why);
	if (r < 0 && why.http != 404) {
		*e = why;
		return r;
	}
	if (r == 0)
		return entity_change(c, ent, url, merge, item, e);
	body = json_copy(item);
	json_object_del(body, "project");
	r = client_change(c, "POST", lxm_asprintf("%s%s", ent->list, project), json_incref(body), e);
	if (r == 0)
		lxm_strv_add(made, url);
	return r < 0 ? lxm_err_wrap(e, r, "create %s '%s'", ent->noun, name) : 0;
}

static int check_keys(const json_t *preseed, struct lxm_err *e)
{
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach((json_t *)preseed, key, v) {
		bool known = strcmp(key, "config") == 0;

		for (i = 0; i < LXM_ARRAY_LEN(sections); i++)
			known |= strcmp(key, sections[i].key) == 0;
		if (!known && !json_is_null(v))
			return lxm_err_set(e, EINVAL,
					   "preseed: unknown key '%s'; there are config, projects, storage_pools, networks and profiles",
					   key);
		if (!json_is_null(v) && strcmp(key, "config") != 0 && !json_is_array(v))
			return lxm_err_set(e, EINVAL, "preseed: '%s' must be a list", key);
	}
	return 0;
}

static int apply_all(struct client *c, const json_t *preseed, struct lxm_strv *made, struct lxm_err *e)
{
	lxm_auto(json) json_t *config = NULL;
	json_t *item;
	size_t s, i;
	int r = 0;

	if (json_object_size(json_object_get(preseed, "config"))) {
		config = json_pack("{s:O}", "config", json_object_get(preseed, "config"));
		r = entity_change(c, &entity_server, "/1.0", merge, config, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "server configuration");
	}
	for (s = 0; s < LXM_ARRAY_LEN(sections); s++) {
		json_array_foreach(json_object_get(preseed, sections[s].key), i, item) {
			r = apply_item(c, s, item, made, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int preseed_apply(struct client *c, const json_t *preseed, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv made = { 0 };
	size_t i;
	int r;

	r = check_keys(preseed, e);
	if (r == 0)
		r = apply_all(c, preseed, &made, e);
	for (i = made.n; r < 0 && i > 0; i--)
		(void)client_change(c, "DELETE", lxm_strdup(made.v[i - 1]), NULL, NULL);
	return r;
}

/* What a preseed says of an object: name, what a PUT takes, and what only creation takes. */
static json_t *dump_item(size_t section, const json_t *o)
{
	json_t *item = entity_writable(sections[section].ent, o);

	json_object_set(item, "name", json_object_get(o, "name"));
	if (sections[section].fixed)
		json_object_set(item, sections[section].fixed, json_object_get(o, sections[section].fixed));
	return item;
}

int preseed_dump(struct client *c, json_t **out, struct lxm_err *e)
{
	lxm_auto(json) json_t *all = json_object();
	json_t *server, *item;
	size_t s, i;
	int r;

	r = client_server(c, &server, e);
	if (r < 0)
		return r;
	json_object_set(all, "config", json_object_get(server, "config"));
	for (s = 0; s < LXM_ARRAY_LEN(sections); s++) {
		lxm_auto(json) json_t *list = NULL;
		json_t *kept = json_array();

		json_object_set_new(all, sections[s].key, kept);
		r = client_get(c, client_url(c, "%r?recursion=1", sections[s].ent->list), &list, e);
		if (r == -ENOENT || r == -EOPNOTSUPP) {
			lxm_err_clear(e);
			continue; /* a server without that kind of object */
		}
		if (r < 0)
			return r;
		json_array_foreach(list, i, item) {
			if (sections[s].ent == &entity_network && !jtrue(item, "managed"))
				continue;
			json_array_append_new(kept, dump_item(s, item));
		}
	}
	*out = LXM_TAKE(all, NULL);
	return 0;
}
