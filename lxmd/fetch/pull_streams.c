/* FETCH_STREAMS: an image of a simplestreams server, such as images.linuxcontainers.org. lxm-fetch. */
#include "lib/base/alloc.h"
#include "lib/api/streams.h"
#include "lxmd/fetch/verbs.h"

/* One text of the server in memory. */
static int get_text(struct web *w, const char *path, size_t max, const char *what, struct lxm_buf *out, struct lxm_err *e)
{
	lxm_auto(free) char *url = lxm_asprintf("%s/%s", web_job(w)->url, path);
	struct web_request rq = { .url = url, .text = out, .text_max = max };
	struct web_reply reply;
	int r = web_do(w, &rq, &reply, e);

	if (r == 0 && (reply.status < 200 || reply.status > 299))
		r = web_status_error(reply.status, what, e);
	return lxm_err_wrap(e, r, "get %s", what);
}

static int find(struct web *w, struct streams_image *im, struct lxm_err *e)
{
	const struct fetch_job *j = web_job(w);
	lxm_auto(buf) struct lxm_buf index = { 0 };
	lxm_auto(strv) struct lxm_strv lists = { 0 };
	size_t i;
	int r = get_text(w, "streams/v1/index.json", STREAMS_INDEX_MAX, "streams/v1/index.json", &index, e);

	if (r == 0)
		r = streams_index(index.data ? index.data : "", index.len, &lists, e);
	for (i = 0; r == 0 && i < lists.n; i++) {
		lxm_auto(buf) struct lxm_buf text = { 0 };

		r = get_text(w, lists.v[i], STREAMS_IMAGES_MAX, "the list of images", &text, e);
		if (r == 0)
			r = streams_find(text.data ? text.data : "", text.len, j->name, j->arch, im, e);
		if (r == 0)
			return 0;
		r = r == STREAMS_NONE ? 0 : r;
	}
	return r < 0 ? r : lxm_err_set(e, ENOENT, "the server has no container image '%.200s' for %s", j->name, j->arch);
}

static int get_file(struct web *w, const struct streams_file *f, int fd, uint64_t before, uint64_t total, struct lxm_err *e)
{
	lxm_auto(free) char *url = lxm_asprintf("%s/%s", web_job(w)->url, f->path);
	struct web_request rq = { .url = url, .fd = fd, .max_bytes = web_job(w)->max_bytes, .size = f->size, .sha256 = f->sha256,
				  .done_before = before, .total = total };
	struct web_reply reply;

	return web_file(w, &rq, &reply, e);
}

int pull_streams(struct web *w, bool *split_out, struct lxm_err *e)
{
	lxm_auto(streams_image) struct streams_image im = { 0 };
	uint64_t total;
	int r = find(w, &im, e);

	if (r < 0)
		return r;
	lxm_kv_each(p, &im.properties)
		web_property(w, p->key, p->value);
	total = (uint64_t)im.meta.size + (uint64_t)im.root.size;
	r = web_found(w, im.fingerprint, total, e);
	if (r == 0)
		r = get_file(w, &im.meta, FETCH_FD_META, 0, total, e);
	if (r == 0 && im.root.path)
		r = get_file(w, &im.root, FETCH_FD_ROOTFS, (uint64_t)im.meta.size, total, e);
	*split_out = im.root.path != NULL;
	return r;
}
