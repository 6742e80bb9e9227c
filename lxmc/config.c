/* `config` verbs on an instance, or without one on the server ("REMOTE:": on that one). See verb.h. Which it is, the
 * arguments tell: names of instances hold neither '.' nor '='. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/edit.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* Hands the verb to the shared handler, with the kind of object that the arguments mean. */
static int hand_on(struct cli *cli, const struct entity *ent, int (*run)(struct cli *cli, struct lxm_err *e),
		   struct lxm_err *e)
{
	struct verb v = *cli->verb;
	const struct verb *old = cli->verb;
	int r;

	v.data = ent;
	cli->verb = &v;
	r = run(cli, e);
	cli->verb = old;
	return r;
}

static bool is_server_key(const char *arg)
{
	return strpbrk(arg, ".=") != NULL;
}

/* "web:": the server itself. */
static bool is_remote(const char *arg)
{
	return *arg && arg[strlen(arg) - 1] == ':';
}

/* What the first argument names, where there is one that is no key of the server. */
static const struct entity *named(const char *arg)
{
	return is_remote(arg) ? &entity_server_of : &entity_instance;
}

/* "config get KEY" or "config get INSTANCE KEY"; with one argument it must be a server's key. */
int verb_config_get(struct cli *cli, struct lxm_err *e)
{
	if (cli->n_args == 1 && !is_server_key(cli->args[0]))
		return cli_usage(e, "config get wants a key of the server (with a '.' in it), or an instance and a key");
	return hand_on(cli, cli->n_args == 1 ? &entity_server : named(cli->args[0]), verb_entity_get, e);
}

int verb_config_set(struct cli *cli, struct lxm_err *e)
{
	bool server = is_server_key(cli->args[0]);

	if (!server && cli->n_args < 2)
		return cli_usage(e, "config set wants KEY=VALUE after the instance");
	return hand_on(cli, server ? &entity_server : named(cli->args[0]), verb_entity_set, e);
}

int verb_config_unset(struct cli *cli, struct lxm_err *e)
{
	if (cli->n_args == 1 && !is_server_key(cli->args[0]))
		return cli_usage(e, "config unset wants a key after the instance");
	return hand_on(cli, cli->n_args == 1 ? &entity_server : named(cli->args[0]), verb_entity_unset, e);
}

int verb_config_show(struct cli *cli, struct lxm_err *e)
{
	const struct entity *ent = cli->n_args ? named(cli->args[0]) : &entity_server;
	lxm_auto(json) json_t *o = NULL, *shown = NULL;
	int r = entity_read(cli, ent, &o, e);

	if (r < 0)
		return r;
	if (cli_has(cli, "expanded") && ent == &entity_instance) {
		json_object_set(o, "config", json_object_get(o, "expanded_config"));
		json_object_set(o, "devices", json_object_get(o, "expanded_devices"));
	}
	shown = entity_writable(ent, o);
	return out_object(cli, shown, ent->order, e);
}

int verb_config_edit(struct cli *cli, struct lxm_err *e)
{
	return hand_on(cli, cli->n_args ? named(cli->args[0]) : &entity_server, verb_entity_edit, e);
}
