/* lxmc: the command line of lxm. One thread, no privilege; finds the verb, runs it, says what went wrong. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lxmc/cli.h"
#include "lxmc/fleet_verb.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

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
	if (cli->verb->on == ON_SELF)
		return cli->verb->run(cli, e);
	if (fleet_option(cli, "on"))
		return fleet_verb(cli, e);
	if (fleet_option(cli, "parallel") || fleet_option(cli, "timeout"))
		return cli_usage(e, "--parallel and --timeout go with --on");
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
		r = cli_exit_status(&cli, &e);
	}
	if (fflush(stdout) != 0 && r == 0) {
		if (errno != EPIPE)
			out_error("cannot write the output");
		r = EXIT_FAILURE;
	}
	cli_deinit(&cli);
	return r;
}
