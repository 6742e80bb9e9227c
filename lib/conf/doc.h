/* Prints the key tables as doc/config-keys.md, and what is refused as a table of doc/compatibility.md. */
#ifndef LXM_CONF_DOC_H
#define LXM_CONF_DOC_H

#include "lib/base/str.h"
#include "lib/conf/conf.h"

/** Append the whole page in Markdown. Any thread. */
void conf_doc(struct lxm_buf *out);

/** Append the table of refused keys in Markdown. Any thread. */
void conf_doc_refusals(struct lxm_buf *out);

/** "string", "bool", "integer", "size", "blob". */
const char *conf_type_name(enum confkey_type type);

#endif
