/* Server configuration across the two databases, and PUT and PATCH of /1.0. Worker threads. */
#include "lxmd/api/server_config.h"

#include <string.h>

#include "db/config.h"
#include "db/node.h"
#include "db/storage.h"
#include "lib/api/json.h"
#include "lxmd/api/api.h"
#include "lxmd/core/daemon.h"
#include "lxmd/storage/pool.h"

static int load_node(struct db_ntx *tx, void *arg, struct lxm_err *e)
{
	return db_node_config_load(tx, arg, e);
}

static int load_cluster(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_config_load(tx, arg, e);
}

int server_config_load(struct lxmd *d, struct lxm_kv *out, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv node = { 0 };
	int r = db_node_read(d->node, load_node, &node, e);

	if (r == 0)
		r = db_read(d->db, load_cluster, out, e);
	if (r == 0)
		lxm_kv_merge(out, &node);
	return r;
}

static int load_pools(struct db_tx *tx, void *arg, struct lxm_err *e)
{
	return db_pool_list(tx, arg, e);
}

/* Names of the drivers in use, " | " between them, as LXD shows it. */
static char *pool_drivers(struct lxmd *d)
{
	lxm_auto(db_pools) struct db_pools pools = { 0 };
	lxm_auto(strv) struct lxm_strv names = { 0 };
	size_t i;

	if (db_read(d->db, load_pools, &pools, NULL) == 0)
		for (i = 0; i < pools.n; i++)
			if (!lxm_strv_has(&names, pools.v[i].driver))
				lxm_strv_add(&names, pools.v[i].driver);
	return lxm_strv_join(&names, " | ");
}

void server_add_storage(struct lxmd *d, json_t *environment)
{
	lxm_auto(free) char *names = pool_drivers(d);
	const char *const *driver;
	json_t *list = json_array();

	for (driver = storage_drivers(); *driver; driver++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:b}", "Name", *driver, "Version", "1",
						      "Remote", 0));
	json_object_set_new(environment, "storage", js_string(names));
	json_object_set_new(environment, "storage_version", json_string("1"));
	json_object_set_new(environment, "storage_supported_drivers", list);
}

json_t *server_config_json(const struct lxm_kv *config)
{
	return js_from_kv(config);
}
