/* Memory: small fixed sizes that cannot fail, and client-chosen sizes that can. */
#ifndef LXM_BASE_ALLOC_H
#define LXM_BASE_ALLOC_H

#include <stddef.h>

#include "lib/base/auto.h"

/** Zeroed memory of a small, fixed size; ends the process when memory is out (containers live on). free() it. */
void *lxm_alloc(size_t size);

/** Zeroed memory of a size that a client can choose. NULL with errno ENOMEM when there is none. */
void *lxm_try_alloc(size_t size);

/** realloc() to n items of size bytes; checks for overflow; ends the process when memory is out. */
void *lxm_realloc_n(void *p, size_t n, size_t size);

/** strdup() that accepts NULL (and returns NULL); ends the process when memory is out. */
char *lxm_strdup(const char *s);

/** strndup() with the same promise. */
char *lxm_strndup(const char *s, size_t n);

/** asprintf() with the same promise; returns the string, free() it. */
char *lxm_asprintf(const char *fmt, ...) LXM_PRINTF(1, 2);

#endif
