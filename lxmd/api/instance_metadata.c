/*
 * /1.0/instances/NAME/metadata and its templates/: what the image said, until somebody edits it;
 * then the volume gets its own. Templates are plain files in one directory; names are checked, links never followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/locks.h"
#include "lxmd/image/metadata.h"
#include "lxmd/image/template.h"
#include "lxmd/instance/instance.h"
#include "lxmd/storage/pool.h"

/* One request's view; put_away() when done. */
struct meta {
	struct instance i;
	struct pool *pool;
	struct lock *lock; /* held for changes */
	int dir;	   /* holds metadata.yaml and templates/ */
};

static void put_away(struct meta *m)
{
	instance_deinit(&m->i);
	if (m->pool)
		pool_unref(m->pool);
	lock_release(m->lock);
	auto_fd_close(&m->dir);
}
LXM_AUTO_STRUCT(meta, struct meta, put_away)

/* @write: take the lock and give the volume its own copy */
static int open_meta(struct request *rq, bool write, struct meta *m, struct lxm_err *e)
{
	const struct volume_id *v;
	int r = instance_load(rq->d, rq_project(rq), rq_arg(rq, 0), &m->i, e);

	if (r == 0 && write)
		r = instance_lock_id(rq->d, m->i.row.id, "Changing metadata", 0, &m->lock, e);
	if (r == 0)
		r = storage_pool_get(rq->d, m->i.row.pool, &m->pool, e);
	if (r < 0)
		return r;
	v = VOLUME_OF_INSTANCE(m->i.row.project, m->i.row.name);
	if (write)
		r = pool_volume_own_meta(m->pool, v, e);
	return r < 0 ? r : pool_volume_open_meta(m->pool, v, &m->dir, NULL, e);
}

static void tell(struct request *rq, const struct meta *m, const char *action, const char *path)
{
	lxm_auto(free) char *url = instance_url(m->i.row.name);
	lxm_auto(free) char *source = lxm_asprintf("%s/metadata%s", url, path ? "/templates" : "");

	event_lifecycle(rq->d, m->i.row.project, action, source, path ? json_pack("{s:o}", "path", js_string(path)) : NULL,
			rq_caller(rq));
}

/* ---- metadata.yaml */

static int read_json(const struct meta *m, json_t **out, struct lxm_err *e)
{
	lxm_auto(image_metadata) struct image_metadata md = { 0 };
	int r = image_metadata_read(m->dir, &md, e);

	if (r == 0)
		*out = image_metadata_json(&md);
	return r;
}

int api_instance_metadata_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(meta) struct meta m = { .dir = -1 };
	json_t *o = NULL;
	int r = open_meta(rq, false, &m, e);

	if (r == 0)
		r = read_json(&m, &o, e);
	if (r < 0)
		return r;
	tell(rq, &m, "instance-metadata-retrieved", NULL);
	return reply_sync_etag(rq, o, json_incref(o));
}

static int write_json(struct request *rq, const struct meta *m, const json_t *o, struct lxm_err *e)
{
	lxm_auto(image_metadata) struct image_metadata md = { 0 };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = image_metadata_from_json(o, &md, e);

	if (r < 0)
		return lxm_err_wrap(e, r, "metadata");
	image_metadata_emit(&md, &text);
	if (text.len > IMAGE_METADATA_MAX)
		return lxm_err_set(e, E2BIG, "metadata may have %d bytes", IMAGE_METADATA_MAX);
	r = lxm_write_file_atomic(m->dir, "metadata.yaml", text.data, text.len, 0600);
	if (r < 0)
		return lxm_err_set(e, -r, "write metadata of instance '%s': %s", m->i.row.name, strerror(-r));
	tell(rq, m, "instance-metadata-updated", NULL);
	return reply_sync(rq, NULL);
}

int api_instance_metadata_put(struct request *rq, struct lxm_err *e)
{
	lxm_auto(meta) struct meta m = { .dir = -1 };
	json_t *body, *old = NULL;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = open_meta(rq, true, &m, e);
	if (r == 0)
		r = read_json(&m, &old, e);
	if (r == 0)
		r = rq_check_etag(rq, old, e);
	return r < 0 ? r : write_json(rq, &m, body, e);
}

/* Keys of the body replace those that are there; in properties and templates key by key. */
static void merge(json_t *to, json_t *body)
{
	const char *key;
	json_t *v;

	json_object_foreach(body, key, v) {
		json_t *old = json_object_get(to, key);

		if (json_is_object(old) && json_is_object(v))
			(void)json_object_update(old, v);
		else if (!json_is_null(v))
			(void)json_object_set(to, key, v);
	}
}

int api_instance_metadata_patch(struct request *rq, struct lxm_err *e)
{
	lxm_auto(meta) struct meta m = { .dir = -1 };
	lxm_auto(json) json_t *o = NULL;
	json_t *body;
	int r = rq_need_json(rq, &body, e);

	if (r == 0)
		r = open_meta(rq, true, &m, e);
	if (r == 0)
		r = read_json(&m, &o, e);
	if (r == 0)
		r = rq_check_etag(rq, json_incref(o), e);
	if (r < 0)
		return r;
	merge(o, body);
	return write_json(rq, &m, o, e);
}

/* ---- templates/ */

static int need_path(struct request *rq, const char **out, struct lxm_err *e)
{
	const char *path = rq_query(rq, "path");

	if (lxm_empty(path))
		return lxm_err_set(e, EINVAL, "query parameter 'path' is required: the template's name");
	if (strchr(path, '/') || *path == '.' || strlen(path) > 200)
		return lxm_err_set(e, EINVAL, "'%.100s' is no template's name: a plain file name is wanted", path);
	*out = path;
	return 0;
}

static int list_templates(struct request *rq, const struct meta *m, struct lxm_err *e)
{
	int fd = lxm_open_beneath(m->dir, "templates", O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	lxm_auto(strv) struct lxm_strv names = { 0 };
	struct dirent *de;

	if (!dir && errno != ENOENT) {
		int r = lxm_err_sys(e, "read the templates of instance '%s'", m->i.row.name);

		auto_fd_close(&fd);
		return r;
	}
	while (dir && (de = readdir(dir)))
		if (de->d_name[0] != '.')
			lxm_strv_add(&names, de->d_name);
	if (dir)
		closedir(dir);
	lxm_strv_sort(&names);
	return reply_sync(rq, js_from_strv(&names));
}

int api_instance_templates_get(struct request *rq, struct lxm_err *e)
{
	lxm_auto(meta) struct meta m = { .dir = -1 };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(free) char *rel = NULL;
	const char *path;
	int r = open_meta(rq, false, &m, e);

	if (r < 0)
		return r;
	if (lxm_empty(rq_query(rq, "path")))
		return list_templates(rq, &m, e);
	r = need_path(rq, &path, e);
	if (r < 0)
		return r;
	rel = lxm_asprintf("templates/%s", path);
	r = lxm_read_regular_beneath(m.dir, rel, TEMPLATE_MAX, &text);
	if (r < 0)
		return lxm_err_set(e, -r, "template '%s' of instance '%s': %s", path, m.i.row.name, strerror(-r));
	tell(rq, &m, "instance-metadata-template-retrieved", path);
	return reply_bytes(rq, text.data ? text.data : "", text.len, NULL, NULL);
}

static int open_templates(const struct meta *m, struct lxm_err *e)
{
	int fd, r = lxm_mkdir_at(m->dir, "templates", 0700);

	if (r < 0)
		return lxm_err_set(e, -r, "make the directory of templates: %s", strerror(-r));
	fd = lxm_open_beneath(m->dir, "templates", O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? lxm_err_sys(e, "open the directory of templates") : fd;
}

int api_instance_templates_post(struct request *rq, struct lxm_err *e)
{
	lxm_auto(meta) struct meta m = { .dir = -1 };
	lxm_auto(free) char *data = NULL;
	lxm_auto(fd_close) int dir = -1;
	const char *path;
	uint64_t size = 0;
	int body = rq_body_fd(rq, &size);
	ssize_t n;
	int r = need_path(rq, &path, e);

	if (r == 0 && size > TEMPLATE_MAX)
		r = lxm_err_set(e, E2BIG, "a template may have %d bytes", TEMPLATE_MAX);
	if (r == 0)
		r = open_meta(rq, true, &m, e);
	if (r < 0)
		return r;
	data = lxm_alloc(size + 1);
	n = body < 0 ? 0 : lxm_read_full(body, data, size);
	if (n < 0)
		return lxm_err_set(e, (int)-n, "read the body: %s", strerror((int)-n));
	dir = open_templates(&m, e);
	if (dir < 0)
		return dir;
	r = lxm_write_file_atomic(dir, path, data, (size_t)n, 0600);
	if (r < 0)
		return lxm_err_set(e, -r, "write template '%s': %s", path, strerror(-r));
	tell(rq, &m, "instance-metadata-template-created", path);
	return reply_sync(rq, NULL);
}

int api_instance_templates_delete(struct request *rq, struct lxm_err *e)
{
	lxm_auto(meta) struct meta m = { .dir = -1 };
	lxm_auto(fd_close) int dir = -1;
	const char *path;
	int r = need_path(rq, &path, e);

	if (r == 0)
		r = open_meta(rq, true, &m, e);
	if (r < 0)
		return r;
	dir = open_templates(&m, e);
	if (dir < 0)
		return dir;
	if (unlinkat(dir, path, 0) < 0)
		return lxm_err_sys(e, "template '%s' of instance '%s'", path, m.i.row.name);
	tell(rq, &m, "instance-metadata-template-deleted", path);
	return reply_sync(rq, NULL);
}
