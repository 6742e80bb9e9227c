/*
 * The image store: rows in the database, files by fingerprint. Order makes a crash harmless: files first, row last on the way in; row
 * first, files last on the way out. The lock "image/FP" keeps both ways of one fingerprint apart.
 */
#include "lxmd/image/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "db/image.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/op.h"
#include "lxmd/core/quota.h"
#include "lxmd/image/fetch.h"
#include "lxmd/image/files.h"
#include "lxmd/image/images_priv.h"
#include "lxmd/image/unpack.h"
#include "lxmd/storage/pool.h"

/* ---- importing */

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Looks through both files and reads the metadata. */
static int check_files(struct lxmd *d, const struct image_import *im, struct op *op, struct image_metadata *m, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct unpack_spec spec = { .d = d,
				    .fd = im->meta_fd,
				    .size = size_of(im->meta_fd),
				    .part = im->rootfs_fd < 0 ? IMAGE_UNIFIED : IMAGE_METADATA,
				    .name = "the image",
				    .op = op };
	int r;

	if (im->known_good)
		r = image_peek_metadata(&spec, &text, e);
	else
		r = image_check(&spec, &text, NULL, e);
	if (r == 0)
		r = image_metadata_parse(text.data ? text.data : "", text.len, m, e);
	if (r < 0 || im->rootfs_fd < 0 || im->known_good)
		return r;
	spec.fd = im->rootfs_fd;
	spec.size = size_of(im->rootfs_fd);
	spec.part = IMAGE_ROOTFS;
	return image_check(&spec, NULL, NULL, e);
}

struct import_tx {
	const struct image_import *im;
	struct db_image row;
};

static void fill_row(struct import_tx *a, const struct image_metadata *m, const char *fp, uint64_t size)
{
	const struct image_import *im = a->im;
	struct db_image *row = &a->row;

	row->fingerprint = lxm_strdup(fp);
	row->filename = lxm_empty(im->filename) ? lxm_asprintf("%s.%s", fp, image_suffix_of(im->meta_fd)) : lxm_strdup(im->filename);
	row->architecture = lxm_strdup(m->architecture);
	row->size = (int64_t)size;
	row->public_ = im->public_;
	row->cached = im->cached;
	row->auto_update = im->auto_update;
	row->split = im->rootfs_fd >= 0;
	row->created_at = m->created_at;
	row->expires_at = im->expires_at ? im->expires_at : m->expires_at;
	row->uploaded_at = lxm_now();
	lxm_kv_copy(&row->properties, &m->properties);
	if (im->properties)
		lxm_kv_merge(&row->properties, im->properties);
	if (im->profiles)
		lxm_strv_copy(&row->profiles, im->profiles);
	else
		lxm_strv_add(&row->profiles, "default");
	if (im->source) {
		row->source.server = lxm_strdup(lxm_kv_get(im->source, "server"));
		row->source.protocol = lxm_strdup(lxm_kv_or(im->source, "protocol", ""));
		row->source.alias = lxm_strdup(lxm_kv_or(im->source, "alias", ""));
		row->source.certificate = lxm_strdup(lxm_kv_or(im->source, "certificate", ""));
	}
}

static int add_alias(struct db_tx *tx, const struct import_tx *a, const char *name, struct lxm_err *e)
{
	struct db_alias old = { 0 };
	int r;

	if (a->im->move_aliases) {
		r = db_alias_get(tx, a->row.project, name, &old, e);
		db_alias_deinit(&old);
		if (r <= 0)
			return r < 0 ? r : db_alias_update(tx, a->row.project, name, "", a->row.fingerprint, e);
	}
	return db_alias_create(tx, a->row.project, name, "", a->row.fingerprint, e);
}

static int write_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct import_tx *a = arg;
	size_t i;
	int r;

	free(a->row.project);
	a->row.project = NULL;
	r = db_project_for(tx, a->im->project, DB_FEATURE_IMAGES, &a->row.project, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "project '%s' not found", a->im->project);
	if (r == 0)
		r = db_image_create(tx, &a->row, e);
	for (i = 0; r == 0 && a->im->aliases && i < a->im->aliases->n; i++)
		r = add_alias(tx, a, a->im->aliases->v[i], e);
	return r == 0 ? quota_check(tx, a->row.project, QUOTA_OF_DISK, e) : r;
}

struct count_tx {
	const char *project, *fp;
	int64_t here, all;
};

static int count_rows(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *project = NULL;
	struct count_tx *a = arg;
	struct db_image row = { 0 };
	int r = a->project ? db_project_for(tx, a->project, DB_FEATURE_IMAGES, &project, e) : 0;

	a->here = 0;
	if (r == 0 && project) {
		r = db_image_get(tx, project, a->fp, &row, e);
		a->here = r == 0;
		db_image_deinit(&row);
	}
	return r < 0 ? r : db_image_count(tx, a->fp, &a->all, e);
}

/* Under the fingerprint's lock: files, then the row. */
static int import_locked(struct lxmd *d, const struct image_import *im, struct op *op, const char *fp, uint64_t size, struct lxm_err *e)
{
	lxm_auto(image_metadata) struct image_metadata m = { 0 };
	struct count_tx count = { .project = im->project, .fp = fp };
	struct import_tx a = { .im = im };
	int r = db_read(d->db, count_rows, &count, e);

	if (r < 0)
		return r;
	if (count.here)
		return lxm_err_set(e, EEXIST, "Image with same fingerprint already exists: '%s'", fp);
	r = check_files(d, im, op, &m, e);
	if (r == 0 && op_is_cancelled(op))
		r = lxm_err_set(e, ECANCELED, "cancelled");
	if (r == 0 && !(count.all && image_files_have(d, fp, im->rootfs_fd >= 0)))
		r = image_files_add(d, fp, im->meta_fd, im->rootfs_fd, e);
	if (r < 0)
		return r;
	fill_row(&a, &m, fp, size);
	r = db_write(d->db, write_row, &a, e);
	db_image_deinit(&a.row);
	if (r < 0 && !count.all)
		image_files_del(d, fp);
	return r < 0 ? r : 0;
}

int image_import(struct lxmd *d, const struct image_import *im, struct op *op, char fp_out[65], struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	uint64_t size = 0;
	char fp[65], key[80];
	int r = image_files_hash(im->meta_fd, im->rootfs_fd, op, fp, &size, e);

	if (r < 0)
		return r;
	memcpy(fp_out, fp, sizeof(fp));
	if (im->expect_fp && strcmp(im->expect_fp, fp) != 0)
		return lxm_err_set(e, EINVAL, "the image's fingerprint is '%s', not '%.64s' as announced", fp, im->expect_fp);
	snprintf(key, sizeof(key), "image/%s", fp);
	r = lock_take(d->locks, key, "Importing image", -1, &lock, e);
	if (r == 0)
		r = import_locked(d, im, op, fp, size, e);
	return lxm_err_wrap(e, r, "import image");
}

/* ---- finding */

struct get_tx {
	const char *project, *name;
	bool aliases;
	struct db_image *out;
};

static int get_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	lxm_auto(free) char *project = NULL;
	struct get_tx *a = arg;
	int r = db_project_for(tx, a->project, DB_FEATURE_IMAGES, &project, e);

	db_image_deinit(a->out);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "project '%.100s' not found", a->project);
	if (r == 0 && a->aliases) {
		r = db_image_get_by_alias(tx, project, a->name, a->out, e);
		if (r <= 0)
			return r;
	}
	if (r >= 0)
		r = lxm_is_hex(a->name, 1, 64) ? db_image_get(tx, project, a->name, a->out, e) : DB_NONE;
	return r;
}

static int get(struct lxmd *d, const char *project, const char *name, bool aliases, struct db_image *out, struct lxm_err *e)
{
	struct get_tx a = { .project = project, .name = name, .aliases = aliases, .out = out };
	int r;

	memset(out, 0, sizeof(*out));
	r = db_read(d->db, get_row, &a, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "image '%.200s' not found", name);
	if (r < 0)
		db_image_deinit(out);
	return r == -ENOTUNIQ ? lxm_err_set(e, EINVAL, "'%.64s' fits more than one image: give more digits", name) : r;
}

int image_get(struct lxmd *d, const char *project, const char *alias_or_fp, struct db_image *out, struct lxm_err *e)
{
	return get(d, project, alias_or_fp, true, out, e);
}

int image_get_fp(struct lxmd *d, const char *project, const char *prefix, struct db_image *out, struct lxm_err *e)
{
	return get(d, project, prefix, false, out, e);
}

/* ---- deleting */

/* The image, in the project whose images that project uses. */
static int own_row(struct db_tx *tx, const struct count_tx *a, struct db_image *out, struct lxm_err *e)
{
	lxm_auto(free) char *project = NULL;
	int r = db_project_for(tx, a->project, DB_FEATURE_IMAGES, &project, e);

	return r == 0 ? db_image_get(tx, project, a->fp, out, e) : r;
}

static int delete_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct count_tx *a = arg;
	struct db_image row = { 0 };
	int r = own_row(tx, a, &row, e);

	if (r == 0)
		r = db_image_delete(tx, row.id, e);
	if (r == 0)
		r = db_image_count(tx, a->fp, &a->all, e);
	db_image_deinit(&row);
	return r;
}

int image_delete(struct lxmd *d, const char *project, const char *fp, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	struct count_tx a = { .project = project, .fp = fp };
	char key[80];
	int r;

	snprintf(key, sizeof(key), "image/%.64s", fp);
	r = lock_take(d->locks, key, "Deleting image", -1, &lock, e);
	if (r == 0)
		r = db_write(d->db, delete_row, &a, e);
	if (r == DB_NONE)
		return lxm_err_set(e, ENOENT, "image '%.64s' not found", fp);
	if (r < 0)
		return r;
	if (a.all == 0) {
		image_files_del(d, fp);
		storage_image_forget(d, fp);
	}
	return 0;
}

static int touch_row(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct count_tx *a = arg;
	struct db_image row = { 0 };
	int r = own_row(tx, a, &row, e);

	if (r == 0)
		r = db_image_set_last_used(tx, row.id, lxm_now(), e);
	db_image_deinit(&row);
	return r;
}

void image_touch(struct lxmd *d, const char *project, const char *fp)
{
	struct count_tx a = { .project = project, .fp = fp };

	(void)db_write_lazy(d->db, touch_row, &a, NULL);
}

/* ---- start */

static int list_rows(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_image_list(tx, NULL, false, arg, e);
}

int images_start(struct lxmd *d, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv fps = { 0 }, unpacked = { 0 };
	lxm_auto(db_images) struct db_images rows = { 0 };
	size_t i;
	int r = db_read(d->db, list_rows, &rows, e);

	if (r < 0)
		return lxm_err_wrap(e, r, "start the image store");
	for (i = 0; i < rows.n; i++) {
		lxm_strv_add(&fps, rows.v[i].fingerprint);
		if (!image_files_have(d, rows.v[i].fingerprint, rows.v[i].split))
			lxm_error("image '%.12s' of project '%s' has lost its files in '%s': delete and import it again",
				  rows.v[i].fingerprint, rows.v[i].project, d->dirs.images.path);
	}
	lxm_strv_sort(&fps);
	image_files_sweep(d, &fps);
	storage_images(d, &unpacked);
	for (i = 0; i < unpacked.n; i++)
		if (!lxm_strv_has(&fps, unpacked.v[i]))
			storage_image_forget(d, unpacked.v[i]);
	storage_set_unpacker(d, image_unpack_into);
	d->images = lxm_alloc(sizeof(*d->images));
	pthread_mutex_init(&d->images->lock, NULL);
	image_upkeep_start(d);
	return 0;
}

void images_stop(struct lxmd *d)
{
	struct images *im = LXM_TAKE(d->images, NULL);

	if (d->storage)
		storage_set_unpacker(d, NULL);
	if (!im)
		return;
	image_secrets_clear(im);
	image_slots_clear(im);
	pthread_mutex_destroy(&im->lock);
	free(im);
}
