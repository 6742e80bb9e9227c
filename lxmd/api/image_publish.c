/*
 * Publishing: a stopped instance or a snapshot becomes an image. The operation packs the merged root and the metadata that count for the
 * instance into an unlinked file, and hands it to the image store. Request thread for the checks, a worker for the rest.
 */
#include "lxmd/api/image_publish.h"

#include <fcntl.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/api/image_body.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/http/request.h"
#include "lxmd/image/image.h"
#include "lxmd/image/pack.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"
#include "lxmd/storage/pool.h"

#define PROGRESS_KEY "create_image_from_container_pack_progress"

struct publish {
	char *project, *instance, *volume; /* volume: "c1" or "c1/snap" */
	enum image_compression compression;
	struct image_body body;
};

static void publish_free(void *arg)
{
	struct publish *p = arg;

	if (!p)
		return;
	free(p->project);
	free(p->instance);
	free(p->volume);
	image_body_deinit(&p->body);
	free(p);
}
LXM_AUTO_PTR(publish, struct publish, publish_free)

static bool is_snapshot(const struct publish *p)
{
	return strchr(p->volume, '/') != NULL;
}

/* What the image says of itself: the instance's file templates, the caller's properties, this moment. */
static int make_metadata(struct pool *pool, const struct volume_id *v, const struct publish *p, const struct instance *in,
			 struct image_metadata *m, int *templates_fd, struct lxm_err *e)
{
	lxm_auto(fd_close) int dir = -1;
	int r = pool_volume_open_meta(pool, v, &dir, NULL, e);

	if (r == 0) {
		r = image_metadata_read(dir, m, e);
		if (r < 0)
			return r;
		*templates_fd = lxm_open_beneath(dir, "templates", O_PATH | O_DIRECTORY, 0);
	} else if (r != -ENOENT) {
		return r;
	}
	lxm_err_clear(e);
	free(m->architecture);
	m->architecture = lxm_strdup(in->row.architecture);
	m->created_at = lxm_now();
	m->expires_at = p->body.expires_at;
	lxm_kv_copy(&m->properties, &p->body.properties);
	return 0;
}

static int pack(struct op *op, struct pool *pool, const struct volume_id *v, const struct publish *p, const struct instance *in,
		int out_fd, struct lxm_err *e)
{
	lxm_auto(image_metadata) struct image_metadata meta = { 0 };
	lxm_auto(fd_close) int rootfd = -1, templates = -1;
	struct image_pack spec = { .meta = &meta, .compression = p->compression, .op = op, .progress_key = PROGRESS_KEY };
	int r = make_metadata(pool, v, p, in, &meta, &templates, e);

	if (r == 0)
		r = pool_volume_open_root(pool, v, false, &rootfd, e);
	if (r < 0)
		return r;
	spec.rootfd = rootfd;
	spec.templates_fd = templates;
	r = image_pack(&spec, out_fd, e);
	op_progress(op, PROGRESS_KEY, NULL, -1, 0);
	return r;
}

static int publish_locked(struct op *op, const struct publish *p, const struct instance *in, struct lxm_err *e)
{
	struct lxmd *d = op_daemon(op);
	lxm_auto(pool_unref) struct pool *pool = NULL;
	lxm_auto(fd_close) int fd = openat(d->dirs.cache.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct volume_id v = { is_snapshot(p) ? VOLUME_SNAPSHOT : VOLUME_INSTANCE, p->project, p->volume };
	struct image_import im = { .project = p->project, .meta_fd = fd, .rootfs_fd = -1, .filename = p->body.filename,
				   .public_ = p->body.public_, .expires_at = p->body.expires_at, .aliases = &p->body.aliases,
				   .profiles = p->body.has_profiles ? &p->body.profiles : NULL, .known_good = true };
	char fp[65];
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "make a file in the cache");
	r = storage_pool_get(d, in->row.pool, &pool, e);
	if (r == 0)
		r = pack(op, pool, &v, p, in, fd, e);
	if (r == 0)
		r = image_import(d, &im, op, fp, e);
	return r < 0 ? r : api_image_done(op, p->project, fp, e);
}

static int publish_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct publish *p = arg;
	struct lxmd *d = op_daemon(op);
	lxm_auto(instance) struct instance in = { 0 };
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(run_unref) struct run *run = NULL;
	int r = instance_load(d, p->project, p->instance, &in, e);

	if (r == 0)
		r = instance_lock_id(d, in.row.id, "Publishing instance", 0, &lock, e);
	if (r < 0)
		return r;
	run = run_get_settled(d, in.row.id);
	if (run && !is_snapshot(p))
		return lxm_err_http(e, 400, EBUSY, "instance '%s' is running: stop it first", p->instance);
	r = publish_locked(op, p, &in, e);
	return lxm_err_wrap(e, r, "publish '%s'", p->volume);
}

/* What the caller asks for, else the project or the server. */
static int read_compression(const struct request *rq, const json_t *body, struct publish *p, struct lxm_err *e)
{
	lxm_auto(free) char *set = NULL;
	const char *asked = NULL;
	int r = js_get_str(body, "compression_algorithm", &asked, e);

	if (r < 0)
		return r;
	if (lxm_empty(asked))
		set = image_setting(rq->d, rq_project(rq), "images.compression_algorithm");
	return image_compression_parse(!lxm_empty(asked) ? asked : set ? set : "gzip", &p->compression, e);
}

static int read_body(const struct request *rq, const json_t *body, const json_t *source, struct publish *p, struct lxm_err *e)
{
	const char *name = NULL, *type = js_str(source, "type");
	const char *slash;
	int r = js_need_str(source, "name", &name, e);

	if (r == 0)
		r = read_compression(rq, body, p, e);
	if (r == 0)
		r = image_body_read(body, &p->body, e);
	if (r < 0)
		return r;
	slash = strchr(name, '/');
	if (!slash == (strcmp(type, "snapshot") == 0))
		return lxm_err_set(e, EINVAL, "source.name '%.100s' does not fit source.type '%s'", name, type);
	p->volume = lxm_strdup(name);
	p->instance = slash ? lxm_strndup(name, (size_t)(slash - name)) : lxm_strdup(name);
	return volume_id_check(VOLUME_ID(slash ? VOLUME_SNAPSHOT : VOLUME_INSTANCE, "default", name), e);
}

int api_image_publish(struct request *rq, const json_t *body, const json_t *source, struct lxm_err *e)
{
	lxm_auto(publish) struct publish *p = lxm_alloc(sizeof(*p));
	lxm_auto(instance) struct instance in = { 0 };
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Publishing instance", .may_cancel = true,
				.run = publish_run, .free_arg = publish_free };
	int r = read_body(rq, body, source, p, e);

	if (r == 0)
		r = instance_load(rq->d, rq_project(rq), p->instance, &in, e);
	if (r < 0)
		return r;
	p->project = lxm_strdup(rq_project(rq));
	spec.resources = instance_resources(p->instance);
	spec.arg = LXM_TAKE(p, NULL);
	return reply_op_new(rq, &spec, e);
}
