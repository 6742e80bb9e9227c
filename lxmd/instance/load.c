/* Loading instances and merging profiles. Any thread of lxmd; every call is one read transaction. */
#include "lxmd/instance/instance.h"

#include <string.h>

#include "db/profile.h"
#include "db/project.h"
#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/locks.h"

void instance_deinit(struct instance *i)
{
	db_instance_deinit(&i->row);
	lxm_kv_deinit(&i->config);
	lxm_devs_deinit(&i->devices);
}

void instance_list_deinit(struct instance_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		instance_deinit(&l->v[i]);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static void apply_profile(struct instance *i, const struct db_profile *p)
{
	lxm_kv_merge(&i->config, &p->config);
	lxm_devs_merge(&i->devices, &p->devices);
}

static void apply_own(struct instance *i)
{
	lxm_kv_merge(&i->config, &i->row.config);
	lxm_devs_merge(&i->devices, &i->row.devices);
}

static int expand_tx(struct db_tx *tx, struct instance *i, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	size_t k;
	int r;

	lxm_kv_deinit(&i->config);
	lxm_devs_deinit(&i->devices);
	if (i->row.profiles.n) {
		r = db_project_for(tx, i->row.project, DB_FEATURE_PROFILES, &home, e);
		if (r < 0)
			return r;
		if (r == DB_NONE)
			return lxm_err_set(e, ENOENT, "project '%s' not found", i->row.project);
	}
	for (k = 0; k < i->row.profiles.n; k++) {
		struct db_profile p = { 0 };

		r = db_profile_get_values(tx, home, i->row.profiles.v[k], &p, e);
		if (r == 0)
			apply_profile(i, &p);
		db_profile_deinit(&p);
		if (r == DB_NONE)
			return lxm_err_set(e, ENOENT, "profile '%s' not found", i->row.profiles.v[k]);
		if (r < 0)
			return r;
	}
	apply_own(i);
	return 0;
}

struct load_arg {
	const char *project, *name;
	int64_t id;
	struct instance *out;
};

static int load_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct load_arg *a = arg;
	int r;

	instance_deinit(a->out);
	if (a->name)
		r = db_instance_get(tx, a->project, a->name, &a->out->row, e);
	else
		r = db_instance_get_id(tx, a->id, &a->out->row, e);
	return r ? r : expand_tx(tx, a->out, e);
}

int instance_load(struct lxmd *d, const char *project, const char *name, struct instance *out, struct lxm_err *e)
{
	struct load_arg a = { .project = project, .name = name, .out = out };
	int r;

	memset(out, 0, sizeof(*out));
	r = db_read(d->db, load_tx, &a, e);
	if (r == DB_NONE && strcmp(project, DB_DEFAULT_PROJECT) == 0)
		r = lxm_err_set(e, ENOENT, "instance '%s' not found", name);
	else if (r == DB_NONE)
		r = lxm_err_set(e, ENOENT, "instance '%s' not found in project '%s'", name, project);
	if (r < 0)
		instance_deinit(out);
	return r;
}

int instance_load_id(struct lxmd *d, int64_t id, struct instance *out, struct lxm_err *e)
{
	struct load_arg a = { .id = id, .out = out };
	int r;

	memset(out, 0, sizeof(*out));
	r = db_read(d->db, load_tx, &a, e);
	if (r == DB_NONE)
		r = lxm_err_set(e, ENOENT, "instance %lld not found", (long long)id);
	if (r < 0)
		instance_deinit(out);
	return r;
}

static int expand_only_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return expand_tx(tx, arg, e);
}

int instance_expand(struct lxmd *d, struct instance *i, struct lxm_err *e)
{
	return db_read(d->db, expand_only_tx, i, e);
}

struct load_all_arg {
	const char *project;
	struct instance_list *out;
};

/* Profiles come sorted by project and name. */
static const struct db_profile *find_profile(const struct db_profiles *all, const char *project, const char *name)
{
	size_t lo = 0, hi = all->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(all->v[mid].project, project);

		if (c == 0)
			c = strcmp(all->v[mid].name, name);
		if (c == 0)
			return &all->v[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int load_all_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct load_all_arg *a = arg;
	lxm_auto(db_instances) struct db_instances rows = { 0 };
	lxm_auto(db_profiles) struct db_profiles profiles = { 0 };
	lxm_auto(free) char *home = NULL;
	const char *last = NULL;
	size_t i, k;
	int r;

	instance_list_deinit(a->out);
	r = db_instance_list(tx, a->project, DB_ANY_TYPE, DB_WITH_ALL, &rows, e);
	if (r == 0)
		r = db_profile_list_values(tx, NULL, &profiles, e);
	if (r < 0)
		return r;
	a->out->v = lxm_realloc_n(NULL, rows.n, sizeof(*a->out->v));
	for (i = 0; i < rows.n; i++) {
		struct instance *in = &a->out->v[a->out->n++];

		memset(in, 0, sizeof(*in));
		in->row = rows.v[i];
		memset(&rows.v[i], 0, sizeof(rows.v[i]));
		if (!last || strcmp(last, in->row.project) != 0) {
			free(home);
			home = NULL;
			r = db_project_for(tx, in->row.project, DB_FEATURE_PROFILES, &home, e);
			if (r < 0)
				return r;
			last = in->row.project;
		}
		for (k = 0; home && k < in->row.profiles.n; k++) {
			const struct db_profile *p = find_profile(&profiles, home, in->row.profiles.v[k]);

			if (p)
				apply_profile(in, p);
		}
		apply_own(in);
	}
	return 0;
}

int instance_load_all(struct lxmd *d, const char *project, struct instance_list *out, struct lxm_err *e)
{
	struct load_all_arg a = { project, out };
	int r;

	memset(out, 0, sizeof(*out));
	r = db_read(d->db, load_all_tx, &a, e);
	if (r < 0)
		instance_list_deinit(out);
	return r;
}

char *instance_lock_key(int64_t id, char out[40])
{
	snprintf(out, 40, "instance/%lld", (long long)id);
	return out;
}

int instance_lock_id(struct lxmd *d, int64_t id, const char *what, int timeout_ms, struct lock **lock_out, struct lxm_err *e)
{
	char key[40];
	int r = lock_take(d->locks, instance_lock_key(id, key), what, timeout_ms, lock_out, e);

	if (r == -EBUSY) {
		lxm_auto(free) char *holder = lock_holder(d->locks, key);
		lxm_auto(instance) struct instance i = { 0 };
		const char *does = holder ? holder : "try again";

		/* the lock knows the id only, which is nobody's business */
		if (instance_load_id(d, id, &i, NULL) == 0)
			lxm_err_http(e, 409, EBUSY, "instance '%s' is busy: %s", i.row.name, does);
		else
			lxm_err_http(e, 409, EBUSY, "the instance is busy: %s", does);
	}
	return r;
}

int instance_lock(struct lxmd *d, int64_t id, const char *what, struct instance *out, struct lock **lock_out,
		  struct lxm_err *e)
{
	lxm_auto(lock_release) struct lock *lock = NULL;
	int r = instance_lock_id(d, id, what, 0, &lock, e);

	if (r == 0)
		r = instance_load_id(d, id, out, e);
	if (r == 0)
		*lock_out = LXM_TAKE(lock, NULL);
	return r;
}

char *instance_url(const char *name)
{
	lxm_auto(free) char *enc = lxm_url_encode(name, NULL);

	return lxm_asprintf("/1.0/instances/%s", enc);
}

json_t *instance_resources(const char *name)
{
	return json_pack("{s:[o]}", "instances", js_url("/1.0/instances/%s", name));
}

struct volatile_arg {
	int64_t id;
	const struct lxm_kv *keys;
};

static int volatile_tx(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	struct volatile_arg *a = arg;

	return db_instance_set_config_keys(tx, a->id, a->keys, e);
}

int instance_set_volatile(struct lxmd *d, int64_t id, const struct lxm_kv *keys, struct lxm_err *e)
{
	struct volatile_arg a = { id, keys };
	int r = keys->n ? db_write_lazy(d->db, volatile_tx, &a, e) : 0;

	return r == DB_NONE ? 0 : r;
}
