/*
 * JSON text without a tree, see json_write.h. Whether a comma is due is read off the last byte: none at the beginning, behind an
 * opening bracket and behind a key.
 */
#include "lib/api/json_write.h"

#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"

/* 0: as it is, 'u': as \u00XX, UTF8: to be looked at, else what stands behind the backslash. */
#define UTF8 1
static const char escapes[256] = {
	'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
	'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\', [0x80 ... 0xff] = UTF8,
};

/* Room for n bytes more was made. */
static void put(struct lxm_buf *b, const char *s, size_t n)
{
	memcpy(b->data + b->len, s, n);
	b->len += n;
}

/* How many bytes from the start stand for themselves. */
static size_t plain_bytes(const char *s)
{
	size_t n = 0;

	while (!escapes[(unsigned char)s[n]])
		n++;
	return n;
}

/* Its first n bytes are plain. */
static void quoted(struct lxm_buf *b, const char *s, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	lxm_auto(free) char *clean = NULL;
	size_t i = n, from = 0;

	n += strlen(s + n);
	if (i < n && !lxm_utf8_ok(s, n)) {
		s = clean = lxm_utf8_clean(s);
		n = strlen(s);
	}
	lxm_buf_room(b, 6 * n + 4);
	b->data[b->len++] = '"';
	for (; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		char esc = escapes[c];

		if (!esc || esc == UTF8)
			continue;
		put(b, s + from, i - from);
		from = i + 1;
		b->data[b->len++] = '\\';
		b->data[b->len++] = esc;
		if (esc == 'u') {
			put(b, "00", 2);
			b->data[b->len++] = digits[c >> 4];
			b->data[b->len++] = digits[c & 15];
		}
	}
	put(b, s + from, n - from);
	b->data[b->len++] = '"';
	b->data[b->len] = 0;
}

static void string(struct lxm_buf *b, const char *s)
{
	size_t n = plain_bytes(s);

	if (s[n]) {
		quoted(b, s, n);
		return;
	}
	lxm_buf_room(b, n + 4);
	b->data[b->len++] = '"';
	put(b, s, n);
	b->data[b->len++] = '"';
	b->data[b->len] = 0;
}

/* What comes before a value. */
static void begin(struct lxm_buf *b, const char *key)
{
	char last = b->len ? b->data[b->len - 1] : '[';

	if (last != '{' && last != '[')
		lxm_buf_chr(b, ',');
	if (key) {
		string(b, key);
		lxm_buf_chr(b, ':');
	}
}

static void plain(struct lxm_buf *b, const char *key, const char *text)
{
	begin(b, key);
	lxm_buf_str(b, text);
}

void jw_object(struct lxm_buf *b, const char *key)
{
	plain(b, key, "{");
}

void jw_object_end(struct lxm_buf *b)
{
	lxm_buf_chr(b, '}');
}

void jw_array(struct lxm_buf *b, const char *key)
{
	plain(b, key, "[");
}

void jw_array_end(struct lxm_buf *b)
{
	lxm_buf_chr(b, ']');
}

void jw_str(struct lxm_buf *b, const char *key, const char *value)
{
	begin(b, key);
	string(b, value ? value : "");
}

void jw_int(struct lxm_buf *b, const char *key, int64_t value)
{
	uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char text[24], *p = text + sizeof(text);

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	if (value < 0)
		*--p = '-';
	begin(b, key);
	lxm_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void jw_bool(struct lxm_buf *b, const char *key, bool value)
{
	plain(b, key, value ? "true" : "false");
}

void jw_null(struct lxm_buf *b, const char *key)
{
	plain(b, key, "null");
}

void jw_time(struct lxm_buf *b, const char *key, lxm_time value)
{
	char text[32];

	jw_str(b, key, lxm_time_str(value, text));
}

void jw_kv(struct lxm_buf *b, const char *key, const struct lxm_kv *kv)
{
	jw_object(b, key);
	lxm_kv_each(p, kv)
		jw_str(b, p->key, p->value);
	jw_object_end(b);
}

void jw_devs(struct lxm_buf *b, const char *key, const struct lxm_devs *d)
{
	jw_object(b, key);
	lxm_devs_each(dev, d)
		jw_kv(b, dev->name, &dev->kv);
	jw_object_end(b);
}

void jw_strv(struct lxm_buf *b, const char *key, const struct lxm_strv *v)
{
	size_t i;

	jw_array(b, key);
	for (i = 0; i < v->n; i++)
		jw_str(b, NULL, v->v[i]);
	jw_array_end(b);
}

void jw_tree(struct lxm_buf *b, const char *key, json_t *tree)
{
	lxm_auto(free) char *text = tree ? js_text(tree) : NULL;

	json_decref(tree);
	plain(b, key, text ? text : "null");
}
