/*
 * The file templates of images (Django/pongo2 syntax). Worker threads. The text is foreign, the result becomes a file in the container:
 * there is no tag or filter that reads anything but the variables, and time, memory and output are bounded (CVE-2026-33897).
 *
 * The text is cut into pieces once; then pieces are run, loops by going back to their first piece.
 */
#include "lxmd/image/template.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/image/template_int.h"

#define PIECES_MAX  20000
#define NESTING_MAX 32

enum piece_kind { PIECE_TEXT, PIECE_VALUE, PIECE_TAG };

struct piece {
	enum piece_kind kind;
	const char *p, *end;	   /* text, or the inside of a tag */
	const char *word;	   /* PIECE_TAG: its name */
	size_t word_len;
	unsigned int line;
};

struct render {
	struct trun t;
	struct piece *v;
	size_t n, cap;
	struct lxm_buf *out;
	size_t start; /* of out */
	bool autoescape;
	const struct tv_loop *loop;
	unsigned int nesting;
};

static bool is_tag(const struct piece *p, const char *name)
{
	return p->kind == PIECE_TAG && strlen(name) == p->word_len && memcmp(p->word, name, p->word_len) == 0;
}

/* ---- cutting */

static int add_piece(struct render *r, enum piece_kind kind, const char *p, const char *end, unsigned int line)
{
	struct piece *q;

	if (kind == PIECE_TEXT && p == end)
		return 0;
	if (r->n == PIECES_MAX)
		return lxm_err_set(r->t.e, E2BIG, "the template has more than %d tags", PIECES_MAX);
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->v = lxm_realloc_n(r->v, r->cap, sizeof(*r->v));
	}
	q = &r->v[r->n++];
	memset(q, 0, sizeof(*q));
	q->kind = kind;
	q->line = line;
	q->p = p;
	q->end = end;
	if (kind == PIECE_TAG) {
		struct tv_src s = { p, end };

		q->word_len = tv_word(&s, &q->word);
		q->p = s.p;
	}
	return 0;
}

/* The end of a tag that begins at p, quotes respected; NULL if there is none. */
static const char *tag_end(const char *p, const char *end, char close)
{
	char quote = 0;

	for (; p + 1 < end; p++) {
		if (quote) {
			if (*p == '\\')
				p++;
			else if (*p == quote)
				quote = 0;
		} else if (close != '#' && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else if (*p == close && p[1] == '}') {
			return p;
		}
	}
	return NULL;
}

static unsigned int count_lines(const char *p, const char *end)
{
	unsigned int n = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		n++;
		p++;
	}
	return n;
}

/* {% raw %} and {% verbatim %}: everything up to their end is text. Returns where the text ends, NULL if there is no end. */
static const char *raw_end(const struct piece *tag, const char *p, const char *end, const char **after)
{
	char want[32];
	const char *q = p;

	snprintf(want, sizeof(want), "end%.*s", (int)tag->word_len, tag->word);
	while (q < end && (q = memmem(q, (size_t)(end - q), "{%", 2))) {
		const char *stop = tag_end(q + 2, end, '%');
		struct tv_src s = { q + 2, stop };

		if (stop && tv_take(&s, want) && tv_at_end(&s)) {
			*after = stop + 2;
			return q;
		}
		q += 2;
	}
	return NULL;
}

static int cut(struct render *r, const char *p, const char *end)
{
	unsigned int line = 1;
	int rc = 0;

	while (rc == 0 && p < end) {
		const char *open = p, *stop, *in, *next, *text_end;
		char kind;

		do
			open = memchr(open, '{', (size_t)(end - open));
		while (open && (open + 1 == end || (open[1] != '{' && open[1] != '%' && open[1] != '#')) && ++open < end);
		if (!open || open + 1 >= end)
			return add_piece(r, PIECE_TEXT, p, end, line);
		kind = open[1];
		text_end = open;
		in = open + 2;
		if (in < end && *in == '-') { /* {%- eats the blanks before it */
			in++;
			while (text_end > p && isspace((unsigned char)text_end[-1]))
				text_end--;
		}
		rc = add_piece(r, PIECE_TEXT, p, text_end, line);
		line += count_lines(p, open);
		r->t.line = line;
		stop = tag_end(in, end, kind == '{' ? '}' : kind);
		if (rc == 0 && !stop)
			return tv_fail(&r->t, "a tag that begins here does not end");
		if (rc < 0)
			return rc;
		next = stop + 2;
		if (stop > in && stop[-1] == '-') {
			stop--;
			while (next < end && isspace((unsigned char)*next))
				next++;
		}
		if (kind != '#')
			rc = add_piece(r, kind == '{' ? PIECE_VALUE : PIECE_TAG, in, stop, line);
		if (rc == 0 && kind == '%' && (is_tag(&r->v[r->n - 1], "raw") || is_tag(&r->v[r->n - 1], "verbatim"))) {
			const char *after = NULL, *raw = raw_end(&r->v[r->n - 1], next, end, &after);

			if (!raw)
				return tv_fail(&r->t, "this tag has no end");
			r->n--;
			rc = add_piece(r, PIECE_TEXT, next, raw, line);
			next = after;
		}
		line += count_lines(open, next);
		p = next;
	}
	return rc;
}

/* ---- running */

static int run_until(struct render *r, size_t *i, const char *const *ends, bool live);

static int put(struct render *r, const char *s, size_t n)
{
	if (r->out->len - r->start + n > TEMPLATE_OUT_MAX)
		return lxm_err_set(r->t.e, E2BIG, "line %u: the result is larger than 4 MiB", r->t.line);
	lxm_buf_add(r->out, s, n);
	return 0;
}

static int expr_to_end(struct render *r, struct tv_src *s, struct tval *v)
{
	int rc = tv_expr(&r->t, s, v);

	if (rc == 0 && !tv_at_end(s))
		rc = tv_fail(&r->t, "unexpected '%.*s'", (int)(s->end - s->p < 40 ? s->end - s->p : 40), s->p);
	return rc;
}

static int put_value(struct render *r, struct tval *v)
{
	char room[24];
	const char *s;
	int rc;

	if (r->autoescape && !v->safe && (rc = tv_escape(&r->t, v)) < 0)
		return rc;
	s = tv_text(v, room);
	return put(r, s, strlen(s));
}

static int push_name(struct render *r, const char *name, size_t len, const struct tval *v)
{
	struct tv_name *n = tv_alloc(&r->t, sizeof(*n));

	if (!n)
		return -E2BIG;
	n->name = name;
	n->len = len;
	n->value = *v;
	n->next = r->t.names;
	r->t.names = n;
	return 0;
}

static int run_if(struct render *r, size_t *i, bool live)
{
	static const char *const ends[] = { "elif", "else", "endif", NULL };
	bool taken = false;

	for (;;) {
		const struct piece *p = &r->v[*i];
		struct tv_src s = { p->p, p->end };
		bool now = live && !taken;
		struct tval v;
		int rc;

		r->t.line = p->line;
		if (now && !is_tag(p, "else")) {
			rc = expr_to_end(r, &s, &v);
			if (rc < 0)
				return rc;
			now = tv_true(&v);
		}
		taken |= now;
		++*i;
		rc = run_until(r, i, ends, now);
		if (rc < 0)
			return rc;
		if (is_tag(&r->v[*i], "endif"))
			return 0;
	}
}

/* {% for a[, b] in EXPR [reversed] [sorted] %} */
struct loop_head {
	const char *a, *b;
	size_t a_len, b_len;
	struct tval over;
	bool reversed;
};

static int read_for(struct render *r, const struct piece *p, struct loop_head *h)
{
	struct tv_src s = { p->p, p->end };
	int rc;

	memset(h, 0, sizeof(*h));
	h->a_len = tv_word(&s, &h->a);
	if (tv_take(&s, ","))
		h->b_len = tv_word(&s, &h->b);
	if (!h->a_len || !tv_take(&s, "in"))
		return tv_fail(&r->t, "for wants: for NAME in EXPRESSION");
	rc = tv_expr(&r->t, &s, &h->over);
	while (rc == 0 && !tv_at_end(&s)) {
		if (tv_take(&s, "reversed"))
			h->reversed = true;
		else if (!tv_take(&s, "sorted"))
			rc = tv_fail(&r->t, "unexpected words after the list of a for");
	}
	return rc;
}

/* Item k of what is looped over: a key and its value, or the item alone. */
static int bind_item(struct render *r, const struct loop_head *h, int64_t k)
{
	struct tval a = { .type = TV_NIL }, b = { .type = TV_NIL };
	int rc;

	if (h->over.type == TV_KV) {
		a = (struct tval){ .type = TV_STR, .s = h->over.kv->v[k].key };
		b = (struct tval){ .type = TV_STR, .s = h->over.kv->v[k].value };
	} else if (h->over.type == TV_DEVS) {
		a = (struct tval){ .type = TV_STR, .s = h->over.devs->v[k].name };
		b = (struct tval){ .type = TV_KV, .kv = &h->over.devs->v[k].kv };
	} else if (h->over.type == TV_LIST) {
		a = h->over.list[k];
	} else if (h->over.type == TV_STR) {
		rc = tv_string(&r->t, h->over.s + k, 1, &a);
		if (rc < 0)
			return rc;
	}
	rc = push_name(r, h->a, h->a_len, &a);
	return rc == 0 && h->b_len ? push_name(r, h->b, h->b_len, &b) : rc;
}

static int run_for(struct render *r, size_t *i, bool live)
{
	static const char *const ends[] = { "empty", "endfor", NULL };
	const struct tv_loop *outer = r->loop;
	struct tv_name *names = r->t.names;
	struct loop_head h;
	struct tv_loop loop = { .outer = outer };
	struct tval lv = { .type = TV_LOOP, .loop = &loop };
	size_t body;
	int rc = 0;

	r->t.line = r->v[*i].line;
	if (live) {
		rc = read_for(r, &r->v[*i], &h);
		loop.count = rc == 0 ? tv_length(&h.over) : 0;
	}
	body = ++*i;
	r->loop = &loop;
	for (; rc == 0 && loop.index < loop.count; loop.index++) {
		*i = body;
		r->t.names = names;
		rc = push_name(r, "forloop", 7, &lv);
		if (rc == 0)
			rc = bind_item(r, &h, h.reversed ? loop.count - 1 - loop.index : loop.index);
		if (rc == 0)
			rc = run_until(r, i, ends, true);
	}
	r->loop = outer;
	r->t.names = names;
	if (rc == 0 && loop.count == 0)
		rc = run_until(r, i, ends, false);
	if (rc == 0 && is_tag(&r->v[*i], "empty")) {
		static const char *const end[] = { "endfor", NULL };

		++*i;
		rc = run_until(r, i, end, live && loop.count == 0);
	}
	return rc;
}

/* {% set a = EXPR %}, {% with a = EXPR b = EXPR %} and the older {% with EXPR as a %} */
static int assign(struct render *r, const struct piece *p)
{
	struct tv_src s = { p->p, p->end }, probe = s;
	const char *name;
	struct tval v;
	size_t len;
	int rc;

	len = tv_word(&probe, &name);
	if (!len || !tv_take(&probe, "=") || (probe.p < probe.end && *probe.p == '=')) {
		rc = tv_expr(&r->t, &s, &v);
		if (rc == 0 && (!tv_take(&s, "as") || !(len = tv_word(&s, &name)) || !tv_at_end(&s)))
			rc = tv_fail(&r->t, "this tag wants: NAME = EXPRESSION");
		return rc < 0 ? rc : push_name(r, name, len, &v);
	}
	while (!tv_at_end(&s)) {
		len = tv_word(&s, &name);
		if (!len || !tv_take(&s, "="))
			return tv_fail(&r->t, "this tag wants: NAME = EXPRESSION");
		rc = tv_expr(&r->t, &s, &v);
		if (rc == 0)
			rc = push_name(r, name, len, &v);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int run_with(struct render *r, size_t *i, bool live)
{
	static const char *const ends[] = { "endwith", NULL };
	struct tv_name *names = r->t.names;
	int rc = live ? assign(r, &r->v[*i]) : 0;

	++*i;
	if (rc == 0)
		rc = run_until(r, i, ends, live);
	r->t.names = names;
	return rc;
}

static int run_autoescape(struct render *r, size_t *i, bool live)
{
	static const char *const ends[] = { "endautoescape", NULL };
	struct tv_src s = { r->v[*i].p, r->v[*i].end };
	bool was = r->autoescape;
	int rc;

	r->autoescape = tv_take(&s, "on");
	++*i;
	rc = run_until(r, i, ends, live);
	r->autoescape = was;
	return rc;
}

static int run_comment(struct render *r, size_t *i, bool live)
{
	/* what is inside need not even be well-formed */
	while (++*i < r->n)
		if (is_tag(&r->v[*i], "endcomment"))
			return 0;
	return tv_fail(&r->t, "a comment lacks its 'endcomment'");
}

static int run_firstof(struct render *r, size_t *i, bool live)
{
	struct tv_src s = { r->v[*i].p, r->v[*i].end };
	int rc = 0;

	while (live && rc == 0 && !tv_at_end(&s)) {
		struct tval v;

		rc = tv_expr(&r->t, &s, &v);
		if (rc == 0 && tv_true(&v))
			return put_value(r, &v);
	}
	return rc;
}

static int run_set(struct render *r, size_t *i, bool live)
{
	return live ? assign(r, &r->v[*i]) : 0;
}

/* Each runs the tag at piece *i and leaves *i at its last piece. */
static const struct tag_row {
	const char *name;
	int (*fn)(struct render *r, size_t *i, bool live);
} tags[] = {
	{ "autoescape", run_autoescape }, { "comment", run_comment }, { "firstof", run_firstof }, { "for", run_for },
	{ "if", run_if },		  { "set", run_set },	      { "with", run_with },
};

static int run_tag(struct render *r, size_t *i, bool live)
{
	const struct piece *p = &r->v[*i];
	size_t k;
	int rc;

	for (k = 0; k < LXM_ARRAY_LEN(tags); k++) {
		if (!is_tag(p, tags[k].name))
			continue;
		if (++r->nesting > NESTING_MAX)
			return tv_fail(&r->t, "tags are nested too deeply");
		rc = tags[k].fn(r, i, live);
		r->nesting--;
		return rc;
	}
	return tv_fail(&r->t, "tag '%.*s' is unknown here", (int)(p->word_len < 50 ? p->word_len : 50), p->word);
}

/* Runs pieces (or only skips them) up to a tag that is one of `ends`; *i is left there. NULL: to the end of the text. */
static int run_until(struct render *r, size_t *i, const char *const *ends, bool live)
{
	unsigned int begun = *i ? r->v[*i - 1].line : 1;
	int rc = 0;
	size_t k;

	for (; rc == 0 && *i < r->n; ++*i) {
		struct piece *p = &r->v[*i];
		struct tv_src s = { p->p, p->end };
		struct tval v;

		r->t.line = p->line;
		rc = tv_step(&r->t);
		if (rc < 0)
			return rc;
		if (p->kind == PIECE_TAG) {
			for (k = 0; ends && ends[k]; k++)
				if (is_tag(p, ends[k]))
					return 0;
			rc = run_tag(r, i, live);
		} else if (live && p->kind == PIECE_TEXT) {
			rc = put(r, p->p, (size_t)(p->end - p->p));
		} else if (live) {
			rc = expr_to_end(r, &s, &v);
			if (rc == 0)
				rc = put_value(r, &v);
		}
		if (rc < 0)
			return rc;
	}
	if (ends) {
		r->t.line = begun;
		return tv_fail(&r->t, "the tag that begins here lacks its '%s'", ends[0][0] == 'e' && ends[1] ? "end" : ends[0]);
	}
	return rc;
}

int template_render(const char *text, size_t len, const struct template_vars *vars, struct lxm_buf *out,
		    struct lxm_err *e)
{
	struct render r = { .t.vars = vars, .t.e = e, .t.line = 1, .out = out, .start = out->len };
	size_t i = 0;
	int rc;

	if (len > TEMPLATE_MAX)
		return lxm_err_set(e, E2BIG, "the template is larger than 1 MiB");
	if (memchr(text, 0, len))
		return lxm_err_set(e, EINVAL, "the template holds a NUL");
	rc = cut(&r, text, text + len);
	if (rc == 0)
		rc = run_until(&r, &i, NULL, true);
	free(r.v);
	tv_free_all(&r.t);
	return rc;
}
