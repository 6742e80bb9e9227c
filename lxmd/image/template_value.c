/* Values of the template engine and the memory of a run: blocks that are freed together, bounded. */
#include <stdarg.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/image/template_int.h"

#define MEMORY_MAX (16U * 1024 * 1024)
#define STEPS_MAX  1000000U

struct tv_block {
	struct tv_block *next;
	max_align_t data[];
};

void *tv_alloc(struct trun *t, size_t n)
{
	struct tv_block *b;

	if (n > MEMORY_MAX || t->memory + n > MEMORY_MAX || !(b = lxm_try_alloc(sizeof(*b) + n))) {
		lxm_err_set(t->e, E2BIG, "line %u: the template needs too much memory", t->line);
		return NULL;
	}
	t->memory += n;
	b->next = t->blocks;
	t->blocks = b;
	return b->data;
}

void tv_free_all(struct trun *t)
{
	while (t->blocks) {
		struct tv_block *b = t->blocks;

		t->blocks = b->next;
		free(b);
	}
}

int tv_string(struct trun *t, const char *s, size_t n, struct tval *out)
{
	char *copy = tv_alloc(t, n + 1);

	if (!copy)
		return -E2BIG;
	memcpy(copy, s, n);
	copy[n] = 0;
	*out = (struct tval){ .type = TV_STR, .s = copy };
	return 0;
}

int tv_fail(struct trun *t, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return lxm_err_set(t->e, EINVAL, "line %u: %s", t->line, text);
}

int tv_step(struct trun *t)
{
	if (++t->steps > STEPS_MAX)
		return lxm_err_set(t->e, E2BIG, "line %u: the template takes too long", t->line);
	return 0;
}

bool tv_true(const struct tval *v)
{
	if (v->type == TV_BOOL || v->type == TV_INT)
		return v->i != 0;
	return v->type == TV_LOOP || (v->type != TV_NIL && tv_length(v) > 0);
}

const char *tv_text(const struct tval *v, char room[24])
{
	switch (v->type) {
	case TV_STR:
		return v->s;
	case TV_BOOL:
		return v->i ? "True" : "False";
	case TV_INT:
		snprintf(room, 24, "%lld", (long long)v->i);
		return room;
	default:
		return "";
	}
}

int64_t tv_number(const struct tval *v)
{
	int64_t n = 0;

	if (v->type == TV_INT || v->type == TV_BOOL)
		return v->i;
	return v->type == TV_STR && lxm_parse_i64(v->s, &n) == 0 ? n : 0;
}

int64_t tv_length(const struct tval *v)
{
	switch (v->type) {
	case TV_STR:
		return (int64_t)strlen(v->s);
	case TV_LIST:
		return v->i;
	case TV_KV:
		return (int64_t)v->kv->n;
	case TV_DEVS:
		return (int64_t)v->devs->n;
	default:
		return 0;
	}
}
