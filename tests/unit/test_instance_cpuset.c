/* lxmd/instance/cpuset: sets of CPUs, and spreading instances over them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lxmd/instance/cpuset.h"

static struct cpuset set(const char *text)
{
	struct cpuset s;

	CU_ASSERT(cpuset_parse(text, &s) == 0);
	return s;
}

static bool is(const struct cpuset *s, const char *text)
{
	lxm_auto(free) char *t = cpuset_text(s);

	if (strcmp(t, text) == 0)
		return true;
	printf("is '%s', not '%s'\n", t, text);
	return false;
}

static struct cpus_row counted(int64_t id, unsigned int count)
{
	struct cpus_row r = { .id = id, .count = count };

	memset(&r.from, 0xff, sizeof(r.from));
	return r;
}

static struct cpus_row pinned(int64_t id, const char *cpus)
{
	return (struct cpus_row){ .id = id, .from = set(cpus) };
}

static unsigned int load(const struct cpus_row *rows, size_t n, unsigned int cpu)
{
	unsigned int sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += cpuset_has(&rows[i].now, cpu);
	return sum;
}

/* The difference between the most and the least loaded of the first `cpus`. */
static unsigned int gap(const struct cpus_row *rows, size_t n, unsigned int cpus)
{
	unsigned int cpu, most = 0, least = 1u << 30;

	for (cpu = 0; cpu < cpus; cpu++) {
		unsigned int l = load(rows, n, cpu);

		most = l > most ? l : most;
		least = l < least ? l : least;
	}
	return most - least;
}

static void settle(struct cpus_row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		rows[i].dirty = false;
}

static void text_goes_both_ways(void)
{
	static const char *const same[] = { "", "0", "0-3", "0,2,4", "1-2,63-65,4095" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(same); i++) {
		struct cpuset s = set(same[i]);

		CU_ASSERT(is(&s, same[i]));
	}
	CU_ASSERT(is(&(struct cpuset){ { 0 } }, ""));
	CU_ASSERT(cpuset_parse("4096", &(struct cpuset){ { 0 } }) < 0);
	CU_ASSERT(cpuset_parse("3-1", &(struct cpuset){ { 0 } }) < 0);
}

static void starts_take_the_least_loaded(void)
{
	struct cpus_row rows[9];
	struct cpuset all = set("0-3");
	size_t n;

	for (n = 0; n < LXM_ARRAY_LEN(rows); n++) {
		rows[n] = counted((int64_t)n, 1 + n % 2);
		CU_ASSERT(cpus_spread(rows, n + 1, &all, &all) == 1);
		CU_ASSERT(cpuset_count(&rows[n].now) == 1 + n % 2);
		CU_ASSERT(gap(rows, n + 1, 4) <= 1);
		settle(rows, n + 1);
	}
	CU_ASSERT(cpus_spread(rows, n, &all, &all) == 0);
}

static void few_move_when_one_leaves(void)
{
	struct cpus_row rows[500];
	struct cpuset all = set("0-7");
	size_t i, n = LXM_ARRAY_LEN(rows), moved;

	for (i = 0; i < n; i++)
		rows[i] = counted((int64_t)i, 1);
	CU_ASSERT(cpus_spread(rows, n, &all, &all) == n);
	settle(rows, n);
	/* all of CPU 0 leave: a part of each of the others' goes there, and no more than that */
	for (i = 0; i < n;) {
		if (cpuset_has(&rows[i].now, 0))
			rows[i] = rows[--n];
		else
			i++;
	}
	moved = cpus_spread(rows, n, &all, &all);
	CU_ASSERT(gap(rows, n, 8) <= 1);
	CU_ASSERT(moved > 0 && moved <= 500 / 8);
}

static void pinned_ones_count_and_stay(void)
{
	struct cpus_row rows[] = { counted(1, 1), counted(2, 1), pinned(3, "0"), pinned(4, "0-1") };
	struct cpuset all = set("0-2");

	cpus_spread(rows, LXM_ARRAY_LEN(rows), &all, &all);
	CU_ASSERT(is(&rows[2].now, "0") && is(&rows[3].now, "0-1"));
	CU_ASSERT(!cpuset_has(&rows[0].now, 0) && !cpuset_has(&rows[1].now, 0));
}

static void held_ones_are_not_moved(void)
{
	struct cpus_row rows[] = { counted(1, 1), counted(2, 1) };
	struct cpuset all = set("0-1");

	rows[0].now = rows[1].now = set("1");
	rows[0].held = rows[1].held = true;
	CU_ASSERT(cpus_spread(rows, 2, &all, &all) == 0);
	rows[1].held = false;
	CU_ASSERT(cpus_spread(rows, 2, &all, &all) == 1 && is(&rows[1].now, "0") && is(&rows[0].now, "1"));
}

static void cpus_come_and_go(void)
{
	struct cpus_row rows[] = { counted(1, 2), pinned(2, "3"), pinned(3, "1,3") };
	struct cpuset all = set("0-3"), less = set("0-1"), one = set("1");

	cpus_spread(rows, 3, &all, &all);
	CU_ASSERT(is(&rows[1].now, "3") && is(&rows[2].now, "1,3"));
	cpus_spread(rows, 3, &less, &less);
	CU_ASSERT(is(&rows[0].now, "0-1") && is(&rows[1].now, "0-1") && is(&rows[2].now, "1"));
	cpus_spread(rows, 3, &one, &one);
	CU_ASSERT(is(&rows[0].now, "1"));
	cpus_spread(rows, 3, &all, &all);
	CU_ASSERT(cpuset_count(&rows[0].now) == 2 && is(&rows[1].now, "3") && is(&rows[2].now, "1,3"));
}

static void isolated_cpus_are_for_those_who_name_them(void)
{
	struct cpus_row rows[] = { counted(1, 4), pinned(2, "2-3") };
	struct cpuset all = set("0-3"), shared = set("0-1");

	cpus_spread(rows, 2, &all, &shared);
	CU_ASSERT(is(&rows[0].now, "0-1") && is(&rows[1].now, "2-3"));
}

static void a_count_within_nodes(void)
{
	struct cpus_row rows[] = { counted(1, 1), counted(2, 1), counted(3, 8) };
	struct cpuset all = set("0-7");
	size_t i;

	for (i = 0; i < 3; i++)
		rows[i].from = set("4-5");
	cpus_spread(rows, 3, &all, &all);
	CU_ASSERT(is(&rows[0].now, "4") && is(&rows[1].now, "5") && is(&rows[2].now, "4-5"));
	/* more is asked for, then less: what is right stays */
	rows[0].count = 2;
	rows[2].count = 1;
	cpus_spread(rows, 3, &all, &all);
	CU_ASSERT(is(&rows[0].now, "4-5") && cpuset_count(&rows[2].now) == 1 && gap(rows, 3, 8) <= 2);
}

UNIT_MAIN("instance cpuset", { "text goes both ways", text_goes_both_ways },
	  { "starts take the least loaded CPUs", starts_take_the_least_loaded },
	  { "few move when some leave", few_move_when_one_leaves }, { "pinned ones count and stay", pinned_ones_count_and_stay },
	  { "held ones are not moved", held_ones_are_not_moved }, { "CPUs come and go", cpus_come_and_go },
	  { "isolated CPUs are for those who name them", isolated_cpus_are_for_those_who_name_them },
	  { "a count within nodes", a_count_within_nodes })
