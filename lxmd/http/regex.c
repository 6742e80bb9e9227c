/*
 * Thompson's construction: the text becomes a program of few instructions, and matching walks all threads of
 * that program through the string at once, each instruction at most once per character. No state, any thread.
 *
 * The parser recurses once per open parenthesis, so their depth is bounded; repetitions copy the piece
 * they repeat, so the program's size is bounded as well.
 */
#include "lxmd/http/regex.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

#define PROG_MAX  2000
#define DEPTH_MAX 50
#define COUNT_MAX 1000 /* as in RE2 */

enum op { OP_SET, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH };

struct inst {
	uint8_t op;
	uint16_t x, y; /* SPLIT: both ways; JUMP: x; SET: index into sets */
};

/* 256 bits, one for each byte that fits */
struct set {
	uint8_t bits[32];
};

struct regex {
	size_t n, n_sets;
	struct inst prog[PROG_MAX];
	struct set *sets; /* owned */
};

struct parser {
	const char *s;
	struct regex *re;
	int depth;
	bool bad;
};

static void parse_alternatives(struct parser *p);

/* ---- sets */

static void set_add(struct set *set, unsigned char c)
{
	set->bits[c / 8] |= (uint8_t)(1u << (c % 8));
}

static bool set_has(const struct set *set, unsigned char c)
{
	return set->bits[c / 8] & (1u << (c % 8));
}

static void set_range(struct set *set, unsigned int from, unsigned int to)
{
	for (; from <= to; from++)
		set_add(set, (unsigned char)from);
}

static void set_invert(struct set *set)
{
	size_t i;

	for (i = 0; i < sizeof(set->bits); i++)
		set->bits[i] = (uint8_t)~set->bits[i];
}

/* Letters that are in it in one case are in it in the other as well. */
static void set_fold(struct set *set)
{
	unsigned char c;

	for (c = 'a'; c <= 'z'; c++)
		if (set_has(set, c) || set_has(set, (unsigned char)(c - 32))) {
			set_add(set, c);
			set_add(set, (unsigned char)(c - 32));
		}
}

/* \d and its kin; false if c names no class. */
static bool set_class(struct set *set, char c)
{
	struct set own = { { 0 } };
	size_t i;

	switch (c | 32) {
	case 'd':
		set_range(&own, '0', '9');
		break;
	case 'w':
		set_range(&own, '0', '9');
		set_range(&own, 'a', 'z');
		set_range(&own, 'A', 'Z');
		set_add(&own, '_');
		break;
	case 's':
		set_add(&own, ' ');
		set_range(&own, '\t', '\r');
		break;
	default:
		return false;
	}
	if (!(c & 32))
		set_invert(&own);
	for (i = 0; i < sizeof(own.bits); i++)
		set->bits[i] |= own.bits[i];
	return true;
}

static bool is_punct(char c)
{
	return c && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ", c);
}

/* ---- emitting */

static uint16_t emit(struct parser *p, enum op op, uint16_t x, uint16_t y)
{
	struct regex *re = p->re;

	if (p->bad || re->n >= PROG_MAX) {
		p->bad = true;
		return 0;
	}
	re->prog[re->n] = (struct inst){ (uint8_t)op, x, y };
	return (uint16_t)re->n++;
}

static void emit_set(struct parser *p, const struct set *set)
{
	struct regex *re = p->re;

	if (re->n_sets >= PROG_MAX) {
		p->bad = true;
		return;
	}
	re->sets = lxm_realloc_n(re->sets, re->n_sets + 1, sizeof(*re->sets));
	re->sets[re->n_sets] = *set;
	set_fold(&re->sets[re->n_sets]);
	emit(p, OP_SET, (uint16_t)re->n_sets++, 0);
}

/* Puts one instruction in front of `at`; what points behind it moves along. */
static void insert(struct parser *p, size_t at)
{
	struct regex *re = p->re;
	size_t i;

	emit(p, OP_JUMP, 0, 0);
	if (p->bad)
		return;
	memmove(re->prog + at + 1, re->prog + at, (re->n - 1 - at) * sizeof(re->prog[0]));
	for (i = at + 1; i < re->n; i++) {
		struct inst *in = &re->prog[i];

		if ((in->op == OP_SPLIT || in->op == OP_JUMP) && in->x >= at)
			in->x++;
		if (in->op == OP_SPLIT && in->y >= at)
			in->y++;
	}
}

/* Appends a copy of the `len` instructions that began at `from`. */
static void copy(struct parser *p, const struct inst *piece, size_t len, size_t from)
{
	long shift = (long)p->re->n - (long)from;
	size_t i;

	for (i = 0; i < len && !p->bad; i++) {
		struct inst in = piece[i];

		if (in.op == OP_SPLIT || in.op == OP_JUMP)
			in.x = (uint16_t)(in.x + shift);
		if (in.op == OP_SPLIT)
			in.y = (uint16_t)(in.y + shift);
		emit(p, in.op, in.x, in.y);
	}
}

/* What stands from `from` on becomes {min,max} of it; max < 0: no limit. */
static void repeat(struct parser *p, size_t from, long min, long max)
{
	struct regex *re = p->re;
	size_t len = re->n - from, at, i;
	lxm_auto(free) struct inst *piece = lxm_alloc((len + 1) * sizeof(*piece));
	long k, optional = max < 0 ? 1 : max - min;
	lxm_auto(free) uint16_t *ends = lxm_alloc(((size_t)optional + 1) * sizeof(*ends));

	memcpy(piece, re->prog + from, len * sizeof(*piece));
	re->n = from;
	for (k = 0; k < min; k++)
		copy(p, piece, len, from);
	for (k = 0; k < optional && !p->bad; k++) {
		at = re->n;
		ends[k] = emit(p, OP_SPLIT, (uint16_t)(at + 1), 0);
		copy(p, piece, len, from);
		if (max < 0)
			emit(p, OP_JUMP, (uint16_t)at, 0);
	}
	for (i = 0; !p->bad && i < (size_t)optional; i++)
		re->prog[ends[i]].y = (uint16_t)re->n;
}

/* ---- parsing */

/* [...]; s stands behind the bracket. */
static void parse_set(struct parser *p)
{
	struct set set = { { 0 } };
	bool invert = *p->s == '^', first = true;

	if (invert)
		p->s++;
	for (; (*p->s && *p->s != ']') || (first && *p->s == ']'); first = false) {
		unsigned char from = (unsigned char)*p->s++, to;

		if (from == '[' && *p->s == ':') { /* [[:alpha:]] is rare enough to be refused */
			p->bad = true;
			return;
		}
		if (from == '\\') {
			from = (unsigned char)*p->s;
			if (!from)
				break;
			p->s++;
			if (set_class(&set, (char)from))
				continue;
			if (!is_punct((char)from)) {
				p->bad = true;
				return;
			}
		}
		to = from;
		if (p->s[0] == '-' && p->s[1] && p->s[1] != ']') {
			p->s++;
			if (*p->s == '\\')
				p->s++;
			to = (unsigned char)*p->s;
			if (!to || to < from) {
				p->bad = true;
				return;
			}
			p->s++;
		}
		set_range(&set, from, to);
	}
	if (*p->s != ']') {
		p->bad = true;
		return;
	}
	p->s++;
	set_fold(&set);
	if (invert)
		set_invert(&set);
	emit_set(p, &set);
}

static void parse_group(struct parser *p)
{
	if (p->s[0] == '?') {
		if (p->s[1] != ':') { /* flags and names */
			p->bad = true;
			return;
		}
		p->s += 2;
	}
	if (++p->depth > DEPTH_MAX) {
		p->bad = true;
		return;
	}
	parse_alternatives(p);
	p->depth--;
	if (*p->s != ')')
		p->bad = true;
	else
		p->s++;
}

static void parse_atom(struct parser *p)
{
	struct set set = { { 0 } };
	char c = *p->s++;

	switch (c) {
	case '(':
		parse_group(p);
		return;
	case '[':
		parse_set(p);
		return;
	case '^':
		emit(p, OP_BEGIN, 0, 0);
		return;
	case '$':
		emit(p, OP_END, 0, 0);
		return;
	case '.':
		set_invert(&set);
		break;
	case '*':
	case '+':
	case '?':
		p->bad = true;
		return;
	case '\\':
		c = *p->s;
		if (c)
			p->s++;
		if (!set_class(&set, c)) {
			if (!is_punct(c))
				p->bad = true;
			set_add(&set, (unsigned char)c);
		}
		break;
	default:
		set_add(&set, (unsigned char)c);
	}
	emit_set(p, &set);
}

/* {m}, {m,}, {m,n}: true and s behind it; false if it is no count, and the brace is a literal then. */
static bool parse_count(struct parser *p, long *min, long *max)
{
	const char *s = p->s + 1;
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	*min = *max = strtol(s, &end, 10);
	if (*end == ',') {
		s = end + 1;
		*max = -1;
		end = (char *)s;
		if (*s >= '0' && *s <= '9')
			*max = strtol(s, &end, 10);
	}
	if (*end != '}')
		return false;
	if (*min > COUNT_MAX || *max > COUNT_MAX || (*max >= 0 && *max < *min))
		p->bad = true;
	p->s = end + 1;
	return true;
}

/* An atom and what repeats it. A second repetition right behind the first is an error, as in RE2. */
static void parse_piece(struct parser *p)
{
	size_t from = p->re->n;
	long min = 0, max = -1, m, n;

	parse_atom(p);
	if (p->bad)
		return;
	if (*p->s == '*' || *p->s == '+' || *p->s == '?') {
		min = *p->s == '+';
		max = *p->s == '?' ? 1 : -1;
		p->s++;
	} else if (*p->s != '{' || !parse_count(p, &min, &max)) {
		return;
	}
	if (*p->s == '?')
		p->s++; /* lazy: makes no difference to whether it matches */
	if (*p->s == '*' || *p->s == '+' || *p->s == '?' || (*p->s == '{' && parse_count(p, &m, &n)))
		p->bad = true;
	if (!p->bad)
		repeat(p, from, min, max);
}

static void parse_alternatives(struct parser *p)
{
	size_t from = p->re->n, jumps[64], n = 0, i;

	while (!p->bad && *p->s && *p->s != ')') {
		if (*p->s != '|') {
			parse_piece(p);
			continue;
		}
		p->s++;
		if (n == LXM_ARRAY_LEN(jumps)) {
			p->bad = true;
			return;
		}
		insert(p, from);
		jumps[n++] = emit(p, OP_JUMP, 0, 0);
		if (p->bad)
			return;
		p->re->prog[from] = (struct inst){ OP_SPLIT, (uint16_t)(from + 1), (uint16_t)p->re->n };
		from = p->re->n;
	}
	for (i = 0; !p->bad && i < n; i++)
		p->re->prog[jumps[i]].x = (uint16_t)p->re->n;
}

struct regex *regex_new(const char *text)
{
	struct regex *re = lxm_alloc(sizeof(*re));
	struct parser p = { .s = text, .re = re };

	parse_alternatives(&p);
	if (*p.s == ')')
		p.bad = true;
	emit(&p, OP_MATCH, 0, 0);
	if (p.bad) {
		regex_free(re);
		return NULL;
	}
	return re;
}

void regex_free(struct regex *re)
{
	if (!re)
		return;
	free(re->sets);
	free(re);
}

/* ---- matching */

/* Program positions that are alive at one place of the text, each once. */
struct threads {
	size_t n;
	uint16_t at[PROG_MAX];
	uint8_t seen[PROG_MAX];
};

/* Adds a position and all that it leads to without taking a character. Returns true when that is the match. */
static bool follow(const struct regex *re, struct threads *t, uint16_t start, bool begin, bool end)
{
	uint16_t todo[PROG_MAX];
	size_t n = 0;

	todo[n++] = start;
	while (n > 0) {
		uint16_t pc = todo[--n];
		const struct inst *in = &re->prog[pc];

		if (t->seen[pc])
			continue;
		t->seen[pc] = 1;
		switch (in->op) {
		case OP_MATCH:
			return true;
		case OP_SET:
			t->at[t->n++] = pc;
			break;
		case OP_JUMP:
			todo[n++] = in->x;
			break;
		case OP_SPLIT: /* the only one that adds to the list, and each once: it cannot overflow */
			assert(n + 2 <= PROG_MAX);
			todo[n++] = in->y;
			todo[n++] = in->x;
			break;
		case OP_BEGIN:
			if (begin)
				todo[n++] = (uint16_t)(pc + 1);
			break;
		case OP_END:
			if (end)
				todo[n++] = (uint16_t)(pc + 1);
			break;
		}
	}
	return false;
}

bool regex_search(const struct regex *re, const char *s)
{
	struct threads a, b, *now = &a, *next = &b, *swap;
	const char *at;
	size_t i;

	now->n = 0;
	memset(now->seen, 0, re->n);
	for (at = s;; at++) {
		/* a match may begin at every place */
		if (follow(re, now, 0, at == s, !*at))
			return true;
		if (!*at)
			return false;
		next->n = 0;
		memset(next->seen, 0, re->n);
		for (i = 0; i < now->n; i++) {
			const struct inst *in = &re->prog[now->at[i]];

			if (set_has(&re->sets[in->x], (unsigned char)*at) &&
			    follow(re, next, (uint16_t)(now->at[i] + 1), false, !at[1]))
				return true;
		}
		swap = now;
		now = next;
		next = swap;
	}
}
