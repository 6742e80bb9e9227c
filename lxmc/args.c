/*
 * Command line parser, see cli.h. Words first (the longest verb that matches), then options and arguments mixed, until
 * "--" or, for exec, until the command to run begins. Values are borrowed from argv; nothing is copied.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/cli.h"
#include "lxmc/client.h"
#include "lxmc/conf.h"

const struct flag global_flags[] = {
	{ 'h', "help", NULL, "Show help and exit" },
	{ 'q', "quiet", NULL, "Print only what was asked for" },
	{ 0, "project", "PROJECT", "Use this project" },
	{ 0, "on", "HOSTS", "Run the verb on many servers: all, GROUP, REMOTE, PATTERN or !PATTERN, with commas between" },
	{ 0, "parallel", "N", "With --on: servers at a time (default 32)" },
	{ 0, "timeout", "SECONDS", "With --on: time for each server (default: 10 until its first answer)" },
	{ 0, "debug", NULL, "Show the requests on stderr" },
	{ 0, "version", NULL, "Show the version and exit" },
	{ 0, NULL, NULL, NULL },
};

#define ERR_USAGE 2 /* in lxm_err.http: no HTTP status is that small */

int cli_usage(struct lxm_err *e, const char *fmt, ...)
{
	va_list ap;
	char msg[400];

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return lxm_err_http(e, ERR_USAGE, EINVAL, "%s", msg);
}

bool cli_is_usage(const struct lxm_err *e)
{
	return e->http == ERR_USAGE;
}

int cli_exit_status(const struct cli *cli, const struct lxm_err *e)
{
	if (cli_is_usage(e))
		return EXIT_USAGE;
	return cli->verb && cli->verb->stop_after ? EXIT_EXEC_SETUP : EXIT_FAILURE;
}

bool cli_has(const struct cli *cli, const char *name)
{
	size_t at = 0;

	for (; at < cli->n_opts; at++)
		if (strcmp(cli->opts[at].flag->name, name) == 0)
			return true;
	return false;
}

const char *cli_next(const struct cli *cli, const char *name, size_t *at)
{
	while (*at < cli->n_opts) {
		const struct opt *o = &cli->opts[(*at)++];

		if (strcmp(o->flag->name, name) == 0)
			return o->value;
	}
	return NULL;
}

const char *cli_opt(const struct cli *cli, const char *name, const char *dflt)
{
	const char *v, *last = dflt;
	size_t at = 0;

	while ((v = cli_next(cli, name, &at)))
		last = v;
	return last;
}

int cli_number(const struct cli *cli, const char *name, int64_t *out, struct lxm_err *e)
{
	const char *v = cli_opt(cli, name, NULL);

	if (v && lxm_parse_i64(v, out) < 0)
		return cli_usage(e, "--%s wants a whole number, not '%s'", name, v);
	return 0;
}

/* The next placeholder of an args text: [start,len), whether optional, whether repeated. */
static const char *next_word(const char *s, const char **start, size_t *len, bool *optional, bool *repeat)
{
	size_t n;

	while (*s == ' ')
		s++;
	if (!*s)
		return NULL;
	n = strcspn(s, " ");
	*optional = *s == '[';
	*repeat = n >= 3 && memmem(s, n, "...", 3);
	*start = s + *optional;
	*len = strcspn(*start, " ].");
	return s + n;
}

void cli_arg_bounds(const char *args, size_t *min_out, size_t *max_out)
{
	const char *start;
	bool optional, repeat;
	size_t len;

	*min_out = *max_out = 0;
	while (args && (args = next_word(args, &start, &len, &optional, &repeat))) {
		if (!optional)
			(*min_out)++;
		if (repeat)
			*max_out = SIZE_MAX;
		else if (*max_out != SIZE_MAX)
			(*max_out)++;
	}
}

bool cli_arg_word(const char *args, size_t i, char *out, size_t room)
{
	const char *start;
	bool optional, repeat;
	size_t len;

	while (args && (args = next_word(args, &start, &len, &optional, &repeat))) {
		if (i && !repeat) {
			i--;
			continue;
		}
		snprintf(out, room, "%.*s", (int)len, start);
		return true;
	}
	return false;
}

/* How many words of the name match the given ones completely; 0 if the name asks for more or others. */
static size_t match_words(const char *name, const char *const *words, size_t n)
{
	size_t used = 0, len;

	for (; *name; name += len + (name[len] == ' '), used++) {
		len = strcspn(name, " ");
		if (used >= n || strncmp(words[used], name, len) != 0 || words[used][len])
			return 0;
	}
	return used;
}

const struct verb *cli_find_verb(const char *const *words, size_t n, size_t *used_out)
{
	const struct verb *v, *best = NULL;
	size_t used;

	*used_out = 0;
	for (v = verbs; v->name; v++) {
		used = match_words(v->name, words, n);
		if (used > *used_out) {
			*used_out = used;
			best = v;
		}
	}
	return best;
}

static const struct flag *in_table(const struct flag *f, const char *name, size_t n, char letter)
{
	for (; f && f->name; f++)
		if (name ? strncmp(f->name, name, n) == 0 && !f->name[n] : f->letter && f->letter == letter)
			return f;
	return NULL;
}

const struct flag *cli_find_flag(const struct verb *v, const char *name, size_t n, char letter)
{
	const struct flag *f = v ? in_table(v->flags, name, n, letter) : NULL;

	return f ? f : in_table(global_flags, name, n, letter);
}

static int unknown_flag(const struct verb *v, const char *word, struct lxm_err *e)
{
	const char *names[64];
	const char *near = NULL;
	const struct flag *f;
	size_t n = 0;

	for (f = v ? v->flags : NULL; f && f->name && n < 56; f++)
		names[n++] = f->name;
	for (f = global_flags; f->name; f++)
		names[n++] = f->name;
	if (lxm_starts(word, "--"))
		near = cli_nearest(word + 2, names, n);
	if (near)
		return cli_usage(e, "unknown option '%s'; did you mean '--%s'?", word, near);
	return cli_usage(e, "unknown option '%s'", word);
}

static void add_opt(struct cli *cli, const struct flag *f, const char *value)
{
	cli->opts = lxm_realloc_n(cli->opts, cli->n_opts + 1, sizeof(*cli->opts));
	cli->opts[cli->n_opts++] = (struct opt){ f, value };
}

/* "--name", "--name=value", "--name value". Returns how many further words it took, or < 0. */
static int long_option(struct cli *cli, const char *word, const char *next, struct lxm_err *e)
{
	size_t n = strcspn(word + 2, "=");
	const char *value = word[2 + n] ? word + 3 + n : NULL;
	const struct flag *f = cli_find_flag(cli->verb, word + 2, n, 0);
	int took = 0;

	if (!f)
		return unknown_flag(cli->verb, word, e);
	if (!f->metavar && value) {
		int on = lxm_parse_bool(value);

		if (on < 0)
			return cli_usage(e, "--%s takes no value", f->name);
		if (on == 0)
			return 0;
		value = NULL;
	}
	if (f->metavar && !value) {
		if (!next)
			return cli_usage(e, "--%s wants a value (%s)", f->name, f->metavar);
		value = next;
		took = 1;
	}
	add_opt(cli, f, value);
	return took;
}

/* "-f", "-fvalue", "-f value", "-qf value". */
static int short_options(struct cli *cli, const char *word, const char *next, struct lxm_err *e)
{
	const char *p;

	for (p = word + 1; *p; p++) {
		const struct flag *f = cli_find_flag(cli->verb, NULL, 0, *p);

		if (!f)
			return unknown_flag(cli->verb, word, e);
		if (!f->metavar) {
			add_opt(cli, f, NULL);
			continue;
		}
		if (p[1]) {
			add_opt(cli, f, p[1] == '=' ? p + 2 : p + 1);
			return 0;
		}
		if (!next)
			return cli_usage(e, "-%c wants a value (%s)", *p, f->metavar);
		add_opt(cli, f, next);
		return 1;
	}
	return 0;
}

/* How many of the words name a family of verbs, with the family in `out`: 1 of "config lsit", 0 of "lsit". */
static size_t family(const char *const *words, size_t n, char out[CLI_VERB_MAX])
{
	const struct verb *v;

	for (; n; n--) {
		size_t len;

		cli_join(words, n, out);
		len = strlen(out);
		for (v = verbs; v->name; v++)
			if (lxm_starts(v->name, out) && v->name[len] == ' ')
				return n;
	}
	out[0] = 0;
	return 0;
}

static int unknown_verb(const char *const *words, size_t n, struct lxm_err *e)
{
	char near[CLI_VERB_MAX], above[CLI_VERB_MAX], wrong[CLI_VERB_MAX];
	size_t known = family(words, n, above);

	if (known == n)
		return cli_usage(e, "'%s' wants a verb after it; see 'lxmc help %s'", above, above);
	cli_join(words, known + 1, wrong);
	if (cli_nearest_verb(words, n, near))
		return cli_usage(e, "unknown verb '%s'; did you mean '%s'?", wrong, near);
	return cli_usage(e, "unknown verb '%s'; see 'lxmc help%s%s'", wrong, known ? " " : "", above);
}

/* Which words are the verb: those before the first option, but global options may stand in front. */
static int find_verb(struct cli *cli, int argc, const char *const *argv, int *at, struct lxm_err *e)
{
	size_t words = 0, used;
	int r;

	while (*at < argc && argv[*at][0] == '-' && argv[*at][1]) {
		r = argv[*at][1] == '-' ? long_option(cli, argv[*at], *at + 1 < argc ? argv[*at + 1] : NULL, e) :
					  short_options(cli, argv[*at], *at + 1 < argc ? argv[*at + 1] : NULL, e);
		if (r < 0)
			return r;
		*at += 1 + r;
	}
	while (*at + (int)words < argc && argv[*at + (int)words][0] != '-')
		words++;
	if (!words)
		return 0;
	cli->verb = cli_find_verb(argv + *at, words, &used);
	if (!cli->verb) {
		/* "lxmc image --help" asks for the group */
		for (r = *at; r < argc && !cli_has(cli, "help"); r++)
			if (strcmp(argv[r], "--help") == 0 || strcmp(argv[r], "-h") == 0)
				add_opt(cli, &global_flags[0], NULL);
		if (!cli_has(cli, "help"))
			return unknown_verb(argv + *at, words, e);
		while (words--)
			cli->arg_store[cli->n_args++] = argv[(*at)++];
		*at = argc;
		return 0;
	}
	*at += (int)used;
	return 0;
}

static int check_bounds(struct cli *cli, struct lxm_err *e)
{
	size_t min, max;

	if (cli_has(cli, "help") || !cli->verb)
		return 0;
	cli_arg_bounds(cli->verb->args, &min, &max);
	if (cli->n_args < min)
		return cli_usage(e, "%s wants %s%s%s", cli->verb->name, min == 1 && max == 1 ? "an argument: " : "",
				 cli->verb->args, cli->n_args ? ", and one of them is missing" : "");
	if (cli->n_args > max)
		return cli_usage(e, "%s: '%s' is one argument too many", cli->verb->name, cli->args[max]);
	return 0;
}

int cli_parse(struct cli *cli, int argc, const char *const *argv, struct lxm_err *e)
{
	int at = 0, r;

	cli->arg_store = lxm_alloc(((size_t)argc + 1) * sizeof(*cli->arg_store));
	cli->args = cli->arg_store;
	r = find_verb(cli, argc, argv, &at, e);
	if (r < 0)
		return r;
	for (; at < argc; at++) {
		const char *w = argv[at], *next = at + 1 < argc ? argv[at + 1] : NULL;
		/* options may still stand between the instance and its command, not within the command */
		bool command = cli->verb->stop_after && cli->n_args > (size_t)cli->verb->stop_after;

		if (!command && strcmp(w, "--") == 0) {
			while (++at < argc)
				cli->arg_store[cli->n_args++] = argv[at];
			break;
		}
		if (command || w[0] != '-' || !w[1]) {
			cli->arg_store[cli->n_args++] = w;
			continue;
		}
		r = w[1] == '-' ? long_option(cli, w, next, e) : short_options(cli, w, next, e);
		if (r < 0)
			return r;
		at += r;
	}
	cli->quiet = cli_has(cli, "quiet");
	cli->debug = cli_has(cli, "debug");
	cli->project = cli_opt(cli, "project", NULL);
	return check_bounds(cli, e);
}

void cli_deinit(struct cli *cli)
{
	clients_free(cli->clients);
	conf_free(cli->conf);
	free(cli->opts);
	free(cli->arg_store);
	memset(cli, 0, sizeof(*cli));
}
