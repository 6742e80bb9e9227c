/* lxmd/core/cron: when something is due. */
#include "tests/unit/unit.h"

#include "lxmd/core/cron.h"

/* Sunday the 2nd of January, HOUR:MIN */
static struct tm at(int hour, int min)
{
	return (struct tm){ .tm_hour = hour, .tm_min = min, .tm_mday = 2, .tm_mon = 0, .tm_wday = 0 };
}

static bool due(const char *spec, int hour, int min)
{
	struct tm tm = at(hour, min);

	return cron_due(spec, &tm, 0);
}

static void fields(void)
{
	CU_ASSERT(due("* * * * *", 3, 4));
	CU_ASSERT(due("4 3 * * *", 3, 4));
	CU_ASSERT_FALSE(due("4 3 * * *", 3, 5));
	CU_ASSERT_FALSE(due("4 3 * * *", 4, 4));
	CU_ASSERT(due("*/15 * * * *", 0, 45));
	CU_ASSERT_FALSE(due("*/15 * * * *", 0, 44));
	CU_ASSERT(due("10-30/10 * * * *", 0, 20));
	CU_ASSERT_FALSE(due("10-30/10 * * * *", 0, 40));
	CU_ASSERT(due("5/20 * * * *", 0, 45));
	CU_ASSERT(due("1,2,3 * * * *", 0, 2));
	CU_ASSERT(due("0 0 * jan *", 0, 0));
	CU_ASSERT_FALSE(due("0 0 * Feb *", 0, 0));
	CU_ASSERT(due("0 0 * * sun", 0, 0));
	CU_ASSERT(due("0 0 * * 7", 0, 0));
	CU_ASSERT(due("0 0 * * 5-7", 0, 0));
	CU_ASSERT_FALSE(due("0 0 * * 1-5", 0, 0));
}

static void day_or_weekday_is_enough(void)
{
	CU_ASSERT(due("0 0 2 * 3", 0, 0));
	CU_ASSERT(due("0 0 9 * 0", 0, 0));
	CU_ASSERT_FALSE(due("0 0 9 * 3", 0, 0));
	CU_ASSERT_FALSE(due("0 0 9 * *", 0, 0));
}

static void nonsense_is_never_due(void)
{
	static const char *const bad[] = { "", "*", "* * * *", "a b c d e", "*/0 * * * *", "60 * * * *", "@", "@x", "@never", "@startup" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++)
		CU_ASSERT_FALSE(due(bad[i], 0, 0));
}

static void aliases_are_spread(void)
{
	struct tm tm = at(0, 0), later = at(2, 5);

	CU_ASSERT(cron_due("@hourly", &tm, 0));
	CU_ASSERT(cron_due("@never, @daily", &tm, 0));
	CU_ASSERT(cron_due("@weekly", &tm, 0));
	CU_ASSERT_FALSE(cron_due("@monthly", &tm, 0));
	CU_ASSERT_FALSE(cron_due("@hourly", &tm, 5));
	CU_ASSERT(cron_due("@hourly", &later, 5));
	CU_ASSERT(cron_due("@daily", &later, 2 * 60 + 5));
	CU_ASSERT_FALSE(cron_due("@daily", &tm, 2 * 60 + 5));
	CU_ASSERT(cron_has_alias("@daily, @startup", "@startup"));
	CU_ASSERT_FALSE(cron_has_alias("@daily", "@startup"));
}

UNIT_MAIN("core/cron", { "fields", fields }, { "day or weekday is enough", day_or_weekday_is_enough },
	  { "nonsense is never due", nonsense_is_never_due }, { "aliases are spread", aliases_are_spread })
