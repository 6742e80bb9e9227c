/* lxmd/instance/snaprule: names and expiry of snapshots. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lxmd/instance/snaprule.h"

#define T 1767325445678 /* 2026-01-02 03:44:05.678 UTC */

static void utc(void)
{
	setenv("TZ", "UTC", 1);
	tzset();
}

/* Names separated by blanks are taken. */
static bool gives(const char *pattern, const char *taken, const char *want)
{
	lxm_auto(strv) struct lxm_strv t = { 0 };
	lxm_auto(free) char *name = NULL;

	utc();
	lxm_strv_split(&t, taken, ' ');
	return snaprule_name(pattern, T, &t, &name, NULL) == 0 && strcmp(name, want) == 0;
}

static void numbers_go_on_after_the_highest(void)
{
	CU_ASSERT(gives("snap%d", "", "snap0"));
	CU_ASSERT(gives("snap%d", "snap0 snap7 snap", "snap8"));
	CU_ASSERT(gives("snap%d", "snapx snap-1 nap9", "snap0"));
	CU_ASSERT(gives("a%db", "a3b a9 9b", "a4b"));
	CU_ASSERT(gives("snap%d", "snap99999999999999999999", "snap0"));
}

static void dates_are_written_as_go_does(void)
{
	CU_ASSERT(gives("{{ creation_date }}", "", "2026-01-02_03-44-05"));
	CU_ASSERT(gives("d-{{creation_date|date:'2006.01.02'}}-x", "", "d-2026.01.02-x"));
	CU_ASSERT(gives("{{ creation_date|date:\"Jan 02\" }}", "", "Jan 02") == false); /* a blank is no name */
	CU_ASSERT(gives("{{ creation_date|date:'MonJan' }}%d", "FriJan4", "FriJan5"));
}

static void a_taken_name_gets_a_number(void)
{
	CU_ASSERT(gives("daily", "daily", "daily-0"));
	CU_ASSERT(gives("daily", "daily daily-0", "daily-1"));
	CU_ASSERT(gives("daily", "", "daily"));
}

static void expiry_adds_calendar_time(void)
{
	utc();
	CU_ASSERT(snaprule_expiry(NULL, T) == 0 && snaprule_expiry("", T) == 0);
	CU_ASSERT(snaprule_expiry("30S", T) == T + 30000);
	CU_ASSERT(snaprule_expiry("1M 2H", T) == T + 7260000);
	CU_ASSERT(snaprule_expiry("1d 1w", T) == T + 8LL * 86400000);
	CU_ASSERT(snaprule_expiry("1m", T) == T + 31LL * 86400000);
	CU_ASSERT(snaprule_expiry("1y", T) == T + 365LL * 86400000);
}

UNIT_MAIN("instance/snaprule", { "numbers go on after the highest", numbers_go_on_after_the_highest },
	  { "dates are written as go does", dates_are_written_as_go_does },
	  { "a taken name gets a number", a_taken_name_gets_a_number },
	  { "expiry adds calendar time", expiry_adds_calendar_time })
