/* Time, see time.h. No state, any thread. */
#include "lib/base/time.h"

#include <string.h>
#include <time.h>

lxm_time lxm_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (lxm_time)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t lxm_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t lxm_mono_ms(void)
{
	return lxm_mono_us() / 1000;
}

char *lxm_time_str(lxm_time t, char out[32])
{
	time_t s = (time_t)(t / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &tm);
	if (t % 1000)
		n += (size_t)snprintf(out + n, 32 - n, ".%03d", (int)((uint64_t)t % 1000));
	out[n] = 'Z';
	out[n + 1] = 0;
	return out;
}

int lxm_time_parse(const char *s, lxm_time *out)
{
	struct tm tm = { 0 };
	int n = 0, ms = 0, oh = 0, om = 0;
	lxm_time t;

	if (!s || !*s) {
		*out = 0;
		return 0;
	}
	if (sscanf(s, "%4d-%2d-%2d%*[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &n) != 6 ||
	    !n)
		return -EINVAL;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_year < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0)
		return -EINVAL;
	s += n;
	if (*s == '.') {
		int mul = 100;

		for (s++; *s >= '0' && *s <= '9'; s++, mul /= 10)
			ms += (*s - '0') * mul;
	}
	if (*s == '+' || *s == '-') {
		int sign = *s == '-' ? -1 : 1;

		if (sscanf(s + 1, "%2d:%2d", &oh, &om) != 2 || strlen(s) != 6)
			return -EINVAL;
		oh *= sign;
		om *= sign;
	} else if (strcmp(s, "Z") != 0 && strcmp(s, "z") != 0) {
		return -EINVAL;
	}
	if (tm.tm_year <= 1) {
		*out = 0;
		return 0;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	t = ((lxm_time)timegm(&tm) - oh * 3600 - om * 60) * 1000 + ms;
	*out = t < 0 ? 0 : t;
	return 0;
}
