/*
 * POST /1.0/images with a source on another server: type "image" (mode pull) and type "url". The request thread checks what
 * was said, a worker fetches.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/image_body.h"
#include "lxmd/api/image_publish.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"

struct pull {
	char *project;
	json_t *source; /* a copy, because counts of references are not for two threads; `from` borrows from it */
	struct image_remote from;
	struct image_body body;
};

static void pull_free(void *arg)
{
	struct pull *p = arg;

	if (!p)
		return;
	free(p->project);
	json_decref(p->source);
	image_body_deinit(&p->body);
	free(p);
}
LXM_AUTO_PTR(pull, struct pull, pull_free)

static int pull_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct pull *p = arg;
	const struct image_body *b = &p->body;
	struct image_fetch f = { .project = p->project, .from = p->from, .public_ = b->public_, .auto_update = b->auto_update,
				 .expires_at = b->expires_at, .filename = b->filename, .properties = &b->properties,
				 .aliases = &b->aliases, .profiles = b->has_profiles ? &b->profiles : NULL };
	char fp[65];
	int r = image_fetch(op_daemon(op), &f, op, fp, e);

	return r < 0 ? r : api_image_done(op, p->project, fp, e);
}

int api_image_pull(struct request *rq, json_t *body, json_t *source, struct lxm_err *e)
{
	lxm_auto(pull) struct pull *p = lxm_alloc(sizeof(*p));
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Downloading image", .may_cancel = true,
				.run = pull_run, .free_arg = pull_free };
	int r;

	p->source = json_deep_copy(source);
	r = image_remote_read(p->source, &p->from, e);
	if (r == 0)
		r = image_body_read(body, &p->body, e);
	if (r < 0)
		return r;
	p->project = lxm_strdup(rq_project(rq));
	spec.arg = LXM_TAKE(p, NULL);
	return reply_op_new(rq, &spec, e);
}
