/* Adding up what a project uses, from rows alone: the host is not asked. In a transaction of the caller's. */
#include <stdlib.h>
#include <string.h>

#include "db/network.h"
#include "db/project.h"
#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/conf/checks.h"
#include "lib/conf/tables.h"
#include "lxmd/core/quota_priv.h"

void stock_deinit(struct stock *s)
{
	db_instances_deinit(&s->rows);
	db_profiles_deinit(&s->profiles);
	db_volumes_deinit(&s->volumes);
	db_images_deinit(&s->images);
	memset(s, 0, sizeof(*s));
}

static int load_instances(struct db_tx *tx, const char *project, struct stock *s, struct lxm_err *e)
{
	lxm_auto(free) char *home = NULL;
	int r = db_instance_list(tx, project, DB_ANY_TYPE, DB_WITH_ALL, &s->rows, e);

	if (r == 0)
		r = db_project_for(tx, project, DB_FEATURE_PROFILES, &home, e);
	return r == 0 ? db_profile_list_values(tx, home, &s->profiles, e) : r;
}

int stock_load(struct db_tx *tx, const char *project, unsigned int of, struct stock *out, struct lxm_err *e)
{
	struct db_networks networks = { 0 };
	int r = 0;

	stock_deinit(out);
	out->project = project;
	if (of & (QUOTA_OF_INSTANCES | QUOTA_OF_DISK))
		r = load_instances(tx, project, out, e);
	if (r == 0 && (of & QUOTA_OF_DISK))
		r = db_volume_list(tx, NULL, project, DB_VOL_CUSTOM, &out->volumes, e);
	if (r == 0 && (of & QUOTA_OF_DISK))
		r = db_image_list(tx, project, false, &out->images, e);
	if (r == 0 && (of & QUOTA_OF_NETWORKS)) {
		r = db_network_list(tx, project, &networks, e);
		out->networks = networks.n;
		db_networks_deinit(&networks);
	}
	return r;
}

void stock_put(struct stock *s, const struct db_instance *wanted)
{
	size_t i;

	for (i = 0; i < s->rows.n; i++)
		if (s->rows.v[i].id == wanted->id || lxm_streq(s->rows.v[i].name, wanted->name))
			break;
	if (i == s->rows.n) {
		s->rows.v = lxm_realloc_n(s->rows.v, ++s->rows.n, sizeof(*s->rows.v));
		memset(&s->rows.v[i], 0, sizeof(s->rows.v[i]));
	}
	db_instance_copy(&s->rows.v[i], wanted);
}

static void add(int64_t *sum, uint64_t n)
{
	if (n > INT64_MAX || __builtin_add_overflow(*sum, (int64_t)n, sum))
		*sum = INT64_MAX;
}

static const struct db_profile *profile_of(const struct stock *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->profiles.n; i++)
		if (strcmp(s->profiles.v[i].name, name) == 0)
			return &s->profiles.v[i];
	return NULL;
}

/* What holds in the end: its own, else that of the last profile that says something. */
static const char *value_of(const struct stock *s, const struct db_instance *i, const char *key)
{
	const char *value = lxm_kv_get(&i->config, key);
	size_t k = i->profiles.n;

	while (!value && k-- > 0) {
		const struct db_profile *p = profile_of(s, i->profiles.v[k]);

		value = p ? lxm_kv_get(&p->config, key) : NULL;
	}
	return lxm_empty(value) ? NULL : value;
}

static const struct lxm_dev *root_in(const struct lxm_devs *devices)
{
	lxm_devs_each(d, devices)
		if (conf_disk_is_root(&d->kv))
			return d;
	return NULL;
}

static void count_cpu(unsigned int cpu, void *arg)
{
	(void)cpu;
	++*(uint64_t *)arg;
}

/* A value as a number, or why it is none. */
static const char *number(const char *key, const char *value, bool strict, uint64_t *out)
{
	bool ok;

	*out = 0;
	if (strcmp(key, "limits.memory") == 0 && lxm_ends(value, "%"))
		return "Value can't be a percentage";
	if (strcmp(key, "limits.cpu") == 0 && strpbrk(value, ",-")) {
		if (!strict)
			(void)conf_parse_cpuset(value, count_cpu, out);
		return "CPUs can't be pinned if project limits are used";
	}
	if (strcmp(key, "limits.cpu") == 0 || strcmp(key, "limits.processes") == 0)
		ok = lxm_parse_u64(value, out) == 0;
	else
		ok = lxm_parse_bytes(value, out) == 0;
	/* a quota of no bytes is none at all */
	if (ok && !*out && strcmp(key, "size") == 0)
		return "Value is 0, which is no limit";
	return ok ? NULL : "Value isn't a number";
}

static int no_value(const char *what, const char *name, const char *project, const char *key, const char *where, struct lxm_err *e)
{
	return lxm_err_set(e, EINVAL, "%s \"%s\" in project \"%s\" has no \"%s\" config%s", what, name, project, key, where);
}

static int bad_value(const struct stock *s, const char *key, const char *value, const char *name, const char *why, struct lxm_err *e)
{
	return lxm_err_set(e, EINVAL, "Failed parsing \"%.60s\" of \"%s\" for \"%s\" in project \"%s\": %s", value, key, name, s->project, why);
}

/* limits.cpu, .memory, .processes */
static int total_of_keys(const struct stock *s, const char *key, bool strict, int64_t *sum, struct lxm_err *e)
{
	size_t i;

	for (i = 0; i < s->rows.n; i++) {
		const char *value = value_of(s, &s->rows.v[i], key), *why;
		uint64_t n;

		if (!value && strict)
			return no_value("Instance", s->rows.v[i].name, s->project, key, ", either directly or via a profile", e);
		why = value ? number(key, value, strict, &n) : NULL;
		if (why && strict)
			return bad_value(s, key, value, s->rows.v[i].name, why, e);
		if (strict && strcmp(key, "limits.memory") == 0 && lxm_streq(value_of(s, &s->rows.v[i], "limits.memory.enforce"), "soft"))
			return bad_value(s, "limits.memory.enforce", "soft", s->rows.v[i].name, "Such memory has no ceiling to be counted", e);
		if (value)
			add(sum, n);
	}
	return 0;
}

static int add_root(const struct stock *s, const struct db_instance *i, const char *pool, bool strict, int64_t *sum, struct lxm_err *e)
{
	lxm_auto(devs) struct lxm_devs devices = { 0 };
	const struct lxm_dev *root;
	const char *size, *why;
	uint64_t n;
	size_t k;

	for (k = 0; k < i->profiles.n; k++) {
		const struct db_profile *p = profile_of(s, i->profiles.v[k]);

		if (p)
			lxm_devs_merge(&devices, &p->devices);
	}
	lxm_devs_merge(&devices, &i->devices);
	root = root_in(&devices);
	if (!root || (pool && !lxm_streq(lxm_kv_get(&root->kv, "pool"), pool)))
		return 0;
	size = lxm_kv_or(&root->kv, "size", NULL);
	if (!size)
		return strict ? no_value("Instance", i->name, s->project, "size", " set on the root device either directly or via a profile", e) : 0;
	why = number("size", size, strict, &n);
	if (why && strict)
		return bad_value(s, "size", size, i->name, why, e);
	add(sum, n);
	return 0;
}

/* All of it, or what lies in one pool; images lie in none. */
static int total_of_disk(const struct stock *s, const char *pool, bool strict, int64_t *sum, struct lxm_err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < s->volumes.n; i++) {
		const struct db_volume *v = &s->volumes.v[i];
		const char *size = lxm_kv_or(&v->config, "size", NULL), *why;
		uint64_t n;

		if (pool && !lxm_streq(v->pool, pool))
			continue;
		if (!size && strict)
			return no_value("Custom volume", v->name, s->project, "size", " set", e);
		why = size ? number("size", size, strict, &n) : NULL;
		if (why && strict)
			return bad_value(s, "size", size, v->name, why, e);
		if (size)
			add(sum, n);
	}
	for (i = 0; r == 0 && i < s->rows.n; i++)
		r = add_root(s, &s->rows.v[i], pool, strict, sum, e);
	for (i = 0; !pool && i < s->images.n; i++)
		add(sum, s->images.v[i].size > 0 ? (uint64_t)s->images.v[i].size : 0);
	return r;
}

static int64_t of_type(const struct stock *s, int type)
{
	int64_t n = 0;
	size_t i;

	for (i = 0; i < s->rows.n; i++)
		n += s->rows.v[i].type == type;
	return n;
}

int stock_total(const struct stock *s, const char *key, bool strict, int64_t *out, struct lxm_err *e)
{
	*out = 0;
	if (strcmp(key, "limits.disk") == 0)
		return total_of_disk(s, NULL, strict, out, e);
	if (lxm_starts(key, QUOTA_POOL))
		return total_of_disk(s, key + strlen(QUOTA_POOL), strict, out, e);
	if (strcmp(key, "limits.instances") == 0)
		*out = (int64_t)s->rows.n;
	else if (strcmp(key, "limits.containers") == 0)
		*out = of_type(s, DB_CONTAINER);
	else if (strcmp(key, "limits.virtual-machines") == 0)
		*out = of_type(s, DB_VM);
	else if (strcmp(key, "limits.networks") == 0)
		*out = (int64_t)s->networks;
	else
		return total_of_keys(s, key, strict, out, e);
	return 0;
}
