/*
 * Memory, swap and huge pages. What the two versions of cgroups cannot both do:
 *
 * v1 bounds memory and swap together (memsw), v2 swap alone; v1 has a swappiness for each group, v2 has none. A limit below what
 * is used is refused by v1 when it cannot reclaim enough; v2 would kill, so there reclaim comes first and the same answer is given.
 */
#include "lxmd/instance/limits_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/run.h"

#define LEAST_MEMORY (1u << 20) /* no init gets to run in less */

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
	} else if (lxm_parse_bytes(v, out) < 0) {
		return lxm_err_set(e, EINVAL, "'%s' is not a size", v);
	}
	return *out && *out < LEAST_MEMORY ? lxm_err_set(e, EINVAL, "'%s' is too little: nothing runs in less than 1MiB", v) : 0;
}

static char *number(char out[24], uint64_t n)
{
	snprintf(out, 24, "%llu", (unsigned long long)n);
	return out;
}

/* Bytes of swap that limits.memory.swap names; false: it is true, false or not set. */
static bool swap_bytes(const struct lxm_kv *c, uint64_t *out)
{
	const char *v = lxm_kv_or(c, "limits.memory.swap", "true");

	return lxm_parse_bool(v) < 0 && lxm_parse_bytes(v, out) == 0;
}

/* ---- v1 */

static int set_memory_v1(const struct limits_sink *s, uint64_t hard, uint64_t soft, struct lxm_err *e)
{
	const struct lxm_kv *c = &s->i->config;
	bool off = lxm_parse_bool(lxm_kv_get(c, "limits.memory.swap")) == 0, have = limits_have(s, "memory", "memory.memsw.limit_in_bytes");
	uint64_t swap = 0;
	bool bytes = swap_bytes(c, &swap);
	char text[24];
	int r;

	if (bytes && (!hard || !have))
		return lxm_err_http(e, 400, EOPNOTSUPP, "%s", have ? "with cgroup v1 an amount of swap needs a hard limits.memory" :
								  "this host does not count swap (boot it with swapaccount=1)");
	r = limits_put(s, "memory", "memory.soft_limit_in_bytes", NULL, soft ? number(text, soft) : "-1", e);
	/* the sum may never be less than the part: out of the way first */
	if (r == 0 && have && s->mode == LIMITS_LIVE)
		r = limits_put(s, "memory", "memory.memsw.limit_in_bytes", NULL, "-1", e);
	if (r == 0)
		r = limits_put(s, "memory", "memory.limit_in_bytes", NULL, hard ? number(text, hard) : "-1", e);
	if (r == 0 && have && hard && (bytes || off))
		r = limits_put(s, "memory", "memory.memsw.limit_in_bytes", NULL, number(text, hard + swap), e);
	return r;
}

/* ---- v2 */

/* memory.max kills what does not fit; memory.high reclaims as much as goes and never kills. */
static int make_room_v2(const struct limits_sink *s, uint64_t hard, struct lxm_err *e)
{
	uint64_t used = 0;
	char text[24];
	int r = limits_put(s, "memory", NULL, "memory.high", number(text, hard), e);

	if (r < 0 || cgroup_read_u64(s->cg, "memory", s->run->cgroup, "memory.current", &used) < 0 || used <= hard)
		return r;
	return lxm_err_set(e, EBUSY, "%s bytes are too few: %llu are in use and cannot be reclaimed", text, (unsigned long long)used);
}

static int set_memory_v2(const struct limits_sink *s, uint64_t hard, uint64_t soft, struct lxm_err *e)
{
	const struct lxm_kv *c = &s->i->config;
	bool off = lxm_parse_bool(lxm_kv_get(c, "limits.memory.swap")) == 0;
	uint64_t swap = 0;
	bool bytes = swap_bytes(c, &swap);
	char text[24];
	int r = hard && s->mode == LIMITS_LIVE ? make_room_v2(s, hard, e) : 0;

	if (r == 0)
		r = limits_put(s, "memory", NULL, "memory.max", hard ? number(text, hard) : "max", e);
	if (r == 0)
		r = limits_put(s, "memory", NULL, "memory.high", soft ? number(text, soft) : "max", e);
	/* a host without swap has no such file, and nothing to be limited */
	if (r == 0 && (off || bytes || limits_have(s, "memory", "memory.swap.max")))
		r = limits_put(s, "memory", NULL, "memory.swap.max", off ? "0" : bytes ? number(text, swap) : "max", e);
	return r;
}

int limits_set_memory(const struct limits_sink *s, struct lxm_err *e)
{
	bool soft = lxm_streq(lxm_kv_get(&s->i->config, "limits.memory.enforce"), "soft");
	uint64_t bytes = 0;
	int r = parse_memory(lxm_kv_or(&s->i->config, "limits.memory", "0"), &bytes, e);

	if (r < 0)
		return r;
	return (limits_v2(s, "memory") ? set_memory_v2 : set_memory_v1)(s, soft ? 0 : bytes, soft ? bytes : 0, e);
}

int limits_set_swappiness(const struct limits_sink *s, struct lxm_err *e)
{
	const struct lxm_kv *c = &s->i->config;
	const char *prio = lxm_kv_or(c, "limits.memory.swap.priority", NULL);
	int64_t n = 10;
	char text[24];

	if (limits_v2(s, "memory")) {
		if (prio && !lxm_streq(prio, "10"))
			return lxm_err_http(e, 400, EOPNOTSUPP, "cgroup v2 has no priority in swapping (controller 'memory'): use limits.memory.swap");
		return 0;
	}
	(void)lxm_parse_i64(prio ? prio : "10", &n);
	/* as LXD: 10 is the kernel's own 60 */
	snprintf(text, sizeof(text), "%d", lxm_parse_bool(lxm_kv_get(c, "limits.memory.swap")) == 0 ? 0 : (int)(70 - n));
	return limits_put(s, "memory", "memory.swappiness", NULL, text, e);
}

/* ---- huge pages */

int limits_set_hugepages(const struct limits_sink *s, struct lxm_err *e)
{
	static const char *const sizes[] = { "64KB", "1MB", "2MB", "1GB" };
	size_t k;
	int r = 0;

	for (k = 0; r == 0 && k < LXM_ARRAY_LEN(sizes); k++) {
		char key[40], v1[2][56], v2[2][56], text[24];
		const char *v;
		uint64_t n = 0;
		size_t f;

		snprintf(key, sizeof(key), "limits.hugepages.%s", sizes[k]);
		snprintf(v1[0], sizeof(v1[0]), "hugetlb.%s.limit_in_bytes", sizes[k]);
		snprintf(v1[1], sizeof(v1[1]), "hugetlb.%s.rsvd.limit_in_bytes", sizes[k]);
		snprintf(v2[0], sizeof(v2[0]), "hugetlb.%s.max", sizes[k]);
		snprintf(v2[1], sizeof(v2[1]), "hugetlb.%s.rsvd.max", sizes[k]);
		v = lxm_kv_or(&s->i->config, key, NULL);
		if (v && lxm_parse_bytes(v, &n) < 0)
			return lxm_err_set(e, EINVAL, "%s: '%s' is not a size", key, v);
		/* what is used, and what is promised to mmap(): a page fault beyond the first one kills, beyond the second one is an error */
		for (f = 0; r == 0 && f < 2; f++)
			if (v || (s->mode == LIMITS_LIVE && limits_have(s, "hugetlb", limits_v2(s, "hugetlb") ? v2[f] : v1[f])))
				r = limits_put(s, "hugetlb", v1[f], v2[f],
					       v ? number(text, n) : limits_v2(s, "hugetlb") ? "max" : "-1", e);
	}
	return r;
}
