/*
 * Statements: prepared once for each connection and SQL text, bound by a format string, run, and their results mapped
 * to our errors. A text is recognised by the address of its literal, so finding a statement costs a few nanoseconds.
 */
#include "db/sql.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/alloc.h"

int sql_fail(sqlite3 *h, int rc, struct lxm_err *e)
{
	int ext = h ? sqlite3_extended_errcode(h) : rc;
	const char *text = h ? sqlite3_errmsg(h) : sqlite3_errstr(rc);
	int code;

	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = EBUSY;
		break;
	case SQLITE_CONSTRAINT:
		code = ext == SQLITE_CONSTRAINT_FOREIGNKEY ? EBUSY : EEXIST;
		if (ext == SQLITE_CONSTRAINT_NOTNULL || ext == SQLITE_CONSTRAINT_CHECK)
			code = EINVAL;
		break;
	case SQLITE_FULL:
		code = ENOSPC;
		break;
	case SQLITE_NOMEM:
		code = ENOMEM;
		break;
	case SQLITE_READONLY:
		code = EROFS;
		break;
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		code = EACCES;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		code = EUCLEAN;
		break;
	default:
		code = EIO;
	}
	return lxm_err_set(e, code, "database: %s", text);
}

/* Hash by address; literals are at least 1 byte apart, mostly 8. */
static unsigned int slot_of(const char *sql)
{
	uintptr_t a = (uintptr_t)sql;

	return (unsigned int)((a ^ (a >> 9)) * 2654435761u) % SQL_CACHE;
}

static int prepare(struct db_tx *tx, const char *sql, sqlite3_stmt **out, struct lxm_err *e)
{
	struct sql_conn *c = tx->c;
	unsigned int i = slot_of(sql);
	int rc;

	while (c->cache[i].sql && c->cache[i].sql != sql)
		i = (i + 1) % SQL_CACHE;
	if (!c->cache[i].sql) {
		assert(c->cached < SQL_CACHE * 3 / 4);
		rc = sqlite3_prepare_v3(c->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->cache[i].st, NULL);
		if (rc != SQLITE_OK) {
			tx->busy |= (rc & 0xff) == SQLITE_BUSY;
			return sql_fail(c->h, rc, e);
		}
		c->cache[i].sql = sql;
		c->cached++;
	}
	/* one text is never in use twice at a time: a loop over its rows must not call what runs it again */
	assert(!sqlite3_stmt_busy(c->cache[i].st));
	*out = c->cache[i].st;
	return 0;
}

static int bind(struct db_tx *tx, sqlite3_stmt *st, const char *fmt, va_list ap, struct lxm_err *e)
{
	int i, rc = SQLITE_OK;

	for (i = 1; fmt && *fmt && rc == SQLITE_OK; i++, fmt++) {
		const char *s;

		switch (*fmt) {
		case 's':
		case 'z':
			s = va_arg(ap, const char *);
			if (!s && *fmt == 'z')
				s = "";
			rc = s ? sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC) : sqlite3_bind_null(st, i);
			break;
		case 'i':
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		case 'd':
			rc = sqlite3_bind_int(st, i, va_arg(ap, int));
			break;
		default:
			assert(!"unknown letter in a bind format");
		}
	}
	return rc == SQLITE_OK ? 0 : sql_fail(tx->c->h, rc, e);
}

static int vopen(struct db_tx *tx, sqlite3_stmt **st_out, struct lxm_err *e, const char *sql, const char *fmt,
		 va_list ap)
{
	sqlite3_stmt *st = NULL;
	int r = prepare(tx, sql, &st, e);

	if (r < 0)
		return r;
	assert(sqlite3_bind_parameter_count(st) == (fmt ? (int)strlen(fmt) : 0));
	r = bind(tx, st, fmt, ap, e);
	if (r < 0) {
		auto_sql(&st);
		return r;
	}
	*st_out = st;
	return 0;
}

int sql_open(struct db_tx *tx, sqlite3_stmt **st_out, struct lxm_err *e, const char *sql, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vopen(tx, st_out, e, sql, fmt, ap);
	va_end(ap);
	return r;
}

int sql_next(struct db_tx *tx, sqlite3_stmt *st, struct lxm_err *e)
{
	int r, rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	tx->busy |= (rc & 0xff) == SQLITE_BUSY;
	r = sql_fail(tx->c->h, rc, e);
	sqlite3_reset(st);
	return r;
}

int sql_again(struct db_tx *tx, sqlite3_stmt *st, struct lxm_err *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	sqlite3_reset(st);
	va_start(ap, fmt);
	r = bind(tx, st, fmt, ap, e);
	va_end(ap);
	return r < 0 ? r : sql_next(tx, st, e);
}

int sql_run(struct db_tx *tx, struct lxm_err *e, const char *sql, const char *fmt, ...)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vopen(tx, &st, e, sql, fmt, ap);
	va_end(ap);
	return r < 0 ? r : sql_next(tx, st, e);
}

int sql_run1(struct db_tx *tx, struct lxm_err *e, const char *sql, const char *fmt, ...)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vopen(tx, &st, e, sql, fmt, ap);
	va_end(ap);
	if (r < 0)
		return r;
	r = sql_next(tx, st, e);
	if (r < 0)
		return r;
	return sqlite3_changes(tx->c->h) ? 0 : DB_NONE;
}

int sql_int(struct db_tx *tx, int64_t *out, struct lxm_err *e, const char *sql, const char *fmt, ...)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vopen(tx, &st, e, sql, fmt, ap);
	va_end(ap);
	if (r < 0)
		return r;
	r = sql_next(tx, st, e);
	if (r <= 0)
		return r < 0 ? r : DB_NONE;
	*out = sqlite3_column_int64(st, 0);
	return 0;
}

int64_t sql_id(struct db_tx *tx)
{
	return sqlite3_last_insert_rowid(tx->c->h);
}

char *sql_dup(sqlite3_stmt *st, int col)
{
	return lxm_strdup(sql_text(st, col));
}
