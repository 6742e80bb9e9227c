/* lxmc: the command line of lxm. One thread, no privilege; finds the verb, runs it, says what went wrong. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lxmc/cli.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* Wrong usage is 2, other failures 1; exec keeps 1 to 124 for the command and says 125. */
static int exit_status(const struct cli *cli, const struct lxm_err *e)
{
	if (cli_is_usage(e))
		return EXIT_USAGE;
	return cli->verb && cli->verb->stop_after ? EXIT_EXEC_SETUP : EXIT_FAILURE;
}

static int run(struct cli *cli, struct lxm_err *e)
{
	if (cli_has(cli, "version"))
		return verb_version(cli, e);
	if (!cli->verb) {
		if (help_print(cli->args, cli->n_args))
			return cli_has(cli, "help") ? 0 : EXIT_USAGE;
		return cli_usage(e, "unknown verb '%s'; see 'lxmc help'", cli->n_args ? cli->args[0] : "");
	}
	if (cli_has(cli, "help")) {
		help_verb(cli->verb);
		return 0;
	}
	return cli->verb->run(cli, e);
}

int main(int argc, char **argv)
{
	struct cli cli = { 0 };
	struct lxm_err e = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = cli_parse(&cli, argc - 1, (const char *const *)argv + 1, &e);
	if (r == 0)
		r = run(&cli, &e);
	if (r < 0) {
		out_error(*e.msg ? e.msg : strerror(-r));
		r = exit_status(&cli, &e);
	}
	if (fflush(stdout) != 0 && r == 0) {
		if (errno != EPIPE)
			out_error("cannot write the output");
		r = EXIT_FAILURE;
	}
	cli_deinit(&cli);
	return r;
}
