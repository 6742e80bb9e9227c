/* FETCH_DIRECT: a unified image behind a plain address, whose headers name its hash and where its file lies. lxm-fetch. */
#include <string.h>
#include <sys/utsname.h>

#include "lib/base/alloc.h"
#include "lxmd/fetch/verbs.h"

int pull_direct(struct web *w, bool *split_out, struct lxm_err *e)
{
	const struct fetch_job *j = web_job(w);
	lxm_auto(free) char *arch = lxm_asprintf("LXD-Server-Architectures: %s", j->arch);
	const char *const headers[] = { arch, "LXD-Server-Version: " LXM_VERSION, NULL };
	struct web_request head = { .url = j->url, .head = true, .headers = headers };
	struct web_reply reply, unused;
	int r = web_do(w, &head, &reply, e);

	if (r == 0 && (reply.status < 200 || reply.status > 299))
		r = web_status_error(reply.status, "the image", e);
	if (r < 0)
		return r;
	if (!lxm_is_hex(reply.image_hash, 64, 64) || !*reply.image_url)
		return lxm_err_set(e, EINVAL, "the server does not say LXD-Image-Hash and LXD-Image-URL there: it offers no image");
	if (!lxm_starts(reply.image_url, "https://") && !(lxm_starts(reply.image_url, "http://") && lxm_starts(j->url, "http://")))
		return lxm_err_set(e, EINVAL, "header LXD-Image-URL must be an address with https://");
	r = web_found(w, reply.image_hash, 0, e);
	if (r < 0)
		return r;
	return web_file(w,
			&(struct web_request){ .url = reply.image_url, .fd = FETCH_FD_META, .size = -1, .max_bytes = j->max_bytes,
					       .sha256 = reply.image_hash },
			&unused, e);
}
