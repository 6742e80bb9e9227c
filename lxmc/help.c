/* Help texts, all of them printed from the verb table (see cli.h). */
#include <stdio.h>
#include <string.h>

#include "lxmc/cli.h"

static void print_flags(const struct flag *f)
{
	char left[64];

	for (; f && f->name; f++) {
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
			 f->letter ? "," : " ", f->name, f->metavar ? " " : "", f->metavar ? f->metavar : "");
		printf("  %-34s %s\n", left, f->help);
	}
}

void help_verb(const struct verb *v)
{
	printf("%s\n\nUsage: lxmc %s%s%s%s\n", v->help, v->name, v->flags ? " [OPTIONS]" : "", *v->args ? " " : "",
	       v->args);
	if (v->flags) {
		printf("\nOptions:\n");
		print_flags(v->flags);
	}
	printf("\nGlobal options:\n");
	print_flags(global_flags);
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
		printf("  %-28s %s\n", v->name, v->help);
	}
	if (any)
		printf("\n'lxmc help %s VERB' tells more.\n", prefix);
	return any;
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
			printf("  %-12s ... (see 'lxmc help %s')\n", family, family);
		else
			printf("  %-12s %s\n", v->name, v->help);
	}
	printf("\nGlobal options:\n");
	print_flags(global_flags);
	printf("\n'lxmc help VERB' tells more about one verb.\n");
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
