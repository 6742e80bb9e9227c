/* The filter= language of list requests: parse once, match many objects. */
#ifndef LXMD_HTTP_FILTER_H
#define LXMD_HTTP_FILTER_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

struct filter;

/**
 * [not] FIELD eq|ne VALUE {and|or ...}, left to right.
 *
 * @text   at most 4 KiB and 32 clauses; empty or blank gives NULL in *f_out
 *
 * Any thread. Returns 0 with a filter that filter_free() frees, or -EINVAL (400).
 */
int filter_parse(const char *text, struct filter **f_out, struct lxm_err *e);

/** True if the object passes; a NULL filter passes all. A field that is not there equals "". Any thread. */
bool filter_match(const struct filter *f, const json_t *object);

void filter_free(struct filter *f);
LXM_AUTO_PTR(filter_free, struct filter, filter_free)

#endif
