/* Strings: a growing buffer, vectors of strings, checks and number parsing. */
#ifndef LXM_BASE_STR_H
#define LXM_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"

/* A growing byte buffer, always NUL-terminated once something was added. Zeroed is empty. */
struct lxm_buf {
	char *data; /* owned; NULL while empty */
	size_t len, cap;
};

void lxm_buf_deinit(struct lxm_buf *b);
/** Append bytes, a string, one character, formatted text; the NUL behind them is kept up. */
void lxm_buf_add(struct lxm_buf *b, const void *data, size_t len);
void lxm_buf_str(struct lxm_buf *b, const char *s);
void lxm_buf_chr(struct lxm_buf *b, char c);
void lxm_buf_fmt(struct lxm_buf *b, const char *fmt, ...) LXM_PRINTF(2, 3);
void lxm_buf_vfmt(struct lxm_buf *b, const char *fmt, va_list ap);
/** Make room for n more bytes (and a NUL) behind len, so that a caller can fill them and move len on. */
void lxm_buf_room(struct lxm_buf *b, size_t n);
/** Hands the string to the caller (free() it; "" when nothing was added) and empties b. */
char *lxm_buf_take(struct lxm_buf *b);
LXM_AUTO_STRUCT(buf, struct lxm_buf, lxm_buf_deinit)

/* A vector of owned strings, NULL-terminated. Zeroed is empty (v is NULL then). */
struct lxm_strv {
	char **v; /* owned, n strings and a NULL */
	size_t n;
};

void lxm_strv_deinit(struct lxm_strv *s);
/** Append, copy and change a vector; every string in it is its own. */
void lxm_strv_add(struct lxm_strv *s, const char *str);	   /* copies */
void lxm_strv_take(struct lxm_strv *s, char *str);	   /* takes ownership */
void lxm_strv_copy(struct lxm_strv *to, const struct lxm_strv *from); /* `to` is emptied first */
/** True if an equal string is in s. */
bool lxm_strv_has(const struct lxm_strv *s, const char *str);
bool lxm_strv_del(struct lxm_strv *s, const char *str);	   /* true if it was there */
void lxm_strv_split(struct lxm_strv *s, const char *str, char sep); /* adds the parts, empty ones left out */
/** By strcmp, in place. */
void lxm_strv_sort(struct lxm_strv *s);
/** All strings with sep between them; free() it. */
char *lxm_strv_join(const struct lxm_strv *s, const char *sep);
LXM_AUTO_STRUCT(strv, struct lxm_strv, lxm_strv_deinit)

static inline bool lxm_streq(const char *a, const char *b)
{
	return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}
static inline bool lxm_empty(const char *s)
{
	return !s || !*s;
}
/** True if s begins (ends) with the other string; both non-NULL. */
bool lxm_starts(const char *s, const char *prefix);
bool lxm_ends(const char *s, const char *suffix);
/** LXD booleans: true/1/yes/on and false/0/no/off, any case. Returns 1, 0, or -1 when it is neither. */
int lxm_parse_bool(const char *s);
/** Whole decimal number, nothing around it. Returns 0, -EINVAL, -ERANGE. */
int lxm_parse_i64(const char *s, int64_t *out);
int lxm_parse_u64(const char *s, uint64_t *out);
/** "10MiB", "2GB", "512": units B kB MB GB TB PB EB (1000) and KiB ... EiB (1024). Returns 0, -EINVAL, -ERANGE. */
int lxm_parse_bytes(const char *s, uint64_t *out);
/** Human size with binary units ("12.34MiB"), as lxc prints it; free() it. */
char *lxm_format_bytes(uint64_t n);
/** True if s is valid UTF-8 without NUL; len bytes. */
bool lxm_utf8_ok(const char *s, size_t len);
/** A copy with each byte that is not part of valid UTF-8 replaced by U+FFFD; free() it. */
char *lxm_utf8_clean(const char *s);
/** Lowercase hex of n bytes into out (2n+1 bytes). */
void lxm_hex(char *out, const void *data, size_t n);
/** True if s consists of n lowercase hex digits, n in [min,max]. */
bool lxm_is_hex(const char *s, size_t min, size_t max);
/** Fill with random bytes from getrandom(2); ends the process if the kernel has none. */
void lxm_random(void *out, size_t n);
/** n random bytes as hex; free() it. */
char *lxm_random_hex(size_t n);
/** Random UUID (version 4) into out (37 bytes). */
void lxm_uuid(char out[37]);
/** True if s is written as lxm_uuid() does; NULL is not. */
bool lxm_is_uuid(const char *s);
/** Percent-encode everything but unreserved characters (and those in `keep`); free() it. */
char *lxm_url_encode(const char *s, const char *keep);
/** Percent-decode; '+' becomes a blank if plus is true. NULL for malformed input or an encoded NUL; free() it. */
char *lxm_url_decode(const char *s, size_t len, bool plus);
/** Compare in constant time; both NUL-terminated. */
bool lxm_secret_eq(const char *a, const char *b);

#endif
