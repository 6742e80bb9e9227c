/* /1.0/metadata/configuration: the key tables of lib/conf as JSON, in the shape of LXD and Incus. Worker threads. */
#include <string.h>

#include "lib/conf/doc.h"
#include "lib/conf/tables.h"
#include "lxmd/api/api.h"

static json_t *key_json(const struct confkey *k)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "longdesc", "", "shortdesc", k->help, "type", conf_type_name(k->type));

	if (k->dflt)
		json_object_set_new(o, "defaultdesc", json_string(k->dflt));
	json_object_set_new(o, "liveupdate", json_string(k->flags & KEY_LIVE ? "yes" : "no"));
	if (k->flags & KEY_REQUIRED)
		json_object_set_new(o, "required", json_string("yes"));
	if (k->flags & KEY_VM)
		json_object_set_new(o, "condition", json_string("virtual machine"));
	if (k->flags & KEY_LATER)
		json_object_set_new(o, "condition", json_string("not applied yet"));
	return json_pack("{s:o}", k->name, o);
}

int api_metadata_configuration_get(struct request *rq, struct lxm_err *e)
{
	json_t *configs = json_object();
	const struct conf_named_table *t;
	size_t i;

	for (t = conf_all_tables(); t->table; t++) {
		json_t *keys = json_array();

		for (i = 0; i < t->table->n; i++)
			json_array_append_new(keys, key_json(&t->table->keys[i]));
		json_object_set_new(configs, t->title, json_pack("{s:{s:o}}", "common", "keys", keys));
	}
	return reply_sync(rq, json_pack("{s:o}", "configs", configs));
}
