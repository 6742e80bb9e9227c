/* Warnings: conditions that an administrator should see, counted rather than repeated. */
#ifndef LXM_DB_WARNING_H
#define LXM_DB_WARNING_H

#include "db/db.h"

enum db_warning_status { DB_WARN_NEW = 1, DB_WARN_ACKNOWLEDGED = 2, DB_WARN_RESOLVED = 3 };
enum db_severity { DB_SEV_LOW = 1, DB_SEV_MODERATE = 2, DB_SEV_HIGH = 3 };

struct db_warning {
	int64_t id;
	char *uuid, *project, *location; /* owned; project "" for the server as a whole */
	char *type;			  /* owned; one line such as "Storage pool unavailable" */
	char *entity_url, *last_message;  /* owned; entity_url "" if none */
	int status, severity;		  /* enum db_warning_status, enum db_severity */
	int64_t count;
	lxm_time first_seen_at, last_seen_at;
};

struct db_warnings {
	struct db_warning *v; /* owned, n of them, by last_seen_at */
	size_t n;
};

void db_warning_deinit(struct db_warning *w);
void db_warnings_deinit(struct db_warnings *w);
LXM_AUTO_STRUCT(db_warning, struct db_warning, db_warning_deinit)
LXM_AUTO_STRUCT(db_warnings, struct db_warnings, db_warnings_deinit)

/** "new", "acknowledged", "resolved". */
const char *db_warning_status_name(int status);
/** "low", "moderate", "high". */
const char *db_severity_name(int severity);

/**
 * Say that a condition holds: a new row, or one more on the counter of the row with the same project, type and
 * entity. A resolved row becomes new again, an acknowledged one stays so.
 *
 * @project, @entity_url  NULL or "" if it concerns no project or no single object
 */
int db_warning_raise(struct db_tx *tx, const char *project, const char *type, int severity, const char *entity_url,
		     const char *message, struct lxm_err *e);
/** Say that it holds no longer; 0 also when there was no such warning. */
int db_warning_resolve(struct db_tx *tx, const char *project, const char *type, const char *entity_url,
		       struct lxm_err *e);
/** project NULL: all; else that project's and those of no project. */
int db_warning_list(struct db_tx *tx, const char *project, struct db_warnings *out, struct lxm_err *e);
int db_warning_get(struct db_tx *tx, const char *uuid, struct db_warning *out, struct lxm_err *e);	  /* DB_NONE */
int db_warning_set_status(struct db_tx *tx, const char *uuid, int status, struct lxm_err *e); /* DB_NONE */
int db_warning_delete(struct db_tx *tx, const char *uuid, struct lxm_err *e);		      /* DB_NONE */
/** Drop resolved ones last seen before `before`. */
int db_warning_prune(struct db_tx *tx, lxm_time before, struct lxm_err *e);

#endif
