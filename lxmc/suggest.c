/* Did-you-mean: the candidate at the smallest edit distance, if that is small beside the word's length. See cli.h. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lxmc/cli.h"

#define WORD_MAX_BYTES 63

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits (insert, delete, replace, swap neighbours) that turn a into b. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX_BYTES + 1], n = strlen(a), m = strlen(b), i, j;
	size_t *before = rows[0], *prev = rows[1], *cur = rows[2], *tmp;

	if (n > WORD_MAX_BYTES || m > WORD_MAX_BYTES)
		return SIZE_MAX;
	for (j = 0; j <= m; j++)
		prev[j] = j;
	for (i = 1; i <= n; i++) {
		cur[0] = i;
		for (j = 1; j <= m; j++) {
			cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < cur[j])
				cur[j] = before[j - 2] + 1;
		}
		tmp = before;
		before = prev;
		prev = cur;
		cur = tmp;
	}
	return prev[m];
}

const char *cli_nearest(const char *word, const char *const *candidates, size_t n)
{
	size_t i, d, best = SIZE_MAX;
	const char *near = NULL;

	for (i = 0; i < n; i++) {
		d = distance(word, candidates[i]);
		if (d < best) {
			best = d;
			near = candidates[i];
		}
	}
	return near && best <= 1 + strlen(word) / 4 ? near : NULL;
}

const char *cli_nearest_verb(const char *const *words, size_t n)
{
	const struct verb *v;
	const char *near = NULL, *got;
	size_t best = SIZE_MAX, d;

	for (v = verbs; v->name; v++) {
		char joined[2 * WORD_MAX_BYTES];
		size_t want = 1, i;

		if (!v->group)
			continue;
		for (got = v->name; *got; got++)
			want += *got == ' ';
		joined[0] = 0;
		for (i = 0; i < want && i < n; i++)
			snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s", i ? " " : "",
				 words[i]);
		d = distance(joined, v->name);
		if (d < best && d <= 1 + strlen(joined) / 4) {
			best = d;
			near = v->name;
		}
	}
	return near;
}
