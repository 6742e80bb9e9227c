/* limits.kernel.*: what init and every exec get from setrlimit(). Any thread. */
#include <sys/resource.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/core/daemon.h"
#include "lxmd/instance/effective.h"
#include "lxmd/instance/instance.h"
#include "lxmd/instance/plan.h"

static const struct {
	const char *name;
	uint32_t resource;
} rlimits[] = {
	{ "as", RLIMIT_AS },	       { "core", RLIMIT_CORE },	      { "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },       { "fsize", RLIMIT_FSIZE },     { "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },   { "nproc", RLIMIT_NPROC },     { "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },   { "rttime", RLIMIT_RTTIME },   { "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

_Static_assert(LXM_ARRAY_LEN(rlimits) <= EXEC_RLIMITS, "one of each must fit");

static int parse_limit(const char *s, uint64_t *out)
{
	if (lxm_streq(s, "unlimited")) {
		*out = RLIM_INFINITY;
		return 0;
	}
	return lxm_parse_u64(s, out);
}

/* "N", "unlimited" or "SOFT:HARD" */
static int parse_pair(const char *name, const char *value, struct exec_rlimit *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv part = { 0 };

	lxm_strv_split(&part, value, ':');
	if (part.n < 1 || part.n > 2 || parse_limit(part.v[0], &out->soft) < 0 || parse_limit(part.v[part.n - 1], &out->hard) < 0)
		return lxm_err_set(e, EINVAL, "limits.kernel.%s: '%s' is not a limit", name, value);
	return 0;
}

/* lxmd raised its own limit of open files; what runs inside starts with what a process of this host starts with. */
static bool default_nofile(const struct lxmd *d, struct exec_rlimit *out)
{
	out->soft = d->nofile_soft;
	out->hard = d->nofile_hard;
	return d->nofile_soft > 0;
}

int instance_rlimits(struct lxmd *d, const struct instance *i, struct exec_rlimit out[EXEC_RLIMITS], size_t *n_out, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv room = { 0 };
	const struct lxm_kv *config = instance_effective(i, &room);
	size_t k, n = 0;

	for (k = 0; k < LXM_ARRAY_LEN(rlimits); k++) {
		lxm_auto(free) char *key = lxm_asprintf("limits.kernel.%s", rlimits[k].name);
		const char *value = lxm_kv_get(config, key);

		out[n].resource = rlimits[k].resource;
		if (lxm_empty(value)) {
			n += rlimits[k].resource == RLIMIT_NOFILE && default_nofile(d, &out[n]);
			continue;
		}
		if (parse_pair(rlimits[k].name, value, &out[n], e) < 0)
			return -EINVAL;
		n++;
	}
	*n_out = n;
	return 0;
}
