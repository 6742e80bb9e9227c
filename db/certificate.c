/* The trust store. */
#include "db/certificate.h"

#include <string.h>

#include "db/sql.h"

#define PROJECTS                                                                                       \
	"SELECT c.owner, p.name FROM certificates_projects c JOIN projects p ON p.id = c.project_id"   \
	" WHERE c.owner BETWEEN ?1 AND ?2 ORDER BY c.owner, p.name"

#define SELECT "SELECT id, fingerprint, name, description, pem, type, restricted FROM certificates "

void db_certificate_deinit(struct db_certificate *c)
{
	free(c->fingerprint);
	free(c->name);
	free(c->description);
	free(c->pem);
	lxm_strv_deinit(&c->projects);
	memset(c, 0, sizeof(*c));
}

SQL_LIST_DEINIT(db_certificate, db_certificates)

static int by_fingerprint(const void *a, const void *b)
{
	return strcmp(((const struct db_certificate *)a)->fingerprint, ((const struct db_certificate *)b)->fingerprint);
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_certificates *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0) {
		struct db_certificate *c = SQL_MORE(out);

		c->id = sqlite3_column_int64(st, 0);
		c->fingerprint = sql_dup(st, 1);
		c->name = sql_dup(st, 2);
		c->description = sql_dup(st, 3);
		c->pem = sql_dup(st, 4);
		c->type = sqlite3_column_int(st, 5);
		c->restricted = sqlite3_column_int(st, 6);
	}
	return r < 0 ? r : SQL_LOAD_NAMES(tx, PROJECTS, out, struct db_certificate, projects, e);
}

int db_certificate_list(struct db_tx *tx, struct db_certificates *out, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_certificates_deinit(out);
	r = sql_open(tx, &st, e, SELECT "ORDER BY id", NULL);
	if (r == 0)
		r = load(tx, st, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_fingerprint);
	return r;
}

int db_certificate_get(struct db_tx *tx, const char *prefix, struct db_certificate *out, struct lxm_err *e)
{
	lxm_auto(db_certificates) struct db_certificates l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	char end[68];
	int r = sql_hex_range("certificate fingerprint", prefix, end, e);

	if (r == 0)
		r = sql_open(tx, &st, e, SELECT "WHERE fingerprint >= ?1 AND fingerprint < ?2 ORDER BY id LIMIT 2", "ss",
			     prefix, end);
	if (r == 0)
		r = load(tx, st, &l, e);
	if (r == 0 && l.n > 1)
		return lxm_err_http(e, 400, ENOTUNIQ, "more than one certificate has a fingerprint that starts with '%s'",
				    prefix);
	return r < 0 ? r : SQL_ONLY(&l, out, db_certificate_deinit);
}

static int save_projects(struct db_tx *tx, const struct db_certificate *c, struct lxm_err *e)
{
	size_t k;
	int r = sql_run(tx, e, "DELETE FROM certificates_projects WHERE owner = ?1", "i", c->id);

	for (k = 0; r == 0 && k < c->projects.n; k++) {
		int64_t project;

		r = sql_project_id(tx, c->projects.v[k], &project, e);
		if (r == 0)
			r = sql_run(tx, e,
				    "INSERT INTO certificates_projects (owner, project_id) VALUES (?1, ?2)"
				    " ON CONFLICT DO NOTHING",
				    "ii", c->id, project);
	}
	return r;
}

/* The whole text is compared by clients. */
static int known(struct lxm_err *e)
{
	return lxm_err_http(e, 409, EEXIST, "Certificate already in trust store");
}

int db_certificate_create(struct db_tx *tx, struct db_certificate *c, struct lxm_err *e)
{
	int r = sql_run(tx, e,
			"INSERT INTO certificates (fingerprint, name, description, pem, type, restricted)"
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			"szzsdd", c->fingerprint, c->name, c->description, c->pem, c->type, c->restricted);

	if (r == -EEXIST)
		return known(e);
	if (r < 0)
		return r;
	c->id = sql_id(tx);
	return save_projects(tx, c, e);
}

int db_certificate_update(struct db_tx *tx, const struct db_certificate *c, struct lxm_err *e)
{
	int r = sql_run1(tx, e,
			 "UPDATE certificates SET name = ?2, description = ?3, type = ?4, restricted = ?5, fingerprint = ?6, pem = ?7 WHERE id = ?1",
			 "izzddss", c->id, c->name, c->description, c->type, c->restricted, c->fingerprint, c->pem);

	if (r == -EEXIST)
		return known(e);
	return r ? r : save_projects(tx, c, e);
}

int db_certificate_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM certificates WHERE id = ?1", "i", id);
}
