/*
 * Objects of the API as text at once, for what is asked for by the thousand: without a tree in between. The text is what
 * js_text() makes of the same tree.
 */
#ifndef LXM_API_JSON_WRITE_H
#define LXM_API_JSON_WRITE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

/*
 * Each appends one value to a text, with a comma where one belongs. @key NULL: an element of an array, or the whole document;
 * a key comes once in an object, which is the caller's to see to. Bytes that are no UTF-8 are replaced. Any thread.
 */

/** '{' and '}'. */
void jw_object(struct lxm_buf *b, const char *key);
void jw_object_end(struct lxm_buf *b);
/** '[' and ']'. */
void jw_array(struct lxm_buf *b, const char *key);
void jw_array_end(struct lxm_buf *b);
/** NULL gives "". */
void jw_str(struct lxm_buf *b, const char *key, const char *value);
void jw_int(struct lxm_buf *b, const char *key, int64_t value);
void jw_bool(struct lxm_buf *b, const char *key, bool value);
void jw_null(struct lxm_buf *b, const char *key);
/** As js_time(). */
void jw_time(struct lxm_buf *b, const char *key, lxm_time value);
/** As js_from_kv(), js_from_devs(), js_from_strv(). */
void jw_kv(struct lxm_buf *b, const char *key, const struct lxm_kv *kv);
void jw_devs(struct lxm_buf *b, const char *key, const struct lxm_devs *d);
void jw_strv(struct lxm_buf *b, const char *key, const struct lxm_strv *v);
/** A tree; taken. NULL gives null. */
void jw_tree(struct lxm_buf *b, const char *key, json_t *tree);

#endif
