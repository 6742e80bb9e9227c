/*
 * libyaml's event parser with bounds (CVE rows "unbounded YAML"): aliases are refused, so a small text cannot unfold into a
 * large tree, and depth, count and size are limited before anything is built.
 */
#include "lxmd/image/yaml.h"

#include <string.h>
#include <yaml.h>

#define DEPTH_MAX  8
#define NODES_MAX  10000
#define SCALAR_MAX 65536

struct reader {
	yaml_parser_t p;
	unsigned int nodes, max_nodes;
	struct lxm_err *e;
};

static int refuse(struct reader *r, const yaml_event_t *ev, const char *why)
{
	return lxm_err_set(r->e, EINVAL, "line %zu: %s", ev->start_mark.line + 1, why);
}

static int next(struct reader *r, yaml_event_t *ev)
{
	if (!yaml_parser_parse(&r->p, ev))
		return lxm_err_set(r->e, EINVAL, "line %zu: %s", r->p.problem_mark.line + 1,
				   r->p.problem ? r->p.problem : "malformed YAML");
	return 0;
}

static int scalar(struct reader *r, const yaml_event_t *ev, json_t **out)
{
	const char *s = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;

	if (ev->data.scalar.anchor)
		return refuse(r, ev, "anchors are not allowed");
	if (n > SCALAR_MAX)
		return refuse(r, ev, "a value is longer than 64 KiB");
	if (memchr(s, 0, n))
		return refuse(r, ev, "a value holds a NUL");
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (!n || strcmp(s, "~") == 0 || strcmp(s, "null") == 0))
		*out = json_null();
	else
		*out = json_stringn(s, n);
	return *out ? 0 : refuse(r, ev, "a value is not UTF-8");
}

static int node(struct reader *r, const yaml_event_t *ev, int depth, json_t **out);

static int sequence(struct reader *r, int depth, json_t *arr)
{
	for (;;) {
		json_t *item = NULL;
		yaml_event_t ev;
		int rc = next(r, &ev);
		bool end;

		if (rc < 0)
			return rc;
		end = ev.type == YAML_SEQUENCE_END_EVENT;
		if (!end)
			rc = node(r, &ev, depth, &item);
		yaml_event_delete(&ev);
		if (end || rc < 0)
			return rc;
		json_array_append_new(arr, item);
	}
}

/* One "key: value"; returns 1 at the end of the mapping. */
static int pair(struct reader *r, int depth, json_t *obj)
{
	json_t *key = NULL, *value = NULL;
	yaml_event_t ev, vev;
	int rc = next(r, &ev);

	if (rc < 0)
		return rc;
	if (ev.type == YAML_MAPPING_END_EVENT) {
		yaml_event_delete(&ev);
		return 1;
	}
	if (ev.type != YAML_SCALAR_EVENT)
		rc = refuse(r, &ev, ev.type == YAML_ALIAS_EVENT ? "aliases are not allowed" : "a key that is no plain text");
	else
		rc = node(r, &ev, depth, &key);
	if (rc == 0 && !json_is_string(key))
		rc = refuse(r, &ev, "an empty key");
	if (rc == 0 && json_object_get(obj, json_string_value(key)))
		rc = refuse(r, &ev, "a key comes twice");
	yaml_event_delete(&ev);
	if (rc == 0)
		rc = next(r, &vev);
	if (rc == 0) {
		rc = node(r, &vev, depth, &value);
		yaml_event_delete(&vev);
	}
	if (rc == 0)
		json_object_set_new(obj, json_string_value(key), value);
	json_decref(key);
	return rc;
}

/* The tree that starts with this event. */
static int node(struct reader *r, const yaml_event_t *ev, int depth, json_t **out)
{
	json_t *o;
	int rc = 0;

	if (++r->nodes > r->max_nodes)
		return refuse(r, ev, r->max_nodes == NODES_MAX ? "more than 10,000 values" : "too many values");
	if (depth > DEPTH_MAX)
		return refuse(r, ev, "nested too deeply");
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return scalar(r, ev, out);
	case YAML_SEQUENCE_START_EVENT:
		if (ev->data.sequence_start.anchor)
			return refuse(r, ev, "anchors are not allowed");
		o = json_array();
		rc = sequence(r, depth + 1, o);
		break;
	case YAML_MAPPING_START_EVENT:
		if (ev->data.mapping_start.anchor)
			return refuse(r, ev, "anchors are not allowed");
		o = json_object();
		while ((rc = pair(r, depth + 1, o)) == 0)
			;
		rc = rc > 0 ? 0 : rc;
		break;
	case YAML_ALIAS_EVENT:
		return refuse(r, ev, "aliases are not allowed");
	default:
		return refuse(r, ev, "unexpected end");
	}
	if (rc < 0)
		json_decref(o);
	else
		*out = o;
	return rc;
}

/* Stream start, document start, one node, document end, stream end. */
static int document(struct reader *r, json_t **out)
{
	static const yaml_event_type_t want[] = { YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT, YAML_NO_EVENT,
						  YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT };
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < sizeof(want) / sizeof(want[0]); i++) {
		yaml_event_t ev;

		rc = next(r, &ev);
		if (rc < 0)
			break;
		if (want[i] == YAML_NO_EVENT)
			rc = node(r, &ev, 0, out);
		else if (ev.type != want[i])
			rc = refuse(r, &ev, ev.type == YAML_STREAM_END_EVENT ? "it is empty" : "more than one document");
		yaml_event_delete(&ev);
	}
	return rc;
}

int yaml_parse_big(const char *text, size_t len, unsigned int max_nodes, json_t **out, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	struct reader r = { .max_nodes = max_nodes, .e = e ? e : &local };
	json_t *tree = NULL;
	int rc;

	if (!yaml_parser_initialize(&r.p))
		return lxm_err_set(e, ENOMEM, "out of memory");
	yaml_parser_set_input_string(&r.p, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&r.p, YAML_UTF8_ENCODING);
	rc = document(&r, &tree);
	yaml_parser_delete(&r.p);
	if (rc < 0) {
		json_decref(tree);
		return rc;
	}
	*out = tree;
	return 0;
}

int yaml_parse(const char *text, size_t len, json_t **out, struct lxm_err *e)
{
	return yaml_parse_big(text, len, NODES_MAX, out, e);
}

static void emit_node(struct lxm_buf *out, const json_t *v, int depth);

/* Maps and lists begin on a line of their own, `depth` levels in; a list's maps go on behind the dash. */
static void emit_map(struct lxm_buf *out, const json_t *o, int depth, bool behind_dash)
{
	lxm_auto(strv) struct lxm_strv keys = { 0 };
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach((json_t *)o, key, v)
		lxm_strv_add(&keys, key);
	lxm_strv_sort(&keys);
	for (i = 0; i < keys.n; i++) {
		if (i || !behind_dash)
			lxm_buf_fmt(out, "%*s", depth * 2, "");
		yaml_emit_string(out, keys.v[i]);
		lxm_buf_chr(out, ':');
		emit_node(out, json_object_get(o, keys.v[i]), depth + 1);
	}
}

static void emit_list(struct lxm_buf *out, const json_t *a, int depth)
{
	json_t *v;
	size_t i;

	json_array_foreach(a, i, v) {
		lxm_buf_fmt(out, "%*s-", depth * 2, "");
		if (json_is_object(v) && json_object_size(v)) {
			lxm_buf_chr(out, ' ');
			emit_map(out, v, depth + 1, true);
		} else {
			emit_node(out, v, depth + 1);
		}
	}
}

/* What stands behind a colon or a dash. */
static void emit_node(struct lxm_buf *out, const json_t *v, int depth)
{
	if (json_is_object(v) && json_object_size(v)) {
		lxm_buf_chr(out, '\n');
		emit_map(out, v, depth, false);
		return;
	}
	if (json_is_array(v) && json_array_size(v)) {
		lxm_buf_chr(out, '\n');
		emit_list(out, v, depth);
		return;
	}
	lxm_buf_chr(out, ' ');
	if (json_is_string(v))
		yaml_emit_string(out, json_string_value(v));
	else if (json_is_integer(v))
		lxm_buf_fmt(out, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		lxm_buf_str(out, json_is_true(v) ? "true" : "false");
	else
		lxm_buf_str(out, json_is_object(v) ? "{}" : json_is_array(v) ? "[]" : "null");
	lxm_buf_chr(out, '\n');
}

void yaml_emit(struct lxm_buf *out, const json_t *tree)
{
	if (json_is_object(tree) && json_object_size(tree))
		emit_map(out, tree, 0, false);
	else
		emit_node(out, tree, 0);
}

void yaml_emit_string(struct lxm_buf *out, const char *s)
{
	lxm_buf_chr(out, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			lxm_buf_fmt(out, "\\%c", c);
		else if (c == '\n')
			lxm_buf_str(out, "\\n");
		else if (c == '\t')
			lxm_buf_str(out, "\\t");
		else if (c < 32 || c == 127)
			lxm_buf_fmt(out, "\\x%02x", c);
		else
			lxm_buf_chr(out, (char)c);
	}
	lxm_buf_chr(out, '"');
}
