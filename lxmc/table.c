/* Tables and the formats of lists, see out.h. The layout is lxc's, so that scripts which cut it up feel at home. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lxmc/out.h"
#include "lxmc/sink.h"
#include "lxmc/yaml.h"

void table_deinit(struct table *t)
{
	lxm_strv_deinit(&t->head);
	lxm_strv_deinit(&t->cells);
}

void table_head(struct table *t, const char *title)
{
	lxm_strv_add(&t->head, title);
}

void table_cell(struct table *t, const char *text)
{
	lxm_strv_add(&t->cells, text ? text : "");
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	struct lxm_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	lxm_buf_vfmt(&b, fmt, ap);
	va_end(ap);
	lxm_strv_take(&t->cells, lxm_buf_take(&b));
}

static size_t sort_columns;

static int cmp_rows(const void *a, const void *b)
{
	size_t i;
	int r = 0;

	for (i = 0; i < sort_columns && r == 0; i++)
		r = strverscmp(((char *const *)a)[i], ((char *const *)b)[i]);
	return r;
}

void table_sort(struct table *t)
{
	sort_columns = t->head.n;
	if (sort_columns && t->cells.n)
		qsort(t->cells.v, t->cells.n / sort_columns, sort_columns * sizeof(*t->cells.v), cmp_rows);
}

/* The i-th line of a text; its length in *n. False behind the last. */
static bool line_of(const char *s, size_t i, const char **line, size_t *n)
{
	while (i--) {
		s = strchr(s, '\n');
		if (!s)
			return false;
		s++;
	}
	*line = s;
	*n = strcspn(s, "\n");
	return true;
}

static size_t widest_line(const char *s)
{
	size_t i, n, w, widest = 0;
	const char *line;

	for (i = 0; line_of(s, i, &line, &n); i++) {
		w = out_width(line, n);
		if (w > widest)
			widest = w;
	}
	return widest;
}

static void pad(struct lxm_buf *b, size_t n)
{
	while (n--)
		lxm_buf_chr(b, ' ');
}

static void rule(struct lxm_buf *b, const size_t *w, size_t columns)
{
	size_t i, k;

	for (i = 0; i < columns; i++) {
		lxm_buf_chr(b, '+');
		for (k = 0; k < w[i] + 2; k++)
			lxm_buf_chr(b, '-');
	}
	lxm_buf_str(b, "+\n");
}

static void row(struct lxm_buf *b, char *const *cells, const size_t *w, size_t columns, bool centred, bool borders)
{
	size_t i, k, n = 0;
	const char *line = "";
	bool more = true;

	for (k = 0; more; k++) {
		more = false;
		for (i = 0; i < columns; i++) {
			size_t used, left;

			if (!line_of(cells[i], k, &line, &n)) {
				line = "";
				n = 0;
			}
			more |= line[n] == '\n';
			used = out_width(line, n);
			left = centred ? (w[i] - used) / 2 : 0;
			lxm_buf_str(b, borders ? "| " : "  ");
			pad(b, left);
			lxm_buf_add(b, line, n);
			if (borders || i + 1 < columns)
				pad(b, w[i] - used - left);
			if (borders)
				lxm_buf_chr(b, ' ');
		}
		lxm_buf_str(b, borders ? "|\n" : "\n");
	}
}

char *table_text(const struct table *t, bool borders)
{
	size_t columns = t->head.n, i, *w = lxm_alloc((columns + 1) * sizeof(*w));
	lxm_auto(strv) struct lxm_strv safe = { 0 };
	struct lxm_buf b = { 0 };

	for (i = 0; i < columns; i++)
		w[i] = widest_line(t->head.v[i]);
	for (i = 0; i < t->cells.n; i++) {
		size_t width;

		lxm_strv_take(&safe, out_safe_lines(t->cells.v[i]));
		width = widest_line(safe.v[i]);
		if (width > w[i % columns])
			w[i % columns] = width;
	}
	if (borders)
		rule(&b, w, columns);
	row(&b, t->head.v, w, columns, borders, borders);
	if (borders)
		rule(&b, w, columns);
	for (i = 0; columns && i + columns <= safe.n; i += columns) {
		row(&b, safe.v + i, w, columns, false, borders);
		if (borders)
			rule(&b, w, columns);
	}
	free(w);
	return lxm_buf_take(&b);
}

char *table_csv(const struct table *t)
{
	struct lxm_buf b = { 0 };
	size_t i;

	for (i = 0; i < t->cells.n; i++) {
		const char *s = t->cells.v[i];

		if (!s[strcspn(s, ",\"\n\r")] && *s != ' ') {
			lxm_buf_str(&b, s);
		} else {
			lxm_buf_chr(&b, '"');
			for (; *s; s++) {
				if (*s == '"')
					lxm_buf_chr(&b, '"');
				lxm_buf_chr(&b, *s);
			}
			lxm_buf_chr(&b, '"');
		}
		lxm_buf_chr(&b, (i + 1) % t->head.n ? ',' : '\n');
	}
	return lxm_buf_take(&b);
}

int out_list(const struct cli *cli, const struct table *t, const json_t *data, struct lxm_err *e)
{
	const char *format = cli_opt(cli, "format", NULL);
	lxm_auto(free) char *text = NULL;
	size_t i;

	if (sink_active()) {
		sink_list(t, format && (strcmp(format, "json") == 0 || strcmp(format, "yaml") == 0) ? data : NULL);
		return 0;
	}
	if (!format && cli->quiet) {
		for (i = 0; i < t->cells.n; i += t->head.n) {
			out_text(t->cells.v[i], strlen(t->cells.v[i]));
			putchar('\n');
		}
		return 0;
	}
	if (!format || strcmp(format, "table") == 0 || strcmp(format, "compact") == 0) {
		text = table_text(t, !format || *format == 't');
		fputs(text, stdout);
	} else if (strcmp(format, "csv") == 0) {
		text = table_csv(t);
		out_text(text, strlen(text));
	} else if (strcmp(format, "json") == 0) {
		out_json(data, false);
	} else if (strcmp(format, "yaml") == 0) {
		yaml_print(data, NULL);
	} else {
		return cli_usage(e, "unknown format '%s'; there are table, compact, csv, json and yaml", format);
	}
	return 0;
}

int out_object(const struct cli *cli, const json_t *data, const char *const *order, struct lxm_err *e)
{
	const char *format = cli_opt(cli, "format", "yaml");

	if (sink_active())
		sink_object(data);
	else if (strcmp(format, "yaml") == 0)
		yaml_print(data, order);
	else if (strcmp(format, "json") == 0)
		out_json(data, true);
	else
		return cli_usage(e, "unknown format '%s'; there are yaml and json", format);
	return 0;
}
