/*
 * FETCH_PUSH: hand an image to a server that has a slot for it, and wait until it has taken it in. lxm-fetch; the image's
 * files are open for reading.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmd/fetch/verbs.h"

#define ANSWER_MAX (1024 * 1024)

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Wait for the server's operation; only its outcome is looked at. */
static int wait_for(struct web *w, const char *op, const char *secret, struct lxm_err *e)
{
	lxm_auto(free) char *enc = lxm_url_encode(secret ? secret : "", NULL);
	lxm_auto(free) char *url = lxm_asprintf("%s%s/wait?secret=%s&timeout=-1", web_job(w)->url, op, enc);
	lxm_auto(json) json_t *o = NULL;
	int status, r = web_json(w, url, ANSWER_MAX, true, &status, &o, e);

	if (r < 0)
		return r;
	if (!o)
		return web_status_error(status, "the operation", e);
	if (js_int(js_get(o, "metadata"), "status_code", 0) != API_SUCCESS)
		return lxm_err_http(e, 502, EREMOTEIO, "the server did not take the image in; its own log says why");
	return 0;
}

static int upload(struct web *w, const struct web_part *parts, size_t n, struct lxm_buf *answer, struct lxm_err *e)
{
	const struct fetch_job *j = web_job(w);
	lxm_auto(free) char *project = lxm_url_encode(lxm_empty(j->project) ? "default" : j->project, NULL);
	lxm_auto(free) char *url = lxm_asprintf("%s/1.0/images?project=%s", j->url, project);
	lxm_auto(free) char *fp = lxm_asprintf("X-LXD-fingerprint: %s", j->name), *secret = lxm_asprintf("X-LXD-secret: %s", j->secret);
	lxm_auto(free) char *file = lxm_asprintf("X-LXD-filename: %s", j->filename);
	lxm_auto(free) char *profiles = lxm_asprintf("X-LXD-profiles: %s", j->profiles);
	const char *headers[6] = { fp, secret };
	struct web_request rq = { .url = url, .parts = parts, .nparts = n, .headers = headers, .text = answer, .text_max = ANSWER_MAX };
	struct web_reply reply;
	size_t k = 2;
	int r;

	if (!parts[0].name)
		headers[k++] = "Content-Type: application/octet-stream";
	if (*j->filename)
		headers[k++] = file;
	if (*j->profiles)
		headers[k++] = profiles;
	rq.total = parts[0].size + (n > 1 ? parts[1].size : 0);
	r = web_do(w, &rq, &reply, e);
	if (r == 0 && reply.status == 403)
		return lxm_err_set(e, EPERM, "the server has no slot for this image with that secret");
	if (r == 0 && (reply.status < 200 || reply.status > 299))
		return web_status_error(reply.status, "the upload", e);
	return r;
}

int push_image(struct web *w, bool *split_out, struct lxm_err *e)
{
	const struct fetch_job *j = web_job(w);
	struct web_part parts[2] = { { NULL, NULL, FETCH_FD_META, size_of(FETCH_FD_META) },
				     { "rootfs", "rootfs", FETCH_FD_ROOTFS, size_of(FETCH_FD_ROOTFS) } };
	lxm_auto(buf) struct lxm_buf answer = { 0 };
	lxm_auto(json) json_t *o = NULL;
	const char *op, *secret;
	struct stat st;
	bool split = fstat(FETCH_FD_ROOTFS, &st) == 0 && S_ISREG(st.st_mode);
	int r;

	if (split)
		parts[0].name = parts[0].filename = "metadata";
	*split_out = split;
	r = web_found(w, j->name, parts[0].size + (split ? parts[1].size : 0), e);
	if (r == 0)
		r = upload(w, parts, split ? 2 : 1, &answer, e);
	if (r < 0)
		return r;
	if (js_parse(answer.data ? answer.data : "", answer.len, &o, NULL) < 0)
		return lxm_err_http(e, 502, EBADMSG, "the server's answer is not the JSON that was expected");
	op = js_str(o, "operation");
	if (!op || !lxm_starts(op, "/1.0/operations/") || strpbrk(op, "?#") || strlen(op) > 128)
		return lxm_err_http(e, 502, EBADMSG, "the server's answer is no operation");
	secret = js_str(js_get(js_get(o, "metadata"), "metadata"), "secret");
	return wait_for(w, op, secret, e);
}
