/* What `lxmc top` shows: figures out of /1.0/metrics, rates between two looks, rows in order. */
#ifndef LXM_LXMC_TOP_ROWS_H
#define LXM_LXMC_TOP_ROWS_H

#include <jansson.h>
#include <stddef.h>

#include "lxmc/out.h"

struct top_row {
	const char *host, *project, *name;     /* borrowed from the samples */
	double cpu;			       /* percent of one CPU */
	double memory, memory_max;	       /* bytes */
	double disk, received, sent;	       /* bytes a second */
	long long processes;
};

/**
 * The figures of a metrics text: [{"project","name","cpu" (s),"memory","memory_max","disk","received","sent","processes"}].
 * Lines that are not understood are passed over. New reference.
 */
json_t *top_parse(const char *text);

/**
 * Append a host's rows; rates need an earlier sample.
 *
 * @now, @before  {"at_ms": N, "instances": what top_parse() gave}; before may be NULL: rates are 0 then
 */
void top_rows(const char *host, const json_t *now, const json_t *before, struct top_row **rows, size_t *n);

/** Sort by "cpu", "memory", "disk", "network", "processes" (largest first) or "name". False for another word. */
bool top_sort(struct top_row *rows, size_t n, const char *key);

/** As a table; with @hosts a column HOST first. */
void top_table(const struct top_row *rows, size_t n, bool hosts, struct table *t);
/** As a list of objects. New reference. */
json_t *top_json(const struct top_row *rows, size_t n);

#endif
