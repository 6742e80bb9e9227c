/*
 * What a changed profile means for the instances that use it. Worker threads of lxmd. All are judged with the wanted
 * profile before anything is stored, so a profile cannot smuggle in what an instance's own update would be refused.
 */
#include "lxmd/api/profile_users.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/core/caller.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"
#include "lxmd/core/quota.h"
#include "lxmd/instance/life.h"

#define LOCK_WAIT_MS 10000

struct load {
	const struct db_profile *now;
	struct db_instances rows;
	struct db_profiles profiles;
};

static void load_deinit(struct load *l)
{
	db_instances_deinit(&l->rows);
	db_profiles_deinit(&l->profiles);
}
LXM_AUTO_STRUCT(load, struct load, load_deinit)

static int load_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct load *l = arg;
	int r = db_instance_list_by_profile(tx, l->now->id, &l->rows, e);

	return r < 0 ? r : db_profile_list(tx, l->now->project, &l->profiles, e);
}

static const struct db_profile *find(const struct db_profiles *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, name) == 0)
			return &l->v[i];
	return NULL;
}

/* The row with its profiles merged in, `now` standing for the one of its id (NULL: all as stored). */
static void expand(struct instance *i, const struct db_instance *row, const struct db_profiles *profiles,
		   const struct db_profile *now)
{
	size_t k;

	db_instance_copy(&i->row, row);
	for (k = 0; k < row->profiles.n; k++) {
		const struct db_profile *p = find(profiles, row->profiles.v[k]);

		if (p && now && p->id == now->id)
			p = now;
		if (!p)
			continue;
		lxm_kv_merge(&i->config, &p->config);
		lxm_devs_merge(&i->devices, &p->devices);
	}
	lxm_kv_merge(&i->config, &row->config);
	lxm_devs_merge(&i->devices, &row->devices);
}

/* Of an instance in a project that the caller may not see not even the name is told. */
static int hide(struct lxm_err *e, int r, const char *profile)
{
	if (e)
		lxm_err_clear(e);
	return lxm_err_set(e, -r, "profile '%s' does not fit an instance that uses it", profile);
}

int profile_users_check(struct lxmd *d, const struct db_profile *now, const struct caller *who, struct instance_list *users,
			struct lxm_err *e)
{
	lxm_auto(load) struct load l = { .now = now };
	size_t k;
	int r = db_read(d->db, load_tx, &l, e);

	if (r < 0 || !l.rows.n)
		return r;
	users->v = lxm_try_alloc(l.rows.n * sizeof(*users->v));
	if (!users->v)
		return lxm_err_sys(e, "hold %zu instances", l.rows.n);
	users->n = l.rows.n;
	for (k = 0; k < l.rows.n; k++) {
		lxm_auto(instance) struct instance wanted = { 0 };

		expand(&users->v[k], &l.rows.v[k], &l.profiles, NULL);
		expand(&wanted, &l.rows.v[k], &l.profiles, now);
		r = instance_check(d, &wanted, &users->v[k], who, e);
		if (r < 0 && !caller_may_project(who, l.rows.v[k].project))
			return hide(e, r, now->name);
		if (r < 0)
			return lxm_err_wrap(e, r, "profile '%s' does not fit instance '%s' that uses it", now->name,
					    l.rows.v[k].name);
	}
	return 0;
}

int profile_users_limits(struct db_tx *tx, const struct db_profile *now, const struct caller *who, struct lxm_err *e)
{
	lxm_auto(db_instances) struct db_instances rows = { 0 };
	const char *last = NULL;
	size_t k;
	int r = db_instance_list_by_profile(tx, now->id, &rows, e);

	for (k = 0; r == 0 && k < rows.n; k++) { /* by project */
		if (lxm_streq(last, rows.v[k].project))
			continue;
		last = rows.v[k].project;
		r = quota_check(tx, last, QUOTA_OF_INSTANCES, e);
	}
	if (r < 0 && last && !caller_may_project(who, last))
		return hide(e, r, now->name);
	return lxm_err_wrap(e, r, "profile '%s' does not fit its users", now->name);
}

/* In line with what is stored; *was is what it became afterwards. */
static int update_one(struct lxmd *d, struct instance *was, const struct caller *caller, struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	lxm_auto(instance) struct instance now = { 0 };
	int r = instance_lock_id(d, was->row.id, "Applying a changed profile", LOCK_WAIT_MS, &lock, e);

	if (r == 0)
		r = instance_load_id(d, was->row.id, &now, e);
	if (r == -ENOENT)
		return 0; /* deleted meanwhile */
	if (r < 0)
		return r;
	if (!lxm_kv_eq(&was->config, &now.config) || !lxm_devs_eq(&was->devices, &now.devices))
		r = instance_update(d, was, &now, caller, e);
	if (r < 0)
		return r;
	instance_deinit(was);
	*was = now;
	memset(&now, 0, sizeof(now));
	return 0;
}

int profile_users_update(struct lxmd *d, const char *profile, struct instance_list *users, const struct caller *caller, size_t *done_out,
			 struct lxm_err *e)
{
	size_t k;
	int r;

	for (k = 0; k < users->n; k++) {
		r = update_one(d, &users->v[k], caller, e);
		*done_out = k;
		if (r == 0)
			continue;
		if (!caller_may_project(caller, users->v[k].row.project))
			return hide(e, r, profile);
		return lxm_err_wrap(e, r, "profile '%s' stays as it was, because instance '%s' cannot follow", profile, users->v[k].row.name);
	}
	*done_out = k;
	return 0;
}

void profile_users_undo(struct lxmd *d, const char *profile, struct instance_list *users, size_t done)
{
	while (done-- > 0) {
		struct lxm_err e = { 0 };

		if (update_one(d, &users->v[done], NULL, &e) < 0)
			lxm_warn("profile '%s': instance '%s' does not go back: %s", profile, users->v[done].row.name, e.msg);
	}
}
