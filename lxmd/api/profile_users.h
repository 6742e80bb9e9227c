/* Instances that use a profile: judged before the profile changes, brought in line after it did. */
#ifndef LXMD_API_PROFILE_USERS_H
#define LXMD_API_PROFILE_USERS_H

#include "db/profile.h"
#include "lib/base/err.h"
#include "lxmd/instance/instance.h"

struct caller;
struct lxmd;

/**
 * Would every instance that uses the profile still be valid with it?
 *
 * @now    the wanted profile, with the id of the present one
 * @who    who changes it, see instance_check()
 * @users  receives the instances as they are now, expanded; instance_list_deinit() it
 *
 * Worker threads; reads the database. Returns 0, or the first instance's -errno with its name in the text.
 */
int profile_users_check(struct lxmd *d, const struct db_profile *now, const struct caller *who, struct instance_list *users,
			struct lxm_err *e);

/**
 * Are the projects of all users still within their limits? In the transaction that stores the profile, behind that.
 *
 * Returns 0, or quota_check()'s -errno; of a project that the caller may not see nothing is told.
 */
int profile_users_limits(struct db_tx *tx, const struct db_profile *now, const struct caller *who, struct lxm_err *e);

/**
 * After the change is stored: apply it to the instances, running ones at once. Ends with the first that cannot follow.
 *
 * @users     from profile_users_check(); those that followed are what they became afterwards
 * @done_out  how many followed: the first ones
 *
 * Worker threads; takes each instance's lock; blocks. Returns 0, or -errno with a text that names the instance, unless
 * the caller may not know it; the caller puts the profile back and calls profile_users_undo().
 */
int profile_users_update(struct lxmd *d, const char *profile, struct instance_list *users, const struct caller *caller, size_t *done_out,
			 struct lxm_err *e);

/** The profile is stored as it was: bring the first `done` users back in line with it. What cannot go back is logged. */
void profile_users_undo(struct lxmd *d, const char *profile, struct instance_list *users, size_t done);

#endif
