/*
 * What table families share: children (config, devices, names, used_by) of many parents loaded in one query, and
 * saved. Parents come sorted by id and so do the rows, so one walk down both suffices: a list of a thousand instances
 * costs one query for each kind of child.
 */
#include "db/sql.h"

#include <string.h>

#include "lib/base/alloc.h"

void *sql_vec_more(void *v, size_t n, size_t size)
{
	/* a power of two (or nothing) is full: double it */
	if ((n & (n - 1)) == 0)
		v = lxm_realloc_n(v, n ? n * 2 : 1, size);
	memset((char *)v + n * size, 0, size);
	return v;
}

/* The parents, walked in step with the rows. */
struct walk {
	char *v;
	size_t n, size, off, at;
	sqlite3_stmt *st;
};

static int64_t id_at(const struct walk *w, size_t i)
{
	int64_t id;

	memcpy(&id, w->v + i * w->size, sizeof(id));
	return id;
}

static int walk_open(struct db_tx *tx, struct walk *w, const char *load, struct lxm_err *e)
{
	return sql_open(tx, &w->st, e, load, "ii", id_at(w, 0), id_at(w, w->n - 1));
}

/* The next row that belongs to one of the parents: *field_out is that parent's child. 1, 0 at the end, -errno. */
static int walk_next(struct db_tx *tx, struct walk *w, void **field_out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, w->st, e)) > 0) {
		int64_t owner = sqlite3_column_int64(w->st, 0);

		while (w->at < w->n && id_at(w, w->at) < owner)
			w->at++;
		if (w->at == w->n)
			return 0;
		if (id_at(w, w->at) == owner) {
			*field_out = w->v + w->at * w->size + w->off;
			return 1;
		}
	}
	return r;
}

int sql_load_kv(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off, struct lxm_err *e)
{
	struct walk w = { .v = v, .n = n, .size = size, .off = off };
	void *kv;
	int r;

	if (!n)
		return 0;
	r = walk_open(tx, &w, load, e);
	while (r >= 0 && (r = walk_next(tx, &w, &kv, e)) > 0)
		lxm_kv_set(kv, sql_text(w.st, 1), sql_text(w.st, 2));
	auto_sql(&w.st);
	return r;
}

int sql_load_devs(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off, struct lxm_err *e)
{
	struct walk w = { .v = v, .n = n, .size = size, .off = off };
	void *devs;
	int r;

	if (!n)
		return 0;
	r = walk_open(tx, &w, load, e);
	while (r >= 0 && (r = walk_next(tx, &w, &devs, e)) > 0) {
		struct lxm_devs *d = devs;
		const char *name = sql_text(w.st, 1);
		struct lxm_dev *dev = d->n && lxm_streq(d->v[d->n - 1].name, name) ? &d->v[d->n - 1] :
										   lxm_devs_at(d, name);

		lxm_kv_set(&dev->kv, sql_text(w.st, 2), sql_text(w.st, 3));
	}
	auto_sql(&w.st);
	return r;
}

int sql_load_names(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off,
		   struct lxm_err *e)
{
	struct walk w = { .v = v, .n = n, .size = size, .off = off };
	void *names;
	int r;

	if (!n)
		return 0;
	r = walk_open(tx, &w, load, e);
	while (r >= 0 && (r = walk_next(tx, &w, &names, e)) > 0)
		lxm_strv_add(names, sql_text(w.st, 1));
	auto_sql(&w.st);
	return r;
}

/* "/1.0/KIND/NAME[?project=P]"; kind "volumes" has the pool in its path, "snapshots" the instance in `pool`. */
static char *url_of(const char *kind, const char *project, const char *name, const char *pool)
{
	lxm_auto(free) char *n = lxm_url_encode(name, NULL);
	lxm_auto(free) char *p = lxm_url_encode(pool ? pool : "", NULL);
	struct lxm_buf b = { 0 };

	if (lxm_streq(kind, "volumes"))
		lxm_buf_fmt(&b, "/1.0/storage-pools/%s/volumes/custom/%s", p, n);
	else if (lxm_streq(kind, "snapshots"))
		lxm_buf_fmt(&b, "/1.0/instances/%s/snapshots/%s", p, n);
	else
		lxm_buf_fmt(&b, "/1.0/%s/%s", kind, n);
	if (!lxm_empty(project) && !lxm_streq(project, "default")) {
		lxm_auto(free) char *q = lxm_url_encode(project, NULL);

		lxm_buf_fmt(&b, "?project=%s", q);
	}
	return lxm_buf_take(&b);
}

int sql_load_urls(struct db_tx *tx, const char *load, void *v, size_t n, size_t size, size_t off,
		  struct lxm_err *e)
{
	struct walk w = { .v = v, .n = n, .size = size, .off = off };
	void *urls;
	int r;

	if (!n)
		return 0;
	r = walk_open(tx, &w, load, e);
	while (r >= 0 && (r = walk_next(tx, &w, &urls, e)) > 0)
		lxm_strv_take(urls, url_of(sql_text(w.st, 1), sql_text(w.st, 2), sql_text(w.st, 3),
					   sql_text(w.st, 4)));
	auto_sql(&w.st);
	return r;
}

int sql_save_kv(struct db_tx *tx, const struct sql_kv *t, int64_t owner, const struct lxm_kv *kv, bool fresh,
		struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = fresh ? 0 : sql_run(tx, e, t->wipe, "i", owner);

	if (r < 0 || !kv->n)
		return r;
	r = sql_open(tx, &st, e, t->put, "iss", (int64_t)0, NULL, NULL);
	if (r < 0)
		return r;
	lxm_kv_each(p, kv) {
		if (lxm_empty(p->value))
			continue;
		r = sql_again(tx, st, e, "iss", owner, p->key, p->value);
		if (r < 0)
			return r;
	}
	return 0;
}

int sql_set_keys(struct db_tx *tx, const struct sql_kv *t, int64_t owner, const struct lxm_kv *kv,
		 struct lxm_err *e)
{
	lxm_kv_each(p, kv) {
		int r = lxm_empty(p->value) ? sql_run(tx, e, t->drop, "is", owner, p->key) :
					      sql_run(tx, e, t->put, "iss", owner, p->key, p->value);

		if (r < 0)
			return r;
	}
	return 0;
}

int sql_save_devs(struct db_tx *tx, const struct sql_devs *t, int64_t owner, const struct lxm_devs *devs, bool fresh,
		  struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = fresh ? 0 : sql_run(tx, e, t->wipe, "i", owner);

	if (r < 0 || !devs->n)
		return r;
	r = sql_open(tx, &st, e, t->put, "isss", (int64_t)0, NULL, NULL, NULL);
	if (r < 0)
		return r;
	lxm_devs_each(d, devs) {
		bool any = false;

		lxm_kv_each(p, &d->kv) {
			if (lxm_empty(p->value))
				continue;
			any = true;
			r = sql_again(tx, st, e, "isss", owner, d->name, p->key, p->value);
			if (r < 0)
				return r;
		}
		if (!any)
			return lxm_err_set(e, EINVAL, "device '%s' has no type", d->name);
	}
	return 0;
}

int sql_hex_range(const char *what, const char *prefix, char end_out[68], struct lxm_err *e)
{
	if (!prefix || !lxm_is_hex(prefix, 1, 64))
		return lxm_err_set(e, EINVAL, "%s '%.80s' is not 1 to 64 lowercase hex digits", what,
				   prefix ? prefix : "");
	/* 'g' sorts after every hex digit */
	snprintf(end_out, 68, "%sg", prefix);
	return 0;
}
