/* What goes on the screen: neutralised text, widths, tables, and one function for all list formats. */
#ifndef LXM_LXMC_OUT_H
#define LXM_LXMC_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lxmc/cli.h"

/** A copy that cannot drive a terminal: control characters, broken UTF-8 and direction marks become visible. free() it. */
char *out_safe(const char *s);
/** The same, line ends kept (for cells of several lines). */
char *out_safe_lines(const char *s);
/** Columns that the text fills on a terminal; s must be safe. */
size_t out_width(const char *s, size_t n);
/** A copy cut to that many columns; free() it. */
char *out_cut(const char *s, size_t columns);
bool out_tty(int fd);
/** Columns of the terminal, 0 if it is none. */
int out_columns(int fd);
/** Whether to colour what goes to fd: a terminal that can, and NO_COLOR not set. */
bool out_colour(int fd);
/** "Error: TEXT" on stderr. */
void out_error(const char *text);

/* Rows of text. Zeroed is empty. */
struct table {
	struct lxm_strv head;
	struct lxm_strv cells; /* row after row */
};

void table_deinit(struct table *t);
LXM_AUTO_STRUCT(table, struct table, table_deinit)
/** Add a column; before the first cell. */
void table_head(struct table *t, const char *title);
/** Cells are added in row order; text may have several lines. */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) LXM_PRINTF(2, 3);
/** Rows by the first column (natural order: c2 before c10). */
void table_sort(struct table *t);

/** The table in lxc's layout, as text; free() it. @borders false: compact. */
char *table_text(const struct table *t, bool borders);
/** Comma-separated, without heading; free() it. */
char *table_csv(const struct table *t);

/**
 * Print a list by --format (table, compact, csv, json, yaml; default table). With --quiet and no --format only the
 * first column.
 *
 * @t     rows for table, compact and csv
 * @data  for json and yaml; borrowed
 *
 * Returns 0 or a usage error for an unknown format.
 */
int out_list(const struct cli *cli, const struct table *t, const json_t *data, struct lxm_err *e);
/** Print one object by --format (yaml, json; default yaml). @order as in yaml_dump(). */
int out_object(const struct cli *cli, const json_t *data, const char *const *order, struct lxm_err *e);
/** JSON to stdout, indented or in one line; escapes everything that is not ASCII when that is a terminal. */
void out_json(const json_t *data, bool indent);
/** Text to stdout, neutralised only if that is a terminal. */
void out_text(const char *s, size_t n);

#define FORMAT_FLAG { 'f', "format", "FORMAT", "table, compact, csv, json or yaml" }

#endif
