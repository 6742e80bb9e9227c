/*
 * Resource limits. One table says which keys belong together and who turns them into files of cgroup v1 and v2; checking a
 * configuration, planning a start and changing a running instance all walk it. Any thread of lxmd.
 */
#include "lxmd/instance/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/conf/checks.h"
#include "lib/wire/plan.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/cpus.h"
#include "lxmd/instance/limits_priv.h"
#include "lxmd/instance/run.h"
#include "lxmd/instance/thrash.h"

#define DEFAULT_SHARES	1024 /* cpu.shares of v1 */
#define DEFAULT_PERIOD	100000
#define SLOW_PART	10 /* an instance that is held back has this part of its share */

/* ---- where values go */

bool limits_v2(const struct limits_sink *s, const char *controller)
{
	const struct cgroup_hier *h = cgroup_find(s->cg, controller);

	return h && h->v2;
}

bool limits_have(const struct limits_sink *s, const char *controller, const char *file)
{
	lxm_auto(fd_close) int fd = cgroup_open(s->cg, controller, s->d->instances->cgroup_parent, file, O_PATH);

	return fd >= 0;
}

int limits_put(const struct limits_sink *s, const char *controller, const char *v1_file, const char *v2_file, const char *value,
	       struct lxm_err *e)
{
	const struct cgroup_hier *h = cgroup_find(s->cg, controller);
	const char *file;
	int r;

	if (!h)
		return lxm_err_http(e, 400, EOPNOTSUPP, "this host has no cgroup controller '%s'", controller);
	file = h->v2 ? v2_file : v1_file;
	if (!file)
		return 0;
	if (s->mode == LIMITS_CHECK)
		return limits_have(s, controller, file) ?
			       0 :
			       lxm_err_http(e, 400, EOPNOTSUPP, "cgroup controller '%s' of this host has no file '%s'", controller, file);
	if (s->mode == LIMITS_PLAN)
		return plan_add(s->plan, &(struct plan_step){ PLAN_CGROUP_SET, .u.cgroup_set = { h->name, file, value, 0 } }, e);
	r = cgroup_write(s->cg, controller, s->run->cgroup, file, value);
	return r < 0 ? lxm_err_set(e, -r, "write '%s' to %s: %s", value, file, strerror(-r)) : 0;
}

/* ---- rows */

static int set_processes(const struct limits_sink *s, struct lxm_err *e)
{
	return limits_put(s, "pids", "pids.max", "pids.max", lxm_kv_or(&s->i->config, "limits.processes", "max"), e);
}

static int set_cpu(const struct limits_sink *s, struct lxm_err *e)
{
	lxm_auto(free) char *text = NULL;
	int r;

	if (s->mode == LIMITS_LIVE)
		return cpus_change(s->d, s->run, s->i, e);
	if (s->mode == LIMITS_CHECK) {
		r = cpus_check(s->d, s->i, e);
		return r < 0 ? r : limits_put(s, "cpuset", "cpuset.cpus", "cpuset.cpus", "", e);
	}
	r = s->run ? 0 : cpus_take(s->d, s->i, &text, e);
	if (s->run)
		cpus_now(s->d, s->run->id, &text);
	return r < 0 || !text ? r : limits_put(s, "cpuset", "cpuset.cpus", "cpuset.cpus", text, e);
}

/* "25ms/100ms" is a hard quota, "50%" a share under contention. */
static int set_quota(const struct limits_sink *s, uint64_t quota, uint64_t period, struct lxm_err *e)
{
	char text[64];
	int r;

	if (!period) {
		snprintf(text, sizeof(text), "max %d", DEFAULT_PERIOD);
		r = limits_put(s, "cpu", "cpu.cfs_quota_us", NULL, "-1", e);
		return r < 0 ? r : limits_put(s, "cpu", NULL, "cpu.max", text, e);
	}
	/* without a quota any period will do, so that the two never contradict each other on the way */
	r = s->mode == LIMITS_LIVE ? limits_put(s, "cpu", "cpu.cfs_quota_us", NULL, "-1", e) : 0;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)period);
	if (r == 0)
		r = limits_put(s, "cpu", "cpu.cfs_period_us", NULL, text, e);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)quota);
	if (r == 0)
		r = limits_put(s, "cpu", "cpu.cfs_quota_us", NULL, text, e);
	snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)quota, (unsigned long long)period);
	return r < 0 ? r : limits_put(s, "cpu", NULL, "cpu.max", text, e);
}

static int set_allowance(const struct limits_sink *s, struct lxm_err *e)
{
	const char *v = lxm_kv_get(&s->i->config, "limits.cpu.allowance");
	int64_t prio = 10, weight;
	uint64_t quota = 100, period = 0;
	char text[64];
	int r;

	if (!lxm_empty(v) && conf_parse_allowance(v, &quota, &period) < 0)
		return lxm_err_set(e, EINVAL, "'%s' is no allowance", v);
	(void)lxm_parse_i64(lxm_kv_or(&s->i->config, "limits.cpu.priority", "10"), &prio);
	r = set_quota(s, quota, period, e);
	if (r < 0)
		return r;
	/* as LXD: a step of priority is a thousandth of the share on v1, a hundredth on v2 */
	weight = period ? 100 : (int64_t)quota;
	snprintf(text, sizeof(text), "%lld", (long long)((DEFAULT_SHARES * weight / 100 + prio - 10) / (s->slow ? SLOW_PART : 1)));
	r = limits_put(s, "cpu", "cpu.shares", NULL, text, e);
	weight = (weight + prio - 10) / (s->slow ? SLOW_PART : 1);
	snprintf(text, sizeof(text), "%lld", (long long)(weight > 1 ? weight : 1));
	return r < 0 ? r : limits_put(s, "cpu", NULL, "cpu.weight", text, e);
}

/* Memory comes before what is easily taken back, and CPUs last: others may move with them. */
static const struct row {
	const char *keys[4]; /* any of them set or changed: write */
	int (*set)(const struct limits_sink *s, struct lxm_err *e);
} rows[] = {
	{ { "limits.memory", "limits.memory.enforce", "limits.memory.swap" }, limits_set_memory },
	{ { "limits.memory.swap.priority", "limits.memory.swap" }, limits_set_swappiness },
	{ { "limits.hugepages.64KB", "limits.hugepages.1MB", "limits.hugepages.2MB", "limits.hugepages.1GB" }, limits_set_hugepages },
	{ { "limits.processes" }, set_processes },
	{ { "limits.cpu.allowance", "limits.cpu.priority" }, set_allowance },
	{ { "limits.disk.priority" }, limits_set_disk_priority },
	{ { NULL }, limits_set_disks },
	{ { "limits.cpu", "limits.cpu.nodes" }, set_cpu },
};

/* The key of a row that is set, or differs from what was; NULL: none. */
static const char *wanted(const struct row *row, const struct instance *now, const struct instance *was)
{
	size_t k;

	if (row->set == limits_set_disks)
		return limits_disks_differ(now, was) ? "limits of disks" : NULL;
	for (k = 0; k < LXM_ARRAY_LEN(row->keys) && row->keys[k]; k++) {
		const char *a = lxm_kv_or(&now->config, row->keys[k], NULL);
		const char *b = was ? lxm_kv_or(&was->config, row->keys[k], NULL) : NULL;

		if (!lxm_streq(a, b))
			return row->keys[k];
	}
	return NULL;
}

/* *done_out: rows gone through, with the one that failed. */
static int walk(const struct limits_sink *s, size_t *done_out, struct lxm_err *e)
{
	size_t k;
	int r = 0;

	for (k = 0; k < LXM_ARRAY_LEN(rows) && r == 0; k++) {
		const char *key = wanted(&rows[k], s->i, s->was);

		r = key ? rows[k].set(s, e) : 0;
		if (r < 0)
			r = lxm_err_wrap(e, r, "%s", key);
	}
	if (done_out)
		*done_out = k;
	return r;
}

/* Rows 0 to n-1 back to what `to` says, the last one first. */
static void back(struct run *r, const struct instance *from, const struct instance *to, size_t n)
{
	struct limits_sink s = { r->d, &r->d->instances->cgroups, LIMITS_LIVE, NULL, r, to, from, thrash_slow(r) };

	while (n-- > 0) {
		const char *key = wanted(&rows[n], from, to);
		struct lxm_err e = { 0 };

		if (key && rows[n].set(&s, &e) < 0)
			lxm_warn("instance '%s': %s: going back to the old limit: %s", to->row.name, key, e.msg);
	}
}

/* ---- for the rest of the room */

int limits_check(struct lxmd *d, const struct instance *i, const struct instance *was, struct lxm_err *e)
{
	struct limits_sink s = { d, &d->instances->cgroups, LIMITS_CHECK, NULL, NULL, i, was, false };

	return walk(&s, NULL, e);
}

int limits_plan(struct lxmd *d, const struct instance *i, const struct run *run, struct plan *p, struct lxm_err *e)
{
	struct limits_sink s = { d, &d->instances->cgroups, LIMITS_PLAN, p, run, i, NULL, false };

	return walk(&s, NULL, e);
}

int limits_apply(struct run *r, const struct instance *now, const struct instance *was, struct lxm_err *e)
{
	struct limits_sink s = { r->d, &r->d->instances->cgroups, LIMITS_LIVE, NULL, r, now, was, false };
	size_t done;
	int err;

	pthread_mutex_lock(&r->limits_lock);
	s.slow = thrash_slow(r);
	err = walk(&s, &done, e);
	if (err < 0)
		back(r, now, was, done);
	else
		thrash_follow(r, now, false);
	pthread_mutex_unlock(&r->limits_lock);
	return err;
}

void limits_revert(struct run *r, const struct instance *now, const struct instance *was)
{
	pthread_mutex_lock(&r->limits_lock);
	back(r, now, was, LXM_ARRAY_LEN(rows));
	thrash_follow(r, was, false);
	pthread_mutex_unlock(&r->limits_lock);
}

void limits_rebooted(struct run *r, const struct instance *i)
{
	struct limits_sink s = { r->d, &r->d->instances->cgroups, LIMITS_LIVE, NULL, r, i, NULL, false };
	size_t k;

	pthread_mutex_lock(&r->limits_lock);
	for (k = 0; k < LXM_ARRAY_LEN(rows); k++) {
		struct lxm_err e = { 0 };

		/* what nobody asks for is put to "none" where the host has it: the plan may have had a limit that is gone */
		if (rows[k].set(&s, &e) < 0 && wanted(&rows[k], i, NULL))
			lxm_warn("instance '%s': after its reboot: %s", i->row.name, e.msg);
	}
	thrash_follow(r, i, true);
	pthread_mutex_unlock(&r->limits_lock);
}

void limits_started(struct run *r, const struct instance *i)
{
	cpus_started(r->d, i->row.id);
	pthread_mutex_lock(&r->limits_lock);
	thrash_follow(r, i, false);
	pthread_mutex_unlock(&r->limits_lock);
}

void limits_adopted(struct run *r, const struct instance *i, bool rebooted)
{
	struct lxm_err e = { 0 };

	cpus_adopt(r->d, r, i);
	if (rebooted) {
		limits_rebooted(r, i);
		return;
	}
	pthread_mutex_lock(&r->limits_lock);
	thrash_follow(r, i, false);
	/* an earlier lxmd may have left it held back */
	if (r->thrash && limits_slow(r, i, false, &e) < 0)
		lxm_warn("instance '%s': %s", i->row.name, e.msg);
	pthread_mutex_unlock(&r->limits_lock);
}

void limits_ended(struct run *r)
{
	cpus_drop(r->d, r->id);
	thrash_forget(r);
}

int limits_slow(struct run *r, const struct instance *i, bool slow, struct lxm_err *e)
{
	struct limits_sink s = { r->d, &r->d->instances->cgroups, LIMITS_LIVE, NULL, r, i, NULL, slow };
	int err = set_allowance(&s, e);

	return err < 0 ? err : limits_set_disks(&s, e);
}
