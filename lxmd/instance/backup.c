/* Backups: rows and files. Worker threads unless backup.h says otherwise. */
#include "lxmd/instance/backup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/names.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/event.h"
#include "lxmd/core/schedule.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/policy.h"

#define FILE_DIGITS 32

/* ---- rows */

struct row_arg {
	struct db_backup *row;
	struct db_backups *list;
	int64_t id;
	const char *name;
	lxm_time now;
};

static int list_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_backup_list(tx, a->id, a->list, e);
}

static int expired_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_backup_list_expired(tx, a->now, a->list, e);
}

static int get_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_backup_get(tx, a->id, a->name, a->row, e);
}

static int create_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_backup_create(tx, ((struct row_arg *)arg)->row, e);
}

static int rename_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct row_arg *a = arg;

	return db_backup_rename(tx, a->id, a->name, e);
}

static int delete_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_backup_delete(tx, ((struct row_arg *)arg)->id, e);
}

int backup_list(struct lxmd *d, int64_t instance_id, struct db_backups *out, struct lxm_err *e)
{
	struct row_arg a = { .id = instance_id, .list = out };

	return db_read(d->db, list_tx, &a, e);
}

static int not_found(const char *instance, const char *name, struct lxm_err *e)
{
	return lxm_err_set(e, ENOENT, "backup '%.100s' of instance '%s' not found", name, instance);
}

int backup_load(struct lxmd *d, const struct instance *i, const char *name, struct db_backup *out, struct lxm_err *e)
{
	struct row_arg a = { .id = i->row.id, .name = name, .row = out };
	int r = db_read(d->db, get_tx, &a, e);

	return r == DB_NONE ? not_found(i->row.name, name, e) : r;
}

int backup_name_check(const char *name, struct lxm_err *e)
{
	/* the rules of snapshots, in a text that speaks of backups */
	return conf_name_snapshot(name, NULL) == 0 ? 0 :
	       lxm_err_set(e, EINVAL, "invalid backup name '%.100s': no '/', blanks or control characters, 1 to 255 bytes", name);
}

int backup_invent_name(struct lxmd *d, const struct instance *i, char **out, struct lxm_err *e)
{
	lxm_auto(db_backups) struct db_backups l = { 0 };
	unsigned int n = 0;
	size_t k;
	int r = backup_list(d, i->row.id, &l, e);

	/* one more than the highest, as LXD counts */
	for (k = 0; k < l.n; k++) {
		uint64_t have;

		if (lxm_starts(l.v[k].name, "backup") && lxm_parse_u64(l.v[k].name + 6, &have) == 0 && have >= n && have < 1000000000)
			n = (unsigned int)have + 1;
	}
	if (r == 0)
		*out = lxm_asprintf("backup%u", n);
	return r;
}

json_t *backup_json(const struct db_backup *b)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:b, s:b}", "name", js_string(b->name), "created_at", js_time(b->created_at), "expires_at",
			 js_time_unset(b->expires_at), "instance_only", b->instance_only, "container_only", b->instance_only,
			 "optimized_storage", 0);
}

static void tell(struct lxmd *d, const char *project, const char *instance, const char *name, const char *action, json_t *context,
		 const struct caller *caller)
{
	lxm_auto(free) char *inst = instance_url(instance), *enc = lxm_url_encode(name, NULL);
	lxm_auto(free) char *url = lxm_asprintf("%s/backups/%s", inst, enc);

	event_lifecycle(d, project, action, url, context, caller);
}

/* ---- files */

static void drop_file(struct lxmd *d, const char *file)
{
	if (unlinkat(d->dirs.backups.fd, file, 0) < 0 && errno != ENOENT)
		lxm_warn("remove backup file '%s': %s", file, strerror(errno));
}

void backup_drop_files(struct lxmd *d, const struct db_backups *l)
{
	size_t k;

	for (k = 0; k < l->n; k++)
		drop_file(d, l->v[k].file);
}

int backup_open(struct lxmd *d, const struct db_backup *b, int *fd_out, uint64_t *size_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(d->dirs.backups.fd, b->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lxm_err_sys(e, "open the file of backup '%s'", b->name);
	*size_out = (uint64_t)st.st_size;
	*fd_out = LXM_TAKE(fd, -1);
	return 0;
}

/* Name and directory entry, both on the disk. */
static int keep_file(struct lxmd *d, int fd, const char *file, struct lxm_err *e)
{
	lxm_auto(fd_close) int dir = openat(d->dirs.backups.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (dir < 0 || fsync(fd) < 0)
		return lxm_err_sys(e, "write the backup to the disk");
	if (linkat(AT_FDCWD, path, dir, file, AT_SYMLINK_FOLLOW) < 0)
		return lxm_err_sys(e, "keep the backup's file");
	if (fsync(dir) == 0)
		return 0;
	(void)lxm_err_sys(e, "write the directory of backups to the disk");
	drop_file(d, file);
	return -e->code;
}

/* ---- verbs */

static int make(struct lxmd *d, const struct instance *i, const struct backup_new *n, struct op *op, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = openat(d->dirs.backups.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	lxm_auto(db_backup) struct db_backup row = { .instance_id = i->row.id, .created_at = lxm_now(), .expires_at = n->expires_at,
						     .instance_only = n->instance_only };
	struct row_arg a = { .row = &row };
	int r;

	if (fd < 0)
		return lxm_err_sys(e, "make a file in '%s'", d->dirs.backups.path);
	row.name = lxm_strdup(n->name);
	row.file = lxm_random_hex(FILE_DIGITS);
	r = backup_write(d, i, n, fd, op, e);
	if (r == 0)
		r = keep_file(d, fd, row.file, e);
	if (r < 0)
		return r;
	r = db_write(d->db, create_tx, &a, e);
	if (r < 0)
		drop_file(d, row.file);
	return r;
}

int backup_create(struct lxmd *d, const struct instance *i, const struct backup_new *n, struct op *op, const struct caller *caller,
		  struct lxm_err *e)
{
	lxm_auto(db_backup) struct db_backup have = { 0 };
	int r = policy_backups(d, i->row.project, e);

	if (r == 0)
		r = backup_name_check(n->name, e);
	if (r == 0 && backup_load(d, i, n->name, &have, NULL) == 0)
		r = lxm_err_set(e, EEXIST, "backup '%s' already exists", n->name);
	if (r == 0)
		r = make(d, i, n, op, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "backup of instance '%s'", i->row.name);
	tell(d, i->row.project, i->row.name, n->name, "instance-backup-created", NULL, caller);
	return 0;
}

int backup_rename(struct lxmd *d, const struct instance *i, const char *from, const char *to, const struct caller *caller,
		  struct lxm_err *e)
{
	lxm_auto(db_backup) struct db_backup b = { 0 };
	struct row_arg a = { .name = to };
	int r = backup_name_check(to, e);

	if (r == 0)
		r = backup_load(d, i, from, &b, e);
	a.id = b.id;
	if (r == 0)
		r = db_write(d->db, rename_tx, &a, e);
	if (r == DB_NONE)
		r = not_found(i->row.name, from, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "rename backup '%.100s'", from);
	tell(d, i->row.project, i->row.name, to, "instance-backup-renamed", json_pack("{s:s}", "old_name", from), caller);
	return 0;
}

static int drop(struct lxmd *d, const struct db_backup *b, const struct caller *caller, struct lxm_err *e)
{
	struct row_arg a = { .id = b->id };
	int r = db_write(d->db, delete_tx, &a, e);

	if (r == DB_NONE)
		r = not_found(b->instance, b->name, e);
	if (r < 0)
		return r;
	drop_file(d, b->file);
	tell(d, b->project, b->instance, b->name, "instance-backup-deleted", NULL, caller);
	return 0;
}

int backup_delete(struct lxmd *d, const struct instance *i, const char *name, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(db_backup) struct db_backup b = { 0 };
	int r = backup_load(d, i, name, &b, e);

	return r < 0 ? r : drop(d, &b, caller, e);
}

/* ---- by the clock, and at start */

static void drop_expired(struct lxmd *d, lxm_time since, lxm_time now)
{
	lxm_auto(db_backups) struct db_backups l = { 0 };
	struct row_arg a = { .list = &l, .now = lxm_now() };
	struct lxm_err e = { 0 };
	size_t k;

	(void)since;
	(void)now;
	if (db_read(d->db, expired_tx, &a, &e) < 0)
		lxm_error("expired backups: %s", e.msg);
	for (k = 0; k < l.n && !__atomic_load_n(&d->stopping, __ATOMIC_RELAXED); k++) {
		lxm_info("backup '%s' of instance '%s' has expired", l.v[k].name, l.v[k].instance);
		if (drop(d, &l.v[k], NULL, &e) < 0)
			lxm_warn("%s", e.msg);
	}
}

static void sweep_rows(struct lxmd *d, const struct db_backups *l)
{
	struct lxm_err e = { 0 };
	size_t k;

	for (k = 0; k < l->n; k++) {
		struct row_arg a = { .id = l->v[k].id };

		if (faccessat(d->dirs.backups.fd, l->v[k].file, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			continue;
		lxm_warn("backup '%s' of instance '%s' is gone from '%s'", l->v[k].name, l->v[k].instance, d->dirs.backups.path);
		if (db_write(d->db, delete_tx, &a, &e) < 0)
			lxm_error("%s", e.msg);
	}
}

static void sweep_files(struct lxmd *d, const struct db_backups *l)
{
	int fd = openat(d->dirs.backups.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	size_t k;

	if (!dir) {
		lxm_error("read '%s': %s", d->dirs.backups.path, strerror(errno));
		auto_fd_close(&fd);
		return;
	}
	while ((de = readdir(dir))) {
		/* what has another kind of name is not ours */
		if (!lxm_is_hex(de->d_name, FILE_DIGITS, FILE_DIGITS))
			continue;
		for (k = 0; k < l->n; k++)
			if (strcmp(l->v[k].file, de->d_name) == 0)
				break;
		if (k == l->n)
			drop_file(d, de->d_name);
	}
	closedir(dir);
}

void backups_start(struct lxmd *d)
{
	lxm_auto(db_backups) struct db_backups l = { 0 };
	struct lxm_err e = { 0 };

	if (backup_list(d, 0, &l, &e) < 0) {
		lxm_error("backups: %s", e.msg);
	} else {
		sweep_rows(d, &l);
		sweep_files(d, &l);
	}
	schedule_add(d->schedule, "expired backups", drop_expired);
}
