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
 * After the change is stored: apply it to the instances, running ones at once.
 *
 * @users  from profile_users_check()
 *
 * Worker threads; takes each instance's lock; blocks. Returns 0, or -errno with a text that names the instances
 * which could not follow (the profile's change stays).
 */
int profile_users_update(struct lxmd *d, const char *profile, const struct instance_list *users,
			 const struct caller *caller, struct lxm_err *e);

#endif
