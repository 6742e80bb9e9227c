/*
 * Expressions of templates, evaluated while they are read: or, and, not, comparisons and `in`, + -, * / %, then an atom with its
 * attributes, indexes and filters. Recursion is bounded by tv_expr()'s depth, work by tv_step().
 */
#include <ctype.h>
#include <string.h>

#include "lxmd/image/template_int.h"

#define DEPTH_MAX 32

bool tv_at_end(struct tv_src *s)
{
	while (s->p < s->end && isspace((unsigned char)*s->p))
		s->p++;
	return s->p == s->end;
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

size_t tv_word(struct tv_src *s, const char **word)
{
	size_t n = 0;

	tv_at_end(s);
	*word = s->p;
	if (s->p < s->end && !isdigit((unsigned char)*s->p))
		while (s->p + n < s->end && word_char(s->p[n]))
			n++;
	s->p += n;
	return n;
}

bool tv_take(struct tv_src *s, const char *what)
{
	size_t n = strlen(what);

	tv_at_end(s);
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, what, n) != 0)
		return false;
	/* "or" is not the beginning of "order" */
	if (word_char(what[0]) && (size_t)(s->end - s->p) > n && word_char(s->p[n]))
		return false;
	s->p += n;
	return true;
}

static struct tval tv_bool(bool b)
{
	return (struct tval){ .type = TV_BOOL, .i = b };
}

static struct tval tv_int(int64_t i)
{
	return (struct tval){ .type = TV_INT, .i = i };
}

static struct tval tv_str(const char *s)
{
	return s ? (struct tval){ .type = TV_STR, .s = s } : (struct tval){ .type = TV_NIL };
}

static bool is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && strncasecmp(name, what, len) == 0;
}

static struct tval loop_attr(const struct tv_loop *l, const char *name, size_t len)
{
	if (is(name, len, "counter"))
		return tv_int(l->index + 1);
	if (is(name, len, "counter0"))
		return tv_int(l->index);
	if (is(name, len, "revcounter"))
		return tv_int(l->count - l->index);
	if (is(name, len, "revcounter0"))
		return tv_int(l->count - l->index - 1);
	if (is(name, len, "first"))
		return tv_bool(l->index == 0);
	if (is(name, len, "last"))
		return tv_bool(l->index + 1 == l->count);
	if (is(name, len, "parentloop") && l->outer)
		return (struct tval){ .type = TV_LOOP, .loop = l->outer };
	return (struct tval){ .type = TV_NIL };
}

/* v.name or v["name"]: what is not there is nothing, as in pongo2. */
static struct tval attr(const struct tval *v, const char *name, size_t len)
{
	char key[300];

	if (v->type == TV_LOOP)
		return loop_attr(v->loop, name, len);
	if (len >= sizeof(key))
		return (struct tval){ .type = TV_NIL };
	memcpy(key, name, len);
	key[len] = 0;
	if (v->type == TV_KV)
		return tv_str(lxm_kv_get(v->kv, key));
	if (v->type == TV_DEVS) {
		const struct lxm_dev *d = lxm_devs_get(v->devs, key);

		if (d)
			return (struct tval){ .type = TV_KV, .kv = &d->kv };
	}
	return (struct tval){ .type = TV_NIL };
}

static struct tval item(const struct tval *v, int64_t i)
{
	return v->type == TV_LIST && i >= 0 && i < v->i ? v->list[i] : (struct tval){ .type = TV_NIL };
}

static struct tval root_name(struct trun *t, const char *name, size_t len)
{
	const struct template_vars *v = t->vars;
	const struct tv_name *n;

	for (n = t->names; n; n = n->next)
		if (n->len == len && memcmp(n->name, name, len) == 0)
			return n->value;
	if (is(name, len, "true") || is(name, len, "false"))
		return tv_bool(is(name, len, "true"));
	if (is(name, len, "trigger"))
		return tv_str(v->trigger);
	if (is(name, len, "path"))
		return tv_str(v->path);
	if ((is(name, len, "instance") || is(name, len, "container")) && v->instance)
		return (struct tval){ .type = TV_KV, .kv = v->instance };
	if (is(name, len, "config") && v->config)
		return (struct tval){ .type = TV_KV, .kv = v->config };
	if (is(name, len, "properties") && v->properties)
		return (struct tval){ .type = TV_KV, .kv = v->properties };
	if (is(name, len, "devices") && v->devices)
		return (struct tval){ .type = TV_DEVS, .devs = v->devices };
	return (struct tval){ .type = TV_NIL };
}

/* "text" or 'text'; a backslash takes the next character as it is, but \n and \t. */
static int literal(struct trun *t, struct tv_src *s, struct tval *out)
{
	char quote = *s->p++, *buf = tv_alloc(t, (size_t)(s->end - s->p) + 1);
	size_t n = 0;

	if (!buf)
		return -E2BIG;
	while (s->p < s->end && *s->p != quote) {
		if (*s->p == '\\' && s->p + 1 < s->end) {
			s->p++;
			buf[n++] = *s->p == 'n' ? '\n' : *s->p == 't' ? '\t' : *s->p;
			s->p++;
		} else {
			buf[n++] = *s->p++;
		}
	}
	if (s->p == s->end)
		return tv_fail(t, "a string does not end");
	s->p++;
	buf[n] = 0;
	*out = tv_str(buf);
	return 0;
}

static int number(struct trun *t, struct tv_src *s, struct tval *out)
{
	int64_t n = 0;

	while (s->p < s->end && isdigit((unsigned char)*s->p))
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s->p++ - '0', &n))
			return tv_fail(t, "a number is too large");
	*out = tv_int(n);
	return 0;
}

/* The one function there is: config_get(key, default). */
static int config_get(struct trun *t, struct tv_src *s, struct tval *out)
{
	struct tval key = { .type = TV_NIL }, dflt = { .type = TV_NIL };
	const char *have;
	char room[24];
	int r = tv_expr(t, s, &key);

	if (r == 0 && tv_take(s, ","))
		r = tv_expr(t, s, &dflt);
	if (r == 0 && !tv_take(s, ")"))
		r = tv_fail(t, "config_get(key, default) lacks its ')'");
	if (r < 0)
		return r;
	have = t->vars->config ? lxm_kv_get(t->vars->config, tv_text(&key, room)) : NULL;
	*out = have ? tv_str(have) : dflt;
	return 0;
}

/* .name, .0, ["name"], [0], again and again */
static int selectors(struct trun *t, struct tv_src *s, struct tval *v)
{
	struct tval key;
	const char *word;
	size_t len;
	char room[24];
	int r;

	for (;;) {
		if (s->p < s->end && *s->p == '.') {
			s->p++;
			for (len = 0, word = s->p; s->p < s->end && word_char(*s->p); s->p++)
				len++;
			if (!len)
				return tv_fail(t, "a name must follow '.'");
			if (v->type == TV_LIST && isdigit((unsigned char)*word))
				*v = item(v, *word - '0');
			else
				*v = attr(v, word, len);
		} else if (s->p < s->end && *s->p == '[') {
			s->p++;
			r = tv_expr(t, s, &key);
			if (r < 0)
				return r;
			if (!tv_take(s, "]"))
				return tv_fail(t, "']' is missing");
			if (v->type == TV_LIST) {
				*v = item(v, tv_number(&key));
			} else {
				const char *name = tv_text(&key, room);

				*v = attr(v, name, strlen(name));
			}
		} else {
			return 0;
		}
	}
}

static int primary(struct trun *t, struct tv_src *s, struct tval *out)
{
	const char *word;
	size_t len;
	int r;

	if (tv_at_end(s))
		return tv_fail(t, "an expression is missing");
	if (*s->p == '"' || *s->p == '\'')
		return literal(t, s, out);
	if (isdigit((unsigned char)*s->p))
		return number(t, s, out);
	if (tv_take(s, "(")) {
		r = tv_expr(t, s, out);
		if (r == 0 && !tv_take(s, ")"))
			r = tv_fail(t, "')' is missing");
		return r;
	}
	len = tv_word(s, &word);
	if (!len)
		return tv_fail(t, "unexpected '%.*s'", (int)(s->end - s->p < 20 ? s->end - s->p : 20), s->p);
	if (is(word, len, "config_get") && tv_take(s, "("))
		return config_get(t, s, out);
	if (s->p < s->end && *s->p == '(')
		return tv_fail(t, "'%.*s' is no function; there is config_get(key, default)", (int)(len < 50 ? len : 50), word);
	*out = root_name(t, word, len);
	return selectors(t, s, out);
}

/* primary|filter:arg|filter */
static int atom(struct trun *t, struct tv_src *s, struct tval *out)
{
	int r = tv_step(t);

	if (r == 0)
		r = primary(t, s, out);
	while (r == 0 && tv_take(s, "|")) {
		struct tval arg = { .type = TV_NIL };
		const char *name;
		size_t len;

		if (s->p < s->end && *s->p == '|') {
			s->p--; /* "||" is an or */
			break;
		}
		len = tv_word(s, &name);
		if (!len)
			return tv_fail(t, "a filter's name must follow '|'");
		if (s->p < s->end && *s->p == ':') {
			s->p++;
			r = primary(t, s, &arg);
		}
		if (r == 0)
			r = tv_filter(t, name, len, out, &arg);
	}
	return r;
}

static int unary(struct trun *t, struct tv_src *s, struct tval *out)
{
	int r;

	if (!tv_take(s, "-"))
		return atom(t, s, out);
	r = atom(t, s, out);
	if (r == 0)
		*out = tv_int((int64_t)(0 - (uint64_t)tv_number(out)));
	return r;
}

static int product(struct trun *t, struct tv_src *s, struct tval *out)
{
	int r = unary(t, s, out);

	while (r == 0) {
		struct tval b;
		char op;

		tv_at_end(s);
		op = s->p < s->end ? *s->p : 0;
		if (op != '*' && op != '/' && op != '%')
			break;
		s->p++;
		r = unary(t, s, &b);
		if (r < 0)
			break;
		if (op != '*' && (tv_number(&b) == 0 || (tv_number(&b) == -1 && tv_number(out) == INT64_MIN)))
			return tv_fail(t, "division by zero");
		if (op == '*')
			*out = tv_int((int64_t)((uint64_t)tv_number(out) * (uint64_t)tv_number(&b)));
		else
			*out = tv_int(op == '/' ? tv_number(out) / tv_number(&b) : tv_number(out) % tv_number(&b));
	}
	return r;
}

static int add(struct trun *t, struct tval *a, const struct tval *b)
{
	char ra[24], rb[24];
	const char *x, *y;
	char *joined;

	if (a->type != TV_STR && b->type != TV_STR) {
		*a = tv_int((int64_t)((uint64_t)tv_number(a) + (uint64_t)tv_number(b)));
		return 0;
	}
	x = tv_text(a, ra);
	y = tv_text(b, rb);
	joined = tv_alloc(t, strlen(x) + strlen(y) + 1);
	if (!joined)
		return -E2BIG;
	strcpy(joined, x);
	strcat(joined, y);
	*a = tv_str(joined);
	return 0;
}

static int sum(struct trun *t, struct tv_src *s, struct tval *out)
{
	int r = product(t, s, out);

	while (r == 0) {
		struct tval b;
		bool plus = tv_take(s, "+");

		if (!plus && !tv_take(s, "-"))
			break;
		r = product(t, s, &b);
		if (r == 0 && plus)
			r = add(t, out, &b);
		else if (r == 0)
			*out = tv_int((int64_t)((uint64_t)tv_number(out) - (uint64_t)tv_number(&b)));
	}
	return r;
}

/* Numbers by value, everything else by its text. */
static int compare(const struct tval *a, const struct tval *b)
{
	char ra[24], rb[24];
	bool numbers = (a->type == TV_INT || a->type == TV_BOOL) && (b->type == TV_INT || b->type == TV_BOOL);

	if (numbers)
		return a->i < b->i ? -1 : a->i > b->i;
	return strcmp(tv_text(a, ra), tv_text(b, rb));
}

static bool contains(const struct tval *in, const struct tval *what)
{
	char room[24];
	const char *s = tv_text(what, room);
	int64_t i;

	if (in->type == TV_STR)
		return strstr(in->s, s) != NULL;
	if (in->type == TV_KV)
		return lxm_kv_get(in->kv, s) != NULL;
	if (in->type == TV_DEVS)
		return lxm_devs_get(in->devs, s) != NULL;
	for (i = 0; in->type == TV_LIST && i < in->i; i++)
		if (compare(&in->list[i], what) == 0)
			return true;
	return false;
}

static int relation(struct trun *t, struct tv_src *s, struct tval *out)
{
	static const char *const ops[] = { "==", "!=", "<=", ">=", "<>", "<", ">", "not in", "in" };
	size_t i;
	int r = sum(t, s, out);

	while (r == 0) {
		struct tval b;
		int c;

		for (i = 0; i < LXM_ARRAY_LEN(ops) && !tv_take(s, ops[i]); i++)
			;
		if (i == LXM_ARRAY_LEN(ops))
			break;
		r = sum(t, s, &b);
		if (r < 0)
			break;
		c = compare(out, &b);
		if (i >= 7)
			*out = tv_bool(contains(&b, out) == (i == 8));
		else
			*out = tv_bool(i == 0 ? c == 0 : i == 1 || i == 4 ? c != 0 : i == 2 ? c <= 0 : i == 3 ? c >= 0 : i == 5 ? c < 0 : c > 0);
	}
	return r;
}

static int negation(struct trun *t, struct tv_src *s, struct tval *out)
{
	bool not = false;
	int r;

	for (;;) {
		tv_at_end(s);
		if (!tv_take(s, "not") && !(s->p + 1 < s->end && s->p[0] == '!' && s->p[1] != '=' && tv_take(s, "!")))
			break;
		not = !not;
		r = tv_step(t);
		if (r < 0)
			return r;
		*out = tv_bool(true);
	}
	r = relation(t, s, out);
	if (r == 0 && not)
		*out = tv_bool(!tv_true(out));
	return r;
}

static int conjunction(struct trun *t, struct tv_src *s, struct tval *out)
{
	int r = negation(t, s, out);

	while (r == 0 && (tv_take(s, "and") || tv_take(s, "&&"))) {
		struct tval b;

		r = negation(t, s, &b);
		if (r == 0)
			*out = tv_bool(tv_true(out) && tv_true(&b));
	}
	return r;
}

int tv_expr(struct trun *t, struct tv_src *s, struct tval *out)
{
	int r;

	if (++t->depth > DEPTH_MAX)
		return tv_fail(t, "nested too deeply");
	r = conjunction(t, s, out);
	while (r == 0 && (tv_take(s, "or") || tv_take(s, "||"))) {
		struct tval b;

		r = conjunction(t, s, &b);
		if (r == 0)
			*out = tv_bool(tv_true(out) || tv_true(&b));
	}
	t->depth--;
	return r;
}
