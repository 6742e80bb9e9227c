/*
 * Spreading instances over CPUs. LXD deals all CPUs out anew at each start, least loaded first, and so moves instances that
 * nothing has happened to; here what is there stays where it is, and only as many move as it takes to be even again: a start
 * with 500 neighbours writes to a few files. Pure functions, any thread.
 */
#include "lxmd/instance/cpuset.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/conf/checks.h"

bool cpuset_has(const struct cpuset *s, unsigned int cpu)
{
	return cpu < CPUS_MAX && s->w[cpu / 64] >> (cpu % 64) & 1;
}

void cpuset_add(struct cpuset *s, unsigned int cpu)
{
	if (cpu < CPUS_MAX)
		s->w[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static void cpuset_drop(struct cpuset *s, unsigned int cpu)
{
	s->w[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

static void add_one(unsigned int cpu, void *arg)
{
	cpuset_add(arg, cpu);
}

int cpuset_parse(const char *s, struct cpuset *out)
{
	memset(out, 0, sizeof(*out));
	return lxm_empty(s) ? 0 : conf_parse_cpuset(s, add_one, out);
}

char *cpuset_text(const struct cpuset *s)
{
	struct lxm_buf b = { 0 };
	unsigned int cpu, last;

	lxm_buf_str(&b, "");
	for (cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!cpuset_has(s, cpu))
			continue;
		for (last = cpu; cpuset_has(s, last + 1); last++)
			;
		lxm_buf_fmt(&b, last > cpu ? "%s%u-%u" : "%s%u", b.len ? "," : "", cpu, last);
		cpu = last;
	}
	return lxm_buf_take(&b);
}

unsigned int cpuset_count(const struct cpuset *s)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(s->w); i++)
		n += (unsigned int)__builtin_popcountll(s->w[i]);
	return n;
}

bool cpuset_eq(const struct cpuset *a, const struct cpuset *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

void cpuset_and(struct cpuset *a, const struct cpuset *b)
{
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(a->w); i++)
		a->w[i] &= b->w[i];
}

/* ---- spreading */

struct spread {
	struct cpus_row *rows;
	size_t n;
	const struct cpuset *cpus;
	unsigned int top;	      /* one more than the last CPU */
	unsigned int load[CPUS_MAX]; /* rows on each */
};

/* CPUs of a counted row: those of its own choice that are there, or all that are there. */
static struct cpuset choice_of(const struct cpus_row *row, const struct cpuset *cpus)
{
	struct cpuset c = row->from;

	cpuset_and(&c, cpus);
	return cpuset_count(&c) ? c : *cpus;
}

static unsigned int wanted(const struct cpus_row *row, const struct cpuset *choice)
{
	unsigned int have = cpuset_count(choice);

	return row->count < have ? row->count : have;
}

static void weigh(struct spread *s, const struct cpus_row *row)
{
	unsigned int cpu;

	for (cpu = 0; cpu < s->top; cpu++)
		s->load[cpu] += cpuset_has(&row->now, cpu);
}

/* The CPU of a set with the least or the most load; the first of equal ones. UINT_MAX: the set is empty. */
static unsigned int extreme(const struct spread *s, const struct cpuset *set, bool most)
{
	unsigned int cpu, best = UINT_MAX;

	for (cpu = 0; cpu < s->top; cpu++)
		if (cpuset_has(set, cpu) &&
		    (best == UINT_MAX || (most ? s->load[cpu] > s->load[best] : s->load[cpu] < s->load[best])))
			best = cpu;
	return best;
}

static struct cpuset without(const struct cpuset *a, const struct cpuset *b)
{
	struct cpuset out = *a;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(out.w); i++)
		out.w[i] &= ~b->w[i];
	return out;
}

/* As many as it is to have: first off what it may not have, then give or take one by one. */
static bool complete(struct spread *s, struct cpus_row *row)
{
	struct cpuset choice = choice_of(row, s->cpus), was = row->now;
	unsigned int want = wanted(row, &choice), cpu;

	for (cpu = 0; cpu < s->top; cpu++)
		s->load[cpu] -= cpuset_has(&row->now, cpu);
	cpuset_and(&row->now, &choice);
	while (cpuset_count(&row->now) > want)
		cpuset_drop(&row->now, extreme(s, &row->now, true));
	while (cpuset_count(&row->now) < want) {
		struct cpuset rest = without(&choice, &row->now);

		cpuset_add(&row->now, extreme(s, &rest, false));
	}
	weigh(s, row);
	return !cpuset_eq(&was, &row->now);
}

/* One row leaves a CPU with two or more above the least loaded one it could go to. */
static bool move_one(struct spread *s)
{
	struct cpus_row *best = NULL;
	unsigned int from = 0, to = 0, gain = 1;
	size_t i;

	for (i = 0; i < s->n; i++) {
		struct cpus_row *row = &s->rows[i];
		struct cpuset choice, rest;
		unsigned int a, b;

		if (!row->count || row->held)
			continue;
		choice = choice_of(row, s->cpus);
		rest = without(&choice, &row->now);
		a = extreme(s, &row->now, true);
		b = extreme(s, &rest, false);
		if (a == UINT_MAX || b == UINT_MAX || s->load[a] <= s->load[b] + gain)
			continue;
		best = row;
		from = a;
		to = b;
		gain = s->load[a] - s->load[b];
	}
	if (!best)
		return false;
	cpuset_drop(&best->now, from);
	cpuset_add(&best->now, to);
	best->dirty = true;
	s->load[from]--;
	s->load[to]++;
	return true;
}

static bool pin(struct cpus_row *row, const struct cpuset *usable)
{
	struct cpuset want = row->from;

	cpuset_and(&want, usable);
	if (!cpuset_count(&want))
		want = *usable;
	if (cpuset_eq(&want, &row->now))
		return false;
	row->now = want;
	return true;
}

size_t cpus_spread(struct cpus_row *rows, size_t n, const struct cpuset *usable, const struct cpuset *spread)
{
	struct spread s = { .rows = rows, .n = n, .cpus = spread };
	size_t i, changed = 0, moves;

	for (s.top = CPUS_MAX; s.top && !cpuset_has(usable, s.top - 1); s.top--)
		;
	for (i = 0; i < n; i++) {
		if (!rows[i].count)
			rows[i].dirty |= pin(&rows[i], usable);
		weigh(&s, &rows[i]);
	}
	for (i = 0; i < n; i++)
		if (rows[i].count)
			rows[i].dirty |= complete(&s, &rows[i]);
	/* each move lessens the sum of squares, so this ends; the bound is for the eye */
	for (moves = 0; moves < n * 4 && move_one(&s); moves++)
		;
	for (i = 0; i < n; i++)
		changed += rows[i].dirty;
	return changed;
}
