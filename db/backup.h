/* Backups of instances: rows about files that lie in LXMD_DIR/backups. */
#ifndef LXM_DB_BACKUP_H
#define LXM_DB_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/db.h"
#include "lib/base/auto.h"
#include "lib/base/time.h"

struct db_backup {
	int64_t id, instance_id;
	char *project, *instance; /* filled on load, ignored on create; owned, as all strings here */
	char *name;		  /* without the instance's */
	char *file;		  /* in the backups directory: hexadecimal digits */
	lxm_time created_at, expires_at; /* expires_at 0: never */
	bool instance_only;
};

struct db_backups {
	struct db_backup *v; /* owned, n of them, by instance_id, then id */
	size_t n;
};

void db_backup_deinit(struct db_backup *b);
void db_backups_deinit(struct db_backups *l);
LXM_AUTO_STRUCT(db_backup, struct db_backup, db_backup_deinit)
LXM_AUTO_STRUCT(db_backups, struct db_backups, db_backups_deinit)

/** Backups of one instance, or of all (instance_id 0). */
int db_backup_list(struct db_tx *tx, int64_t instance_id, struct db_backups *out, struct lxm_err *e);
/** Those whose expiry is not 0 and not after `now`. */
int db_backup_list_expired(struct db_tx *tx, lxm_time now, struct db_backups *out, struct lxm_err *e);
/** DB_NONE. */
int db_backup_get(struct db_tx *tx, int64_t instance_id, const char *name, struct db_backup *out, struct lxm_err *e);
/** Insert b for b->instance_id; sets b->id. -EEXIST. */
int db_backup_create(struct db_tx *tx, struct db_backup *b, struct lxm_err *e);
/** DB_NONE, -EEXIST. */
int db_backup_rename(struct db_tx *tx, int64_t id, const char *to, struct lxm_err *e);
/** DB_NONE. */
int db_backup_delete(struct db_tx *tx, int64_t id, struct lxm_err *e);

#endif
