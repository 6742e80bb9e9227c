/*
 * The filter= language: parsed into a flat list of clauses, evaluated left to right. No state, any thread.
 *
 * String values are regular expressions chosen by a client, hence the engine of regex.c; a value that is no valid
 * expression is compared for equality.
 */
#include "lxmd/http/filter.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/http/regex.h"

#define TEXT_MAX    4096
#define CLAUSES_MAX 32
#define REGEX_MAX   256

struct clause {
	bool or_before; /* joined to what stands left of it by "or" */
	bool negate;	/* "not", or "ne" (both: twice) */
	char *field, *value;
	struct regex *regex; /* NULL: the value is no expression */
};

struct filter {
	size_t n;
	struct clause c[CLAUSES_MAX];
};

void filter_free(struct filter *f)
{
	size_t i;

	if (!f)
		return;
	for (i = 0; i < f->n; i++) {
		free(f->c[i].field);
		free(f->c[i].value);
		regex_free(f->c[i].regex);
	}
	free(f);
}

/* The next word, or "quoted words"; NULL at the end. *quoted tells which. Returns -EINVAL for an open quote. */
static int next_word(const char **at, char **out, bool *quoted, struct lxm_err *e)
{
	const char *s = *at, *end;

	*out = NULL;
	while (isspace((unsigned char)*s))
		s++;
	*quoted = *s == '"';
	if (*quoted) {
		end = strchr(++s, '"');
		if (!end)
			return lxm_err_set(e, EINVAL, "invalid filter: a quote is not closed");
		*out = lxm_strndup(s, (size_t)(end - s));
		*at = end + 1;
		return 0;
	}
	if (!*s) {
		*at = s;
		return 0;
	}
	for (end = s; *end && !isspace((unsigned char)*end); end++)
		;
	*out = lxm_strndup(s, (size_t)(end - s));
	*at = end;
	return 0;
}

static void compile(struct clause *c)
{
	lxm_auto(free) char *anchored = NULL;

	if (!*c->value || strlen(c->value) > REGEX_MAX)
		return;
	if (!strpbrk(c->value, "^$"))
		anchored = lxm_asprintf("^(%s)$", c->value);
	c->regex = regex_new(anchored ? anchored : c->value);
}

static int malformed(struct lxm_err *e, const char *want)
{
	return lxm_err_set(e, EINVAL, "invalid filter: expected %s ([not] FIELD eq|ne VALUE {and|or ...})",
			   want);
}

/* [not] FIELD eq|ne VALUE */
static int parse_clause(const char **at, struct clause *c, struct lxm_err *e)
{
	lxm_auto(free) char *op = NULL;
	bool quoted;
	int r = next_word(at, &c->field, &quoted, e);

	if (r == 0 && c->field && !quoted && strcasecmp(c->field, "not") == 0) {
		c->negate = true;
		free(c->field);
		r = next_word(at, &c->field, &quoted, e);
	}
	if (r < 0)
		return r;
	if (!c->field || !*c->field)
		return malformed(e, "a field");
	r = next_word(at, &op, &quoted, e);
	if (r < 0)
		return r;
	if (!op || quoted || (strcasecmp(op, "eq") != 0 && strcasecmp(op, "ne") != 0))
		return malformed(e, "'eq' or 'ne'");
	if (strcasecmp(op, "ne") == 0)
		c->negate = !c->negate;
	r = next_word(at, &c->value, &quoted, e);
	if (r < 0)
		return r;
	if (!c->value)
		return malformed(e, "a value");
	compile(c);
	return 0;
}

int filter_parse(const char *text, struct filter **f_out, struct lxm_err *e)
{
	lxm_auto(filter_free) struct filter *f = NULL;
	const char *at = text;
	bool or_before = false, quoted;
	int r;

	*f_out = NULL;
	if (!text || !text[strspn(text, " \t\r\n")])
		return 0;
	if (strlen(text) > TEXT_MAX)
		return lxm_err_set(e, EINVAL, "invalid filter: longer than %d bytes", TEXT_MAX);
	f = lxm_alloc(sizeof(*f));
	for (;;) {
		lxm_auto(free) char *word = NULL;

		if (f->n == CLAUSES_MAX)
			return lxm_err_set(e, EINVAL, "invalid filter: more than %d clauses", CLAUSES_MAX);
		f->n++;
		f->c[f->n - 1].or_before = or_before;
		r = parse_clause(&at, &f->c[f->n - 1], e);
		if (r < 0)
			return r;
		r = next_word(&at, &word, &quoted, e);
		if (r < 0)
			return r;
		if (!word)
			break;
		or_before = strcasecmp(word, "or") == 0;
		if (quoted || (!or_before && strcasecmp(word, "and") != 0))
			return malformed(e, "'and' or 'or'");
	}
	*f_out = LXM_TAKE(f, NULL);
	return 0;
}

/* The value at a dotted path: at each level the whole rest is tried as a key first ("user.x" in config). */
static const json_t *lookup(const json_t *o, const char *path)
{
	const json_t *v;

	while (json_is_object(o)) {
		lxm_auto(free) char *head = NULL;
		const char *dot;

		v = js_get(o, path);
		dot = strchr(path, '.');
		if (v || !dot)
			return v;
		head = lxm_strndup(path, (size_t)(dot - path));
		o = js_get(o, head);
		path = dot + 1;
	}
	return NULL;
}

static bool clause_match(const struct clause *c, const json_t *o)
{
	const json_t *v = lookup(o, c->field);
	char num[64] = "";
	bool hit;

	if (v && json_is_string(v)) {
		hit = c->regex ? regex_search(c->regex, json_string_value(v)) :
				 strcasecmp(json_string_value(v), c->value) == 0;
	} else {
		if (json_is_boolean(v))
			(void)snprintf(num, sizeof(num), "%s", json_is_true(v) ? "true" : "false");
		else if (json_is_integer(v))
			(void)snprintf(num, sizeof(num), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		else if (json_is_real(v))
			(void)snprintf(num, sizeof(num), "%g", json_real_value(v));
		hit = strcasecmp(num, c->value) == 0;
	}
	return hit != c->negate;
}

bool filter_match(const struct filter *f, const json_t *object)
{
	bool so_far = true;
	size_t i;

	for (i = 0; f && i < f->n; i++) {
		if (i == 0)
			so_far = clause_match(&f->c[i], object);
		else if (f->c[i].or_before)
			so_far = so_far || clause_match(&f->c[i], object);
		else
			so_far = so_far && clause_match(&f->c[i], object);
	}
	return so_far;
}
