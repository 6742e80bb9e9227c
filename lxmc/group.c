/* remote group add, remove, list and show, see verb.h. */
#include <string.h>

#include "lib/api/json.h"
#include "lxmc/client.h"
#include "lxmc/hosts.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

int verb_group_add(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = cli_conf(cli, e);

	for (i = 1; i < cli->n_args && r == 0; i++)
		r = group_add(cli->conf, cli->args[0], cli->args[i], e);
	return r < 0 ? r : conf_save(cli->conf, e);
}

int verb_group_remove(struct cli *cli, struct lxm_err *e)
{
	size_t i;
	int r = cli_conf(cli, e);

	if (r == 0 && cli->n_args == 1)
		r = group_remove(cli->conf, cli->args[0], NULL, e);
	for (i = 1; i < cli->n_args && r == 0; i++)
		r = group_remove(cli->conf, cli->args[0], cli->args[i], e);
	return r < 0 ? r : conf_save(cli->conf, e);
}

int verb_group_list(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *all = json_object();
	lxm_auto(strv) struct lxm_strv names = { 0 };
	lxm_auto(table) struct table t = { 0 };
	size_t i;
	int r = cli_conf(cli, e);

	if (r < 0)
		return r;
	table_head(&t, "NAME");
	table_head(&t, "REMOTES");
	group_names(cli->conf, &names);
	for (i = 0; i < names.n; i++) {
		lxm_auto(strv) struct lxm_strv members = { 0 };

		if (group_members(cli->conf, names.v[i], &members, NULL) < 0)
			continue;
		table_cell(&t, names.v[i]);
		lxm_strv_take(&t.cells, lxm_strv_join(&members, ", "));
		json_object_set_new(all, names.v[i], js_from_strv(&members));
	}
	return out_list(cli, &t, all, e);
}

int verb_group_show(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv members = { 0 };
	lxm_auto(json) json_t *list = NULL;
	int r = cli_conf(cli, e);

	if (r == 0)
		r = group_members(cli->conf, cli->args[0], &members, e);
	if (r < 0)
		return r;
	list = js_from_strv(&members);
	return out_object(cli, list, NULL, e);
}
