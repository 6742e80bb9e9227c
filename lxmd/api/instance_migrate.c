/* POST instances/NAME and snapshots/NAME with "migration": the sending side of a copy to another server. */
#include "lxmd/api/instance_migrate.h"

#include "lib/base/alloc.h"
#include "lxmd/core/op.h"
#include "lxmd/instance/migrate.h"

/* "target": the operation of the other server that we dial. */
static int read_target(const json_t *target, struct migrate_peer *peer, struct lxm_err *e)
{
	const char *operation = NULL, *certificate = NULL, *control = NULL, *fs = NULL;
	json_t *secrets = NULL;
	int r = js_need_str(target, "operation", &operation, e);

	if (r == 0)
		r = js_get_str(target, "certificate", &certificate, e);
	/* pylxd and lxc say secrets; the older word is known too */
	if (r == 0)
		r = js_get_obj(target, js_get(target, "secrets") ? "secrets" : "websockets", &secrets, e);
	if (r == 0)
		r = js_get_str(secrets, "control", &control, e);
	if (r == 0)
		r = js_get_str(secrets, "fs", &fs, e);
	return r < 0 ? r : migrate_peer_set(peer, operation, control, fs, certificate, e);
}

int instance_migrate_source(struct request *rq, const struct instance *i, const char *snapshot, const json_t *body, struct lxm_err *e)
{
	lxm_auto(migrate_peer) struct migrate_peer peer = { 0 };
	struct copy_source src = { .project = i->row.project, .name = i->row.name, .snapshot = snapshot };
	json_t *target = NULL;
	bool live = false;
	struct op *op;
	int r = js_get_bool(body, "container_only", &src.instance_only, e);

	if (r == 0)
		r = js_get_bool(body, "instance_only", &src.instance_only, e);
	if (r == 0)
		r = js_get_bool(body, "allow_inconsistent", &src.unsteady, e);
	if (r == 0) /* without CRIU as any other copy */
		r = js_get_bool(body, "live", &live, e);
	if (r == 0)
		r = js_get_obj(body, "target", &target, e);
	if (r == 0 && target)
		r = read_target(target, &peer, e);
	if (r == 0)
		r = migrate_source(rq->d, &src, &peer, rq_caller(rq), &op, e);
	return r < 0 ? r : reply_op_start(rq, op);
}
