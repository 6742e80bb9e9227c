/* Matching of cron expressions. Values were checked by lib/conf; what is wrong all the same matches nothing. */
#include "lxmd/core/cron.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
static const char days[] = "sunmontuewedthufrisat";

/* A number or the first three letters of a name; -1. */
static long value(const char *s, const char **end, const char *names, long first)
{
	const char *n;

	if (*s >= '0' && *s <= '9')
		return strtol(s, (char **)end, 10);
	for (n = names; n && *n; n += 3) {
		if (strncasecmp(s, n, 3) == 0) {
			*end = s + 3;
			return (n - names) / 3 + first;
		}
	}
	return -1;
}

/* One part between commas: "*", "N", "N-M", each with "/STEP". */
static bool part_matches(const char *p, long v, long lo, long hi, const char *names)
{
	long a = lo, b = hi, step = 1;

	if (*p == '*') {
		p++;
	} else {
		a = b = value(p, &p, names, lo);
		if (a < 0)
			return false;
		if (*p == '-')
			b = value(p + 1, &p, names, lo);
		else if (*p == '/')
			b = hi;
	}
	if (*p == '/')
		step = strtol(p + 1, NULL, 10);
	return step > 0 && v >= a && v <= b && (v - a) % step == 0;
}

static bool field_matches(const char *f, long v, long lo, long hi, const char *names)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, f, ',');
	for (i = 0; i < parts.n; i++)
		if (part_matches(parts.v[i], v, lo, hi, names))
			return true;
	return false;
}

static bool weekday_matches(const char *f, int wday)
{
	/* Sunday is 0 and 7 */
	return field_matches(f, wday, 0, 7, days) || (wday == 0 && *f != '*' && field_matches(f, 7, 0, 7, days));
}

static bool fields_match(const char *spec, const struct tm *tm)
{
	lxm_auto(strv) struct lxm_strv f = { 0 };
	bool day, weekday;

	lxm_strv_split(&f, spec, ' ');
	if (f.n != 5 || !field_matches(f.v[0], tm->tm_min, 0, 59, NULL) || !field_matches(f.v[1], tm->tm_hour, 0, 23, NULL) ||
	    !field_matches(f.v[3], tm->tm_mon + 1, 1, 12, months))
		return false;
	day = field_matches(f.v[2], tm->tm_mday, 1, 31, NULL);
	weekday = weekday_matches(f.v[4], tm->tm_wday);
	return *f.v[2] == '*' || *f.v[4] == '*' ? day && weekday : day || weekday;
}

static bool alias_matches(const char *alias, const struct tm *tm, uint32_t spread)
{
	bool minute = tm->tm_min == (int)(spread % 60), hour = tm->tm_hour == (int)(spread / 60 % 24);

	if (!minute)
		return false;
	if (strcmp(alias, "@hourly") == 0)
		return true;
	if (!hour)
		return false;
	if (strcmp(alias, "@daily") == 0 || strcmp(alias, "@midnight") == 0)
		return true;
	if (strcmp(alias, "@weekly") == 0)
		return tm->tm_wday == 0;
	if (strcmp(alias, "@monthly") == 0)
		return tm->tm_mday == 1;
	if (strcmp(alias, "@yearly") == 0 || strcmp(alias, "@annually") == 0)
		return tm->tm_mday == 1 && tm->tm_mon == 0;
	return false;
}

bool cron_due(const char *spec, const struct tm *tm, uint32_t spread)
{
	lxm_auto(strv) struct lxm_strv aliases = { 0 };
	size_t i;

	if (*spec != '@')
		return fields_match(spec, tm);
	lxm_strv_split(&aliases, spec, ',');
	for (i = 0; i < aliases.n; i++)
		if (alias_matches(aliases.v[i] + strspn(aliases.v[i], " "), tm, spread))
			return true;
	return false;
}

bool cron_has_alias(const char *spec, const char *alias)
{
	lxm_auto(strv) struct lxm_strv aliases = { 0 };
	size_t i;

	lxm_strv_split(&aliases, spec, ',');
	for (i = 0; i < aliases.n; i++)
		if (strcmp(aliases.v[i] + strspn(aliases.v[i], " "), alias) == 0)
			return true;
	return false;
}
