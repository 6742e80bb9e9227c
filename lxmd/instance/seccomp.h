/* The seccomp policy of instances: readable text in profiles/, compiled to BPF once and kept. */
#ifndef LXM_INSTANCE_SECCOMP_H
#define LXM_INSTANCE_SECCOMP_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/wire/plan.h"

struct seccomp_cache;

/** What an instance's configuration asks for. */
struct seccomp_want {
	bool nesting;	   /* security.nesting; changes nothing yet: the default list stops no nested manager */
	bool privileged;   /* security.privileged: a longer list, for there is no user namespace behind it */
	bool no_default;   /* security.syscalls.deny_default=false: no built-in list */
	bool deny_compat;  /* security.syscalls.deny_compat=true: no 32-bit or x32 calls */
	uint32_t intercept; /* enum plan_intercept_flag: calls that go to a listener */
	const char *deny;  /* security.syscalls.deny: lines "NAME [errno]"; NULL: none */
	const char *raw;   /* raw.seccomp: in place of all the others; NULL: none */
	const char *allow; /* security.syscalls.allow: lines "NAME"; not empty: all others are denied; NULL: none */
};

/**
 * A cache of compiled filters.
 *
 * @profiles_dir  holds seccomp.policy and seccomp-privileged.policy
 *
 * Returns 0 or -errno (a line of a policy is wrong: file, line and word are named).
 */
int seccomp_cache_new(const char *profiles_dir, struct seccomp_cache **out, struct lxm_err *e);
void seccomp_cache_free(struct seccomp_cache *c);

/**
 * The filter for a configuration, compiled at first use (0.4 ms), later from the cache.
 *
 * @bpf_out  points into the cache, valid until seccomp_cache_free(); empty when nothing is to be filtered
 *
 * Any thread; takes the cache's lock. Returns 0 or -EINVAL (unknown system call or malformed line, named).
 */
int seccomp_get(struct seccomp_cache *c, const struct seccomp_want *w, struct wire_bytes *bpf_out, struct lxm_err *e);

#endif
