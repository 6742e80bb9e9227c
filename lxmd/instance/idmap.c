/*
 * Id maps. Each unprivileged instance gets a range of host ids that no other instance has, so that a process that
 * leaves one container still owns nothing of another, and per-uid limits of the kernel are not shared. The pool is
 * kept in memory and rebuilt at start from the volatile.idmap.* keys, which are the record. Any thread of lxmd.
 */
#include "lxmd/instance/idmap.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

/* Where LXD places its ids too when nothing is configured; far above the ranges of logins and of systemd. */
#define BUILTIN_FIRST 1000000u
#define BUILTIN_COUNT 1000000000u

void idmap_deinit(struct idmap *m)
{
	free(m->uid);
	free(m->gid);
	memset(m, 0, sizeof(*m));
}

/* Parses one "user:first:count" line; false for comments and rubbish. */
static bool subid_line(const char *line, size_t len, char user[64], uint64_t *first, uint64_t *count)
{
	char copy[128];
	char *a, *b;

	if (len >= sizeof(copy) || !len || *line == '#')
		return false;
	memcpy(copy, line, len);
	copy[len] = 0;
	a = strchr(copy, ':');
	b = a ? strchr(a + 1, ':') : NULL;
	if (!b || a - copy >= 64)
		return false;
	*a = *b = 0;
	memcpy(user, copy, (size_t)(a - copy) + 1);
	return lxm_parse_u64(a + 1, first) == 0 && lxm_parse_u64(b + 1, count) == 0 && *count > 0 &&
	       *first < UINT32_MAX && *count <= UINT32_MAX - *first;
}

uint32_t idmap_own_ids(const char *uid_map, const char *gid_map)
{
	const char *const maps[] = { uid_map, gid_map };
	uint64_t own = UINT32_MAX, from = 0;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(maps); i++, from = 0) {
		lxm_auto(strv) struct lxm_strv lines = { 0 };
		size_t k;

		lxm_strv_split(&lines, maps[i], '\n');
		/* the kernel gives them sorted as they were written; ours follow each other */
		for (k = 0; k < lines.n; k++) {
			lxm_auto(strv) struct lxm_strv w = { 0 };
			uint64_t inside, count;

			lxm_strv_split(&w, lines.v[k], ' ');
			if (w.n == 3 && lxm_parse_u64(w.v[0], &inside) == 0 && lxm_parse_u64(w.v[2], &count) == 0 && inside == from)
				from += count;
		}
		if (from && from < own)
			own = from;
	}
	return (uint32_t)own;
}

/* What serves when root has no line of its own. In a container the ids above those of an ordinary system. */
struct builtin {
	uint64_t first, count;
};

/* Root's widest range in one file: 0; 1 when root has none; -EEXIST when somebody else holds part of the built-in. */
static int subid_scan(const char *text, const char *file, const struct builtin *b, uint64_t *first, uint64_t *count, struct lxm_err *e)
{
	char other[64] = "";
	const char *end;

	*count = 0;
	for (; *text; text = *end ? end + 1 : end) {
		char user[64];
		uint64_t f, c;

		end = strchrnul(text, '\n');
		if (!subid_line(text, (size_t)(end - text), user, &f, &c))
			continue;
		if (lxm_streq(user, "root") || lxm_streq(user, "0")) {
			if (c > *count) {
				*first = f;
				*count = c;
			}
		} else if (f < b->first + b->count && f + c > b->first) {
			memcpy(other, user, sizeof(other));
		}
	}
	if (*count)
		return 0;
	if (*other)
		return lxm_err_set(e, EEXIST, "ids %llu-%llu are partly given to '%s' in %s: add a line 'root:FIRST:COUNT' to it",
				   (unsigned long long)b->first, (unsigned long long)(b->first + b->count - 1), other, file);
	*first = b->first;
	*count = b->count;
	return 0;
}

int idmap_pool_init(struct idmap_pool *p, const char *subuid, const char *subgid, uint32_t own, struct lxm_err *e)
{
	struct builtin b = { BUILTIN_FIRST, BUILTIN_COUNT };
	uint64_t uf, uc, gf, gc, first, last;
	int r;

	if (own < BUILTIN_FIRST + BUILTIN_COUNT)
		b = (struct builtin){ IDMAP_DEFAULT_SIZE, own > IDMAP_DEFAULT_SIZE ? own - IDMAP_DEFAULT_SIZE : 0 };
	r = subid_scan(subuid, "/etc/subuid", &b, &uf, &uc, e);
	memset(p, 0, sizeof(*p));
	if (r == 0)
		r = subid_scan(subgid, "/etc/subgid", &b, &gf, &gc, e);
	if (r < 0)
		return r;
	/* one base serves uids and gids: use what both files allow */
	first = uf > gf ? uf : gf;
	last = uf + uc < gf + gc ? uf + uc : gf + gc;
	if (last > own)
		last = own;
	if (last < first + IDMAP_DEFAULT_SIZE && own < UINT32_MAX)
		return lxm_err_set(e, EINVAL,
				   "lxmd runs in a container that has %u ids, which leaves too few for containers inside: give it "
				   "security.idmap.size=%u or more",
				   own, 2 * IDMAP_DEFAULT_SIZE);
	if (last < first + IDMAP_DEFAULT_SIZE)
		return lxm_err_set(e, EINVAL,
				   "the ranges of root in /etc/subuid and /etc/subgid share fewer than %u ids: "
				   "give both the same line, as 'root:1000000:1000000000'",
				   IDMAP_DEFAULT_SIZE);
	p->first = (uint32_t)first;
	p->count = (uint32_t)(last - first);
	pthread_mutex_init(&p->lock, NULL);
	return 0;
}

void idmap_pool_deinit(struct idmap_pool *p)
{
	free(p->v);
	p->v = NULL;
	p->n = p->cap = 0;
	pthread_mutex_destroy(&p->lock);
}

/* Called with the lock held. */
static void range_insert(struct idmap_pool *p, int64_t owner, uint32_t base, uint32_t size)
{
	size_t i = p->n;

	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 64;
		p->v = lxm_realloc_n(p->v, p->cap, sizeof(*p->v));
	}
	while (i && p->v[i - 1].base > base)
		i--;
	memmove(p->v + i + 1, p->v + i, (p->n - i) * sizeof(*p->v));
	p->v[i] = (struct idmap_range){ owner, base, size };
	p->n++;
}

void idmap_pool_hold(struct idmap_pool *p, int64_t owner, uint32_t base, uint32_t size)
{
	pthread_mutex_lock(&p->lock);
	range_insert(p, owner, base, size);
	pthread_mutex_unlock(&p->lock);
}

/* First base at or after `from` where size ids are free, 0 if there is none. Called with the lock held. */
static uint32_t range_find(const struct idmap_pool *p, uint64_t from, uint32_t size)
{
	uint64_t end = (uint64_t)p->first + p->count;
	size_t i;

	for (i = 0; i < p->n; i++) {
		const struct idmap_range *r = &p->v[i];

		if ((uint64_t)r->base + r->size <= from)
			continue;
		if (r->base >= from + size)
			break;
		from = (uint64_t)r->base + r->size;
	}
	return from >= p->first && from + size <= end ? (uint32_t)from : 0;
}

int idmap_pool_take(struct idmap_pool *p, int64_t owner, uint32_t size, uint32_t want_base, bool shared,
		    uint32_t *base_out, struct lxm_err *e)
{
	/* the first ids serve instances that are not isolated; isolated ranges start behind them where there is room */
	uint64_t from = (uint64_t)p->first + (p->count >= 2 * IDMAP_DEFAULT_SIZE ? IDMAP_DEFAULT_SIZE : 0);
	uint32_t base;

	if (size == 0 || size > p->count)
		return lxm_err_set(e, ERANGE, "security.idmap.size %u: root has %u subordinate ids (see /etc/subuid)", size,
				   p->count);
	if (shared) {
		*base_out = p->first;
		return 0;
	}
	pthread_mutex_lock(&p->lock);
	if (want_base)
		base = range_find(p, want_base, size) == want_base ? want_base : 0;
	else
		base = range_find(p, from, size);
	if (base)
		range_insert(p, owner, base, size);
	pthread_mutex_unlock(&p->lock);
	if (!base && want_base)
		return lxm_err_set(e, EEXIST, "security.idmap.base %u: those ids are in use or not root's", want_base);
	if (!base)
		return lxm_err_set(e, ENOSPC, "no %u free ids in %u-%u: widen root's line in /etc/subuid and /etc/subgid",
				   size, p->first, p->first + p->count - 1);
	*base_out = base;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

bool idmap_pool_leaves_enough(struct idmap_pool *p, int64_t *owners, size_t n, uint32_t size)
{
	uint64_t held = size, taken = size;
	size_t i;

	if (n)
		qsort(owners, n, sizeof(*owners), by_id);
	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->n; i++) {
		taken += p->v[i].size;
		if (n && bsearch(&p->v[i].owner, owners, n, sizeof(*owners), by_id))
			held += p->v[i].size;
	}
	pthread_mutex_unlock(&p->lock);
	return taken <= p->count && held <= p->count - taken;
}

void idmap_pool_drop(struct idmap_pool *p, int64_t owner)
{
	size_t i, to = 0;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->n; i++)
		if (p->v[i].owner != owner)
			p->v[to++] = p->v[i];
	p->n = to;
	pthread_mutex_unlock(&p->lock);
}

uint32_t idmap_outside(const struct idmap_line *v, size_t n, uint32_t inside)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (inside >= v[i].inside && inside - v[i].inside < v[i].count)
			return v[i].outside + (inside - v[i].inside);
	return n ? UINT32_MAX : inside;
}

/* Give the ids [add.inside, +count) of a map a line of their own. */
static int lines_punch(struct idmap_line **v, size_t *n, struct idmap_line add)
{
	struct idmap_line *out = lxm_alloc((*n * 2 + 1) * sizeof(*out));
	uint64_t a = add.inside, b = a + add.count;
	size_t i, m = 0;

	for (i = 0; i < *n; i++) {
		struct idmap_line l = (*v)[i];
		uint64_t s = l.inside, t = s + l.count;

		if (t <= a || s >= b) {
			out[m++] = l;
			continue;
		}
		if (s < a)
			out[m++] = (struct idmap_line){ l.inside, l.outside, (uint32_t)(a - s) };
		if (t > b)
			out[m++] = (struct idmap_line){ (uint32_t)b, (uint32_t)(l.outside + (b - s)), (uint32_t)(t - b) };
	}
	for (i = m; i && out[i - 1].inside > add.inside; i--)
		out[i] = out[i - 1];
	out[i] = add;
	free(*v);
	*v = out;
	*n = m + 1;
	return *n > IDMAP_MAX_LINES ? -E2BIG : 0;
}

/* "1000" or "1000-1999". */
static bool parse_span(const char *s, uint32_t *first, uint32_t *count)
{
	lxm_auto(strv) struct lxm_strv part = { 0 };
	uint64_t a, b;

	lxm_strv_split(&part, s, '-');
	if (part.n < 1 || part.n > 2 || *s == '-' || lxm_parse_u64(part.v[0], &a) < 0)
		return false;
	b = a;
	if (part.n == 2 && lxm_parse_u64(part.v[1], &b) < 0)
		return false;
	if (b < a || b >= UINT32_MAX)
		return false;
	*first = (uint32_t)a;
	*count = (uint32_t)(b - a + 1);
	return true;
}

struct raw {
	bool uid, gid; /* neither: an empty line */
	struct idmap_line l;
};

static int parse_raw(const char *line, struct raw *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv w = { 0 };
	struct idmap_line *l = &out->l;
	uint32_t inside_count;

	memset(out, 0, sizeof(*out));
	lxm_strv_split(&w, line, ' ');
	if (w.n == 0)
		return 0;
	out->uid = lxm_streq(w.v[0], "uid") || lxm_streq(w.v[0], "both");
	out->gid = lxm_streq(w.v[0], "gid") || lxm_streq(w.v[0], "both");
	if (w.n != 3 || (!out->uid && !out->gid) || !parse_span(w.v[1], &l->outside, &l->count) ||
	    !parse_span(w.v[2], &l->inside, &inside_count) || inside_count != l->count)
		return lxm_err_set(e, EINVAL,
				   "raw.idmap line '%.80s': write 'uid|gid|both HOST[-HOST] INSIDE[-INSIDE]' with spans of "
				   "equal length",
				   line);
	return 0;
}

static int raw_line(struct idmap *m, const char *line, struct lxm_err *e)
{
	struct raw raw;
	int r = parse_raw(line, &raw, e);

	if (r < 0)
		return r;
	if (raw.uid)
		r = lines_punch(&m->uid, &m->nuid, raw.l);
	if (raw.gid && r == 0)
		r = lines_punch(&m->gid, &m->ngid, raw.l);
	return r < 0 ? lxm_err_set(e, E2BIG, "raw.idmap: more than %d lines in all", IDMAP_MAX_LINES) : 0;
}

int idmap_compose(uint32_t base, uint32_t size, const char *raw, struct idmap *out, struct lxm_err *e)
{
	lxm_auto(idmap) struct idmap m = { 0 };
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	size_t i;
	int r;

	m.uid = lxm_alloc(sizeof(*m.uid));
	m.gid = lxm_alloc(sizeof(*m.gid));
	m.uid[0] = m.gid[0] = (struct idmap_line){ 0, base, size };
	m.nuid = m.ngid = 1;
	m.base = base;
	m.size = size;
	lxm_strv_split(&lines, raw, '\n');
	for (i = 0; i < lines.n; i++) {
		r = raw_line(&m, lines.v[i], e);
		if (r < 0)
			return r;
	}
	*out = m;
	memset(&m, 0, sizeof(m));
	return 0;
}

/* Does one span of a comma list hold all of them? */
static bool covered(const char *list, const struct idmap_line *l)
{
	lxm_auto(strv) struct lxm_strv spans = { 0 };
	size_t i;

	lxm_strv_split(&spans, list, ',');
	for (i = 0; i < spans.n; i++) {
		uint32_t first, count;

		if (parse_span(spans.v[i] + strspn(spans.v[i], " "), &first, &count) && l->outside >= first &&
		    (uint64_t)l->outside + l->count <= (uint64_t)first + count)
			return true;
	}
	return false;
}

bool idmap_raw_within(const char *raw, const char *uids, const char *gids)
{
	lxm_auto(strv) struct lxm_strv lines = { 0 };
	size_t i;

	lxm_strv_split(&lines, raw, '\n');
	for (i = 0; i < lines.n; i++) {
		struct raw one;

		if (parse_raw(lines.v[i], &one, NULL) < 0 || (one.uid && !covered(uids, &one.l)) || (one.gid && !covered(gids, &one.l)))
			return false;
	}
	return true;
}

char *idmap_json(const struct idmap *m)
{
	struct lxm_buf b = { 0 };
	size_t i;

	lxm_buf_chr(&b, '[');
	for (i = 0; i < m->nuid + m->ngid; i++) {
		bool uid = i < m->nuid;
		const struct idmap_line *l = uid ? &m->uid[i] : &m->gid[i - m->nuid];

		lxm_buf_fmt(&b, "%s{\"Isuid\":%s,\"Isgid\":%s,\"Hostid\":%u,\"Nsid\":%u,\"Maprange\":%u}", i ? "," : "",
			    uid ? "true" : "false", uid ? "false" : "true", l->outside, l->inside, l->count);
	}
	lxm_buf_chr(&b, ']');
	return lxm_buf_take(&b);
}
