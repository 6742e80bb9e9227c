/* Help texts, all of them printed from the verb table (see cli.h). */
#include <stdio.h>
#include <string.h>

#include "lxmc/cli.h"

#define HELP_WIDTH 110

/* From column `at` on; words that find no room go to further lines, below the first one's. */
static void print_wrapped(size_t at, const char *text)
{
	size_t indent = at, n;

	for (;; text += n + 1) {
		n = strcspn(text, " ");
		if (at > indent && at + 1 + n > HELP_WIDTH) {
			printf("\n%*s", (int)indent, "");
			at = indent;
		}
		at += (size_t)printf("%s%.*s", at > indent ? " " : "", (int)n, text);
		if (!text[n])
			break;
	}
	printf("\n");
}

/* The global option is no use with this verb: it has one of that name itself, or does not know of many servers. */
static bool is_moot(const struct verb *v, const struct flag *f)
{
	static const char *const fleet[] = { "on", "parallel", "timeout" };
	const struct flag *own;
	size_t i;

	for (own = v->flags; own && own->name; own++)
		if (strcmp(own->name, f->name) == 0)
			return true;
	for (i = 0; !v->on && i < LXM_ARRAY_LEN(fleet); i++)
		if (strcmp(fleet[i], f->name) == 0)
			return true;
	return false;
}

/* All options of a table, or of the global ones those that have a meaning with the verb. */
static void print_flags(const struct flag *f, const struct verb *only_for)
{
	char left[64];

	for (; f && f->name; f++) {
		if (only_for && is_moot(only_for, f))
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
			 f->letter ? "," : " ", f->name, f->metavar ? " " : "", f->metavar ? f->metavar : "");
		print_wrapped((size_t)printf("  %-34s ", left), f->help);
	}
}

void help_verb(const struct verb *v)
{
	printf("%s\n\nUsage: lxmc %s%s%s%s\n", v->help, v->name, v->flags ? " [OPTIONS]" : "", *v->args ? " " : "",
	       v->args);
	if (v->flags) {
		printf("\nOptions:\n");
		print_flags(v->flags, NULL);
	}
	printf("\nGlobal options:\n");
	print_flags(global_flags, v);
	if (strstr(v->args, "KEY"))
		printf("\n'lxmc config keys PATTERN' tells what keys there are (PATTERN: limits.*, memory, project, device-disk ...).\n");
}

static bool is_below(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && (name[n] == ' ' || !name[n]);
}

/* Verbs below "image" or "storage volume". */
static bool print_below(const char *prefix)
{
	const struct verb *v;
	bool any = false;

	for (v = verbs; v->name; v++) {
		if (!v->group || !is_below(v->name, prefix))
			continue;
		if (!any)
			printf("Usage: lxmc %s VERB [OPTIONS] [ARGUMENTS]\n\nVerbs:\n", prefix);
		any = true;
		print_wrapped((size_t)printf("  %-30s ", v->name), v->help);
	}
	if (any)
		printf("\n'lxmc help %s VERB' tells more.\n", prefix);
	return any;
}

/* What can stand behind the word of a family, each once: "list, show, volume". */
static void print_family(const char *family)
{
	char words[512] = "";
	const struct verb *v;
	size_t n = strlen(family), len;

	for (v = verbs; v->name; v++) {
		const char *next = v->name + n + 1;
		char word[64];

		if (!v->group || !is_below(v->name, family) || !v->name[n])
			continue;
		len = strcspn(next, " ");
		snprintf(word, sizeof(word), " %.*s,", (int)len, next);
		if (!strstr(words, word))
			snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s", word);
	}
	words[strlen(words) - 1] = 0;
	print_wrapped((size_t)printf("  %-12s ", family), words + 1);
}

/* One line for each verb of one word, and for each family of longer ones. */
static void print_all(void)
{
	const char *group = NULL;
	const struct verb *v, *w;
	char family[32];
	size_t n;

	printf("lxmc manages system containers on this host.\n\nUsage: lxmc VERB [OPTIONS] [ARGUMENTS]\n");
	for (v = verbs; v->name; v++) {
		if (!v->group)
			continue;
		n = strcspn(v->name, " ");
		snprintf(family, sizeof(family), "%.*s", (int)n, v->name);
		for (w = verbs; w < v; w++)
			if (is_below(w->name, family))
				break;
		if (w < v)
			continue;
		if (!group || strcmp(group, v->group) != 0)
			printf("\n%s:\n", v->group);
		group = v->group;
		if (v->name[n])
			print_family(family);
		else
			print_wrapped((size_t)printf("  %-12s ", v->name), v->help);
	}
	printf("\nGlobal options:\n");
	print_flags(global_flags, NULL);
	printf("\n'lxmc help VERB' tells more about one verb, 'lxmc help config' about all that begin with config.\n");
}

bool help_print(const char *const *words, size_t n)
{
	char joined[128] = "";
	const struct verb *v;
	size_t used, i;
	bool more = false;

	if (!n) {
		print_all();
		return true;
	}
	for (i = 0; i < n; i++)
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s", i ? " " : "", words[i]);
	v = cli_find_verb(words, n, &used);
	if (v && used == n) {
		help_verb(v);
		for (v = verbs; v->name; v++)
			more |= v->group && strlen(v->name) > strlen(joined) && is_below(v->name, joined);
		if (more) {
			printf("\n");
			print_below(joined);
		}
		return true;
	}
	return print_below(joined);
}
