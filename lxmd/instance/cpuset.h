/* Sets of CPUs, and how instances that asked for a number of CPUs are spread over them. No daemon, no files. */
#ifndef LXMD_INSTANCE_CPUSET_H
#define LXMD_INSTANCE_CPUSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUS_MAX 4096

struct cpuset {
	uint64_t w[CPUS_MAX / 64];
};

/** Read "0-3,5". Returns 0 or -EINVAL; "" is the empty set. */
int cpuset_parse(const char *s, struct cpuset *out);
/** Write it back, as the kernel does; free() it. */
char *cpuset_text(const struct cpuset *s);
bool cpuset_has(const struct cpuset *s, unsigned int cpu);
void cpuset_add(struct cpuset *s, unsigned int cpu);
unsigned int cpuset_count(const struct cpuset *s);
bool cpuset_eq(const struct cpuset *a, const struct cpuset *b);
/** What both have, in *a. */
void cpuset_and(struct cpuset *a, const struct cpuset *b);

/* One instance with limits.cpu or limits.cpu.nodes. */
struct cpus_row {
	int64_t id;
	unsigned int count;  /* how many CPUs it is to have, of `from`; 0: all of `from` (pinned) */
	struct cpuset from;  /* what it may be given */
	struct cpuset now;   /* what it has */
	bool held;	     /* it is being started: not to be moved */
	bool dirty;	     /* `now` is not written yet */
};

/**
 * Give each row the CPUs it is to have, and change as few as may be.
 *
 * @usable  CPUs that are there; pinned rows take those of them that they name, or all if they name none that is there
 * @spread  CPUs for rows with a count (without isolated ones); a subset of usable
 *
 * Rows with a count keep what they have as long as it is right. Those that have too few or too many get the least loaded
 * CPUs; then rows move from the most to the least loaded CPU until no two that could change places differ by more than one.
 * Every change sets `dirty`. Deterministic. Returns how many rows changed.
 */
size_t cpus_spread(struct cpus_row *rows, size_t n, const struct cpuset *usable, const struct cpuset *spread);

#endif
