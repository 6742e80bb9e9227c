/* One table, document or stream of lines out of what many hosts said. */
#ifndef LXM_LXMC_MERGE_H
#define LXM_LXMC_MERGE_H

#include "lxmc/fleet.h"
#include "lxmc/out.h"

/** Rows of all hosts with a first column HOST, in the order of the hosts. A host whose columns differ gets an error instead. */
void merge_table(struct fleet *f, struct table *out);

/**
 * A list of {"host", "status", "result", "error"}, the latter two where there are any; several errors are lines of one text.
 * New reference.
 */
json_t *merge_document(const struct fleet *f);

/** Cut whole lines off b (at the end, the rest as well) and hand them on as "HOST: LINE\n", or bare with host NULL. */
void merge_lines(struct lxm_buf *b, const char *host, bool end, void (*put)(void *arg, const char *s, size_t n), void *arg);

#endif
