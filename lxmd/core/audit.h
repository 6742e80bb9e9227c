/* The audit log: one line for each change that somebody asked for, who, from where, what, and how it ended. */
#ifndef LXMD_CORE_AUDIT_H
#define LXMD_CORE_AUDIT_H

#include "lxmd/core/caller.h"

struct lxmd;
struct audit;

/**
 * Make d->audit, which appends to audit.log in the daemon's log directory. What cannot be opened is complained of and tried
 * again with each line. Main thread.
 */
void audit_start(struct lxmd *d);

/** NULL inside is fine. Main thread, after everybody who writes. */
void audit_stop(struct lxmd *d);

/**
 * A request was answered.
 *
 * @path       without the query, which may hold secrets
 * @project    NULL: of none
 * @status     of the answer
 * @operation  UUID of the operation that goes on with it, NULL: none
 *
 * Any thread; one write to a file. NULL d->audit is fine.
 */
void audit_request(struct lxmd *d, const struct caller *who, const char *method, const char *path, const char *project,
		   unsigned int status, const char *operation);

/** An operation that a request began has ended. @result "Success", "Failure" or "Cancelled". As above. */
void audit_operation(struct lxmd *d, const struct caller *who, const char *operation, const char *what, const char *project,
		     const char *result);

#endif
