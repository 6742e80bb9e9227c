/* Sorted maps, see kv.h. Sizes are tens of keys: binary search and memmove beat anything cleverer. */
#include "lib/base/kv.h"

#include <stdarg.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

void lxm_kv_deinit(struct lxm_kv *kv)
{
	size_t i;

	for (i = 0; i < kv->n; i++) {
		free(kv->v[i].key);
		free(kv->v[i].value);
	}
	free(kv->v);
	memset(kv, 0, sizeof(*kv));
}

/* Index of key, or of the place where it belongs; *found tells which. */
static size_t kv_find(const struct lxm_kv *kv, const char *key, bool *found)
{
	size_t lo = 0, hi = kv->n;

	/* appending in order is the common case (rows come sorted from the database) */
	if (hi && strcmp(kv->v[hi - 1].key, key) < 0) {
		*found = false;
		return hi;
	}
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(kv->v[mid].key, key);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = false;
	return lo;
}

static void kv_take(struct lxm_kv *kv, const char *key, char *value)
{
	bool found;
	size_t i = kv_find(kv, key, &found);

	if (found) {
		free(kv->v[i].value);
		kv->v[i].value = value;
		return;
	}
	if (kv->n == kv->cap) {
		kv->cap = kv->cap ? kv->cap * 2 : 8;
		kv->v = lxm_realloc_n(kv->v, kv->cap, sizeof(*kv->v));
	}
	memmove(kv->v + i + 1, kv->v + i, (kv->n - i) * sizeof(*kv->v));
	kv->v[i].key = lxm_strdup(key);
	kv->v[i].value = value;
	kv->n++;
}

void lxm_kv_set(struct lxm_kv *kv, const char *key, const char *value)
{
	kv_take(kv, key, lxm_strdup(value));
}

void lxm_kv_setf(struct lxm_kv *kv, const char *key, const char *fmt, ...)
{
	struct lxm_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	lxm_buf_vfmt(&b, fmt, ap);
	va_end(ap);
	kv_take(kv, key, lxm_buf_take(&b));
}

const char *lxm_kv_get(const struct lxm_kv *kv, const char *key)
{
	bool found;
	size_t i = kv_find(kv, key, &found);

	return found ? kv->v[i].value : NULL;
}

const char *lxm_kv_or(const struct lxm_kv *kv, const char *key, const char *dflt)
{
	const char *v = lxm_kv_get(kv, key);

	return lxm_empty(v) ? dflt : v;
}

bool lxm_kv_bool(const struct lxm_kv *kv, const char *key, bool dflt)
{
	int b = lxm_parse_bool(lxm_kv_get(kv, key));

	return b < 0 ? dflt : b;
}

bool lxm_kv_del(struct lxm_kv *kv, const char *key)
{
	bool found;
	size_t i = kv_find(kv, key, &found);

	if (!found)
		return false;
	free(kv->v[i].key);
	free(kv->v[i].value);
	memmove(kv->v + i, kv->v + i + 1, (kv->n - i - 1) * sizeof(*kv->v));
	kv->n--;
	return true;
}

void lxm_kv_del_prefix(struct lxm_kv *kv, const char *prefix)
{
	size_t i;

	for (i = kv->n; i-- > 0;)
		if (lxm_starts(kv->v[i].key, prefix))
			lxm_kv_del(kv, kv->v[i].key);
}

void lxm_kv_merge(struct lxm_kv *to, const struct lxm_kv *over)
{
	lxm_kv_each(p, over)
		lxm_kv_set(to, p->key, p->value);
}

void lxm_kv_copy(struct lxm_kv *to, const struct lxm_kv *from)
{
	struct lxm_kv fresh = { 0 };

	lxm_kv_merge(&fresh, from);
	lxm_kv_deinit(to);
	*to = fresh;
}

bool lxm_kv_eq(const struct lxm_kv *a, const struct lxm_kv *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i].key, b->v[i].key) != 0 || strcmp(a->v[i].value, b->v[i].value) != 0)
			return false;
	return true;
}

void lxm_devs_deinit(struct lxm_devs *d)
{
	size_t i;

	for (i = 0; i < d->n; i++) {
		free(d->v[i].name);
		lxm_kv_deinit(&d->v[i].kv);
	}
	free(d->v);
	memset(d, 0, sizeof(*d));
}

static size_t dev_find(const struct lxm_devs *d, const char *name, bool *found)
{
	size_t i;

	*found = false;
	for (i = 0; i < d->n; i++) {
		int c = strcmp(d->v[i].name, name);

		*found = c == 0;
		if (c >= 0)
			break;
	}
	return i;
}

struct lxm_dev *lxm_devs_at(struct lxm_devs *d, const char *name)
{
	bool found;
	size_t i = dev_find(d, name, &found);

	if (!found) {
		d->v = lxm_realloc_n(d->v, d->n + 1, sizeof(*d->v));
		memmove(d->v + i + 1, d->v + i, (d->n - i) * sizeof(*d->v));
		memset(d->v + i, 0, sizeof(*d->v));
		d->v[i].name = lxm_strdup(name);
		d->n++;
	}
	return d->v + i;
}

const struct lxm_dev *lxm_devs_get(const struct lxm_devs *d, const char *name)
{
	bool found;
	size_t i = dev_find(d, name, &found);

	return found ? d->v + i : NULL;
}

bool lxm_devs_del(struct lxm_devs *d, const char *name)
{
	bool found;
	size_t i = dev_find(d, name, &found);

	if (!found)
		return false;
	free(d->v[i].name);
	lxm_kv_deinit(&d->v[i].kv);
	memmove(d->v + i, d->v + i + 1, (d->n - i - 1) * sizeof(*d->v));
	d->n--;
	return true;
}

void lxm_devs_merge(struct lxm_devs *to, const struct lxm_devs *over)
{
	lxm_devs_each(d, over)
		lxm_kv_copy(&lxm_devs_at(to, d->name)->kv, &d->kv);
}

void lxm_devs_copy(struct lxm_devs *to, const struct lxm_devs *from)
{
	struct lxm_devs fresh = { 0 };

	lxm_devs_merge(&fresh, from);
	lxm_devs_deinit(to);
	*to = fresh;
}

bool lxm_devs_eq(const struct lxm_devs *a, const struct lxm_devs *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, b->v[i].name) != 0 || !lxm_kv_eq(&a->v[i].kv, &b->v[i].kv))
			return false;
	return true;
}
