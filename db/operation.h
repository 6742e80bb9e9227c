/* Running operations, so that other cluster members and the next lxmd know of them. */
#ifndef LXM_DB_OPERATION_H
#define LXM_DB_OPERATION_H

#include "db/db.h"

struct db_operation {
	int64_t id;
	char *uuid, *project, *location, *description; /* owned; project "" if none */
	lxm_time created_at;
};

struct db_operations {
	struct db_operation *v; /* owned, n of them, by id */
	size_t n;
};

void db_operation_deinit(struct db_operation *o);
void db_operations_deinit(struct db_operations *o);
LXM_AUTO_STRUCT(db_operation, struct db_operation, db_operation_deinit)
LXM_AUTO_STRUCT(db_operations, struct db_operations, db_operations_deinit)

/** Operations of a project; NULL: of all. */
int db_operation_list(struct db_tx *tx, const char *project, struct db_operations *out, struct lxm_err *e);
int db_operation_create(struct db_tx *tx, struct db_operation *o, struct lxm_err *e); /* sets o->id; -EEXIST */
int db_operation_delete(struct db_tx *tx, const char *uuid, struct lxm_err *e);	    /* DB_NONE */
/** At start-up: what a daemon that died left behind on this member. */
int db_operation_clear(struct db_tx *tx, const char *location, struct lxm_err *e);

#endif
