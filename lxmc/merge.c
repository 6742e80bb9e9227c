/* Putting hosts' answers together, see merge.h. */
#include "lxmc/merge.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/json.h"

static bool same_head(const struct table *t, const json_t *head)
{
	size_t i;

	if (t->head.n != json_array_size(head) + 1)
		return false;
	for (i = 1; i < t->head.n; i++)
		if (!lxm_streq(t->head.v[i], json_string_value(json_array_get(head, i - 1))))
			return false;
	return true;
}

static void set_head(struct table *t, const json_t *head)
{
	json_t *title;
	size_t i;

	table_head(t, "HOST");
	json_array_foreach(head, i, title)
		table_head(t, json_is_string(title) ? json_string_value(title) : "");
}

void merge_table(struct fleet *f, struct table *out)
{
	size_t i, k, columns;
	json_t *cell;

	for (i = 0; i < f->n; i++) {
		const json_t *head = json_object_get(f->v[i].list, "head"), *cells = json_object_get(f->v[i].list, "cells");

		columns = json_array_size(head);
		if (!columns)
			continue;
		if (!out->head.n)
			set_head(out, head);
		if (!same_head(out, head) || json_array_size(cells) % columns) {
			lxm_strv_add(&f->v[i].errors, "its table has other columns than those of the other hosts");
			continue;
		}
		json_array_foreach(cells, k, cell) {
			if (k % columns == 0)
				table_cell(out, f->v[i].name);
			table_cell(out, json_is_string(cell) ? json_string_value(cell) : "");
		}
	}
}

json_t *merge_document(const struct fleet *f)
{
	json_t *doc = json_array();
	size_t i;

	for (i = 0; i < f->n; i++) {
		const struct fleet_host *h = &f->v[i];
		json_t *o = json_pack("{s:s, s:i}", "host", h->name, "status", h->status);
		json_t *data = h->object ? h->object : json_object_get(h->list, "data");

		if (data)
			json_object_set(o, "result", data);
		if (h->errors.n) {
			lxm_auto(free) char *text = lxm_strv_join(&h->errors, "\n");

			json_object_set_new(o, "error", js_string(text));
		}
		json_array_append_new(doc, o);
	}
	return doc;
}

void merge_lines(struct lxm_buf *b, const char *host, bool end, void (*put)(void *arg, const char *s, size_t n), void *arg)
{
	size_t at = 0;

	while (at < b->len) {
		char *nl = memchr(b->data + at, '\n', b->len - at);
		size_t n = nl ? (size_t)(nl - b->data) - at : b->len - at;
		struct lxm_buf line = { 0 };

		if (!nl && !end)
			break;
		if (host)
			lxm_buf_fmt(&line, "%s: ", host);
		lxm_buf_add(&line, b->data + at, n);
		lxm_buf_chr(&line, '\n');
		put(arg, line.data, line.len);
		lxm_buf_deinit(&line);
		at += n + (nl != NULL);
	}
	if (!at)
		return;
	memmove(b->data, b->data + at, b->len - at);
	b->len -= at;
	b->data[b->len] = '\0';
}
