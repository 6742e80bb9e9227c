/*
 * metadata.yaml: read through yaml.c into a JSON tree, then checked by the same code that checks what the API's PUT sends.
 * No state. The names of templates decide which files of image and container are touched later, so they are checked here
 * and opened through openat2 there (CVE-2026-23954).
 */
#include "lxmd/image/metadata.h"

#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/conf/names.h"
#include "lxmd/image/yaml.h"

#define TEMPLATES_MAX 500

static void template_deinit(struct image_template *t)
{
	free(t->target);
	free(t->source);
	lxm_strv_deinit(&t->when);
	lxm_kv_deinit(&t->properties);
}

void image_metadata_deinit(struct image_metadata *m)
{
	size_t i;

	free(m->architecture);
	lxm_kv_deinit(&m->properties);
	for (i = 0; i < m->n_templates; i++)
		template_deinit(&m->templates[i]);
	free(m->templates);
	memset(m, 0, sizeof(*m));
}

/* Text of a scalar: strings as they are, numbers and booleans of a JSON body as text. NULL if it is neither. */
static const char *text_of(const json_t *v, char room[32])
{
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		snprintf(room, 32, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(room, 32, "%s", json_is_true(v) ? "true" : "false");
	else
		return NULL;
	return room;
}

static int get_number(const json_t *o, const char *key, int64_t *out, struct lxm_err *e)
{
	json_t *v = js_get(o, key);
	const char *s;
	char room[32];

	if (!v)
		return 0;
	s = text_of(v, room);
	if (!s || lxm_parse_i64(s, out) < 0)
		return lxm_err_set(e, EINVAL, "key '%s' must be a whole number", key);
	return 0;
}

static int get_date(const json_t *o, const char *key, lxm_time *out, struct lxm_err *e)
{
	int64_t n = 0;
	int r = get_number(o, key, &n, e);

	if (r < 0)
		return r;
	if (n < 0 || n > 253402300799) /* year 9999 */
		return lxm_err_set(e, EINVAL, "key '%s' is no time in seconds since 1970", key);
	*out = n * 1000;
	return 0;
}

static int get_bool(const json_t *o, const char *key, bool *out, struct lxm_err *e)
{
	json_t *v = js_get(o, key);
	char room[32];
	int b;

	if (!v)
		return 0;
	b = lxm_parse_bool(text_of(v, room) ? text_of(v, room) : "?");
	if (b < 0)
		return lxm_err_set(e, EINVAL, "key '%s' must be true or false", key);
	*out = b;
	return 0;
}

static int get_properties(const json_t *o, struct lxm_kv *out, struct lxm_err *e)
{
	json_t *props = js_get(o, "properties"), *v;
	const char *key;
	char room[32];

	if (!props)
		return 0;
	if (!json_is_object(props))
		return lxm_err_set(e, EINVAL, "key 'properties' must be a mapping");
	json_object_foreach(props, key, v)
	{
		const char *s = json_is_null(v) ? "" : text_of(v, room);

		if (!s)
			return lxm_err_set(e, EINVAL, "property '%.100s' must be text", key);
		lxm_kv_set(out, key, s);
	}
	return 0;
}

/* An absolute path without ".", ".." or control characters. */
static bool target_ok(const char *p)
{
	const char *c;

	if (*p != '/' || strlen(p) > 4000)
		return false;
	for (c = p; *c; c++)
		if ((unsigned char)*c < 32 || *c == 127)
			return false;
	while (*p) {
		size_t n;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if ((n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
	}
	return true;
}

static bool source_ok(const char *s)
{
	const char *c;

	for (c = s; *c; c++)
		if ((unsigned char)*c < 32 || *c == 127 || *c == '/')
			return false;
	return *s && strlen(s) <= 255 && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static int get_when(const json_t *o, struct image_template *t, struct lxm_err *e)
{
	json_t *when = js_get(o, "when"), *v;
	size_t i;

	if (when && !json_is_array(when))
		return lxm_err_set(e, EINVAL, "key 'when' must be a list");
	json_array_foreach(when, i, v)
	{
		const char *s = json_string_value(v);

		if (!s || (strcmp(s, "create") != 0 && strcmp(s, "copy") != 0 && strcmp(s, "rename") != 0 && strcmp(s, "start") != 0))
			return lxm_err_set(e, EINVAL, "key 'when' holds '%.50s'; create, copy, rename and start are known",
					   s ? s : "something that is no text");
		lxm_strv_add(&t->when, s);
	}
	return 0;
}

static int get_ids(const json_t *o, struct image_template *t, struct lxm_err *e)
{
	const char *mode = js_str(o, "mode");
	int64_t uid = -1, gid = -1;
	int r = get_number(o, "uid", &uid, e);

	if (r == 0)
		r = get_number(o, "gid", &gid, e);
	if (r < 0)
		return r;
	if (uid < -1 || gid < -1 || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return lxm_err_set(e, EINVAL, "impossible owner");
	t->uid = (long)uid;
	t->gid = (long)gid;
	t->mode = -1;
	if (!lxm_empty(mode)) {
		char *end;
		long m = strtol(mode, &end, 8);

		if (*end || m < 0 || m > 07777)
			return lxm_err_set(e, EINVAL, "key 'mode' must be octal, such as 0644");
		t->mode = (int)m;
	}
	return 0;
}

static int get_template(const char *target, const json_t *o, struct image_template *t, struct lxm_err *e)
{
	const char *source;
	int r;

	if (!target_ok(target))
		return lxm_err_set(e, EINVAL, "the path must be absolute and without '..'");
	if (!json_is_object(o))
		return lxm_err_set(e, EINVAL, "it must be a mapping");
	source = js_str(o, "template");
	if (!source || !source_ok(source))
		return lxm_err_set(e, EINVAL, "key 'template' must be the name of a file in templates/");
	t->target = lxm_strdup(target);
	t->source = lxm_strdup(source);
	r = get_when(o, t, e);
	if (r == 0)
		r = get_bool(o, "create_only", &t->create_only, e);
	if (r == 0)
		r = get_properties(o, &t->properties, e);
	return r < 0 ? r : get_ids(o, t, e);
}

static int get_templates(const json_t *o, struct image_metadata *m, struct lxm_err *e)
{
	json_t *all = js_get(o, "templates"), *v;
	const char *target;
	int r;

	if (!all)
		return 0;
	if (!json_is_object(all))
		return lxm_err_set(e, EINVAL, "key 'templates' must be a mapping");
	if (json_object_size(all) > TEMPLATES_MAX)
		return lxm_err_set(e, EINVAL, "more than %d templates", TEMPLATES_MAX);
	m->templates = lxm_alloc((json_object_size(all) + 1) * sizeof(*m->templates));
	json_object_foreach(all, target, v)
	{
		r = get_template(target, v, &m->templates[m->n_templates++], e);
		if (r < 0)
			return lxm_err_wrap(e, r, "template '%.100s'", target);
	}
	return 0;
}

int image_metadata_from_json(const json_t *o, struct image_metadata *out, struct lxm_err *e)
{
	lxm_auto(image_metadata) struct image_metadata m = { 0 };
	const char *arch = js_str(o, "architecture");
	int r;

	if (!json_is_object(o))
		return lxm_err_set(e, EINVAL, "it must be a mapping");
	if (lxm_empty(arch))
		return lxm_err_set(e, EINVAL, "key 'architecture' is required");
	if (!conf_architecture(arch))
		return lxm_err_set(e, EINVAL, "key 'architecture' holds '%.50s', which is no known architecture", arch);
	m.architecture = lxm_strdup(conf_architecture(arch));
	r = get_date(o, "creation_date", &m.created_at, e);
	if (r == 0)
		r = get_date(o, "expiry_date", &m.expires_at, e);
	if (r == 0)
		r = get_properties(o, &m.properties, e);
	if (r == 0)
		r = get_templates(o, &m, e);
	if (r < 0)
		return r;
	*out = m;
	memset(&m, 0, sizeof(m));
	return 0;
}

int image_metadata_parse(const char *text, size_t len, struct image_metadata *out, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	int r;

	if (len > IMAGE_METADATA_MAX)
		return lxm_err_set(e, EINVAL, "metadata.yaml: larger than 1 MiB");
	r = yaml_parse(text, len, &o, e);
	if (r == 0)
		r = image_metadata_from_json(o, out, e);
	return r < 0 ? lxm_err_wrap(e, r, "metadata.yaml") : 0;
}

int image_metadata_read(int dirfd, struct image_metadata *out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	int r = lxm_read_regular_beneath(dirfd, "metadata.yaml", IMAGE_METADATA_MAX, &text);

	if (r == -ELOOP || r == -EINVAL || r == -EXDEV)
		return lxm_err_set(e, EINVAL, "metadata.yaml is not a regular file");
	if (r < 0) {
		errno = -r;
		return lxm_err_sys(e, "read metadata.yaml");
	}
	return image_metadata_parse(text.data ? text.data : "", text.len, out, e);
}

static void emit_kv(struct lxm_buf *out, const struct lxm_kv *kv, const char *indent)
{
	lxm_kv_each(p, kv)
	{
		lxm_buf_str(out, indent);
		yaml_emit_string(out, p->key);
		lxm_buf_str(out, ": ");
		yaml_emit_string(out, p->value);
		lxm_buf_chr(out, '\n');
	}
}

static void emit_template(struct lxm_buf *out, const struct image_template *t)
{
	size_t i;

	lxm_buf_str(out, "  ");
	yaml_emit_string(out, t->target);
	lxm_buf_str(out, ":\n    when:\n");
	for (i = 0; i < t->when.n; i++)
		lxm_buf_fmt(out, "      - %s\n", t->when.v[i]);
	if (t->create_only)
		lxm_buf_str(out, "    create_only: true\n");
	lxm_buf_str(out, "    template: ");
	yaml_emit_string(out, t->source);
	lxm_buf_chr(out, '\n');
	if (t->uid >= 0)
		lxm_buf_fmt(out, "    uid: %ld\n", t->uid);
	if (t->gid >= 0)
		lxm_buf_fmt(out, "    gid: %ld\n", t->gid);
	if (t->mode >= 0)
		lxm_buf_fmt(out, "    mode: \"%04o\"\n", (unsigned int)t->mode);
	if (t->properties.n) {
		lxm_buf_str(out, "    properties:\n");
		emit_kv(out, &t->properties, "      ");
	}
}

void image_metadata_emit(const struct image_metadata *m, struct lxm_buf *out)
{
	size_t i;

	lxm_buf_str(out, "architecture: ");
	yaml_emit_string(out, m->architecture ? m->architecture : "");
	lxm_buf_fmt(out, "\ncreation_date: %lld\n", (long long)(m->created_at / 1000));
	if (m->expires_at)
		lxm_buf_fmt(out, "expiry_date: %lld\n", (long long)(m->expires_at / 1000));
	if (m->properties.n) {
		lxm_buf_str(out, "properties:\n");
		emit_kv(out, &m->properties, "  ");
	}
	if (m->n_templates)
		lxm_buf_str(out, "templates:\n");
	for (i = 0; i < m->n_templates; i++)
		emit_template(out, &m->templates[i]);
}

json_t *image_metadata_json(const struct image_metadata *m)
{
	json_t *templates = json_object(), *o = json_object();
	size_t i;

	for (i = 0; i < m->n_templates; i++) {
		const struct image_template *t = &m->templates[i];
		json_t *one = json_object();

		json_object_set_new(one, "when", js_from_strv(&t->when));
		json_object_set_new(one, "create_only", json_boolean(t->create_only));
		json_object_set_new(one, "template", js_string(t->source));
		json_object_set_new(one, "properties", js_from_kv(&t->properties));
		if (t->uid >= 0)
			json_object_set_new(one, "uid", json_integer(t->uid));
		if (t->gid >= 0)
			json_object_set_new(one, "gid", json_integer(t->gid));
		if (t->mode >= 0)
			json_object_set_new(one, "mode", json_sprintf("%04o", (unsigned int)t->mode));
		json_object_set_new(templates, t->target, one);
	}
	json_object_set_new(o, "architecture", js_string(m->architecture));
	json_object_set_new(o, "creation_date", json_integer(m->created_at / 1000));
	json_object_set_new(o, "expiry_date", json_integer(m->expires_at / 1000));
	json_object_set_new(o, "properties", js_from_kv(&m->properties));
	json_object_set_new(o, "templates", templates);
	return o;
}

bool image_template_fires(const struct image_template *t, const char *trigger)
{
	return lxm_strv_has(&t->when, trigger);
}
