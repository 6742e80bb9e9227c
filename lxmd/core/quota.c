/* Judging a project by its limits.*; see quota.h. The words are LXD's, which scripts and people look for. */
#include "lxmd/core/quota.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/conf/conf.h"
#include "lxmd/core/quota_priv.h"

enum shape { COUNT, NUMBER, BYTES };

static const struct limit {
	const char *key; /* by name */
	enum shape shape;
	unsigned int of;
	const char *counted; /* COUNT: what is counted */
} limits[] = {
	{ "limits.containers", COUNT, QUOTA_OF_INSTANCES, "containers" },
	{ "limits.cpu", NUMBER, QUOTA_OF_INSTANCES, NULL },
	{ "limits.disk", BYTES, QUOTA_OF_INSTANCES | QUOTA_OF_DISK, NULL },
	{ QUOTA_POOL, BYTES, QUOTA_OF_INSTANCES | QUOTA_OF_DISK, NULL },
	{ "limits.instances", COUNT, QUOTA_OF_INSTANCES, "total instances" },
	{ "limits.memory", BYTES, QUOTA_OF_INSTANCES, NULL },
	{ "limits.networks", COUNT, QUOTA_OF_NETWORKS, "networks" },
	{ "limits.processes", NUMBER, QUOTA_OF_INSTANCES, NULL },
	{ "limits.virtual-machines", COUNT, QUOTA_OF_INSTANCES, "virtual machines" },
};

/* The limit that a pair of a project's configuration sets; NULL: none. */
static const struct limit *limit_of(const struct lxm_pair *p, int64_t *max)
{
	uint64_t n;
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(limits); k++) {
		const struct limit *l = &limits[k];
		bool pool = strcmp(l->key, QUOTA_POOL) == 0;

		if (pool ? !lxm_starts(p->key, QUOTA_POOL) : strcmp(p->key, l->key) != 0)
			continue;
		if ((l->shape == BYTES ? lxm_parse_bytes(p->value, &n) : lxm_parse_u64(p->value, &n)) < 0)
			return NULL;
		*max = n > INT64_MAX ? INT64_MAX : (int64_t)n;
		return l;
	}
	return NULL;
}

static int reached(const struct limit *l, const struct lxm_pair *p, const char *project, struct lxm_err *e)
{
	if (strcmp(l->key, "limits.instances") == 0)
		return lxm_err_set(e, EPERM, "Reached maximum number of instances in project \"%s\"", project);
	if (strcmp(l->key, "limits.networks") == 0)
		return lxm_err_set(e, EPERM, "Networks limit has been reached for project \"%s\"", project);
	if (l->shape == COUNT)
		return lxm_err_set(e, EPERM, "Reached maximum number of instances of type \"%s\" in project \"%s\"",
				   strcmp(l->key, "limits.containers") == 0 ? "container" : "virtual-machine", project);
	return lxm_err_set(e, EPERM, "Reached maximum aggregate value \"%s\" for \"%s\" in project \"%s\"", p->value, p->key, project);
}

/* What must be loaded for the limits that a change of `of` may pass: 0, nothing is limited. */
static unsigned int needs(const struct lxm_kv *config, unsigned int of)
{
	unsigned int all = 0;
	int64_t max;

	lxm_kv_each(p, config) {
		const struct limit *l = limit_of(p, &max);

		if (l && (l->of & of))
			all |= l->of;
	}
	return all;
}

static int judge(const struct stock *s, const struct lxm_kv *config, unsigned int of, struct lxm_err *e)
{
	lxm_kv_each(p, config) {
		int64_t max, total;
		const struct limit *l = limit_of(p, &max);
		int r;

		if (!l || !(l->of & of))
			continue;
		r = stock_total(s, p->key, true, &total, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "%s of the project", p->key);
		if (total > max)
			return reached(l, p, s->project, e);
	}
	return 0;
}

static int check(struct db_tx *tx, const char *project, unsigned int of, const struct db_instance *wanted, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };
	lxm_auto(stock) struct stock s = { 0 };
	unsigned int load;
	int r = db_project_get_values(tx, project, &p, e);

	if (r) /* there is no such project: whoever looks for it next says so */
		return r < 0 ? r : 0;
	load = needs(&p.config, of);
	if (!load)
		return 0;
	r = stock_load(tx, project, load, &s, e);
	if (r < 0)
		return r;
	if (wanted)
		stock_put(&s, wanted);
	return judge(&s, &p.config, of, e);
}

int quota_check(struct db_tx *tx, const char *project, unsigned int of, struct lxm_err *e)
{
	return check(tx, project, of, NULL, e);
}

int quota_check_row(struct db_tx *tx, const struct db_instance *wanted, struct lxm_err *e)
{
	return check(tx, wanted->project, QUOTA_OF_INSTANCES, wanted, e);
}

/* ---- limits that change */

static int pool_is_there(struct db_tx *tx, const char *key, struct lxm_err *e)
{
	struct db_pool pool = { 0 };
	int r = db_pool_get(tx, key + strlen(QUOTA_POOL), &pool, e);

	db_pool_deinit(&pool);
	return r == DB_NONE ? lxm_err_set(e, EINVAL, "project key '%s': there is no such storage pool", key) : r;
}

static int too_low(const struct limit *l, const char *key, int64_t total, const char *project, struct lxm_err *e)
{
	lxm_auto(free) char *bytes = lxm_format_bytes((uint64_t)total);

	if (l->shape == COUNT)
		return lxm_err_set(e, EINVAL, "\"%s\" is too low: there currently are %lld %s in project \"%s\"", key, (long long)total,
				   l->counted, project);
	if (l->shape == BYTES)
		return lxm_err_set(e, EINVAL, "\"%s\" is too low: current total is \"%s\"", key, bytes);
	return lxm_err_set(e, EINVAL, "\"%s\" is too low: current total is \"%lld\"", key, (long long)total);
}

int quota_check_limits(struct db_tx *tx, const struct lxm_kv *was, const struct db_project *now, struct lxm_err *e)
{
	lxm_auto(stock) struct stock s = { 0 };

	lxm_kv_each(p, &now->config) {
		int64_t max, total;
		const struct limit *l = lxm_streq(lxm_kv_get(was, p->key), p->value) ? NULL : limit_of(p, &max);
		int r = l && lxm_starts(p->key, QUOTA_POOL) ? pool_is_there(tx, p->key, e) : 0;

		if (r == 0 && l && !s.project)
			r = stock_load(tx, now->name, QUOTA_OF_INSTANCES | QUOTA_OF_DISK | QUOTA_OF_NETWORKS, &s, e);
		if (r == 0 && l)
			r = stock_total(&s, p->key, true, &total, e);
		if (r == 0 && l && total > max)
			r = too_low(l, p->key, total, now->name, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "Can't change \"%s\" in project \"%s\"", p->key, now->name);
	}
	return 0;
}

int quota_counts_disk(struct db_tx *tx, const char *project, bool *out, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };
	int r = db_project_get_values(tx, project, &p, e);

	*out = false;
	if (r == 0)
		*out = needs(&p.config, QUOTA_OF_DISK) != 0;
	return r < 0 ? r : 0;
}

/* ---- state */

void quota_list_deinit(struct quota_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static void report(struct quota_list *out, const struct stock *s, const char *key, int64_t max)
{
	const char *name = lxm_starts(key, QUOTA_POOL) ? key + strlen(QUOTA_POOL) : key + strlen("limits.");
	struct quota *q;

	out->v = lxm_realloc_n(out->v, out->n + 1, sizeof(*out->v));
	q = &out->v[out->n++];
	q->name = lxm_starts(key, QUOTA_POOL) ? lxm_asprintf("disk.%s", name) : lxm_strdup(name);
	q->limit = max;
	(void)stock_total(s, key, false, &q->usage, NULL);
}

int quota_state(struct db_tx *tx, const char *project, struct quota_list *out, struct lxm_err *e)
{
	lxm_auto(db_project) struct db_project p = { 0 };
	lxm_auto(stock) struct stock s = { 0 };
	size_t k;
	int r = db_project_get_values(tx, project, &p, e);

	quota_list_deinit(out);
	if (r == 0)
		r = stock_load(tx, project, QUOTA_OF_INSTANCES | QUOTA_OF_DISK | QUOTA_OF_NETWORKS, &s, e);
	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(limits); k++) {
		bool pools = strcmp(limits[k].key, QUOTA_POOL) == 0;
		int64_t max = -1;

		lxm_kv_each(q, &p.config)
			if (pools && lxm_starts(q->key, QUOTA_POOL) && limit_of(q, &max))
				report(out, &s, q->key, max);
			else if (strcmp(q->key, limits[k].key) == 0)
				(void)limit_of(q, &max);
		if (!pools)
			report(out, &s, limits[k].key, max);
	}
	return r;
}
