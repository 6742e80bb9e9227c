/* Reading the `source` of POST instances and of rebuild. */
#include "lxmd/api/instance_source.h"

#include <string.h>

#include "db/image.h"
#include "lib/base/alloc.h"
#include "lxmd/api/image_body.h"
#include "lxmd/image/image.h"
#include "lxmd/instance/snapshot.h"

void source_deinit(struct source *s)
{
	free(s->project);
	free(s->name);
	free(s->snapshot);
	if (s->sink.link)
		mig_link_close(s->sink.link);
	mig_link_unref(s->sink.link);
	migrate_peer_deinit(&s->peer);
	json_decref(s->json);
	memset(s, 0, sizeof(*s));
}

static void set_fp(struct source *s, const char *fp)
{
	snprintf(s->fp, sizeof(s->fp), "%s", fp ? fp : "");
}

/* What an instance gets from its image. */
static void apply_image(const struct db_image *im, bool profiles_named, struct db_instance *row, struct source *out)
{
	set_fp(out, im->fingerprint);
	image_properties_to_config(im, &row->config);
	free(row->architecture);
	row->architecture = lxm_strdup(im->architecture);
	if (!row->profiles.n && im->profiles.n && !profiles_named)
		lxm_strv_copy(&row->profiles, &im->profiles);
}

/* Type image: an alias or a fingerprint of a local image, or one on another server. */
static int read_image(struct request *rq, json_t *source, struct db_instance *row, struct source *out, struct lxm_err *e)
{
	const char *fp = NULL, *alias = NULL, *server = NULL;
	lxm_auto(db_image) struct db_image im = { 0 };
	int r = js_get_str(source, "fingerprint", &fp, e);

	if (r == 0)
		r = js_get_str(source, "alias", &alias, e);
	if (r == 0)
		r = js_get_str(source, "server", &server, e);
	if (r < 0)
		return r;
	out->profiles_named = js_get(rq_json(rq), "profiles") != NULL;
	if (!lxm_empty(server)) {
		out->fetch = true;
		out->json = json_deep_copy(source); /* counts of references are not for two threads */
		return image_remote_read(out->json, &out->remote, e);
	}
	if (lxm_empty(fp) && lxm_empty(alias))
		return lxm_err_set(e, EINVAL, "source: name an image by 'alias' or 'fingerprint'");
	r = !lxm_empty(alias) ? image_get(rq->d, rq_project(rq), alias, &im, e) :
				image_get_fp(rq->d, rq_project(rq), fp, &im, e);
	if (r == 0)
		apply_image(&im, out->profiles_named, row, out);
	return r;
}

int source_fetch(struct lxmd *d, const char *project, struct source *s, struct db_instance *row, struct op *op, struct lxm_err *e)
{
	lxm_auto(db_image) struct db_image im = { 0 };
	struct image_fetch f = { .project = project, .from = s->remote, .cached = true };
	char fp[65];
	int r;

	if (s->type != SOURCE_IMAGE || !s->fetch)
		return 0;
	r = image_fetch(d, &f, op, fp, e);
	if (r == 0)
		r = image_get_fp(d, project, fp, &im, e);
	if (r == 0)
		apply_image(&im, s->profiles_named, row, s);
	return r;
}

static int read_copy_keys(struct request *rq, const json_t *source, struct source *out, struct lxm_err *e)
{
	const char *name = NULL, *project = NULL, *slash;
	bool live = false;
	int r = js_need_str(source, "source", &name, e);

	if (r == 0)
		r = js_get_str(source, "project", &project, e);
	if (r == 0)
		r = js_get_bool(source, "container_only", &out->copy.instance_only, e);
	if (r == 0)
		r = js_get_bool(source, "instance_only", &out->copy.instance_only, e);
	if (r == 0)
		r = js_get_bool(source, "allow_inconsistent", &out->copy.unsteady, e);
	if (r == 0)
		r = js_get_bool(source, "refresh", &out->refresh, e);
	if (r == 0) /* without CRIU as any other copy */
		r = js_get_bool(source, "live", &live, e);
	if (r < 0)
		return r;
	if (lxm_empty(project))
		project = rq_project(rq);
	if (!caller_may_project(rq_caller(rq), project))
		return lxm_err_http(e, 403, EPERM, "not authorized");
	slash = strchr(name, '/');
	out->project = lxm_strdup(project);
	out->name = slash ? lxm_strndup(name, (size_t)(slash - name)) : lxm_strdup(name);
	out->snapshot = slash ? lxm_strdup(slash + 1) : NULL;
	out->copy.project = out->project;
	out->copy.name = out->name;
	out->copy.snapshot = out->snapshot;
	return 0;
}

/* What the body does not say is as in the source, but for what belongs to that one instance. */
static void inherit(const json_t *body, const struct db_instance *from, struct db_instance *row)
{
	if (!js_get(body, "config")) {
		lxm_kv_copy(&row->config, &from->config);
		lxm_kv_del_prefix(&row->config, "volatile.");
	}
	if (!js_get(body, "devices"))
		lxm_devs_copy(&row->devices, &from->devices);
	if (!js_get(body, "profiles"))
		lxm_strv_copy(&row->profiles, &from->profiles);
	if (!js_get(body, "description")) {
		free(row->description);
		row->description = lxm_strdup(from->description);
	}
	if (lxm_empty(js_str(body, "architecture"))) {
		free(row->architecture);
		row->architecture = lxm_strdup(from->architecture);
	}
	if (!js_get(body, "ephemeral"))
		row->ephemeral = from->ephemeral;
}

static int read_copy(struct request *rq, const json_t *source, struct db_instance *row, struct source *out, struct lxm_err *e)
{
	lxm_auto(instance) struct instance from = { 0 }, as = { 0 };
	lxm_auto(db_snapshot) struct db_snapshot s = { 0 };
	const struct db_instance *what = &from.row;
	int r = read_copy_keys(rq, source, out, e);

	if (r == 0)
		r = instance_load(rq->d, out->project, out->name, &from, e);
	if (r == 0 && out->snapshot) {
		r = snapshot_load(rq->d, &from, out->snapshot, &s, e);
		if (r == 0)
			r = snapshot_as_instance(rq->d, &from, &s, &as, e);
		what = &as.row;
	}
	if (r < 0)
		return r;
	inherit(rq_json(rq), what, row);
	set_fp(out, lxm_kv_get(&what->config, "volatile.base_image"));
	return 0;
}

/* ---- type migration */

void source_keep_volatile(struct lxm_kv *config)
{
	lxm_auto(kv) struct lxm_kv kept = { 0 };

	lxm_kv_each(p, config)
		if (!lxm_starts(p->key, "volatile.") || strcmp(p->key, "volatile.cloud-init.instance-id") == 0 || lxm_ends(p->key, ".hwaddr"))
			lxm_kv_set(&kept, p->key, p->value);
	lxm_kv_copy(config, &kept);
}

/* Mode pull: the operation of the source that we dial. */
static int read_peer(const json_t *source, struct source *out, struct lxm_err *e)
{
	const char *operation = NULL, *certificate = NULL, *control = NULL, *fs = NULL;
	json_t *secrets = NULL;
	int r = js_need_str(source, "operation", &operation, e);

	if (r == 0)
		r = js_get_str(source, "certificate", &certificate, e);
	if (r == 0)
		r = js_get_obj(source, "secrets", &secrets, e);
	if (r == 0)
		r = js_get_str(secrets, "control", &control, e);
	if (r == 0)
		r = js_get_str(secrets, "fs", &fs, e);
	if (r == 0)
		r = migrate_peer_set(&out->peer, operation, control, fs, certificate, e);
	if (r == 0)
		out->sink.peer = &out->peer;
	return r;
}

static int read_migration(struct request *rq, const json_t *source, struct source *out, struct lxm_err *e)
{
	const char *mode = NULL, *image = NULL;
	bool live = false;
	json_t *config = NULL;
	int r = js_get_str(source, "mode", &mode, e);

	if (r == 0)
		r = js_get_str(source, "base-image", &image, e);
	if (r == 0)
		r = js_get_bool(source, "container_only", &out->sink.instance_only, e);
	if (r == 0)
		r = js_get_bool(source, "instance_only", &out->sink.instance_only, e);
	if (r == 0)
		r = js_get_bool(source, "refresh", &out->refresh, e);
	if (r == 0)
		r = js_get_bool(source, "live", &live, e);
	if (r == 0)
		r = js_get_obj(rq_json(rq), "config", &config, e);
	if (r < 0)
		return r;
	/* clients delete the source of a move afterwards, by force: what runs there would be lost */
	if (live && lxm_streq(js_str(config, "volatile.last_state.power"), "RUNNING"))
		return lxm_err_set(e, EINVAL, "a running instance cannot be moved to another server: stop it first (a copy may be made of it)");
	if (image && lxm_is_hex(image, 64, 64))
		set_fp(out, image);
	if (lxm_empty(mode) || lxm_streq(mode, "pull"))
		r = read_peer(source, out, e);
	else if (!lxm_streq(mode, "push"))
		r = lxm_err_set(e, EINVAL, "source.mode '%.20s' is unknown: use pull or push", mode);
	if (r == 0)
		out->sink.link = mig_link_new();
	return r;
}

int source_read(struct request *rq, struct db_instance *row, struct source *out, struct lxm_err *e)
{
	json_t *source = NULL;
	const char *type = NULL;
	int r = js_get_obj(rq_json(rq), "source", &source, e);

	if (r == 0)
		r = js_get_str(source, "type", &type, e);
	if (r < 0)
		return r;
	if (lxm_empty(type))
		return lxm_err_set(e, EINVAL, "key 'source.type' is required: image, copy, migration or none");
	if (lxm_streq(type, "none")) {
		out->type = SOURCE_NONE;
		return 0;
	}
	if (lxm_streq(type, "image")) {
		out->type = SOURCE_IMAGE;
		return read_image(rq, source, row, out, e);
	}
	if (lxm_streq(type, "copy")) {
		out->type = SOURCE_COPY;
		return read_copy(rq, source, row, out, e);
	}
	if (lxm_streq(type, "migration")) {
		out->type = SOURCE_MIGRATION;
		return read_migration(rq, source, out, e);
	}
	if (lxm_streq(type, "backup"))
		return lxm_err_set(e, EINVAL, "an instance is made from a backup by sending the tarball itself as application/octet-stream");
	return lxm_err_set(e, EINVAL, "source.type '%s' is unknown: use image, copy, migration or none", type);
}
