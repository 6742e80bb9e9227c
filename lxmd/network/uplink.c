/*
 * Network types `macvlan` and `physical`: a managed name for a link of the host, with VLAN and MTU. The network itself
 * makes nothing; NICs that name it inherit what it says and do the rest.
 *
 * Worker threads, with the networks' `change` lock held.
 */
#include <string.h>

#include "lib/conf/tables.h"
#include "lxmd/network/network_priv.h"

static int uplink_fill(struct lxmd *d, bool create, struct lxm_kv *config, struct lxm_err *e)
{
	return 0;
}

static int check(const char *type, const struct lxm_kv *config, struct lxm_err *e)
{
	int r = conf_check(conf_network(type), config, e);

	if (r < 0)
		return r;
	if (lxm_empty(lxm_kv_get(config, "parent")))
		return lxm_err_set(e, EINVAL, "a %s network needs the key 'parent', a link of the host", type);
	if (lxm_kv_bool(config, "gvrp", false) && lxm_empty(lxm_kv_get(config, "vlan")))
		return lxm_err_set(e, EINVAL, "gvrp needs a vlan");
	return 0;
}

static int macvlan_validate(const char *name, const struct lxm_kv *config, struct lxm_err *e)
{
	return check("macvlan", config, e);
}

static int physical_validate(const char *name, const struct lxm_kv *config, struct lxm_err *e)
{
	return check("physical", config, e);
}

static int uplink_start(struct network *n, struct lxm_err *e)
{
	const char *parent = lxm_kv_or(&n->config, "parent", "");

	if (network_is_managed(n->d, parent))
		return lxm_err_set(e, EINVAL, "parent '%s' is a managed network itself", parent);
	if (strlen(parent) >= IFNAMSIZ || !if_nametoindex(parent))
		return lxm_err_http(e, 400, ENODEV, "there is no link '%s' on the host", parent);
	return 0;
}

static void uplink_release(struct network *n)
{
}

static int uplink_stop(struct network *n, struct lxm_err *e)
{
	return 0;
}

const struct network_type network_macvlan = {
	.name = "macvlan",
	.flags = NETWORK_CAN_RENAME,
	.fill = uplink_fill,
	.validate = macvlan_validate,
	.start = uplink_start,
	.release = uplink_release,
	.stop = uplink_stop,
};

const struct network_type network_physical = {
	.name = "physical",
	.flags = NETWORK_CAN_RENAME,
	.fill = uplink_fill,
	.validate = physical_validate,
	.start = uplink_start,
	.release = uplink_release,
	.stop = uplink_stop,
};

bool network_uplink(struct lxmd *d, const char *name, struct lxm_kv *keys_out)
{
	static const char *const inherited[] = { "gvrp", "mtu", "parent", "vlan" };
	struct networks *ns = d->networks;
	const struct network *n;
	bool is;
	size_t i;

	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	is = n && !(n->type->flags & NETWORK_HAS_PORTS);
	if (is && keys_out) {
		lxm_kv_set(keys_out, "nictype", n->type->name);
		for (i = 0; i < LXM_ARRAY_LEN(inherited); i++)
			if (!lxm_empty(lxm_kv_get(&n->config, inherited[i])))
				lxm_kv_set(keys_out, inherited[i], lxm_kv_get(&n->config, inherited[i]));
	}
	pthread_mutex_unlock(&ns->lock);
	return is;
}
