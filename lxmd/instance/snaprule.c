/* Patterns and expiry of snapshots. Dates are local time, as in LXD. Pure but for the time zone. */
#include "lxmd/instance/snaprule.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/conf/names.h"

/* Go writes layouts as its reference time, Mon Jan 2 15:04:05 2006; longer ones first where one begins another. */
static const struct {
	const char *go, *c;
} layouts[] = {
	{ "January", "%B" }, { "Monday", "%A" }, { "2006", "%Y" }, { "-0700", "%z" }, { "Jan", "%b" }, { "Mon", "%a" },
	{ "MST", "%Z" },     { "01", "%m" },	 { "02", "%d" },   { "03", "%I" },    { "04", "%M" },  { "05", "%S" },
	{ "06", "%y" },	     { "15", "%H" },	 { "PM", "%p" },
};

static void add_date(struct lxm_buf *out, const char *layout, size_t len, const struct tm *tm)
{
	const char *end = layout + len;

	while (layout < end) {
		char text[64];
		size_t i;

		for (i = 0; i < LXM_ARRAY_LEN(layouts); i++)
			if (strncmp(layout, layouts[i].go, strlen(layouts[i].go)) == 0 &&
			    layout + strlen(layouts[i].go) <= end)
				break;
		if (i == LXM_ARRAY_LEN(layouts)) {
			lxm_buf_chr(out, *layout++);
			continue;
		}
		if (strftime(text, sizeof(text), layouts[i].c, tm))
			lxm_buf_str(out, text);
		layout += strlen(layouts[i].go);
	}
}

/* {{ creation_date }} or {{ creation_date|date:'LAYOUT' }}; check_pattern() has seen to the braces. */
static void render(const char *pattern, lxm_time now, struct lxm_buf *out)
{
	static const char plain[] = "2006-01-02_15-04-05";
	time_t t = (time_t)(now / 1000);
	struct tm tm;

	localtime_r(&t, &tm);
	while (*pattern) {
		const char *end = lxm_starts(pattern, "{{") ? strstr(pattern, "}}") : NULL;
		const char *quote, *last;

		if (!end) {
			lxm_buf_chr(out, *pattern++);
			continue;
		}
		quote = memchr(pattern, '\'', (size_t)(end - pattern));
		if (!quote)
			quote = memchr(pattern, '"', (size_t)(end - pattern));
		last = quote ? memchr(quote + 1, *quote, (size_t)(end - quote - 1)) : NULL;
		if (last)
			add_date(out, quote + 1, (size_t)(last - quote - 1), &tm);
		else
			add_date(out, plain, strlen(plain), &tm);
		pattern = end + 2;
	}
}

/* The number that a name has where the pattern has %d, or -1. */
static int64_t number_in(const char *name, const char *before, size_t n_before, const char *after)
{
	size_t len = strlen(name), n_after = strlen(after), digits;
	char text[20];
	int64_t v;

	if (len <= n_before + n_after || strncmp(name, before, n_before) != 0 || !lxm_ends(name, after))
		return -1;
	digits = len - n_before - n_after;
	if (digits >= sizeof(text) || strspn(name + n_before, "0123456789") < digits)
		return -1;
	memcpy(text, name + n_before, digits);
	text[digits] = 0;
	return lxm_parse_i64(text, &v) < 0 ? -1 : v;
}

static char *numbered(const char *pattern, const struct lxm_strv *taken)
{
	const char *mark = strstr(pattern, "%d");
	size_t n = (size_t)(mark - pattern), i;
	int64_t next = 0;

	for (i = 0; i < taken->n; i++) {
		int64_t v = number_in(taken->v[i], pattern, n, mark + 2);

		if (v >= next)
			next = v + 1;
	}
	return lxm_asprintf("%.*s%lld%s", (int)n, pattern, (long long)next, mark + 2);
}

int snaprule_name(const char *pattern, lxm_time now, const struct lxm_strv *taken, char **name_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	lxm_auto(free) char *name = NULL, *more = NULL;
	int r;

	render(pattern, now, &text);
	name = lxm_buf_take(&text);
	if (!strstr(name, "%d") && lxm_strv_has(taken, name)) {
		more = lxm_asprintf("%s-%%d", name);
		free(name);
		name = LXM_TAKE(more, NULL);
	}
	if (strstr(name, "%d")) {
		more = numbered(name, taken);
		free(name);
		name = LXM_TAKE(more, NULL);
	}
	r = conf_name_snapshot(name, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "snapshots.pattern");
	*name_out = LXM_TAKE(name, NULL);
	return 0;
}

lxm_time snaprule_expiry(const char *expr, lxm_time from)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	time_t t = (time_t)(from / 1000);
	struct tm tm;
	size_t i;

	if (lxm_empty(expr))
		return 0;
	localtime_r(&t, &tm);
	lxm_strv_split(&parts, expr, ' ');
	for (i = 0; i < parts.n; i++) {
		char *unit;
		int n = (int)strtol(parts.v[i], &unit, 10);

		switch (*unit) {
		case 'S':
			tm.tm_sec += n;
			break;
		case 'M':
			tm.tm_min += n;
			break;
		case 'H':
			tm.tm_hour += n;
			break;
		case 'd':
			tm.tm_mday += n;
			break;
		case 'w':
			tm.tm_mday += 7 * n;
			break;
		case 'm':
			tm.tm_mon += n;
			break;
		case 'y':
			tm.tm_year += n;
			break;
		}
	}
	tm.tm_isdst = -1;
	t = mktime(&tm);
	return t == (time_t)-1 ? 0 : (lxm_time)t * 1000 + from % 1000;
}
