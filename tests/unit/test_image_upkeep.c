/* lxmd/image/upkeep: when images are looked at by the clock, and which have been unused for too long. */
#include "tests/unit/unit.h"

#include "db/image.h"
#include "lxmd/image/upkeep.h"

#define MIN  60000ll
#define HOUR (60 * MIN)
#define DAY  (24 * HOUR)

static int times(lxm_time from, lxm_time to, uint64_t hours, unsigned int shift)
{
	lxm_time t;
	int n = 0;

	for (t = from; t < to; t += MIN)
		n += upkeep_due(t, t + MIN, hours, shift);
	return n;
}

static void each_interval_is_due_once(void)
{
	lxm_time day = 20000 * DAY;

	CU_ASSERT(times(day, day + DAY, 1, 0) == 24);
	CU_ASSERT(times(day, day + DAY, 6, 17) == 4);
	CU_ASSERT(times(day, day + 10 * DAY, 24, 59) == 10);
	CU_ASSERT(times(day, day + DAY, 0, 0) == 0);
	CU_ASSERT(times(day, day + DAY, UINT64_MAX, 0) == 0);
}

static void moments_are_shifted_and_late_ones_not_lost(void)
{
	lxm_time hour = 20000 * DAY + 5 * HOUR;

	CU_ASSERT_FALSE(upkeep_due(hour - MIN, hour, 1, 10));
	CU_ASSERT(upkeep_due(hour + 9 * MIN, hour + 10 * MIN, 1, 10));
	/* a task that was busy covers what it missed */
	CU_ASSERT(upkeep_due(hour + 5 * MIN, hour + 45 * MIN, 1, 10));
	CU_ASSERT_FALSE(upkeep_due(hour, hour, 1, 0));
}

static void only_cached_and_unused_ones_expire(void)
{
	struct db_image im = { .cached = true, .uploaded_at = 100 * DAY };

	CU_ASSERT_FALSE(upkeep_expired(&im, 110 * DAY, 10));
	CU_ASSERT(upkeep_expired(&im, 110 * DAY + 1, 10));
	CU_ASSERT_FALSE(upkeep_expired(&im, 200 * DAY, 0));
	im.last_used_at = 105 * DAY;
	CU_ASSERT_FALSE(upkeep_expired(&im, 112 * DAY, 10));
	CU_ASSERT(upkeep_expired(&im, 116 * DAY, 10));
	im.cached = false;
	CU_ASSERT_FALSE(upkeep_expired(&im, 1000 * DAY, 10));
}

UNIT_MAIN("image/upkeep", { "each interval is due once", each_interval_is_due_once },
	  { "moments are shifted and late ones not lost", moments_are_shifted_and_late_ones_not_lost },
	  { "only cached and unused ones expire", only_cached_and_unused_ones_expire })
