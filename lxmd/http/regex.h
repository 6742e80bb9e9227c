/*
 * Regular expressions that a client may choose: RE2's common subset, matched in time proportional to
 * expression times text, in bounded memory. (The C library's regcomp() takes exponential memory for "x++++...".)
 */
#ifndef LXMD_HTTP_REGEX_H
#define LXMD_HTTP_REGEX_H

#include <stdbool.h>

#include "lib/base/auto.h"

struct regex;

/**
 * Compile: literals, . [set] [^set] ( ) (?: ) | * + ? {m} {m,} {m,n}, lazy forms of them, ^ $,
 * \d \w \s \D \W \S, and a backslash before punctuation. Case does not matter (ASCII).
 *
 * Any thread. Returns NULL when the text is none of that, or expands beyond some thousand states; regex_free() it.
 */
struct regex *regex_new(const char *text);

/** True if it matches somewhere in s. Any thread; memory on the stack only. */
bool regex_search(const struct regex *re, const char *s);

void regex_free(struct regex *re);
LXM_AUTO_PTR(regex_free, struct regex, regex_free)

#endif
