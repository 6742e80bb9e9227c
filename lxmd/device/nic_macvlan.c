/* NICs of type macvlan: a link of its own MAC on top of a host link, made inside; the host cannot reach it, the network can. */
#include "lxmd/device/nic_priv.h"

static int macvlan_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	return nic_check_vlan(c, e);
}

static int macvlan_add(struct device_ctx *c, struct lxm_err *e)
{
	char mac[18];

	return nic_mac(c, NULL, false, mac, e);
}

struct names {
	char mac[18], parent[IFNAMSIZ], inside[IFNAMSIZ];
};

/* What nic_parent_put() undoes. */
static int resolve(struct device_ctx *c, struct names *b, struct plan_nic *n, struct lxm_err *e)
{
	int r = nic_mac(c, NULL, false, b->mac, e);

	if (r == 0)
		r = nic_parent_get(c, b->parent, e);
	if (r < 0)
		return r;
	nic_name(c, b->inside);
	*n = (struct plan_nic){
		.kind = PLAN_NIC_MACVLAN,
		.peer = b->inside,
		.parent = b->parent,
		.mac = b->mac,
		.mtu = nic_mtu(c, 0),
		.txqlen = nic_txqlen(c),
	};
	return 0;
}

static int make(struct device_ctx *c, struct plan *plan, const struct device_live *live, struct lxm_err *e)
{
	struct plan_nic n;
	struct names b;
	int r = resolve(c, &b, &n, e);

	if (r == 0)
		r = nic_make(c, &n, plan, live, e);
	if (r < 0 && !c->replan)
		nic_parent_put(c);
	return r;
}

static int macvlan_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	return make(c, plan, NULL, e);
}

static int macvlan_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	return make(c, NULL, live, e);
}

const struct device_type nic_macvlan = {
	.name = "macvlan",
	.validate = macvlan_validate,
	.add = macvlan_add,
	.start = macvlan_start,
	.stop = nic_parent_put,
	.hot_add = macvlan_hot_add,
};
