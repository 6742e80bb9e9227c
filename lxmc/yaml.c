/*
 * YAML <-> JSON over libyaml, see yaml.h. Emitting goes event by event; reading goes through libyaml's document, with
 * a bound on how much aliases may multiply it.
 */
#include "lxmc/yaml.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <yaml.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/api/json.h"
#include "lxmc/out.h"

#define NODES_MAX 200000
#define DEPTH_MAX 100

/* ---- which plain scalars are not strings (YAML 1.1 words too: readers differ, so quote what any would convert) */

static bool is_null_word(const char *s)
{
	return !*s || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0;
}

static int bool_word(const char *s)
{
	static const char *const yes[] = { "true", "True", "TRUE" }, *const no[] = { "false", "False", "FALSE" };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (strcmp(s, yes[i]) == 0)
			return 1;
		if (strcmp(s, no[i]) == 0)
			return 0;
	}
	return -1;
}

/* An integer or real as JSON, NULL if it is neither. Octal-looking words (0644) stay strings. */
static json_t *number_word(const char *s)
{
	const char *digits = s + (*s == '-' || *s == '+');
	int64_t i;
	char *end;
	double d;

	if (!digits[0] || !strchr("0123456789.", digits[0]))
		return NULL;
	if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9')
		return NULL;
	if (lxm_parse_i64(*s == '+' ? s + 1 : s, &i) == 0)
		return json_integer(i);
	if (strspn(digits, "0123456789.eE+-") != strlen(digits))
		return NULL;
	d = strtod(s, &end);
	return *end || end == s ? NULL : json_real(d);
}

/* Skip digits and underscores. */
static const char *skip_digits(const char *s)
{
	while ((*s >= '0' && *s <= '9') || *s == '_')
		s++;
	return s;
}

/* Decimal, hexadecimal, octal or binary integers, reals, and YAML 1.1's base 60 ("1:20:30"). */
static bool looks_like_number(const char *s)
{
	const char *p = s + (*s == '-' || *s == '+'), *start = p;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'o' || p[1] == 'b') && p[2])
		return strspn(p + 2, "0123456789abcdefABCDEF_") == strlen(p + 2);
	if (!strchr("0123456789.", *p) || !*p)
		return false;
	p = skip_digits(p);
	if (*p == ':') {
		while (*p == ':' && p[1] >= '0' && p[1] <= '9')
			p = skip_digits(p + 1);
		return !*p || *p == '.';
	}
	if (*p == '.')
		p = skip_digits(p + 1);
	if (p == start + 1 && *start == '.')
		return false;
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '-' || p[1] == '+');
		return *p && !*skip_digits(p);
	}
	return !*p;
}

/* "2026-01-02" alone or with a time behind it. */
static bool looks_like_date(const char *s)
{
	static const char form[] = "dddd-dd-dd";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	return !s[i] || s[i] == 'T' || s[i] == 't' || s[i] == ' ';
}

static bool needs_quotes(const char *s)
{
	static const char *const words[] = { "y", "n", "yes", "no", "on", "off", "true", "false", ".inf", "-.inf", ".nan" };
	size_t i;

	if (is_null_word(s) || strcmp(s, "=") == 0 || strcmp(s, "<<") == 0)
		return true;
	for (i = 0; i < LXM_ARRAY_LEN(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return looks_like_number(s) || looks_like_date(s);
}

/* ---- emitting */

static int to_buf(void *arg, unsigned char *data, size_t n)
{
	lxm_buf_add(arg, data, n);
	return 1;
}

static void emit_scalar(yaml_emitter_t *em, const char *s, size_t n, yaml_scalar_style_t style)
{
	yaml_event_t ev;

	if (yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)s, (int)n, 1, 1, style))
		yaml_emitter_emit(em, &ev);
}

static void emit_string(yaml_emitter_t *em, const char *s)
{
	yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;

	if (strchr(s, '\n'))
		style = YAML_LITERAL_SCALAR_STYLE;
	else if (needs_quotes(s))
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	emit_scalar(em, s, strlen(s), style);
}

static void emit_value(yaml_emitter_t *em, const json_t *v, const char *const *order);

static int cmp_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void emit_map(yaml_emitter_t *em, const json_t *v, const char *const *order)
{
	size_t n = json_object_size(v), done = 0, i;
	const char **keys = lxm_alloc((n + 1) * sizeof(*keys)), *key;
	yaml_event_t ev;
	json_t *item;

	yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, n ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
	yaml_emitter_emit(em, &ev);
	for (; order && *order; order++)
		if (json_object_get(v, *order))
			keys[done++] = *order;
	i = done;
	json_object_foreach((json_t *)v, key, item) {
		size_t k;

		for (k = 0; k < i && strcmp(keys[k], key) != 0; k++)
			;
		if (k == i && done < n)
			keys[done++] = key;
	}
	qsort(keys + i, done - i, sizeof(*keys), cmp_keys);
	for (i = 0; i < done; i++) {
		emit_string(em, keys[i]);
		emit_value(em, json_object_get(v, keys[i]), NULL);
	}
	yaml_mapping_end_event_initialize(&ev);
	yaml_emitter_emit(em, &ev);
	free(keys);
}

static void emit_list(yaml_emitter_t *em, const json_t *v, const char *const *order)
{
	size_t i, n = json_array_size(v);
	yaml_event_t ev;
	json_t *item;

	yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
					     n ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
	yaml_emitter_emit(em, &ev);
	json_array_foreach(v, i, item)
		emit_value(em, item, order);
	yaml_sequence_end_event_initialize(&ev);
	yaml_emitter_emit(em, &ev);
}

static void emit_value(yaml_emitter_t *em, const json_t *v, const char *const *order)
{
	char num[64];

	if (json_is_object(v)) {
		emit_map(em, v, order);
	} else if (json_is_array(v)) {
		emit_list(em, v, order);
	} else if (json_is_string(v)) {
		emit_string(em, json_string_value(v));
	} else {
		if (json_is_integer(v))
			snprintf(num, sizeof(num), "%lld", (long long)json_integer_value(v));
		else if (json_is_real(v))
			snprintf(num, sizeof(num), "%.17g", json_real_value(v));
		else
			snprintf(num, sizeof(num), "%s",
				 json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
		emit_scalar(em, num, strlen(num), YAML_PLAIN_SCALAR_STYLE);
	}
}

char *yaml_dump(const json_t *data, const char *const *order)
{
	struct lxm_buf b = { 0 };
	yaml_emitter_t em;
	yaml_event_t ev;

	yaml_emitter_initialize(&em);
	yaml_emitter_set_output(&em, to_buf, &b);
	yaml_emitter_set_width(&em, -1);
	yaml_emitter_set_unicode(&em, 1);
	yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
	yaml_emitter_emit(&em, &ev);
	yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
	yaml_emitter_emit(&em, &ev);
	emit_value(&em, data, order);
	yaml_document_end_event_initialize(&ev, 1);
	yaml_emitter_emit(&em, &ev);
	yaml_stream_end_event_initialize(&ev);
	yaml_emitter_emit(&em, &ev);
	yaml_emitter_delete(&em);
	return lxm_buf_take(&b);
}

void yaml_print(const json_t *data, const char *const *order)
{
	lxm_auto(free) char *text = yaml_dump(data, order);

	out_text(text, strlen(text));
}

/* ---- reading */

struct reader {
	yaml_document_t *doc;
	int nodes; /* made so far: aliases are copied, and must not be copied without end */
	struct lxm_err *e;
};

static bool holds_strings(const char *key)
{
	static const char *const names[] = { "config", "devices", "properties", "environment", "entries" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(names); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

static json_t *read_node(struct reader *r, const yaml_node_t *n, bool strings, int depth);

static json_t *read_scalar(const yaml_node_t *n, bool strings)
{
	const char *s = (const char *)n->data.scalar.value;
	json_t *num;

	if (strings || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return json_stringn(strings && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_null_word(s) ? "" : s,
				    strings && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_null_word(s) ?
					    0 :
					    n->data.scalar.length);
	if (is_null_word(s))
		return json_null();
	if (bool_word(s) >= 0)
		return json_boolean(bool_word(s));
	num = number_word(s);
	return num ? num : json_string(s);
}

static json_t *read_map(struct reader *r, const yaml_node_t *n, bool strings, int depth)
{
	lxm_auto(json) json_t *o = json_object();
	yaml_node_pair_t *p;

	for (p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		yaml_node_t *k = yaml_document_get_node(r->doc, p->key);
		const char *key = (const char *)k->data.scalar.value;
		json_t *v;

		if (k->type != YAML_SCALAR_NODE) {
			lxm_err_set(r->e, EINVAL, "line %zu: a key must be a word", k->start_mark.line + 1);
			return NULL;
		}
		if (json_object_get(o, key)) {
			lxm_err_set(r->e, EINVAL, "line %zu: key '%s' stands there twice", k->start_mark.line + 1, key);
			return NULL;
		}
		v = read_node(r, yaml_document_get_node(r->doc, p->value), strings || holds_strings(key), depth + 1);
		if (!v || json_object_set_new(o, key, v) < 0)
			return NULL;
	}
	return json_incref(o);
}

static json_t *read_list(struct reader *r, const yaml_node_t *n, bool strings, int depth)
{
	lxm_auto(json) json_t *a = json_array();
	yaml_node_item_t *i;

	for (i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		json_t *v = read_node(r, yaml_document_get_node(r->doc, *i), strings, depth + 1);

		if (!v || json_array_append_new(a, v) < 0)
			return NULL;
	}
	return json_incref(a);
}

static json_t *read_node(struct reader *r, const yaml_node_t *n, bool strings, int depth)
{
	json_t *v;

	if (++r->nodes > NODES_MAX || depth > DEPTH_MAX) {
		lxm_err_set(r->e, EINVAL, "line %zu: too much of it", n->start_mark.line + 1);
		return NULL;
	}
	if (n->type == YAML_MAPPING_NODE)
		return read_map(r, n, strings, depth);
	if (n->type == YAML_SEQUENCE_NODE)
		return read_list(r, n, strings, depth);
	v = read_scalar(n, strings);
	if (!v)
		lxm_err_set(r->e, EINVAL, "line %zu: not UTF-8", n->start_mark.line + 1);
	return v;
}

int yaml_load(const char *text, size_t n, json_t **out, struct lxm_err *e)
{
	struct lxm_err err = { 0 };
	struct reader r = { .e = e ? e : &err };
	yaml_parser_t p;
	yaml_document_t doc;
	yaml_node_t *root;
	int ret = 0;

	yaml_parser_initialize(&p);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
	if (!yaml_parser_load(&p, &doc)) {
		ret = lxm_err_set(r.e, EINVAL, "YAML, line %zu: %s", p.problem_mark.line + 1,
				  p.problem ? p.problem : "cannot read it");
		yaml_parser_delete(&p);
		return ret;
	}
	r.doc = &doc;
	root = yaml_document_get_root_node(&doc);
	*out = root ? read_node(&r, root, false, 0) : json_null();
	if (!*out)
		ret = lxm_err_wrap(r.e, -EINVAL, "YAML");
	yaml_document_delete(&doc);
	yaml_parser_delete(&p);
	return ret;
}
