/* Images. The rows; files in the store belong to lxmd/image, which asks db_image_count() before removing them. */
#include "db/image.h"

#include <string.h>

#include "db/sql.h"

static const struct sql_kv properties = SQL_KV("images_properties");

#define PROFILES                                                                                   \
	"SELECT ip.owner, f.name FROM images_profiles ip JOIN profiles f ON f.id = ip.profile_id"  \
	" WHERE ip.owner BETWEEN ?1 AND ?2 ORDER BY ip.owner, ip.position"

#define SELECT                                                                                              \
	"SELECT i.id, p.name, i.fingerprint, i.filename, i.architecture, i.type, i.size, i.public, i.cached," \
	" i.auto_update, i.split, i.created_at, i.expires_at, i.uploaded_at, i.last_used_at, i.source_server," \
	" i.source_protocol, i.source_alias, i.source_certificate FROM projects p"                         \
	" JOIN images i ON i.project_id = p.id "

void db_image_deinit(struct db_image *i)
{
	free(i->project);
	free(i->fingerprint);
	free(i->filename);
	free(i->architecture);
	lxm_kv_deinit(&i->properties);
	lxm_strv_deinit(&i->profiles);
	db_aliases_deinit(&i->aliases);
	free(i->source.server);
	free(i->source.protocol);
	free(i->source.alias);
	free(i->source.certificate);
	memset(i, 0, sizeof(*i));
}

SQL_LIST_DEINIT(db_image, db_images)

static int by_fingerprint(const void *a, const void *b)
{
	const struct db_image *p = a, *q = b;
	int c = strcmp(p->project, q->project);

	return c ? c : strcmp(p->fingerprint, q->fingerprint);
}

static void read_row(sqlite3_stmt *st, struct db_image *i)
{
	i->id = sqlite3_column_int64(st, 0);
	i->project = sql_dup(st, 1);
	i->fingerprint = sql_dup(st, 2);
	i->filename = sql_dup(st, 3);
	i->architecture = sql_dup(st, 4);
	i->type = sqlite3_column_int(st, 5);
	i->size = sqlite3_column_int64(st, 6);
	i->public_ = sqlite3_column_int(st, 7);
	i->cached = sqlite3_column_int(st, 8);
	i->auto_update = sqlite3_column_int(st, 9);
	i->split = sqlite3_column_int(st, 10);
	i->created_at = sqlite3_column_int64(st, 11);
	i->expires_at = sqlite3_column_int64(st, 12);
	i->uploaded_at = sqlite3_column_int64(st, 13);
	i->last_used_at = sqlite3_column_int64(st, 14);
	i->source.server = sql_dup(st, 15);
	i->source.protocol = sql_dup(st, 16);
	i->source.alias = sql_dup(st, 17);
	i->source.certificate = sql_dup(st, 18);
}

/* Aliases of all images in the list (sorted by id), walked in step like the other children. */
static int load_aliases(struct db_tx *tx, struct db_images *l, struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	size_t at = 0;
	int r;

	if (!l->n)
		return 0;
	r = sql_open(tx, &st, e,
		     "SELECT image_id, id, name, description FROM aliases WHERE image_id BETWEEN ?1 AND ?2"
		     " ORDER BY image_id, name",
		     "ii", l->v[0].id, l->v[l->n - 1].id);
	while (r >= 0 && (r = sql_next(tx, st, e)) > 0) {
		int64_t image = sqlite3_column_int64(st, 0);
		struct db_alias *a;

		while (at < l->n && l->v[at].id < image)
			at++;
		if (at == l->n)
			return 0;
		if (l->v[at].id != image)
			continue;
		a = SQL_MORE(&l->v[at].aliases);
		a->id = sqlite3_column_int64(st, 1);
		a->name = sql_dup(st, 2);
		a->description = sql_dup(st, 3);
		a->type = l->v[at].type;
	}
	return r;
}

static int load(struct db_tx *tx, sqlite3_stmt *st, struct db_images *out, struct lxm_err *e)
{
	int r;

	while ((r = sql_next(tx, st, e)) > 0)
		read_row(st, SQL_MORE(out));
	if (r == 0)
		r = SQL_LOAD_KV(tx, &properties, out, struct db_image, properties, e);
	if (r == 0)
		r = SQL_LOAD_NAMES(tx, PROFILES, out, struct db_image, profiles, e);
	return r < 0 ? r : load_aliases(tx, out, e);
}

int db_image_list(struct db_tx *tx, const char *project, bool public_only, struct db_images *out,
		  struct lxm_err *e)
{
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r;

	db_images_deinit(out);
	r = sql_open(tx, &st, e, SELECT "WHERE (?1 IS NULL OR p.name = ?1) AND i.public >= ?2 ORDER BY i.id", "sd",
		     project, public_only);
	if (r == 0)
		r = load(tx, st, out, e);
	if (r == 0 && out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_fingerprint);
	return r;
}

int db_image_get(struct db_tx *tx, const char *project, const char *prefix, struct db_image *out,
		 struct lxm_err *e)
{
	lxm_auto(db_images) struct db_images l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	char end[68];
	int r = sql_hex_range("image fingerprint", prefix, end, e);

	if (r == 0)
		r = sql_open(tx, &st, e,
			     SELECT "WHERE p.name = ?1 AND i.fingerprint >= ?2 AND i.fingerprint < ?3 ORDER BY i.id"
				    " LIMIT 2",
			     "sss", project, prefix, end);
	if (r == 0)
		r = load(tx, st, &l, e);
	if (r == 0 && l.n > 1)
		return lxm_err_http(e, 400, ENOTUNIQ, "more than one image has a fingerprint that starts with '%s'",
				    prefix);
	return r < 0 ? r : SQL_ONLY(&l, out, db_image_deinit);
}

int db_image_get_by_alias(struct db_tx *tx, const char *project, const char *alias, struct db_image *out,
			  struct lxm_err *e)
{
	lxm_auto(db_images) struct db_images l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e, SELECT "JOIN aliases a ON a.image_id = i.id WHERE p.name = ?1 AND a.name = ?2", "ss",
			 project, alias);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_image_deinit);
}

int db_image_get_by_source(struct db_tx *tx, const char *project, const char *server, const char *protocol,
			   const char *alias, struct db_image *out, struct lxm_err *e)
{
	lxm_auto(db_images) struct db_images l = { 0 };
	lxm_auto(sql) sqlite3_stmt *st = NULL;
	int r = sql_open(tx, &st, e,
			 SELECT "WHERE p.name = ?1 AND i.source_server = ?2 AND i.source_protocol = ?3"
				" AND i.source_alias = ?4 ORDER BY i.id DESC LIMIT 1",
			 "ssss", project, server, protocol, alias);

	if (r == 0)
		r = load(tx, st, &l, e);
	return r < 0 ? r : SQL_ONLY(&l, out, db_image_deinit);
}

int db_image_count(struct db_tx *tx, const char *fingerprint, int64_t *out, struct lxm_err *e)
{
	return sql_int(tx, out, e, "SELECT count(*) FROM images WHERE fingerprint = ?1", "s", fingerprint);
}

/* Profiles are looked up where the image's project keeps them. */
static int save_profiles(struct db_tx *tx, int64_t id, const struct lxm_strv *names, struct lxm_err *e)
{
	size_t k;
	int r = sql_run(tx, e, "DELETE FROM images_profiles WHERE owner = ?1", "i", id);

	for (k = 0; r >= 0 && k < names->n; k++) {
		r = sql_run1(tx, e,
			     "INSERT INTO images_profiles (owner, position, profile_id)"
			     " SELECT i.id, ?2, f.id FROM images i JOIN project_homes h ON h.project = i.project_id"
			     " JOIN profiles f ON f.project_id = h.profiles WHERE i.id = ?1 AND f.name = ?3",
			     "ids", id, (int)k, names->v[k]);
		if (r == DB_NONE)
			return lxm_err_set(e, ENOENT, "profile '%s' not found", names->v[k]);
	}
	return r;
}

int db_image_create(struct db_tx *tx, struct db_image *i, struct lxm_err *e)
{
	const struct db_image_source *s = &i->source;
	int64_t project;
	int r = sql_project_id(tx, i->project, &project, e);

	if (r < 0)
		return r;
	if (!i->uploaded_at)
		i->uploaded_at = lxm_now();
	r = sql_run(tx, e,
		    "INSERT INTO images (project_id, fingerprint, filename, architecture, type, size, public, cached,"
		    " auto_update, split, created_at, expires_at, uploaded_at, last_used_at, source_server,"
		    " source_protocol, source_alias, source_certificate) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
		    " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
		    "iszzdiddddiiiissss", project, i->fingerprint, i->filename, i->architecture, i->type, i->size,
		    i->public_, i->cached, i->auto_update, i->split, i->created_at, i->expires_at, i->uploaded_at,
		    i->last_used_at, s->server, s->protocol, s->alias, s->certificate);
	if (r == -EEXIST)
		return lxm_err_set(e, EEXIST, "image '%.12s' already exists", i->fingerprint);
	if (r < 0)
		return r;
	i->id = sql_id(tx);
	r = sql_save_kv(tx, &properties, i->id, &i->properties, true, e);
	return r < 0 ? r : save_profiles(tx, i->id, &i->profiles, e);
}

int db_image_update(struct db_tx *tx, const struct db_image *i, struct lxm_err *e)
{
	int r = sql_run1(tx, e,
			 "UPDATE images SET public = ?2, auto_update = ?3, expires_at = ?4, cached = ?5 WHERE id = ?1",
			 "iddid", i->id, i->public_, i->auto_update, i->expires_at, i->cached);

	if (r == 0)
		r = sql_save_kv(tx, &properties, i->id, &i->properties, false, e);
	return r ? r : save_profiles(tx, i->id, &i->profiles, e);
}

int db_image_set_last_used(struct db_tx *tx, int64_t id, lxm_time t, struct lxm_err *e)
{
	return sql_run1(tx, e, "UPDATE images SET last_used_at = ?2 WHERE id = ?1", "ii", id, t);
}

int db_image_delete(struct db_tx *tx, int64_t id, struct lxm_err *e)
{
	return sql_run1(tx, e, "DELETE FROM images WHERE id = ?1", "i", id);
}
