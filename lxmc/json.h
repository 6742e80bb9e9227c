/* Short hands for reading JSON that a server sent: absent and mistyped both give the empty value. */
#ifndef LXM_LXMC_JSON_H
#define LXM_LXMC_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/api/json.h"

/** String at key, "" if there is none. Borrowed. */
static inline const char *jtext(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/** Integer at key, 0 if there is none. */
static inline long long jint(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/** True if the value at key is JSON true. */
static inline bool jtrue(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/** Whatever is at key, NULL if there is nothing or null. Borrowed. */
static inline json_t *jget(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_null(v) ? NULL : v;
}

#endif
