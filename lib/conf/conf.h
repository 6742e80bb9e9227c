/* Configuration keys: what a key table is, how a map is checked against it, how a value or its default is read. */
#ifndef LXM_CONF_CONF_H
#define LXM_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"

enum confkey_type {
	KEY_TEXT,  /* one line of UTF-8 without control characters */
	KEY_BLOB,  /* UTF-8 of any shape, newlines included */
	KEY_BOOL,  /* true/false/1/0/yes/no/on/off */
	KEY_INT,   /* signed decimal */
	KEY_UINT,  /* unsigned decimal */
	KEY_BYTES, /* number with an optional unit, see lxm_parse_bytes() */
};

enum {
	KEY_LIVE = 1 << 0,     /* takes effect on a running instance (or at once, for other objects) */
	KEY_LATER = 1 << 1,    /* known, but lxm does not apply it yet: setting it is refused with a clear error */
	KEY_VM = 1 << 2,       /* means something to virtual machines only: refused */
	KEY_REQUIRED = 1 << 3, /* a device of this type cannot be without it */
	KEY_LOCAL = 1 << 4,    /* server key that belongs to this host, not to the cluster (node.db) */
	KEY_SECRET = 1 << 5,   /* shown as "true" by GET */
	KEY_DAEMON = 1 << 6,   /* kept by lxmd itself (volatile.*): valid, not meant for people, not in profiles */
	KEY_FIXED = 1 << 7,    /* cannot change once the object exists */
};

/**
 * Checks one value beyond its type.
 *
 * @key    the full key as the client wrote it (a wildcard row sees the real key)
 * @value  never NULL and never empty; its type has been checked
 *
 * Returns 0 or -EINVAL with a text that says what is accepted; the caller puts the key in front.
 */
typedef int (*confcheck_fn)(const char *key, const char *value, struct lxm_err *e);

/* One row. A name may hold one '*', which stands for one or more characters ("user.*", "volatile.*.hwaddr"). */
struct confkey {
	const char *name;
	enum confkey_type type;
	unsigned int flags;
	const char *dflt;   /* NULL: no default */
	confcheck_fn check; /* NULL: the type is enough */
	const char *help;   /* one line, no full stop */
};

/* Rows sorted by strcmp of the name, no name twice. */
struct conftable {
	const char *what; /* "instance", "nic device", "network": used in errors */
	const struct confkey *keys;
	size_t n;
};

/** The row for a key: an exact name, else the wildcard row with the longest name; NULL for an unknown key. */
const struct confkey *conf_find(const struct conftable *t, const char *key);

/**
 * Check one key and value.
 *
 * @value  NULL or "" means "not set" and is fine for any known key
 *
 * Unknown keys, keys that are not applied yet and bad values give -EINVAL; the text names the table's kind, the
 * key and the remedy. Any thread; does not block. Returns 0 or -EINVAL.
 */
int conf_check_one(const struct conftable *t, const char *key, const char *value, struct lxm_err *e);

/** conf_check_one() for each pair; the first failure ends it. Required keys are not looked at (see conf_device_check()). */
int conf_check(const struct conftable *t, const struct lxm_kv *kv, struct lxm_err *e);

/**
 * Check a replacement: pairs that are equal in `was` pass unseen, so that a client can send back what it was given
 * (volatile.*, keys of an older version); everything else as conf_check(). KEY_FIXED keys must not change.
 */
int conf_check_change(const struct conftable *t, const struct lxm_kv *was, const struct lxm_kv *now, struct lxm_err *e);

/** Adds each key whose value differs between the two maps ("" equals missing); sorted. */
void conf_changed(const struct lxm_kv *was, const struct lxm_kv *now, struct lxm_strv *keys);

/** Removes pairs with an empty value: a client unsets a key by "". */
void conf_drop_empty(struct lxm_kv *kv);

/**
 * The value that is in force: the map's, else the table's default, else NULL. Borrowed from either.
 *
 * The key must be in the table (assert): this is for our own code, not for client input.
 */
const char *conf_get(const struct conftable *t, const struct lxm_kv *kv, const char *key);
/** As conf_get(), read as a boolean; false when neither value nor default. */
bool conf_bool(const struct conftable *t, const struct lxm_kv *kv, const char *key);
/** As conf_get(), read as a number; 0 when neither value nor default. */
int64_t conf_int(const struct conftable *t, const struct lxm_kv *kv, const char *key);
/** As conf_get(), read as bytes; 0 when neither value nor default. */
uint64_t conf_bytes(const struct conftable *t, const struct lxm_kv *kv, const char *key);

#endif
