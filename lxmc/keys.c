/* Configuration keys: the verb that lists them, and which of them a verb takes. What is refused is listed with the reason, and not offered. */
#include "lxmc/keys.h"

#include <fnmatch.h>
#include <jansson.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/conf/doc.h"
#include "lib/conf/facts.h"
#include "lib/conf/tables.h"
#include "lxmc/json.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* The first row that a verb begins with counts. */
static const struct {
	const char *verb, *tables;
} takes[] = {
	{ "config device", "device-*" },
	{ "config", "instance" },
	{ "copy", "instance" },
	{ "init", "instance" },
	{ "launch", "instance" },
	{ "move", "instance" },
	{ "network", "network-*" },
	{ "profile device", "device-*" },
	{ "profile", "profile" },
	{ "project", "project" },
	{ "storage volume", "storage-volume-*" },
	{ "storage", "storage-[!v]*" },
};

static bool is_whole_refused(const struct conf_named_table *t)
{
	return conf_refusal(t->table, "type-of-all-keys") != NULL;
}

static void add_table(const struct conf_named_table *t, struct lxm_strv *out)
{
	size_t i;

	for (i = 0; i < t->table->n; i++) {
		const struct confkey *k = &t->table->keys[i];
		lxm_auto(free) char *name = lxm_strndup(k->name, strcspn(k->name, "*"));

		if (*name && !(k->flags & KEY_DAEMON) && !conf_refusal(t->table, k->name) && !lxm_strv_has(out, name))
			lxm_strv_add(out, name);
	}
}

void keys_of_verb(const char *verb, bool server, struct lxm_strv *out)
{
	const struct conf_named_table *t;
	const char *tables = NULL;
	size_t i;

	for (i = 0; !tables && i < LXM_ARRAY_LEN(takes); i++)
		if (lxm_starts(verb, takes[i].verb))
			tables = server ? "server" : takes[i].tables;
	for (t = conf_all_tables(); tables && t->table; t++)
		if (conf_fact_fits(tables, t->title) && !is_whole_refused(t))
			add_table(t, out);
}

static const char *when(const struct conf_named_table *t, const struct confkey *k)
{
	if (conf_refusal(t->table, k->name))
		return "refused";
	if (k->flags & KEY_FIXED)
		return "at creation";
	return k->flags & KEY_LIVE ? "at once" : "next start";
}

static void list_one(const struct conf_named_table *t, const struct confkey *k, struct table *out, json_t *all)
{
	const char *why = conf_refusal(t->table, k->name), *rule = conf_rule(t->table, k->name), *what = why ? why : k->help;

	table_cell(out, k->name);
	table_cell(out, t->title);
	table_cell(out, conf_type_name(k->type));
	table_cell(out, k->dflt ? k->dflt : "");
	table_cell(out, when(t, k));
	table_cell(out, what);
	json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "key", k->name, "of", t->title, "type", conf_type_name(k->type),
					     "default", k->dflt ? k->dflt : "", "when", when(t, k), "restricted_by", rule ? rule : "",
					     "what", what));
}

/* A pattern with a star, a part of the key, or the kind of object. */
static bool wanted(const struct cli *cli, const char *title, const char *key)
{
	size_t i;

	for (i = 0; i < cli->n_args; i++)
		if (fnmatch(cli->args[i], key, 0) == 0 || strstr(key, cli->args[i]) || strcmp(cli->args[i], title) == 0)
			return true;
	return !cli->n_args;
}

int verb_config_keys(struct cli *cli, struct lxm_err *e)
{
	static const char *const heads[] = { "KEY", "OF", "TYPE", "DEFAULT", "WHEN", "WHAT" };
	lxm_auto(table) struct table out = { 0 };
	lxm_auto(json) json_t *all = json_array();
	const struct conf_named_table *t;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(heads); i++)
		table_head(&out, heads[i]);
	for (t = conf_all_tables(); t->table; t++) {
		/* a profile takes what an instance takes */
		if (t->table == &conf_profile || is_whole_refused(t))
			continue;
		for (i = 0; i < t->table->n; i++)
			if (!(t->table->keys[i].flags & KEY_DAEMON) && wanted(cli, t->title, t->table->keys[i].name))
				list_one(t, &t->table->keys[i], &out, all);
	}
	if (!json_array_size(all))
		return lxm_err_set(e, ENOENT, "no key is called that; 'lxmc config keys' lists all");
	return out_list(cli, &out, all, e);
}
