/* Backups of instances: a row each, and a tarball in LXMD_DIR/backups that LXD and Incus take as well. */
#ifndef LXMD_INSTANCE_BACKUP_H
#define LXMD_INSTANCE_BACKUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "db/backup.h"
#include "lib/base/err.h"
#include "lxmd/image/tar_out.h"
#include "lxmd/instance/backup_index.h"

struct caller;
struct instance;
struct lxmd;
struct op;

/*
 * A tarball is written into a file without a name, gets one when it is whole and on the disk, and its row after that: whatever moment
 * lxmd dies in, there is a whole backup or a file that the next start removes.
 */

/** Remove files without a row and rows without a file, and enter the end of expired ones into the schedule. Main thread. */
void backups_start(struct lxmd *d);

/** The backups of one instance (id 0: of all), oldest first. Any thread; one read transaction. Returns 0 or -errno. */
int backup_list(struct lxmd *d, int64_t instance_id, struct db_backups *out, struct lxm_err *e);
/** One of them; -ENOENT naming both. */
int backup_load(struct lxmd *d, const struct instance *i, const char *name, struct db_backup *out, struct lxm_err *e);

/** 1-255 bytes without '/', blanks and control characters, not "." or "..". Returns 0 or -EINVAL. */
int backup_name_check(const char *name, struct lxm_err *e);

/** The object of GET backups/NAME. New reference. */
json_t *backup_json(const struct db_backup *b);

struct backup_new {
	const char *name;	 /* NULL: backupN with the first number that is free */
	lxm_time expires_at;	 /* 0: never */
	bool instance_only;	 /* without snapshots */
	enum image_compression compression;
};

/** A name for a backup that has none; free() it. Any thread; one read transaction. */
int backup_invent_name(struct lxmd *d, const struct instance *i, char **out, struct lxm_err *e);

/**
 * Make a backup. A running instance stands still while its files are copied aside, no longer.
 *
 * @n  its name is not NULL
 *
 * Worker threads; the caller holds the instance's lock. Sends the event. Returns 0, -EEXIST, -EPERM (restricted.backups), -ENOSPC,
 * -ECANCELED or another -errno; nothing is left then.
 */
int backup_create(struct lxmd *d, const struct instance *i, const struct backup_new *n, struct op *op, const struct caller *caller,
		  struct lxm_err *e);
/** -ENOENT, -EEXIST, -EINVAL. Worker threads; sends the event. */
int backup_rename(struct lxmd *d, const struct instance *i, const char *from, const char *to, const struct caller *caller,
		  struct lxm_err *e);
/** -ENOENT. A download that has begun goes on. Worker threads; sends the event. */
int backup_delete(struct lxmd *d, const struct instance *i, const char *name, const struct caller *caller, struct lxm_err *e);
/** Remove the files of a list whose rows are gone. Any thread. */
void backup_drop_files(struct lxmd *d, const struct db_backups *l);

/** Open the tarball for reading; the caller closes it. Returns 0 or -errno. */
int backup_open(struct lxmd *d, const struct db_backup *b, int *fd_out, uint64_t *size_out, struct lxm_err *e);

/** Write the tarball of an instance. Used by backup_create() only. */
int backup_write(struct lxmd *d, const struct instance *i, const struct backup_new *n, int fd, struct op *op, struct lxm_err *e);

/* A backup that an instance is made from; borrowed by instance_create(). */
struct backup_source {
	int fd; /* the tarball: a file */
	uint64_t size;
	struct backup_index index;
};

/** Read the index of a tarball from anywhere into s->index. Any thread; reads its beginning. Returns 0, -EINVAL or -EOPNOTSUPP. */
int backup_peek(struct backup_source *s, struct lxm_err *e);

/**
 * The part of instance_create() for SOURCE_BACKUP: volume and snapshots of a new row. The tarball is hostile input. No event; the
 * caller undoes. Worker threads.
 */
int backup_fill(struct lxmd *d, const struct instance *to, const struct backup_source *s, struct op *op, struct lxm_err *e);

#endif
