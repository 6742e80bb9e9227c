/* The filters of templates: one table, each a small function from value to value. Nothing here reads anything outside the run. */
#include <ctype.h>
#include <string.h>

#include "lxmd/image/template_int.h"

typedef int (*filter_fn)(struct trun *t, struct tval *v, const struct tval *arg);

static struct tval of_int(int64_t i)
{
	return (struct tval){ .type = TV_INT, .i = i };
}

static int map_chars(struct trun *t, struct tval *v, int (*fn)(int))
{
	char room[24];
	const char *s = tv_text(v, room);
	char *p;
	int r = tv_string(t, s, strlen(s), v);

	for (p = r == 0 ? (char *)v->s : NULL; p && *p; p++)
		*p = (char)fn((unsigned char)*p);
	return r;
}

static int f_upper(struct trun *t, struct tval *v, const struct tval *arg)
{
	return map_chars(t, v, toupper);
}

static int f_lower(struct trun *t, struct tval *v, const struct tval *arg)
{
	return map_chars(t, v, tolower);
}

static int f_capfirst(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24];
	const char *s = tv_text(v, room);
	int r = tv_string(t, s, strlen(s), v);

	if (r == 0)
		*(char *)v->s = (char)toupper((unsigned char)*v->s);
	return r;
}

static int f_title(struct trun *t, struct tval *v, const struct tval *arg)
{
	bool start = true;
	char *p;
	int r = map_chars(t, v, tolower);

	for (p = r == 0 ? (char *)v->s : NULL; p && *p; p++) {
		if (start)
			*p = (char)toupper((unsigned char)*p);
		start = !isalnum((unsigned char)*p);
	}
	return r;
}

static int f_trim(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24];
	const char *s = tv_text(v, room), *end = s + strlen(s);

	while (isspace((unsigned char)*s))
		s++;
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	return tv_string(t, s, (size_t)(end - s), v);
}

static int f_default(struct trun *t, struct tval *v, const struct tval *arg)
{
	if (!tv_true(v))
		*v = *arg;
	return 0;
}

static int f_default_if_none(struct trun *t, struct tval *v, const struct tval *arg)
{
	if (v->type == TV_NIL)
		*v = *arg;
	return 0;
}

static int f_length(struct trun *t, struct tval *v, const struct tval *arg)
{
	*v = of_int(tv_length(v));
	return 0;
}

static int f_length_is(struct trun *t, struct tval *v, const struct tval *arg)
{
	*v = (struct tval){ .type = TV_BOOL, .i = tv_length(v) == tv_number(arg) };
	return 0;
}

static int f_first(struct trun *t, struct tval *v, const struct tval *arg)
{
	if (v->type == TV_STR)
		return *v->s ? tv_string(t, v->s, 1, v) : 0;
	*v = v->type == TV_LIST && v->i ? v->list[0] : (struct tval){ .type = TV_NIL };
	return 0;
}

static int f_last(struct trun *t, struct tval *v, const struct tval *arg)
{
	if (v->type == TV_STR)
		return *v->s ? tv_string(t, v->s + strlen(v->s) - 1, 1, v) : 0;
	*v = v->type == TV_LIST && v->i ? v->list[v->i - 1] : (struct tval){ .type = TV_NIL };
	return 0;
}

static int f_split(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24], sep_room[24];
	const char *s = tv_text(v, room), *sep = tv_text(arg, sep_room), *next;
	struct tval *list;
	int64_t n = 1;

	if (!*sep)
		return tv_fail(t, "split needs a separator");
	for (next = strstr(s, sep); next; next = strstr(next + strlen(sep), sep))
		n++;
	list = tv_alloc(t, (size_t)n * sizeof(*list));
	if (!list)
		return -E2BIG;
	*v = (struct tval){ .type = TV_LIST, .list = list, .i = n };
	for (n = 0; s; n++) {
		next = strstr(s, sep);
		if (tv_string(t, s, next ? (size_t)(next - s) : strlen(s), &list[n]) < 0)
			return -E2BIG;
		s = next ? next + strlen(sep) : NULL;
	}
	return 0;
}

static int f_join(struct trun *t, struct tval *v, const struct tval *arg)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	char room[24], sep_room[24];
	const char *sep = tv_text(arg, sep_room);
	int64_t i;

	if (v->type != TV_LIST)
		return 0;
	for (i = 0; i < v->i; i++) {
		if (i)
			lxm_buf_str(&b, sep);
		lxm_buf_str(&b, tv_text(&v->list[i], room));
		if (b.len > TEMPLATE_OUT_MAX)
			return tv_fail(t, "join makes too long a text");
	}
	return tv_string(t, b.data ? b.data : "", b.len, v);
}

/* All `what` in s become `with`. */
static int replace(struct trun *t, struct tval *v, const char *what, const char *with)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	char room[24];
	const char *s = tv_text(v, room), *next;

	if (!*what)
		return 0;
	while ((next = strstr(s, what))) {
		lxm_buf_add(&b, s, (size_t)(next - s));
		lxm_buf_str(&b, with);
		s = next + strlen(what);
		if (b.len > TEMPLATE_OUT_MAX)
			return tv_fail(t, "replace makes too long a text");
	}
	lxm_buf_str(&b, s);
	return tv_string(t, b.data ? b.data : "", b.len, v);
}

static int f_cut(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24];

	return replace(t, v, tv_text(arg, room), "");
}

/* replace:"old,new" as in Jinja's cousins; pongo2 has none, images of others do. */
static int f_replace(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24];
	const char *s = tv_text(arg, room), *comma = strchr(s, ',');
	struct tval what;

	if (!comma)
		return tv_fail(t, "replace needs \"old,new\"");
	if (tv_string(t, s, (size_t)(comma - s), &what) < 0)
		return -E2BIG;
	return replace(t, v, what.s, comma + 1);
}

int tv_escape(struct trun *t, struct tval *v)
{
	static const char *const pairs[][2] = {
		{ "&", "&amp;" }, { "<", "&lt;" }, { ">", "&gt;" }, { "\"", "&quot;" }, { "'", "&#39;" }
	};
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(pairs); i++)
		r = replace(t, v, pairs[i][0], pairs[i][1]);
	v->safe = true;
	return r;
}

static int f_escape(struct trun *t, struct tval *v, const struct tval *arg)
{
	return tv_escape(t, v);
}

static int f_safe(struct trun *t, struct tval *v, const struct tval *arg)
{
	v->safe = true;
	return 0;
}

static int f_addslashes(struct trun *t, struct tval *v, const struct tval *arg)
{
	int r = replace(t, v, "\\", "\\\\");

	if (r == 0)
		r = replace(t, v, "\"", "\\\"");
	return r < 0 ? r : replace(t, v, "'", "\\'");
}

static int f_linebreaksbr(struct trun *t, struct tval *v, const struct tval *arg)
{
	return replace(t, v, "\n", "<br />");
}

static int f_urlencode(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24];
	lxm_auto(free) char *s = lxm_url_encode(tv_text(v, room), NULL);

	return tv_string(t, s, strlen(s), v);
}

static int f_integer(struct trun *t, struct tval *v, const struct tval *arg)
{
	*v = of_int(tv_number(v));
	return 0;
}

static int f_string(struct trun *t, struct tval *v, const struct tval *arg)
{
	char room[24];
	const char *s = tv_text(v, room);

	return tv_string(t, s, strlen(s), v);
}

static int f_add(struct trun *t, struct tval *v, const struct tval *arg)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	char room[24], arg_room[24];
	int64_t x;

	if (v->type == TV_INT || (v->type == TV_STR && lxm_parse_i64(v->s, &x) == 0)) {
		*v = of_int((int64_t)((uint64_t)tv_number(v) + (uint64_t)tv_number(arg)));
		return 0;
	}
	lxm_buf_str(&b, tv_text(v, room));
	lxm_buf_str(&b, tv_text(arg, arg_room));
	return tv_string(t, b.data, b.len, v);
}

static int f_divisibleby(struct trun *t, struct tval *v, const struct tval *arg)
{
	int64_t by = tv_number(arg);

	*v = (struct tval){ .type = TV_BOOL, .i = by != 0 && by != -1 && tv_number(v) % by == 0 };
	return 0;
}

static int f_yesno(struct trun *t, struct tval *v, const struct tval *arg)
{
	struct tval list = *arg, sep = { .type = TV_STR, .s = "," };
	int64_t i = tv_true(v) ? 0 : v->type == TV_NIL ? 2 : 1;
	int r;

	if (arg->type == TV_NIL)
		list = (struct tval){ .type = TV_STR, .s = "yes,no,maybe" };
	r = f_split(t, &list, &sep);
	if (r == 0)
		*v = i < list.i ? list.list[i] : i == 2 && list.i > 1 ? list.list[1] : (struct tval){ .type = TV_NIL };
	return r;
}

static int f_truncatechars(struct trun *t, struct tval *v, const struct tval *arg)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	char room[24];
	const char *s = tv_text(v, room);
	int64_t max = tv_number(arg);

	if (max < 0 || (int64_t)strlen(s) <= max)
		return 0;
	lxm_buf_add(&b, s, (size_t)(max > 3 ? max - 3 : 0));
	lxm_buf_str(&b, max >= 3 ? "..." : "");
	return tv_string(t, b.data, b.len, v);
}

static int pad(struct trun *t, struct tval *v, const struct tval *arg, bool left)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };
	char room[24];
	const char *s = tv_text(v, room);
	int64_t n = tv_number(arg) - (int64_t)strlen(s);

	if (n <= 0)
		return 0;
	if (n > 10000)
		return tv_fail(t, "too wide");
	if (!left)
		lxm_buf_str(&b, s);
	while (n-- > 0)
		lxm_buf_chr(&b, ' ');
	if (left)
		lxm_buf_str(&b, s);
	return tv_string(t, b.data, b.len, v);
}

static int f_ljust(struct trun *t, struct tval *v, const struct tval *arg)
{
	return pad(t, v, arg, false);
}

static int f_rjust(struct trun *t, struct tval *v, const struct tval *arg)
{
	return pad(t, v, arg, true);
}

/* Sorted by name. */
static const struct filter_row {
	const char *name;
	filter_fn fn;
} filters[] = {
	{ "add", f_add },
	{ "addslashes", f_addslashes },
	{ "capfirst", f_capfirst },
	{ "cut", f_cut },
	{ "default", f_default },
	{ "default_if_none", f_default_if_none },
	{ "divisibleby", f_divisibleby },
	{ "e", f_escape },
	{ "escape", f_escape },
	{ "first", f_first },
	{ "integer", f_integer },
	{ "join", f_join },
	{ "last", f_last },
	{ "length", f_length },
	{ "length_is", f_length_is },
	{ "linebreaksbr", f_linebreaksbr },
	{ "ljust", f_ljust },
	{ "lower", f_lower },
	{ "replace", f_replace },
	{ "rjust", f_rjust },
	{ "safe", f_safe },
	{ "split", f_split },
	{ "string", f_string },
	{ "title", f_title },
	{ "trim", f_trim },
	{ "truncatechars", f_truncatechars },
	{ "upper", f_upper },
	{ "urlencode", f_urlencode },
	{ "yesno", f_yesno },
};

int tv_filter(struct trun *t, const char *name, size_t len, struct tval *v, const struct tval *arg)
{
	size_t i;
	int r = tv_step(t);

	if (r < 0)
		return r;
	for (i = 0; i < LXM_ARRAY_LEN(filters); i++)
		if (strlen(filters[i].name) == len && memcmp(filters[i].name, name, len) == 0)
			return filters[i].fn(t, v, arg);
	return tv_fail(t, "there is no filter '%.*s'", (int)(len < 50 ? len : 50), name);
}
