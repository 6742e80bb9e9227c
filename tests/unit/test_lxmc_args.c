/* lxmc/args and suggest: the verb table, options and typos. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmc/cli.h"

#define PARSE(...)                                                   \
	const char *argv[] = { __VA_ARGS__ };                        \
	struct cli cli = { 0 };                                      \
	struct lxm_err e = { 0 };                                    \
	int r = cli_parse(&cli, (int)LXM_ARRAY_LEN(argv), argv, &e)

static void the_longest_verb_wins(void)
{
	PARSE("config", "device", "list", "c1");

	CU_ASSERT(r == 0);
	CU_ASSERT_STRING_EQUAL(cli.verb->name, "config device list");
	CU_ASSERT(cli.n_args == 1);
	CU_ASSERT_STRING_EQUAL(cli.args[0], "c1");
	cli_deinit(&cli);
}

static void options_stand_anywhere(void)
{
	PARSE("--project", "p1", "-q", "delete", "c1", "-f", "c2", "--interactive");

	CU_ASSERT(r == 0 && cli.n_args == 2 && cli.quiet);
	CU_ASSERT_STRING_EQUAL(cli.project, "p1");
	CU_ASSERT(cli_has(&cli, "force") && cli_has(&cli, "interactive"));
	CU_ASSERT_PTR_NULL(cli.args[2]);
	cli_deinit(&cli);
}

static void values_come_in_every_form(void)
{
	PARSE("launch", "img", "c1", "-ca=1", "-c", "b=2", "--config=c=3", "--config", "d=4", "-e");
	size_t at = 0;

	CU_ASSERT(r == 0);
	CU_ASSERT_STRING_EQUAL(cli_next(&cli, "config", &at), "a=1");
	CU_ASSERT_STRING_EQUAL(cli_next(&cli, "config", &at), "b=2");
	CU_ASSERT_STRING_EQUAL(cli_next(&cli, "config", &at), "c=3");
	CU_ASSERT_STRING_EQUAL(cli_next(&cli, "config", &at), "d=4");
	CU_ASSERT_PTR_NULL(cli_next(&cli, "config", &at));
	CU_ASSERT(cli_has(&cli, "ephemeral"));
	cli_deinit(&cli);
}

static void exec_leaves_the_command_alone(void)
{
	PARSE("exec", "c1", "--user", "7", "ls", "-l", "--", "--user");

	CU_ASSERT(r == 0 && cli.n_args == 5);
	CU_ASSERT_STRING_EQUAL(cli.args[1], "ls");
	CU_ASSERT_STRING_EQUAL(cli.args[2], "-l");
	CU_ASSERT_STRING_EQUAL(cli.args[3], "--");
	CU_ASSERT_STRING_EQUAL(cli.args[4], "--user");
	CU_ASSERT_STRING_EQUAL(cli_opt(&cli, "user", ""), "7");
	cli_deinit(&cli);
}

static void exec_takes_dashes_before_the_command(void)
{
	PARSE("exec", "c1", "--", "-x", "--", "y");

	CU_ASSERT(r == 0 && cli.n_args == 4);
	CU_ASSERT_STRING_EQUAL(cli.args[1], "-x");
	CU_ASSERT_STRING_EQUAL(cli.args[2], "--");
	cli_deinit(&cli);
}

static void wrong_usage_is_told(void)
{
	static const char *const bad[][3] = {
		{ "lsit", NULL, NULL },	      { "list", "--colums", NULL }, { "exec", NULL, NULL },
		{ "rename", "c1", NULL },     { "profile", NULL, NULL },    { "stop", "--timeout", NULL },
		{ "version", "extra", NULL }, { "start", "-x", NULL },
	};
	static const char *const say[] = { "did you mean 'list'", "did you mean '--columns'", "INSTANCE", "NAME",
					   "wants a verb",	  "wants a value",	      "too many", "unknown option" };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(bad); i++) {
		struct cli cli = { 0 };
		struct lxm_err e = { 0 };
		int argc = bad[i][1] ? 2 : 1;

		CU_ASSERT(cli_parse(&cli, argc, bad[i], &e) < 0);
		CU_ASSERT(cli_is_usage(&e));
		CU_ASSERT_PTR_NOT_NULL(strstr(e.msg, say[i]));
		if (!strstr(e.msg, say[i]))
			printf("'%s' does not say '%s'\n", e.msg, say[i]);
		cli_deinit(&cli);
	}
}

static void bounds_come_from_the_args_text(void)
{
	size_t min, max;
	char word[32];

	cli_arg_bounds("INSTANCE [KEY=VALUE...]", &min, &max);
	CU_ASSERT(min == 1 && max == SIZE_MAX);
	cli_arg_bounds("", &min, &max);
	CU_ASSERT(min == 0 && max == 0);
	cli_arg_bounds("A [B] [C]", &min, &max);
	CU_ASSERT(min == 1 && max == 3);
	CU_ASSERT(cli_arg_word("A [B] C...", 1, word, sizeof(word)) && strcmp(word, "B") == 0);
	CU_ASSERT(cli_arg_word("A [B] C...", 9, word, sizeof(word)) && strcmp(word, "C") == 0);
	CU_ASSERT_FALSE(cli_arg_word("A", 1, word, sizeof(word)));
}

/* Every row is whole, and no two rows answer to the same words or letters. Only --timeout means one thing before the verb
 * (with --on) and may mean another after it. */
static void the_table_is_sound(void)
{
	const struct verb *v, *w;
	const struct flag *f, *g;

	for (v = verbs; v->name; v++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(v->args);
		CU_ASSERT_PTR_NOT_NULL(v->help);
		CU_ASSERT_PTR_NOT_NULL((void *)v->run);
		for (w = v + 1; w->name; w++)
			CU_ASSERT_STRING_NOT_EQUAL(v->name, w->name);
		for (f = v->flags; f && f->name; f++) {
			CU_ASSERT_PTR_NOT_NULL(f->help);
			for (g = f + 1; g->name; g++) {
				CU_ASSERT_STRING_NOT_EQUAL(f->name, g->name);
				CU_ASSERT(!f->letter || f->letter != g->letter);
			}
			for (g = global_flags; g->name; g++) {
				CU_ASSERT(strcmp(f->name, g->name) != 0 || strcmp(f->name, "timeout") == 0);
				CU_ASSERT(!f->letter || f->letter != g->letter);
			}
		}
	}
}

static void far_words_get_no_suggestion(void)
{
	static const char *const words[] = { "list", "launch" };

	CU_ASSERT_STRING_EQUAL(cli_nearest("lits", words, 2), "list");
	CU_ASSERT_STRING_EQUAL(cli_nearest("lunch", words, 2), "launch");
	CU_ASSERT_PTR_NULL(cli_nearest("xyzzy", words, 2));
}

UNIT_MAIN("lxmc/args", { "the longest verb wins", the_longest_verb_wins },
	  { "options stand anywhere", options_stand_anywhere },
	  { "values come in every form", values_come_in_every_form },
	  { "exec leaves the command alone", exec_leaves_the_command_alone },
	  { "exec takes dashes before the command", exec_takes_dashes_before_the_command },
	  { "wrong usage is told", wrong_usage_is_told },
	  { "bounds come from the args text", bounds_come_from_the_args_text },
	  { "the table is sound", the_table_is_sound },
	  { "far words get no suggestion", far_words_get_no_suggestion })
