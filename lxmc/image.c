/* Finding images by what people call them, see image.h. */
#include "lxmc/image.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/conf.h"
#include "lxmc/json.h"
#include "lxmc/transfer.h"

int image_resolve(struct client *c, const char *name, char **fingerprint_out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	struct lxm_err why = { 0 };
	int r;

	r = client_get(c, client_url(c, "/1.0/images/aliases/%s", name), &o, &why);
	if (r == 0) {
		*fingerprint_out = lxm_strdup(jtext(o, "target"));
		return 0;
	}
	if (r == -ENOENT && why.http == 404 && lxm_is_hex(name, 1, 64)) {
		lxm_err_clear(&why);
		r = client_get(c, client_url(c, "/1.0/images/%s", name), &o, &why);
		if (r == 0) {
			*fingerprint_out = lxm_strdup(jtext(o, "fingerprint"));
			return 0;
		}
	}
	if (r == -ENOENT && why.http == 404)
		return 1;
	if (e)
		*e = why;
	return r;
}

/* A secret that lets another server fetch a private image once; NULL for a public one. free() it. */
static int image_secret(struct client *c, const char *fingerprint, char **out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	lxm_auto(free) char *url = client_url(c, "/1.0/images/%s/secret", fingerprint);
	lxm_auto(call) struct call call = { .method = "POST", .url = url };
	int r = client_get(c, client_url(c, "/1.0/images/%s", fingerprint), &o, e);

	if (r < 0 || jtrue(o, "public"))
		return r;
	r = client_call(c, &call, e);
	if (r < 0)
		return r;
	*out = lxm_strdup(jtext(json_object_get(call.meta, "metadata"), "secret"));
	return 0;
}

int image_server_source(struct client *from, const char *fingerprint, const char *address, json_t **source_out,
			struct lxm_err *e)
{
	lxm_auto(free) char *secret = NULL;
	json_t *o;
	int r = image_secret(from, fingerprint, &secret, e);

	if (r < 0)
		return r;
	o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "image", "mode", "pull", "server", address, "protocol", "lxd",
		      "fingerprint", fingerprint);
	if (from->route.server_pem || *transfer_certificate(from))
		json_object_set_new(o, "certificate", json_string(from->route.server_pem ? from->route.server_pem :
										   transfer_certificate(from)));
	if (!lxm_empty(secret))
		json_object_set_new(o, "secret", json_string(secret));
	if (from->project)
		json_object_set_new(o, "project", json_string(from->project));
	*source_out = o;
	return 0;
}

int image_streams_source(const struct remote *rm, const char *image, json_t **source_out)
{
	*source_out = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "image", "mode", "pull", "server", rm->addr, "protocol",
				"simplestreams", lxm_is_hex(image, 64, 64) ? "fingerprint" : "alias", image);
	return *source_out ? 0 : -EINVAL;
}

int image_find(struct client *c, const char *name, char **fingerprint_out, struct lxm_err *e)
{
	int r = image_resolve(c, name, fingerprint_out, e);

	if (r == 1)
		return lxm_err_set(e, ENOENT, "there is no image '%s' on remote '%s'; 'lxmc image list %s:' shows what there is",
				   name, c->remote, c->remote);
	return r;
}

static int from_fingerprint(const char *fingerprint, json_t **source_out)
{
	*source_out = json_pack("{s:s, s:s}", "type", "image", "fingerprint", fingerprint);
	return 0;
}

/* "REMOTE:IMAGE": the server that makes the instance fetches it, unless it is its own. */
static int remote_source(struct cli *cli, struct client *c, const char *image, json_t **source_out, struct lxm_err *e)
{
	const char *name = strchr(image, ':') + 1;
	lxm_auto(free) char *prefix = lxm_strndup(image, (size_t)(name - 1 - image)), *fingerprint = NULL;
	lxm_auto(strv) struct lxm_strv addresses = { 0 };
	struct client *from;
	struct remote rm;
	bool same;
	int r = conf_remote(cli->conf, prefix, &rm, e);

	if (r == 0 && strcmp(rm.protocol, "simplestreams") == 0)
		return image_streams_source(&rm, name, source_out);
	if (r == 0)
		r = cli_client(cli, prefix, &from, e);
	if (r == 0)
		r = image_find(from, name, &fingerprint, e);
	if (r == 0)
		r = transfer_same_server(from, c, &same, e);
	if (r < 0)
		return r;
	if (from == c || same)
		return from_fingerprint(fingerprint, source_out);
	r = transfer_addresses(from, &addresses, e);
	if (r == 0 && !addresses.n)
		return lxm_err_set(e, ENOTCONN, "remote '%s' does not listen on the network, so its images cannot be fetched; set "
						"core.https_address there, or 'lxmc image copy --mode=relay' first",
				   prefix);
	return r < 0 ? r : image_server_source(from, fingerprint, addresses.v[0], source_out, e);
}

/* There is none of that name. What is near may be the alias of an image or one of the names of a template. */
static int no_image(struct client *c, const char *image, struct lxm_err *e)
{
	lxm_auto(json) json_t *aliases = NULL, *templates = NULL;
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *item, *alias;
	const char *near;
	size_t i, k;

	(void)client_get(c, client_url(c, "/1.0/images/aliases?recursion=1"), &aliases, NULL);
	(void)client_get(c, client_url(c, "/1.0/templates?recursion=1"), &templates, NULL);
	json_array_foreach(aliases, i, item)
		lxm_strv_add(&names, jtext(item, "name"));
	json_array_foreach(templates, i, item)
		json_array_foreach(json_object_get(item, "aliases"), k, alias)
			lxm_strv_add(&names, json_string_value(alias));
	near = cli_nearest(image, (const char *const *)names.v, names.n);
	if (near)
		return lxm_err_set(e, ENOENT, "there is no image and no template '%s'; did you mean '%s'?", image, near);
	return lxm_err_set(e, ENOENT, "there is no image and no template '%s'; see 'lxmc image list' and 'lxmc template list'", image);
}

int image_source(struct cli *cli, struct client *c, const char *image, json_t **source_out, struct lxm_err *e)
{
	lxm_auto(free) char *fingerprint = NULL;
	const char *colon = strchr(image, ':');
	int r;

	if (!colon) {
		r = image_resolve(c, image, &fingerprint, e);
		if (r <= 0)
			return r < 0 ? r : from_fingerprint(fingerprint, source_out);
	}
	if (colon)
		return remote_source(cli, c, image, source_out, e);
	if (!template_exists(c, image))
		return no_image(c, image, e);
	r = template_build_image(c, image, false, &fingerprint, e);
	return r < 0 ? r : from_fingerprint(fingerprint, source_out);
}
