/* version and help, see verb.h. */
#include <stdio.h>

#include "lxmc/client.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

int verb_version(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(free) char *safe = NULL;
	const char *version = "unreachable";
	struct client *c;
	json_t *server;

	if (cli->quiet || cli_has(cli, "version")) {
		printf("%s\n", LXM_VERSION);
		return 0;
	}
	if (cli_client(cli, NULL, &c, NULL) == 0 && client_server(c, &server, NULL) == 0)
		version = jtext(json_object_get(server, "environment"), "server_version");
	safe = out_safe(version);
	printf("Client version: %s\nServer version: %s\n", LXM_VERSION, safe);
	return 0;
}

int verb_help(struct cli *cli, struct lxm_err *e)
{
	char near[CLI_VERB_MAX], asked[CLI_VERB_MAX];

	if (help_print(cli->args, cli->n_args))
		return 0;
	cli_join(cli->args, cli->n_args, asked);
	if (cli_nearest_verb(cli->args, cli->n_args, near))
		return cli_usage(e, "there is no verb '%s'; did you mean '%s'?", asked, near);
	return cli_usage(e, "there is no verb '%s'; see 'lxmc help'", asked);
}
