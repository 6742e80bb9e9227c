/*
 * Images between servers by pushing: POST /1.0/images with mode push opens a slot here, POST /1.0/images/FP/export sends an
 * image of ours into a slot elsewhere. Request threads for the checks, a worker for the sending.
 */
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/api/api.h"
#include "lxmd/api/image_body.h"
#include "lxmd/api/image_json.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/op.h"
#include "lxmd/image/image.h"
#include "lxmd/image/slot.h"

int api_image_slot(struct request *rq, json_t *body, json_t *source, struct lxm_err *e)
{
	lxm_auto(image_body) struct image_body check = { 0 };
	lxm_auto(free) char *secret = lxm_random_hex(32);
	struct op_spec spec = { .cls = OP_TOKEN, .project = rq_project(rq), .description = "Waiting for an image", .may_cancel = true,
				.caller = rq_caller(rq) };
	const char *fp = NULL;
	struct op *op;
	int r = js_need_str(source, "fingerprint", &fp, e);

	if (r == 0 && !lxm_is_hex(fp, 64, 64))
		r = lxm_err_set(e, EINVAL, "key 'source.fingerprint' must have 64 lowercase hex digits");
	if (r == 0)
		r = image_body_read(body, &check, e);
	if (r < 0)
		return r;
	spec.resources = json_pack("{s:[o]}", "images", js_url("/1.0/images/%s", fp));
	spec.metadata = json_pack("{s:s}", "secret", secret);
	r = op_new(rq->d, &spec, &op, e);
	if (r < 0)
		return r;
	r = image_slot_add(rq->d, rq_project(rq), fp, secret, body, op, e);
	if (r < 0) {
		op_finish(op, e);
		op_unref(op);
		return r;
	}
	return reply_op_start(rq, op);
}

/* ---- sending */

struct push {
	json_t *body; /* a copy; `to` borrows from it */
	struct image_target to;
	struct lxm_strv profiles;
	char fp[65];
};

static void push_free(void *arg)
{
	struct push *p = arg;

	if (!p)
		return;
	json_decref(p->body);
	lxm_strv_deinit(&p->profiles);
	free(p);
}
LXM_AUTO_PTR(push, struct push, push_free)

static int push_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct push *p = arg;

	return image_push(op_daemon(op), p->fp, &p->to, op, e);
}

static int read_target(const json_t *body, struct push *p, struct lxm_err *e)
{
	int r = js_need_str(body, "target", &p->to.server, e);

	if (r == 0)
		r = js_need_str(body, "secret", &p->to.secret, e);
	if (r == 0)
		r = js_get_str(body, "certificate", &p->to.certificate, e);
	if (r == 0)
		r = js_get_str(body, "project", &p->to.project, e);
	if (r == 0)
		r = js_get_strv(body, "profiles", &p->profiles, NULL, e);
	p->to.profiles = &p->profiles;
	return r < 0 ? r : image_target_check(&p->to, e);
}

int api_image_export_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	lxm_auto(push) struct push *p = lxm_alloc(sizeof(*p));
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Sending image", .may_cancel = true,
				.run = push_run, .free_arg = push_free };
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = image_get_fp(rq->d, rq_project(rq), rq_arg(rq, 0), &im, e);
	if (r == 0)
		p->body = json_deep_copy(body);
	if (r == 0)
		r = read_target(p->body, p, e);
	if (r < 0)
		return r;
	memcpy(p->fp, im.fingerprint, sizeof(p->fp));
	spec.resources = json_pack("{s:[o]}", "images", js_url("/1.0/images/%s", im.fingerprint));
	spec.arg = LXM_TAKE(p, NULL);
	return reply_op_new(rq, &spec, e);
}
