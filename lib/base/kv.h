/* Maps of string to string, sorted by key, and named devices: the shape of every `config` and `devices`. */
#ifndef LXM_BASE_KV_H
#define LXM_BASE_KV_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/auto.h"

struct lxm_pair {
	char *key, *value; /* owned */
};

/* Sorted by key (strcmp), no key twice. Zeroed is empty. */
struct lxm_kv {
	struct lxm_pair *v; /* owned, n pairs */
	size_t n, cap;
};

/* for (pair in kv) */
#define lxm_kv_each(p, kv) for (const struct lxm_pair *p = (kv)->v; p && p < (kv)->v + (kv)->n; p++)

void lxm_kv_deinit(struct lxm_kv *kv);
/** Set or replace; copies both strings. */
void lxm_kv_set(struct lxm_kv *kv, const char *key, const char *value);
void lxm_kv_setf(struct lxm_kv *kv, const char *key, const char *fmt, ...) LXM_PRINTF(3, 4);
/** The value, borrowed until the map changes; NULL if there is none. */
const char *lxm_kv_get(const struct lxm_kv *kv, const char *key);
/** The value, or dflt if the key is missing or empty. */
const char *lxm_kv_or(const struct lxm_kv *kv, const char *key, const char *dflt);
/** LXD boolean; dflt if missing, empty or not a boolean. */
bool lxm_kv_bool(const struct lxm_kv *kv, const char *key, bool dflt);
/** Remove; true if it was there. */
bool lxm_kv_del(struct lxm_kv *kv, const char *key);
/** Remove every key with that prefix. */
void lxm_kv_del_prefix(struct lxm_kv *kv, const char *prefix);
/** Make `to` an equal copy of `from`. */
void lxm_kv_copy(struct lxm_kv *to, const struct lxm_kv *from);
/** Set in `to` every pair of `over`. */
void lxm_kv_merge(struct lxm_kv *to, const struct lxm_kv *over);
bool lxm_kv_eq(const struct lxm_kv *a, const struct lxm_kv *b);
LXM_AUTO_STRUCT(kv, struct lxm_kv, lxm_kv_deinit)

struct lxm_dev {
	char *name;	   /* owned */
	struct lxm_kv kv;  /* all properties, "type" among them */
};

/* Sorted by name. Zeroed is empty. */
struct lxm_devs {
	struct lxm_dev *v; /* owned, n devices */
	size_t n;
};

#define lxm_devs_each(d, devs) for (const struct lxm_dev *d = (devs)->v; d && d < (devs)->v + (devs)->n; d++)

void lxm_devs_deinit(struct lxm_devs *d);
/** The device of that name, added empty if it was missing; borrowed until the set changes. */
struct lxm_dev *lxm_devs_at(struct lxm_devs *d, const char *name);
const struct lxm_dev *lxm_devs_get(const struct lxm_devs *d, const char *name);
bool lxm_devs_del(struct lxm_devs *d, const char *name);
void lxm_devs_copy(struct lxm_devs *to, const struct lxm_devs *from);
/** A device of `over` replaces the whole device of that name in `to` (as profiles are applied). */
void lxm_devs_merge(struct lxm_devs *to, const struct lxm_devs *over);
bool lxm_devs_eq(const struct lxm_devs *a, const struct lxm_devs *b);
LXM_AUTO_STRUCT(devs, struct lxm_devs, lxm_devs_deinit)

#endif
