/* Checkers of numbers, sizes, sets and times. Any process, no state; see checks.h for what each accepts. */
#include "lib/conf/checks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int in_range(const char *value, int64_t lo, int64_t hi, struct lxm_err *e)
{
	int64_t n;

	if (lxm_parse_i64(value, &n) < 0 || n < lo || n > hi)
		return lxm_err_set(e, EINVAL, "'%.60s' is not a whole number from %lld to %lld", value, (long long)lo,
				   (long long)hi);
	return 0;
}

int check_priority(const char *key, const char *value, struct lxm_err *e)
{
	return in_range(value, 0, 10, e);
}

int check_percent(const char *key, const char *value, struct lxm_err *e)
{
	return in_range(value, 0, 100, e);
}

int check_positive(const char *key, const char *value, struct lxm_err *e)
{
	return in_range(value, 1, INT64_MAX, e);
}

int check_u32(const char *key, const char *value, struct lxm_err *e)
{
	return in_range(value, 0, UINT32_MAX, e);
}

int check_id(const char *key, const char *value, struct lxm_err *e)
{
	return in_range(value, 0, UINT32_MAX - 1, e);
}

int check_octal_mode(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strlen(value);

	if (n < 3 || n > 5 || strspn(value, "01234567") != n || strtol(value, NULL, 8) > 07777)
		return lxm_err_set(e, EINVAL, "'%.60s' is not an octal mode such as 0660", value);
	return 0;
}

int conf_parse_cpuset(const char *value, void (*each)(unsigned int cpu, void *arg), void *arg)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	if (lxm_empty(value) || strstr(value, ",,") || lxm_starts(value, ",") || lxm_ends(value, ","))
		return -EINVAL;
	lxm_strv_split(&parts, value, ',');
	for (i = 0; i < parts.n; i++) {
		char *dash = strchr(parts.v[i], '-');
		uint64_t from, to;

		if (dash)
			*dash = '\0';
		if (lxm_parse_u64(parts.v[i], &from) < 0)
			return -EINVAL;
		to = from;
		if (dash && lxm_parse_u64(dash + 1, &to) < 0)
			return -EINVAL;
		if (to < from || to > 4095)
			return -EINVAL;
		for (; each && from <= to; from++)
			each((unsigned int)from, arg);
	}
	return parts.n ? 0 : -EINVAL;
}

int check_cpus(const char *key, const char *value, struct lxm_err *e)
{
	if (value[strspn(value, "0123456789")] == '\0')
		return in_range(value, 1, 4096, e); /* a count */
	if (conf_parse_cpuset(value, NULL, NULL) < 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is neither a number of CPUs (2) nor a set of them (0-3,6)", value);
	return 0;
}

int check_cpu_nodes(const char *key, const char *value, struct lxm_err *e)
{
	if (!lxm_streq(value, "balanced") && conf_parse_cpuset(value, NULL, NULL) < 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is neither a set of NUMA nodes (0-1) nor 'balanced'", value);
	return 0;
}

/* "25ms" into microseconds. */
static int parse_ms(const char *s, size_t n, uint64_t *us_out)
{
	char digits[16];
	uint64_t ms;

	if (n < 3 || n > sizeof(digits) + 1 || strncmp(s + n - 2, "ms", 2) != 0)
		return -EINVAL;
	memcpy(digits, s, n - 2);
	digits[n - 2] = '\0';
	if (lxm_parse_u64(digits, &ms) < 0 || ms == 0 || ms > 1000000)
		return -EINVAL;
	*us_out = ms * 1000;
	return 0;
}

int conf_parse_allowance(const char *value, uint64_t *quota_out, uint64_t *period_us_out)
{
	const char *slash = strchr(value, '/');
	size_t n = strlen(value);
	char digits[8];
	uint64_t quota, period;

	if (slash) {
		if (parse_ms(value, (size_t)(slash - value), &quota) < 0 ||
		    parse_ms(slash + 1, strlen(slash + 1), &period) < 0)
			return -EINVAL;
		/* the kernel's bounds for a period, and its smallest quota */
		if (period < 1000 || period > 1000000 || quota < 1000)
			return -EINVAL;
		*quota_out = quota;
		*period_us_out = period;
		return 0;
	}
	if (n < 2 || n > sizeof(digits) || value[n - 1] != '%')
		return -EINVAL;
	memcpy(digits, value, n - 1);
	digits[n - 1] = '\0';
	if (lxm_parse_u64(digits, &quota) < 0 || quota == 0 || quota > 100)
		return -EINVAL;
	*quota_out = quota;
	*period_us_out = 0;
	return 0;
}

int check_cpu_allowance(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t q, p;

	if (conf_parse_allowance(value, &q, &p) < 0)
		return lxm_err_set(e, EINVAL,
				   "'%.60s' is neither a share (50%%) nor a time (25ms/100ms, periods of 1 to 1000 ms)", value);
	return 0;
}

static bool is_percent(const char *value)
{
	size_t n = strspn(value, "0123456789");

	return n >= 1 && n <= 3 && lxm_streq(value + n, "%") && atoi(value) >= 1 && atoi(value) <= 100;
}

int check_memory(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t n;

	if (is_percent(value))
		return 0;
	if (lxm_parse_bytes(value, &n) < 0 || n == 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is neither a size (512MiB) nor a share of the host's memory (50%%)",
				   value);
	return 0;
}

int check_swap(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t n;

	if (lxm_parse_bool(value) < 0 && lxm_parse_bytes(value, &n) < 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is neither true, false nor a size (512MiB)", value);
	return 0;
}

int check_io(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strspn(value, "0123456789");
	uint64_t v;

	if (n && lxm_streq(value + n, "iops") && n < 12)
		return 0;
	if (lxm_parse_bytes(value, &v) < 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is neither bytes per second (10MiB) nor operations (500iops)", value);
	return 0;
}

int check_duration(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strspn(value, "0123456789");

	if (!n || n > 9 || (value[n] && !(strchr("smhd", value[n]) && !value[n + 1])))
		return lxm_err_set(e, EINVAL, "'%.60s' is not a time such as 90, 30s, 5m or 1h", value);
	return 0;
}

int check_expiry(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, value, ' ');
	for (i = 0; i < parts.n; i++) {
		size_t n = strspn(parts.v[i], "0123456789");

		if (!n || n > 6 || !parts.v[i][n] || !strchr("SMHdwmy", parts.v[i][n]) || parts.v[i][n + 1])
			return lxm_err_set(e, EINVAL, "'%.60s' is not a time such as '2w' or '1d 12H' (S M H d w m y)",
					   value);
	}
	return parts.n ? 0 : lxm_err_set(e, EINVAL, "a blank is not a time");
}

/* "N", "N-M", "*", each optionally with "/STEP", joined by commas; names of months and days are letters. */
static bool cron_field(const char *f, int lo, int hi)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, f, ',');
	for (i = 0; i < parts.n; i++) {
		const char *p = parts.v[i];
		char *end;

		if (*p == '*') {
			end = (char *)p + 1;
		} else if (isalpha((unsigned char)*p)) {
			end = (char *)p + strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
			if (end - p != 3 || hi > 12 || lo == hi)
				return false;
		} else {
			long a = isdigit((unsigned char)*p) ? strtol(p, &end, 10) : -1, b = a;

			if (a < lo || a > hi)
				return false;
			if (*end == '-') {
				if (!isdigit((unsigned char)end[1]))
					return false;
				b = strtol(end + 1, &end, 10);
			}
			if (b < a || b > hi)
				return false;
		}
		if (*end == '/') {
			if (!isdigit((unsigned char)end[1]) || strtol(end + 1, &end, 10) < 1)
				return false;
		}
		if (*end)
			return false;
	}
	return parts.n > 0;
}

static bool cron_ok(const char *value)
{
	static const int lo[] = { 0, 0, 1, 1, 0 }, hi[] = { 59, 23, 31, 12, 7 };
	lxm_auto(strv) struct lxm_strv f = { 0 };
	size_t i;

	lxm_strv_split(&f, value, ' ');
	if (f.n != 5)
		return false;
	for (i = 0; i < 5; i++)
		if (!cron_field(f.v[i], lo[i], hi[i]))
			return false;
	return true;
}

int check_cron(const char *key, const char *value, struct lxm_err *e)
{
	static const char aliases[] = "@hourly|@daily|@midnight|@weekly|@monthly|@annually|@yearly|@startup|@never";
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	if (value[0] != '@')
		return cron_ok(value) ? 0 :
					lxm_err_set(e, EINVAL,
						    "'%.80s' is not five cron fields (0 6 * * *) or a list of aliases (@daily)",
						    value);
	lxm_strv_split(&parts, value, ',');
	for (i = 0; i < parts.n; i++) {
		int r = check_words(parts.v[i] + strspn(parts.v[i], " "), aliases, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int check_rlimit(const char *key, const char *value, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	uint64_t n[2] = { 0, 0 };
	size_t i;

	lxm_strv_split(&parts, value, ':');
	for (i = 0; i < parts.n && i < 2; i++)
		if (lxm_streq(parts.v[i], "unlimited"))
			n[i] = UINT64_MAX;
		else if (lxm_parse_u64(parts.v[i], &n[i]) < 0)
			break;
	if (parts.n == 0 || parts.n > 2 || i != parts.n || strstr(value, "::") || value[0] == ':' ||
	    value[strlen(value) - 1] == ':')
		return lxm_err_set(e, EINVAL, "'%.60s' is not N, SOFT:HARD or 'unlimited'", value);
	if (parts.n == 2 && n[0] > n[1])
		return lxm_err_set(e, EINVAL, "'%.60s': the soft limit is above the hard one", value);
	return 0;
}
