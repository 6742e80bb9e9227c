/* Finding images by what people call them, see image.h. */
#include "lxmc/image.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/conf.h"
#include "lxmc/json.h"

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

/* "REMOTE:IMAGE" where REMOTE is an image server: the daemon fetches it. */
static int remote_source(const struct remote *rm, const char *image, json_t **source_out, struct lxm_err *e)
{
	if (!lxm_starts(rm->addr, "https://"))
		return lxm_err_set(e, EOPNOTSUPP, "remote '%s' is at %s, from which images cannot be fetched", rm->name,
				   rm->addr);
	*source_out = json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "image", "mode", "pull", "server", rm->addr,
				"protocol", rm->protocol, "alias", image);
	return 0;
}

static int from_fingerprint(const char *fingerprint, json_t **source_out)
{
	*source_out = json_pack("{s:s, s:s}", "type", "image", "fingerprint", fingerprint);
	return 0;
}

int image_source(struct cli *cli, struct client *c, const char *image, json_t **source_out, struct lxm_err *e)
{
	lxm_auto(free) char *fingerprint = NULL, *prefix = NULL;
	const char *colon = strchr(image, ':');
	struct remote rm;
	int r;

	if (!colon || colon == image + strlen("local")) {
		image = colon && lxm_starts(image, "local:") ? colon + 1 : image;
		colon = NULL;
		r = image_resolve(c, image, &fingerprint, e);
		if (r <= 0)
			return r < 0 ? r : from_fingerprint(fingerprint, source_out);
	}
	if (colon) {
		prefix = lxm_strndup(image, (size_t)(colon - image));
		r = conf_remote(cli->conf, prefix, &rm, e);
		return r < 0 ? r : remote_source(&rm, colon + 1, source_out, e);
	}
	if (!template_exists(c, image))
		return lxm_err_set(e, ENOENT,
				   "there is no image and no template '%s'; see 'lxmc image list' and 'lxmc template list'",
				   image);
	r = template_build_image(c, image, false, &fingerprint, e);
	return r < 0 ? r : from_fingerprint(fingerprint, source_out);
}
