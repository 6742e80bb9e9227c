/* What the files of limits share: where values go, and the rows that are not in limits.c. */
#ifndef LXMD_INSTANCE_LIMITS_PRIV_H
#define LXMD_INSTANCE_LIMITS_PRIV_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/wire/cgroup.h"
#include "lxmd/instance/instance.h"

struct plan;
struct run;

enum limits_mode {
	LIMITS_CHECK, /* is there such a file? */
	LIMITS_PLAN,  /* a step of a start plan; the cgroup will be fresh */
	LIMITS_LIVE,  /* a file of a running instance */
};

struct limits_sink {
	struct lxmd *d;
	const struct cgroup_layout *cg;
	enum limits_mode mode;
	struct plan *plan;	    /* LIMITS_PLAN */
	const struct run *run;	    /* LIMITS_LIVE; LIMITS_PLAN: of an instance that runs */
	const struct instance *i;   /* what it is to be */
	const struct instance *was; /* LIMITS_LIVE: what it was, NULL: not known */
	bool slow;		    /* held back: limits_slow() */
};

/** A v2 controller? false also when the host has none. */
bool limits_v2(const struct limits_sink *s, const char *controller);
/** Do instances of this host have such a file? */
bool limits_have(const struct limits_sink *s, const char *controller, const char *file);

/**
 * Hand one value on.
 *
 * @v1_file, @v2_file  NULL: nothing is written there
 *
 * Returns 0, -EOPNOTSUPP (no such controller, or no such file of it) or what the kernel said.
 */
int limits_put(const struct limits_sink *s, const char *controller, const char *v1_file, const char *v2_file, const char *value,
	       struct lxm_err *e);

/* Rows: write the limit, or its absence where no key is set. As limits_put(). */
int limits_set_memory(const struct limits_sink *s, struct lxm_err *e);	   /* limits.memory, .enforce, .swap */
int limits_set_swappiness(const struct limits_sink *s, struct lxm_err *e); /* limits.memory.swap, .swap.priority */
int limits_set_hugepages(const struct limits_sink *s, struct lxm_err *e);  /* limits.hugepages.* */
int limits_set_disk_priority(const struct limits_sink *s, struct lxm_err *e);
int limits_set_disks(const struct limits_sink *s, struct lxm_err *e); /* limits.* of disk devices */
/** Do the disks' limits differ? `was` NULL: are there any? */
bool limits_disks_differ(const struct instance *now, const struct instance *was);

#endif
