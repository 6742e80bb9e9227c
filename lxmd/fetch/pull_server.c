/*
 * FETCH_SERVER: an image of another LXD, Incus or lxm, through its REST API. It must be public there or opened by a secret:
 * lxmd shows no certificate of its own, or whoever may ask lxmd for images could use lxmd's rights at other servers.
 * lxm-fetch.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/tls/multipart.h"
#include "lxmd/fetch/verbs.h"

#define OBJECT_MAX   (1024 * 1024) /* bytes of an image's or alias' JSON */
#define ENVELOPE_MAX (64 * 1024)   /* what multipart adds to the files */

/* "URL/1.0/images/NAME[/export]?project=..&secret=.." with its values encoded; free() it */
static char *image_url(const struct fetch_job *j, const char *kind, const char *name, const char *tail)
{
	lxm_auto(free) char *enc = lxm_url_encode(name, NULL), *project = lxm_url_encode(lxm_empty(j->project) ? "default" : j->project, NULL);
	lxm_auto(free) char *secret = lxm_url_encode(j->secret, NULL);

	return lxm_asprintf("%s/1.0/images/%s%s%s?project=%s%s%s", j->url, kind, enc, tail, project, *secret ? "&secret=" : "", secret);
}

/* The fingerprint that an alias stands for; the name itself if it is none. free() *out. */
static int resolve(struct web *w, char **out, struct lxm_err *e)
{
	const struct fetch_job *j = web_job(w);
	lxm_auto(free) char *url = image_url(j, "aliases/", j->name, "");
	lxm_auto(json) json_t *o = NULL;
	const char *target;
	int status, r = 0;

	/* a secret goes with a fingerprint */
	if (lxm_empty(j->secret))
		r = web_json(w, url, OBJECT_MAX, false, &status, &o, e);
	if (r < 0)
		return r;
	target = o ? js_str(js_get(o, "metadata"), "target") : j->name;
	if (!target || !lxm_is_hex(target, 1, 64))
		return lxm_err_set(e, ENOENT, "the server has no image '%.200s' that is public", j->name);
	*out = lxm_strdup(target);
	return 0;
}

static int look(struct web *w, const char *name, json_t **image, struct lxm_err *e)
{
	lxm_auto(free) char *url = image_url(web_job(w), "", name, "");
	lxm_auto(json) json_t *o = NULL;
	json_t *im;
	int status, r = web_json(w, url, OBJECT_MAX, false, &status, &o, e);

	if (r < 0)
		return r;
	if (!o && (status == 404 || status == 403 || status == 401))
		return lxm_err_set(e, ENOENT, "the server has no image '%.200s' that is public%s", web_job(w)->name,
				   lxm_empty(web_job(w)->secret) ? "" : " or opened by that secret");
	if (!o)
		return web_status_error(status, "the image", e);
	im = js_get(o, "metadata");
	if (!json_is_object(im) || !lxm_is_hex(js_str_or(im, "fingerprint", ""), 64, 64))
		return lxm_err_http(e, 502, EBADMSG, "the server's answer is no image");
	if (!lxm_streq(js_str_or(im, "type", "container"), "container"))
		return lxm_err_set(e, EINVAL, "image '%.200s' is one of a virtual machine; lxm runs containers", web_job(w)->name);
	*image = json_incref(im);
	return 0;
}

/* Cut the spooled multipart body into the two files. */
static int cut(const char *content_type, struct lxm_err *e)
{
	static const int to[2] = { FETCH_FD_META, FETCH_FD_ROOTFS };
	struct multipart mp;
	char boundary[80];
	struct stat st;
	size_t i;
	int r = multipart_boundary(content_type, boundary, e);

	if (r != 0)
		return r < 0 ? r : lxm_err_http(e, 502, EBADMSG, "the server's answer is no image");
	if (fstat(FETCH_FD_SPOOL, &st) < 0)
		return lxm_err_sys(e, "look at the download");
	r = multipart_parse(FETCH_FD_SPOOL, (uint64_t)st.st_size, boundary, &mp, e);
	if (r < 0)
		return r;
	if (mp.n != 2 || strcmp(mp.v[0].name, "metadata") != 0 || strcmp(mp.v[1].name, "rootfs") != 0)
		return lxm_err_http(e, 502, EBADMSG, "the server's image has other parts than 'metadata' and 'rootfs'");
	for (i = 0; r == 0 && i < 2; i++)
		r = multipart_copy(FETCH_FD_SPOOL, &mp.v[i], to[i], e);
	/* gives the room back before lxmd stores its copy */
	if (r == 0 && ftruncate(FETCH_FD_SPOOL, 0) < 0)
		r = lxm_err_sys(e, "empty the spool");
	return r;
}

static int download(struct web *w, const char *fp, int64_t size, bool *split_out, struct lxm_err *e)
{
	const struct fetch_job *j = web_job(w);
	lxm_auto(free) char *url = image_url(j, "", fp, "/export");
	uint64_t most = size > 0 && (uint64_t)size < j->max_bytes ? (uint64_t)size + ENVELOPE_MAX : j->max_bytes;
	struct web_request rq = { .url = url, .fd = FETCH_FD_META, .multipart_fd = FETCH_FD_SPOOL, .size = -1, .max_bytes = most,
				  .total = size > 0 ? (uint64_t)size : 0 };
	struct web_reply reply;
	int r = web_file(w, &rq, &reply, e);

	*split_out = reply.multipart;
	return r == 0 && reply.multipart ? cut(reply.content_type, e) : r;
}

int pull_server(struct web *w, bool *split_out, struct lxm_err *e)
{
	lxm_auto(free) char *name = NULL, *fp = NULL;
	lxm_auto(json) json_t *image = NULL;
	json_t *value;
	const char *key;
	int64_t size;
	int r = resolve(w, &name, e);

	if (r == 0)
		r = look(w, name, &image, e);
	if (r < 0)
		return r;
	fp = lxm_strdup(js_str(image, "fingerprint"));
	size = js_int(image, "size", 0);
	json_object_foreach(js_get(image, "properties"), key, value)
		web_property(w, key, json_string_value(value));
	r = web_found(w, fp, size > 0 ? (uint64_t)size : 0, e);
	return r < 0 ? r : download(w, fp, size, split_out, e);
}
