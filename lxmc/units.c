/* Times and sizes, see units.h. Always UTC: reading the time zone's file would cost more than most commands. */
#include "lxmc/units.h"

#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/time.h"

static bool broken_down(const char *s, struct tm *tm, char **out)
{
	lxm_time t;
	time_t sec;

	if (lxm_time_parse(s, &t) < 0) {
		*out = lxm_strdup(s);
		return false;
	}
	if (!t) {
		*out = lxm_strdup("");
		return false;
	}
	sec = (time_t)(t / 1000);
	gmtime_r(&sec, tm);
	return true;
}

char *unit_time(const char *rfc3339)
{
	struct tm tm;
	char *out;

	if (!broken_down(rfc3339, &tm, &out))
		return out;
	return lxm_asprintf("%04d/%02d/%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
			    tm.tm_min);
}

char *unit_time_long(const char *rfc3339)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	char *out;

	if (!broken_down(rfc3339, &tm, &out))
		return out;
	return lxm_asprintf("%s %d, %d at %d:%02d%s (UTC)", months[tm.tm_mon], tm.tm_mday, tm.tm_year + 1900,
			    tm.tm_hour % 12 ? tm.tm_hour % 12 : 12, tm.tm_min, tm.tm_hour < 12 ? "am" : "pm");
}

char *unit_bytes_si(uint64_t n)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)n;
	size_t i = 0;

	if (n < 1000)
		return lxm_asprintf("%lluB", (unsigned long long)n);
	for (v /= 1000; v >= 1000 && i + 1 < LXM_ARRAY_LEN(units); i++)
		v /= 1000;
	return lxm_asprintf("%.2f%s", v, units[i]);
}
