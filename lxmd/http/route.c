/*
 * Finding the row for a request. The table's patterns are split once; a request's path is split and
 * decoded once and compared with each row of the same length. Any thread after the first call.
 *
 * The best pattern is chosen first (a literal beats a parameter, from the left), then the method among
 * the rows with that pattern: DELETE /1.0/images/aliases is not DELETE of an image named "aliases".
 */
#include "lxmd/http/routes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

#define SEGMENTS_MAX 12
#define PATH_MAX_LEN 8192

struct split_row {
	size_t n;
	uint32_t second;     /* hash of the second segment, which most rows differ in; 0: any fits */
	struct lxm_strv seg; /* parameters are "{name}" */
	unsigned int params; /* bit i: segment i is a parameter */
};

static struct split_row *rows;
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

/* Never 0. */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h ? h : 1;
}

static void rows_split(void)
{
	size_t n, i, k;
	const struct route *t = route_table(&n);

	rows = lxm_alloc((n + 1) * sizeof(*rows));
	for (i = 0; i < n; i++) {
		lxm_strv_split(&rows[i].seg, t[i].pattern, '/');
		rows[i].n = rows[i].seg.n;
		for (k = 0; k < rows[i].n; k++)
			if (rows[i].seg.v[k][0] == '{')
				rows[i].params |= 1u << k;
		if (rows[i].n > 1 && !(rows[i].params & 2))
			rows[i].second = hash(rows[i].seg.v[1]);
	}
}

struct split_path {
	size_t n;
	uint32_t second;	 /* its hash, 0: there is none */
	char *seg[SEGMENTS_MAX]; /* decoded, owned */
};

static void split_path_deinit(struct split_path *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		free(p->seg[i]);
	p->n = 0;
}
LXM_AUTO_STRUCT(split_path, struct split_path, split_path_deinit)

/* 0, ROUTE_NO_PATH for a shape that no row can have, -EINVAL for bad escapes. */
static int path_split(const char *path, struct split_path *out, struct lxm_err *e)
{
	const char *s = path, *end;

	if (*s != '/' || strlen(s) > PATH_MAX_LEN)
		return ROUTE_NO_PATH;
	if (!s[1])
		return 0;
	for (s++;; s = end + 1) {
		end = s + strcspn(s, "/");
		if (end == s || out->n == SEGMENTS_MAX)
			return ROUTE_NO_PATH;
		out->seg[out->n] = lxm_url_decode(s, (size_t)(end - s), false);
		if (!out->seg[out->n])
			return lxm_err_set(e, EINVAL, "malformed escape in the path");
		out->n++;
		if (!lxm_utf8_ok(out->seg[out->n - 1], strlen(out->seg[out->n - 1])))
			return lxm_err_set(e, EINVAL, "the path is not UTF-8");
		if (!*end)
			return 0;
	}
}

static bool row_fits(const struct split_row *r, const struct split_path *p)
{
	size_t i;

	if (r->n != p->n || (r->second && r->second != p->second))
		return false;
	for (i = 0; i < r->n; i++)
		if (!(r->params & (1u << i)) && strcmp(r->seg.v[i], p->seg[i]) != 0)
			return false;
	return true;
}

/* True if a is the more literal pattern, looked at from the left. */
static bool more_literal(const struct split_row *a, const struct split_row *b)
{
	unsigned int differ = a->params ^ b->params;

	return differ && !(a->params & differ & -differ);
}

/* HEAD is answered by the GET row. */
static bool method_fits(const char *row, const char *method)
{
	return strcmp(row, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(row, "GET") == 0);
}

int route_find(const char *method, const char *path, struct route_match *m, struct lxm_err *e)
{
	lxm_auto(split_path) struct split_path p = { 0 };
	size_t n, i, k, args = 0;
	const struct route *t = route_table(&n);
	const struct split_row *best = NULL;
	int r;

	memset(m, 0, sizeof(*m));
	pthread_once(&rows_once, rows_split);
	r = path_split(path, &p, e);
	if (r != 0)
		return r;
	if (p.n >= 2 && strcmp(p.seg[0], "1.0") == 0 && strcmp(p.seg[1], "containers") == 0) {
		free(p.seg[1]);
		p.seg[1] = lxm_strdup("instances");
		m->containers = true;
	}
	p.second = p.n > 1 ? hash(p.seg[1]) : 0;
	for (i = 0; i < n; i++)
		if (row_fits(&rows[i], &p) && (!best || more_literal(&rows[i], best)))
			best = &rows[i];
	if (!best)
		return ROUTE_NO_PATH;
	for (i = 0; i < n && !m->route; i++)
		if (row_fits(&rows[i], &p) && rows[i].params == best->params &&
		    method_fits(t[i].method, method))
			m->route = &t[i];
	if (!m->route)
		return ROUTE_NO_METHOD;
	for (k = 0; k < p.n; k++)
		if (best->params & (1u << k))
			m->args[args++] = LXM_TAKE(p.seg[k], NULL);
	return 0;
}

void route_match_deinit(struct route_match *m)
{
	size_t i;

	for (i = 0; i < RQ_ARGS_MAX; i++)
		free(m->args[i]);
	memset(m, 0, sizeof(*m));
}

int route_parse_query(const char *query, struct lxm_kv *out, struct lxm_err *e)
{
	const char *s = query, *end, *eq;

	while (s && *s) {
		lxm_auto(free) char *key = NULL;
		lxm_auto(free) char *value = NULL;

		end = s + strcspn(s, "&");
		eq = memchr(s, '=', (size_t)(end - s));
		key = lxm_url_decode(s, (size_t)((eq ? eq : end) - s), true);
		value = eq ? lxm_url_decode(eq + 1, (size_t)(end - eq - 1), true) : lxm_strdup("");
		/* the path of a file is bytes, whatever its file system takes */
		if (!key || !value || !lxm_utf8_ok(key, strlen(key)) ||
		    (strcmp(key, "path") != 0 && !lxm_utf8_ok(value, strlen(value))))
			return lxm_err_set(e, EINVAL, "malformed query string");
		if (*key)
			lxm_kv_set(out, key, value);
		s = *end ? end + 1 : end;
	}
	return 0;
}
