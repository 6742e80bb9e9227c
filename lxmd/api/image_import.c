/*
 * POST /1.0/images: a body of bytes (unified, or multipart with metadata and rootfs), or JSON whose source says where the image comes from.
 * Bodies were spooled to an unlinked file before the handler runs; the operation owns copies of its descriptors.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "db/image.h"
#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/conf/names.h"
#include "lxmd/api/api.h"
#include "lxmd/api/image_body.h"
#include "lxmd/api/image_publish.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/op.h"
#include "lib/tls/multipart.h"
#include "lxmd/http/routes.h"
#include "lxmd/image/image.h"
#include "lxmd/image/slot.h"

struct upload {
	char *project, *filename, *fingerprint;
	int meta_fd, rootfs_fd;
	bool public_;
	struct lxm_kv properties;
	lxm_time expires_at;
	struct lxm_strv aliases, profiles;
};

static void upload_free(void *arg)
{
	struct upload *u = arg;

	if (!u)
		return;
	free(u->project);
	free(u->filename);
	free(u->fingerprint);
	auto_fd_close(&u->meta_fd);
	auto_fd_close(&u->rootfs_fd);
	lxm_kv_deinit(&u->properties);
	lxm_strv_deinit(&u->aliases);
	lxm_strv_deinit(&u->profiles);
	free(u);
}

static inline void auto_upload(struct upload **u)
{
	upload_free(*u);
}

static int upload_run(struct op *op, void *arg, struct lxm_err *e)
{
	const struct upload *u = arg;
	struct image_import im = { .project = u->project,
				   .meta_fd = u->meta_fd,
				   .rootfs_fd = u->rootfs_fd,
				   .filename = u->filename,
				   .public_ = u->public_,
				   .expires_at = u->expires_at,
				   .expect_fp = u->fingerprint,
				   .properties = &u->properties,
				   .aliases = &u->aliases,
				   .profiles = u->profiles.n ? &u->profiles : NULL };
	char fp[65];
	int r = image_import(op_daemon(op), &im, op, fp, e);

	return r < 0 ? r : api_image_done(op, u->project, fp, e);
}

/* "alias=a&alias=b": the decoded values of one key. */
static int read_list(const char *text, const char *key, struct lxm_strv *out, struct lxm_err *e)
{
	size_t klen = strlen(key);

	while (text && *text) {
		size_t n = strcspn(text, "&");

		if (n > klen && strncmp(text, key, klen) == 0 && text[klen] == '=') {
			char *value = lxm_url_decode(text + klen + 1, n - klen - 1, true);

			if (!value)
				return lxm_err_set(e, EINVAL, "header with '%s=' is malformed", key);
			lxm_strv_take(out, value);
		}
		text += n + (text[n] == '&');
	}
	return 0;
}

static int read_headers(const struct request *rq, struct upload *u, struct lxm_err *e)
{
	const char *fp = rq_header(rq, "fingerprint"), *name = rq_header(rq, "filename"), *pub = rq_header(rq, "public");
	size_t i;
	int r = 0;

	u->project = lxm_strdup(rq_project(rq));
	u->public_ = lxm_parse_bool(pub ? pub : "false") == 1;
	if (name && (strlen(name) > 255 || !lxm_utf8_ok(name, strlen(name))))
		return lxm_err_set(e, EINVAL, "the image's file name is too long or not UTF-8");
	if (!lxm_empty(name))
		u->filename = lxm_strdup(name);
	if (!lxm_empty(fp)) {
		/* it names nothing yet and becomes no path: only the bytes' own hash does (CVE-2026-48769) */
		if (!lxm_is_hex(fp, 64, 64))
			return lxm_err_set(e, EINVAL, "header 'X-LXD-fingerprint' must be 64 lowercase hex digits");
		u->fingerprint = lxm_strdup(fp);
	}
	if (rq_header(rq, "properties"))
		r = route_parse_query(rq_header(rq, "properties"), &u->properties, e);
	if (r == 0)
		r = read_list(rq_header(rq, "profiles"), "profile", &u->profiles, e);
	if (r == 0)
		r = read_list(rq_header(rq, "aliases"), "alias", &u->aliases, e);
	for (i = 0; r == 0 && i < u->aliases.n; i++)
		r = conf_name_alias(u->aliases.v[i], e);
	return r;
}

/* The parts of a split image, in their fixed order. */
static int split_body(struct request *rq, int fd, uint64_t size, const char *boundary, struct upload *u, struct lxm_err *e)
{
	struct multipart mp;
	int r = multipart_parse(fd, size, boundary, &mp, e);

	if (r < 0)
		return r;
	if (mp.n > 1 && strcmp(mp.v[1].name, "rootfs.img") == 0)
		return lxm_err_set(e, EINVAL, "this is the image of a virtual machine ('rootfs.img'); lxm runs containers");
	if (mp.n != 2 || strcmp(mp.v[0].name, "metadata") != 0 || strcmp(mp.v[1].name, "rootfs") != 0)
		return lxm_err_set(e, EINVAL, "a split image has two parts, 'metadata' and then 'rootfs'");
	u->meta_fd = multipart_extract(fd, &mp.v[0], rq->d->dirs.cache.fd, e);
	if (u->meta_fd < 0)
		return u->meta_fd;
	u->rootfs_fd = multipart_extract(fd, &mp.v[1], rq->d->dirs.cache.fd, e);
	if (u->rootfs_fd < 0)
		return u->rootfs_fd;
	if (!u->filename && *mp.v[0].filename)
		u->filename = lxm_strdup(mp.v[0].filename);
	return 0;
}

/*
 * With a secret the image goes where its slot says and is kept as who opened the slot wished; who fills it says
 * nothing but the profiles that it had, if the slot names none.
 */
static int use_slot(struct request *rq, struct upload *u, struct op_spec *spec, struct lxm_err *e)
{
	lxm_auto(image_slot) struct image_slot slot = { 0 };
	lxm_auto(image_body) struct image_body body = { 0 };
	lxm_auto(free) char *secret = lxm_random_hex(32);
	int r = image_slot_take(rq->d, u->fingerprint, rq_header(rq, "secret"), &slot, e);

	if (r == 0)
		r = image_body_read(slot.body, &body, e);
	if (r < 0)
		return r;
	free(u->project);
	u->project = LXM_TAKE(slot.project, NULL);
	u->public_ = body.public_;
	u->expires_at = body.expires_at;
	lxm_kv_copy(&u->properties, &body.properties);
	lxm_strv_copy(&u->aliases, &body.aliases);
	if (body.profiles.n)
		lxm_strv_copy(&u->profiles, &body.profiles);
	if (body.filename) {
		free(u->filename);
		u->filename = LXM_TAKE(body.filename, NULL);
	}
	spec->project = u->project;
	/* for who waits and is not trusted otherwise */
	spec->metadata = json_pack("{s:s}", "secret", secret);
	return 0;
}

static int post_bytes(struct request *rq, struct lxm_err *e)
{
	lxm_auto(upload) struct upload *u = lxm_alloc(sizeof(*u));
	lxm_auto(fd_close) int fd = -1;
	struct op_spec spec = { .cls = OP_TASK, .project = rq_project(rq), .description = "Importing image", .may_cancel = true,
				.run = upload_run, .free_arg = upload_free };
	uint64_t size = 0;
	char boundary[80];
	int r;

	u->meta_fd = u->rootfs_fd = -1;
	r = read_headers(rq, u, e);
	if (r < 0)
		return r;
	fd = rq_take_body_fd(rq, &size);
	if (fd < 0 || size == 0)
		return lxm_err_set(e, EINVAL, "the request has no body: an image is expected");
	r = multipart_boundary(rq_raw_header(rq, "content-type"), boundary, e);
	if (r == 0)
		r = split_body(rq, fd, size, boundary, u, e);
	else if (r > 0)
		u->meta_fd = LXM_TAKE(fd, -1);
	if (r == 0 || r == 1)
		r = lxm_empty(rq_header(rq, "secret")) ? 0 : use_slot(rq, u, &spec, e);
	if (r < 0)
		return r;
	spec.arg = LXM_TAKE(u, NULL);
	return reply_op_new(rq, &spec, e);
}

int api_image_done(struct op *op, const char *project, const char *fp, struct lxm_err *e)
{
	lxm_auto(free) char *url = lxm_asprintf("/1.0/images/%s", fp);
	lxm_auto(db_image) struct db_image im = { 0 };
	json_t *metadata;
	int r = image_get_fp(op_daemon(op), project, fp, &im, e);

	if (r < 0)
		return r;
	op_set_resources(op, json_pack("{s:[s]}", "images", url));
	metadata = op_metadata(op); /* a pushed image's has a secret for who waits */
	if (!metadata)
		metadata = json_object();
	json_object_set_new(metadata, "fingerprint", json_string(fp));
	json_object_set_new(metadata, "size", json_sprintf("%lld", (long long)im.size));
	op_set_metadata(op, metadata);
	event_lifecycle(op_daemon(op), project, "image-created", url, NULL, op_caller(op));
	return 0;
}

int api_images_post(struct request *rq, struct lxm_err *e)
{
	json_t *body = rq_json(rq), *source = NULL;
	const char *type = "", *mode = NULL;
	int r;

	if (!body)
		return post_bytes(rq, e);
	/* the secret of a slot opens nothing else */
	if (rq_caller(rq)->trust < CALLER_RESTRICTED)
		return lxm_err_http(e, 403, EPERM, "not authorized");
	r = js_get_obj(body, "source", &source, e);
	if (r == 0 && source)
		r = js_get_str(source, "type", &type, e);
	if (r == 0 && source)
		r = js_get_str(source, "mode", &mode, e);
	if (r < 0)
		return r;
	if (!source)
		return lxm_err_set(e, EINVAL, "key 'source' is required");
	if (strcmp(type, "template") == 0)
		return api_template_build(rq, source, e);
	if (strcmp(type, "instance") == 0 || strcmp(type, "container") == 0 || strcmp(type, "snapshot") == 0)
		return api_image_publish(rq, body, source, e);
	if (lxm_streq(mode, "push"))
		return api_image_slot(rq, body, source, e);
	if (strcmp(type, "image") == 0 || strcmp(type, "url") == 0)
		return api_image_pull(rq, body, source, e);
	return lxm_err_set(e, EINVAL, "source.type '%.50s' is not known; there are image, url, instance, snapshot and template", type);
}
