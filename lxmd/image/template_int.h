/* The insides of the template engine: values, expressions, filters. Only template*.c include it. */
#ifndef LXMD_IMAGE_TEMPLATE_INT_H
#define LXMD_IMAGE_TEMPLATE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lxmd/image/template.h"

enum tv_type { TV_NIL, TV_BOOL, TV_INT, TV_STR, TV_LIST, TV_KV, TV_DEVS, TV_LOOP };

/* forloop */
struct tv_loop {
	int64_t index, count;	    /* from 0 */
	const struct tv_loop *outer; /* parentloop */
};

/* A value; what it points to belongs to the run's memory or to the caller of template_render(). */
struct tval {
	enum tv_type type;
	bool safe; /* went through |safe or |escape: autoescape leaves it alone */
	int64_t i; /* BOOL, INT; number of items of a LIST */
	union {
		const char *s;
		const struct tval *list;
		const struct lxm_kv *kv;
		const struct lxm_devs *devs;
		const struct tv_loop *loop;
	};
};

/* A name that for, with or set made. */
struct tv_name {
	const char *name;
	size_t len;
	struct tval value;
	struct tv_name *next; /* older ones */
};

struct tv_block;

/* One rendering. */
struct trun {
	const struct template_vars *vars;
	struct tv_name *names;	/* newest first */
	struct tv_block *blocks; /* all memory of the run */
	size_t memory;
	unsigned int steps, depth;
	unsigned int line; /* of the present tag, for messages */
	struct lxm_err *e;
};

/** Memory that lives as long as the run; NULL (with the error set) beyond 16 MiB. */
void *tv_alloc(struct trun *t, size_t n);
void tv_free_all(struct trun *t);
/** A copy of n bytes as a string value. */
int tv_string(struct trun *t, const char *s, size_t n, struct tval *out);
/** "line N: TEXT"; returns -EINVAL. */
int tv_fail(struct trun *t, const char *fmt, ...) LXM_PRINTF(2, 3);
/** Counts work; -E2BIG when a template asks for too much. */
int tv_step(struct trun *t);

/** What {% if %} takes for true. */
bool tv_true(const struct tval *v);
/** As it is printed; numbers go into room. */
const char *tv_text(const struct tval *v, char room[24]);
int64_t tv_number(const struct tval *v);
/** Items, pairs, devices, or bytes. */
int64_t tv_length(const struct tval *v);

/* A stretch of a tag's inside that is still to be read. */
struct tv_src {
	const char *p, *end;
};

/** Skip blanks; true at the end. */
bool tv_at_end(struct tv_src *s);
/** Take a word (letters, digits, '_') if there is one: its length, else 0. */
size_t tv_word(struct tv_src *s, const char **word);
/** Take exactly this word or sign if it comes next. */
bool tv_take(struct tv_src *s, const char *what);
/** Evaluate the expression that comes next. */
int tv_expr(struct trun *t, struct tv_src *s, struct tval *out);

/** Apply a filter; arg is TV_NIL when there is none. */
int tv_filter(struct trun *t, const char *name, size_t len, struct tval *v, const struct tval *arg);

/** HTML escaping, as |escape does it. */
int tv_escape(struct trun *t, struct tval *v);

#endif
