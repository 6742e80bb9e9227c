/*
 * /1.0/metadata/configuration: the key tables of lib/conf as JSON, in the shape of LXD and Incus: configs, kind of object, group of keys, `keys`, a list
 * of objects with one key each. Worker threads.
 */
#include <string.h>

#include "lib/conf/doc.h"
#include "lib/conf/facts.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"

/* Groups as in LXD's own metadata. The first row that the key begins with counts; an empty one fits all. */
static const struct {
	const char *title, *prefix, *group;
} groups[] = {
	{ "instance", "boot.", "boot" },
	{ "instance", "cloud-init.", "cloud-init" },
	{ "instance", "limits.kernel.", "kernel-limits" },
	{ "instance", "limits.", "resource-limits" },
	{ "instance", "migration.", "migration" },
	{ "instance", "nvidia.", "nvidia" },
	{ "instance", "raw.", "raw" },
	{ "instance", "security.", "security" },
	{ "instance", "snapshots.", "snapshots" },
	{ "instance", "user.network-config", "cloud-init" },
	{ "instance", "user.user-data", "cloud-init" },
	{ "instance", "user.vendor-data", "cloud-init" },
	{ "instance", "volatile.", "volatile" },
	{ "instance", "", "miscellaneous" },
	{ "project", "features.", "features" },
	{ "project", "limits.", "limits" },
	{ "project", "restricted", "restricted" },
	{ "project", "", "specific" },
	{ "server", "cluster.", "cluster" },
	{ "server", "core.", "core" },
	{ "server", "images.", "images" },
	{ "server", "", "miscellaneous" },
	{ "device-", "", "device-conf" },
	{ "network-", "", "network-conf" },
	{ "storage-volume-", "", "volume-conf" },
	{ "storage-", "", "pool-conf" },
};

static const char *group_of(const char *title, const char *key)
{
	const char *what = lxm_streq(title, "profile") ? "instance" : title;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(groups); i++)
		if (lxm_starts(what, groups[i].title) && lxm_starts(key, groups[i].prefix))
			return groups[i].group;
	return "common";
}

static json_t *key_json(const struct conftable *t, const struct confkey *k)
{
	const char *why = conf_refusal(t, k->name), *rule = conf_rule(t, k->name), *ext = conf_extension(t, k->name);
	json_t *o = json_pack("{s:s, s:s, s:s}", "longdesc", "", "shortdesc", k->help, "type", conf_type_name(k->type));

	if (k->dflt)
		json_object_set_new(o, "defaultdesc", json_string(k->dflt));
	json_object_set_new(o, "liveupdate", json_string(k->flags & KEY_LIVE ? "yes" : "no"));
	if (k->flags & KEY_REQUIRED)
		json_object_set_new(o, "required", json_string("yes"));
	if (k->flags & KEY_VM)
		json_object_set_new(o, "condition", json_string("virtual machine"));
	/* lxm's own: why it cannot be set, what a restricted project has to open, where clients see that it is known */
	if (why)
		json_object_set_new(o, "refused", json_string(why));
	if (rule)
		json_object_set_new(o, "restrictedby", json_string(rule));
	if (ext)
		json_object_set_new(o, "extension", json_string(ext));
	return json_pack("{s:o}", k->name, o);
}

static json_t *table_json(const struct conf_named_table *t)
{
	json_t *all = json_object();
	size_t i;

	for (i = 0; i < t->table->n; i++) {
		const struct confkey *k = &t->table->keys[i];
		const char *group = group_of(t->title, k->name);

		if (!json_object_get(all, group))
			json_object_set_new(all, group, json_pack("{s:[]}", "keys"));
		json_array_append_new(json_object_get(json_object_get(all, group), "keys"), key_json(t->table, k));
	}
	return all;
}

int api_metadata_configuration_get(struct request *rq, struct lxm_err *e)
{
	json_t *configs = json_object();
	const struct conf_named_table *t;

	for (t = conf_all_tables(); t->table; t++)
		json_object_set_new(configs, t->title, table_json(t));
	return reply_sync(rq, json_pack("{s:o}", "configs", configs));
}
