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

void cli_join(const char *const *words, size_t n, char out[CLI_VERB_MAX])
{
	size_t i;

	out[0] = 0;
	for (i = 0; i < n; i++)
		snprintf(out + strlen(out), CLI_VERB_MAX - strlen(out), "%s%s", i ? " " : "", words[i]);
}

/* How long a word may be in doubt: behind what two texts have in common, up to a blank. */
static size_t doubtful(const char *got, const char *part)
{
	size_t i, from = 0;

	for (i = 0; got[i] && got[i] == part[i]; i++)
		if (got[i] == ' ')
			from = i + 1;
	return strlen(got + from);
}

bool cli_nearest_verb(const char *const *words, size_t n, char out[CLI_VERB_MAX])
{
	char got[CLI_VERB_MAX], part[CLI_VERB_MAX];
	size_t best = SIZE_MAX, d, want, len;
	const struct verb *v;

	out[0] = 0;
	for (v = verbs; v->name; v++) {
		/* "config", "config device" and "config device add" are all what somebody may have meant */
		for (want = 1, len = 0; v->group && v->name[len] && want <= n; want++) {
			len += strcspn(v->name + len + !!len, " ") + !!len;
			snprintf(part, sizeof(part), "%.*s", (int)len, v->name);
			cli_join(words, want, got);
			d = lxm_starts(part, got) ? strcmp(part, got) != 0 : distance(got, part);
			/* 0: right as far as it goes. The longer one of two that are as near says more */
			if (d && d <= 1 + doubtful(got, part) / 4 && (d < best || (d == best && strlen(part) > strlen(out)))) {
				best = d;
				snprintf(out, CLI_VERB_MAX, "%s", part);
			}
		}
	}
	return out[0];
}
