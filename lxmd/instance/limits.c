/*
 * Resource limits. One table says which key writes which file of which controller in v1 and v2; planning a start and
 * changing a running instance both walk it. Any thread of lxmd.
 */
#include "lxmd/instance/limits.h"

#include <string.h>
#include <sys/sysinfo.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lib/conf/checks.h"
#include "lib/wire/cgroup.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/run.h"

#define DEFAULT_SHARES	1024 /* cpu.shares of v1 */
#define DEFAULT_WEIGHT	100  /* cpu.weight of v2 */
#define DEFAULT_PERIOD	100000

/* Where values go: steps of a plan, or files of a live cgroup. */
struct sink {
	const struct cgroup_layout *cg;
	struct plan *plan; /* else: */
	const char *path;
};

static int put(const struct sink *s, const char *controller, const char *v1_file, const char *v2_file, const char *value,
	       struct lxm_err *e)
{
	const struct cgroup_hier *h = cgroup_find(s->cg, controller);
	const char *file;
	int r;

	if (!h)
		return lxm_err_set(e, EOPNOTSUPP, "this host has no cgroup controller '%s'", controller);
	file = h->v2 ? v2_file : v1_file;
	if (!file)
		return 0;
	if (s->plan)
		return plan_add(s->plan,
				&(struct plan_step){ PLAN_CGROUP_SET, .u.cgroup_set = { h->name, file, value, 0 } }, e);
	r = cgroup_write(s->cg, controller, s->path, file, value);
	return r < 0 ? lxm_err_set(e, -r, "write '%s' to %s", value, file) : 0;
}

static uint64_t host_memory(void)
{
	struct sysinfo si;

	return sysinfo(&si) < 0 ? UINT64_MAX : (uint64_t)si.totalram * si.mem_unit;
}

/* "512MiB" or "50%"; 0 is no limit. */
static int parse_memory(const char *v, uint64_t *out, struct lxm_err *e)
{
	size_t n = strlen(v);
	uint64_t pct;

	if (n && v[n - 1] == '%') {
		lxm_auto(free) char *num = lxm_strndup(v, n - 1);

		if (lxm_parse_u64(num, &pct) < 0 || pct > 100)
			return lxm_err_set(e, EINVAL, "'%s' is not a percentage", v);
		*out = host_memory() / 100 * pct;
		return 0;
	}
	return lxm_parse_bytes(v, out) < 0 ? lxm_err_set(e, EINVAL, "'%s' is not a size", v) : 0;
}

static int set_memory(const struct sink *s, const struct lxm_kv *c, struct lxm_err *e)
{
	bool soft = lxm_streq(lxm_kv_get(c, "limits.memory.enforce"), "soft");
	const struct cgroup_hier *h = cgroup_find(s->cg, "memory");
	const char *none = h && h->v2 ? "max" : "-1";
	uint64_t bytes = 0;
	char text[24];
	int r = parse_memory(lxm_kv_or(c, "limits.memory", "0"), &bytes, e);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	r = put(s, "memory", "memory.soft_limit_in_bytes", "memory.high", soft && bytes ? text : none, e);
	if (r == 0)
		r = put(s, "memory", "memory.limit_in_bytes", "memory.max", !soft && bytes ? text : none, e);
	return r;
}

static int set_swap(const struct sink *s, const struct lxm_kv *c, struct lxm_err *e)
{
	bool off = lxm_parse_bool(lxm_kv_get(c, "limits.memory.swap")) == 0;
	const struct cgroup_hier *h = cgroup_find(s->cg, "memory");

	if (h && h->v2)
		return put(s, "memory", NULL, "memory.swap.max", off ? "0" : "max", e);
	return put(s, "memory", "memory.swappiness", NULL, off ? "0" : "60", e);
}

static int set_processes(const struct sink *s, const struct lxm_kv *c, struct lxm_err *e)
{
	return put(s, "pids", "pids.max", "pids.max", lxm_kv_or(c, "limits.processes", "max"), e);
}

/* A count becomes that many CPUs; a set is taken as it is. */
static int set_cpu(const struct sink *s, const struct lxm_kv *c, struct lxm_err *e)
{
	const char *v = lxm_kv_get(c, "limits.cpu");
	lxm_auto(free) char *all = lxm_asprintf("0-%d", get_nprocs_conf() - 1);
	int cpus = get_nprocs_conf();
	char set[32];
	uint64_t n;

	if (!lxm_empty(v) && lxm_parse_u64(v, &n) == 0) {
		if (n == 0)
			return lxm_err_set(e, EINVAL, "0 CPUs are too few");
		snprintf(set, sizeof(set), "0-%llu", (unsigned long long)(n > (uint64_t)cpus ? (uint64_t)cpus : n) - 1);
		v = set;
	}
	return put(s, "cpuset", "cpuset.cpus", "cpuset.cpus", lxm_empty(v) ? all : v, e);
}

/* "25ms/100ms" is a hard quota, "50%" a share under contention. */
static int set_allowance(const struct sink *s, const struct lxm_kv *c, struct lxm_err *e)
{
	const char *v = lxm_kv_get(c, "limits.cpu.allowance");
	int64_t prio = 10;
	uint64_t quota = 100, period = 0;
	char text[64];
	int r;

	if (!lxm_empty(v) && conf_parse_allowance(v, &quota, &period) < 0)
		return lxm_err_set(e, EINVAL, "'%s' is no allowance", v);
	(void)lxm_parse_i64(lxm_kv_or(c, "limits.cpu.priority", "10"), &prio);
	if (period) {
		snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)quota, (unsigned long long)period);
		r = put(s, "cpu", NULL, "cpu.max", text, e);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)period);
		if (r == 0)
			r = put(s, "cpu", "cpu.cfs_period_us", NULL, text, e);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)quota);
		if (r == 0)
			r = put(s, "cpu", "cpu.cfs_quota_us", NULL, text, e);
		quota = 100;
	} else {
		snprintf(text, sizeof(text), "max %d", DEFAULT_PERIOD);
		r = put(s, "cpu", NULL, "cpu.max", text, e);
		if (r == 0)
			r = put(s, "cpu", "cpu.cfs_quota_us", NULL, "-1", e);
	}
	if (r < 0)
		return r;
	/* ten steps of priority move the share by less than one percent of allowance each */
	snprintf(text, sizeof(text), "%lld", (long long)(DEFAULT_SHARES * (int64_t)quota / 100 + prio - 10));
	r = put(s, "cpu", "cpu.shares", NULL, text, e);
	snprintf(text, sizeof(text), "%lld", (long long)(quota ? DEFAULT_WEIGHT * (int64_t)quota / 100 : 1));
	return r < 0 ? r : put(s, "cpu", NULL, "cpu.weight", text, e);
}

static const struct {
	const char *keys[3]; /* any of them set or changed: write */
	int (*set)(const struct sink *s, const struct lxm_kv *c, struct lxm_err *e);
} rows[] = {
	{ { "limits.memory", "limits.memory.enforce" }, set_memory },
	{ { "limits.memory.swap" }, set_swap },
	{ { "limits.processes" }, set_processes },
	{ { "limits.cpu" }, set_cpu },
	{ { "limits.cpu.allowance", "limits.cpu.priority" }, set_allowance },
};

/* With `was`: does one of the row's keys differ? Without: is one set? */
static bool wanted(size_t row, const struct lxm_kv *now, const struct lxm_kv *was)
{
	size_t k;

	for (k = 0; k < 3 && rows[row].keys[k]; k++) {
		const char *a = lxm_kv_or(now, rows[row].keys[k], NULL);
		const char *b = was ? lxm_kv_or(was, rows[row].keys[k], NULL) : NULL;

		if (!lxm_streq(a, b))
			return true;
	}
	return false;
}

static int walk(const struct sink *s, const struct lxm_kv *now, const struct lxm_kv *was, struct lxm_err *e)
{
	size_t k;

	for (k = 0; k < LXM_ARRAY_LEN(rows); k++) {
		int r = wanted(k, now, was) ? rows[k].set(s, now, e) : 0;

		if (r < 0)
			return lxm_err_wrap(e, r, "%s", rows[k].keys[0]);
	}
	return 0;
}

int limits_plan(struct lxmd *d, const struct instance *i, struct plan *p, struct lxm_err *e)
{
	struct sink s = { .cg = &d->instances->cgroups, .plan = p };

	return walk(&s, &i->config, NULL, e);
}

int limits_apply(struct run *r, const struct instance *i, const struct lxm_kv *was, struct lxm_err *e)
{
	struct sink s = { .cg = &r->d->instances->cgroups, .path = r->cgroup };

	return walk(&s, &i->config, was, e);
}
