/* Profiles beyond what every kind of object has, see verb.h: copying, and which ones an instance has. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmc/entity.h"
#include "lxmc/json.h"
#include "lxmc/verb.h"

int verb_profile_copy(struct cli *cli, struct lxm_err *e)
{
	lxm_auto(json) json_t *o = NULL;
	json_t *body;
	const char *from, *to;
	struct client *c, *dest;
	int r;

	r = cli_target(cli, cli->args[0], &c, &from, e);
	if (r == 0)
		r = cli_target(cli, cli->args[1], &dest, &to, e);
	if (r == 0)
		r = client_get(c, client_url(c, "/1.0/profiles/%s", from), &o, e);
	if (r < 0)
		return r;
	body = entity_writable(&entity_profile, o);
	json_object_set_new(body, "name", json_string(to));
	return client_change(dest, "POST", client_url(dest, "/1.0/profiles"), body, e);
}

static int index_of(const json_t *list, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (lxm_streq(json_string_value(item), name))
			return (int)i;
	return -1;
}

static json_t *profiles_of(json_t *o)
{
	json_t *list = json_object_get(o, "profiles");

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(o, "profiles", list);
	}
	return list;
}

static int do_add(json_t *o, void *arg, struct lxm_err *e)
{
	struct cli *cli = arg;
	json_t *list = profiles_of(o);

	if (index_of(list, cli->args[1]) >= 0)
		return lxm_err_set(e, EEXIST, "instance '%s' has profile '%s' already", cli->args[0], cli->args[1]);
	return json_array_append_new(list, json_string(cli->args[1]));
}

static int do_remove(json_t *o, void *arg, struct lxm_err *e)
{
	struct cli *cli = arg;
	json_t *list = profiles_of(o);
	int i = index_of(list, cli->args[1]);

	if (i < 0)
		return lxm_err_set(e, ENOENT, "instance '%s' has no profile '%s'", cli->args[0], cli->args[1]);
	return json_array_remove(list, (size_t)i);
}

/* "a,b" as lxc writes it, or several arguments; "" for none. */
static int do_assign(json_t *o, void *arg, struct lxm_err *e)
{
	struct cli *cli = arg;
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *list = profiles_of(o);
	size_t i;

	for (i = 1; i < cli->n_args; i++)
		lxm_strv_split(&names, cli->args[i], ',');
	json_array_clear(list);
	for (i = 0; i < names.n; i++)
		json_array_append_new(list, json_string(names.v[i]));
	return 0;
}

static int change(struct cli *cli, entity_edit_fn fn, const char *what, struct lxm_err *e)
{
	lxm_auto(free) char *url = NULL;
	struct client *c;
	const char *name;
	int r = cli_target(cli, cli->args[0], &c, &name, e);

	if (r < 0)
		return r;
	url = client_url(c, entity_instance.one, name);
	r = entity_change(c, &entity_instance, url, fn, cli, e);
	if (r == 0 && !cli->quiet)
		printf("Profile %s %s %s\n", cli->args[1], what, name);
	return r;
}

int verb_profile_add(struct cli *cli, struct lxm_err *e)
{
	return change(cli, do_add, "added to", e);
}

int verb_profile_remove(struct cli *cli, struct lxm_err *e)
{
	return change(cli, do_remove, "removed from", e);
}

int verb_profile_assign(struct cli *cli, struct lxm_err *e)
{
	return change(cli, do_assign, "assigned to", e);
}
