/*
 * Key tables: look-up, checking, values in force. A key is found by its exact name (binary search), else by the
 * wildcard row that spells most of it. Everything a client may say about configuration passes through conf_check*().
 */
#include "lib/conf/conf.h"

#include <assert.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/facts.h"
#include "lib/conf/names.h"

/* "volatile.*.hwaddr" against "volatile.eth0.hwaddr": the star is one or more characters. */
static bool wild_match(const char *pattern, const char *key)
{
	const char *star = strchr(pattern, '*');
	size_t head, tail, n = strlen(key);

	if (!star)
		return false;
	head = (size_t)(star - pattern);
	tail = strlen(star + 1);
	return n > head + tail && strncmp(pattern, key, head) == 0 && strcmp(key + n - tail, star + 1) == 0;
}

const struct confkey *conf_find(const struct conftable *t, const char *key)
{
	const struct confkey *best = NULL;
	size_t lo = 0, hi = t->n, i;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(key, t->keys[mid].name);

		if (c == 0)
			return strchr(key, '*') ? NULL : &t->keys[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	for (i = 0; i < t->n; i++)
		if (wild_match(t->keys[i].name, key) && (!best || strlen(t->keys[i].name) > strlen(best->name)))
			best = &t->keys[i];
	return best;
}

/* Edit distance of short strings, for "did you mean". */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[65], i, j, n = (unsigned int)strlen(b);

	if (n > 64 || strlen(a) > 64)
		return 99;
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 1; a[i - 1]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= n; j++) {
			unsigned int up = row[j], d = diagonal + (a[i - 1] != b[j - 1]);

			if (up + 1 < d)
				d = up + 1;
			if (row[j - 1] + 1 < d)
				d = row[j - 1] + 1;
			diagonal = up;
			row[j] = d;
		}
	}
	return row[n];
}

static int refused_key(const struct conftable *t, const char *key, struct lxm_err *e)
{
	const char *why = conf_refusal(t, key);

	return lxm_err_set(e, EINVAL, "%s key '%s' is refused, unset it: %s", t->what, key, why ? why : "lxm does not apply it");
}

static int unknown_key(const struct conftable *t, const char *key, struct lxm_err *e)
{
	const char *near = NULL;
	unsigned int best = 4;
	size_t i;

	if (conf_refusal(t, key))
		return refused_key(t, key, e);
	for (i = 0; i < t->n; i++) {
		unsigned int d = strchr(t->keys[i].name, '*') ? 99 : distance(key, t->keys[i].name);

		if (d < best) {
			best = d;
			near = t->keys[i].name;
		}
	}
	if (near)
		return lxm_err_set(e, EINVAL, "unknown %s key '%s': did you mean '%s'?", t->what, key, near);
	if (conf_find(t, "user.x"))
		return lxm_err_set(e, EINVAL, "unknown %s key '%s' (keys of your own start with 'user.')", t->what, key);
	return lxm_err_set(e, EINVAL, "unknown %s key '%s'", t->what, key);
}

/* Valid UTF-8, and on one line unless the type says otherwise. */
static int check_shape(const struct confkey *k, const char *value, struct lxm_err *e)
{
	const unsigned char *p;

	if (!lxm_utf8_ok(value, strlen(value)))
		return lxm_err_set(e, EINVAL, "value is not valid UTF-8");
	if (k->type == KEY_BLOB)
		return 0;
	for (p = (const unsigned char *)value; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return lxm_err_set(e, EINVAL,
					   "value has a newline or another control character, one line is accepted");
	return 0;
}

static int check_type(enum confkey_type type, const char *value, struct lxm_err *e)
{
	uint64_t u;
	int64_t i;

	switch (type) {
	case KEY_BOOL:
		return lxm_parse_bool(value) >= 0 ? 0 : lxm_err_set(e, EINVAL, "'%.60s' is not true or false", value);
	case KEY_INT:
		return lxm_parse_i64(value, &i) == 0 ? 0 :
						       lxm_err_set(e, EINVAL, "'%.60s' is not a whole number", value);
	case KEY_UINT:
		return lxm_parse_u64(value, &u) == 0 ? 0 : lxm_err_set(e, EINVAL, "'%.60s' is not a number >= 0", value);
	case KEY_BYTES:
		return lxm_parse_bytes(value, &u) == 0 ?
			       0 :
			       lxm_err_set(e, EINVAL, "'%.60s' is not a size such as 512MiB or 10GB", value);
	case KEY_TEXT:
	case KEY_BLOB:
		break;
	}
	return 0;
}

int conf_check_one(const struct conftable *t, const char *key, const char *value, struct lxm_err *e)
{
	const struct confkey *k;
	int r = conf_name_key(key, e);

	if (r < 0)
		return r;
	k = conf_find(t, key);
	if (!k)
		return unknown_key(t, key, e);
	if (lxm_empty(value))
		return 0;
	if (k->flags & KEY_VM)
		return lxm_err_set(e, EINVAL, "%s key '%s' is for virtual machines only: unset it", t->what, key);
	if (k->flags & KEY_LATER)
		return refused_key(t, key, e);
	r = check_shape(k, value, e);
	if (r == 0)
		r = check_type(k->type, value, e);
	if (r == 0 && k->check)
		r = k->check(key, value, e);
	return r < 0 ? lxm_err_wrap(e, r, "%s key '%s'", t->what, key) : 0;
}

int conf_check(const struct conftable *t, const struct lxm_kv *kv, struct lxm_err *e)
{
	lxm_kv_each(p, kv) {
		int r = conf_check_one(t, p->key, p->value, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int conf_check_change(const struct conftable *t, const struct lxm_kv *was, const struct lxm_kv *now, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv changed = { 0 };
	size_t i;

	conf_changed(was, now, &changed);
	for (i = 0; i < changed.n; i++) {
		const char *key = changed.v[i], *value = lxm_kv_get(now, key);
		const struct confkey *k = conf_find(t, key);
		int r;

		if (k && (k->flags & KEY_FIXED))
			return lxm_err_set(e, EINVAL, "%s key '%s' cannot change any more (it is '%.100s')", t->what, key,
					   lxm_kv_or(was, key, ""));
		if (lxm_empty(value))
			continue; /* what was there may go, known or not */
		r = conf_check_one(t, key, value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

void conf_changed(const struct lxm_kv *was, const struct lxm_kv *now, struct lxm_strv *keys)
{
	size_t a = 0, b = 0;

	/* both are sorted: one walk down the two */
	while (a < was->n || b < now->n) {
		int c = a == was->n ? 1 : b == now->n ? -1 : strcmp(was->v[a].key, now->v[b].key);
		const char *old = c <= 0 ? was->v[a].value : "", *new = c >= 0 ? now->v[b].value : "";

		if (strcmp(old ? old : "", new ? new : "") != 0)
			lxm_strv_add(keys, c <= 0 ? was->v[a].key : now->v[b].key);
		a += c <= 0;
		b += c >= 0;
	}
}

void conf_drop_empty(struct lxm_kv *kv)
{
	size_t i;

	for (i = kv->n; i > 0; i--)
		if (lxm_empty(kv->v[i - 1].value))
			lxm_kv_del(kv, kv->v[i - 1].key);
}

const char *conf_get(const struct conftable *t, const struct lxm_kv *kv, const char *key)
{
	const struct confkey *k = conf_find(t, key);
	const char *v = lxm_kv_get(kv, key);

	assert(k);
	return lxm_empty(v) ? k->dflt : v;
}

bool conf_bool(const struct conftable *t, const struct lxm_kv *kv, const char *key)
{
	const char *v = conf_get(t, kv, key);

	return v && lxm_parse_bool(v) == 1;
}

int64_t conf_int(const struct conftable *t, const struct lxm_kv *kv, const char *key)
{
	const char *v = conf_get(t, kv, key);
	int64_t n = 0;

	return v && lxm_parse_i64(v, &n) == 0 ? n : 0;
}

uint64_t conf_bytes(const struct conftable *t, const struct lxm_kv *kv, const char *key)
{
	const char *v = conf_get(t, kv, key);
	uint64_t n = 0;

	return v && lxm_parse_bytes(v, &n) == 0 ? n : 0;
}
