/*
 * NICs of type ipvlan: a link that shares the MAC of a host link. In mode l2 it is in that link's network; in mode l3s the
 * host routes: it has the addresses on lo and answers for them on the parent.
 */
#include <string.h>

#include "lxmd/device/nic_l3.h"
#include "lxmd/network/netlink.h"

static bool is_l3s(const struct device_ctx *c)
{
	return strcmp(lxm_kv_or(c->kv, "mode", "l3s"), "l3s") == 0;
}

static int check_gateway(const struct device_ctx *c, int f, struct lxm_err *e)
{
	const char *gw = l3_get(c, f, "gateway");
	struct nl_cidr a;

	if (!gw || (is_l3s(c) && lxm_streq(gw, "auto")))
		return 0;
	if (is_l3s(c))
		return lxm_err_set(e, EINVAL, "gateways must be auto or none in mode l3s");
	if (strchr(gw, '/') || nl_cidr_parse(gw, &a) < 0 || a.family != (f == L3_IP4 ? AF_INET : AF_INET6))
		return lxm_err_set(e, EINVAL, "'%.60s' is not the address of a gateway", gw);
	return 0;
}

static int ipvlan_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	int f, r = nic_check_vlan(c, e);

	for (f = 0; r == 0 && f < L3_FAMILIES; f++)
		r = check_gateway(c, f, e);
	return r == 0 ? l3_validate(c, !is_l3s(c), e) : r;
}

static void undo(struct device_ctx *c)
{
	l3_clean(c);
	nic_parent_put(c);
}

static int plan_default(const struct l3 *n, int f, struct lxm_err *e)
{
	const char *gw = l3_get(n->c, f, "gateway");
	bool none = lxm_streq(lxm_kv_get(n->c->kv, f == L3_IP4 ? "ipv4.gateway" : "ipv6.gateway"), "none");

	if (none || !l3_get(n->c, f, "address") || (!gw && !is_l3s(n->c)))
		return 0;
	return l3_plan_default(n, f, is_l3s(n->c) ? "" : gw, e);
}

static int ipvlan_plan(struct l3 *n, struct lxm_err *e)
{
	struct plan_step step = { .kind = PLAN_NIC };
	struct device_ctx *c = n->c;
	char below[IFNAMSIZ];
	int f, r = nic_parent_get(c, below, e);

	if (r < 0)
		return r;
	nic_name(c, n->inside);
	if (is_l3s(c)) {
		(void)snprintf(n->link, sizeof(n->link), "lo");
		memcpy(n->parent, below, sizeof(below));
		r = c->replan ? 0 : l3_ready(n, false, e);
	}
	step.u.nic = (struct plan_nic){
		.kind = PLAN_NIC_IPVLAN,
		.flags = is_l3s(c) ? PLAN_NIC_L3S : 0,
		.peer = n->inside,
		.parent = below,
		.mtu = nic_mtu(c, 0),
		.txqlen = nic_txqlen(c),
	};
	if (r == 0)
		r = plan_add(n->plan, &step, e);
	if (r == 0)
		r = l3_plan(n, e);
	for (f = 0; r == 0 && f < L3_FAMILIES; f++)
		r = plan_default(n, f, e);
	return r;
}

static int ipvlan_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct l3 n = { .c = c, .plan = plan };
	int r = ipvlan_plan(&n, e);

	if (r < 0 && !c->replan)
		undo(c);
	if (r < 0)
		return r;
	if (*n.parent)
		l3_remember(&n);
	nic_remember(c, "", n.inside);
	return 0;
}

static void ipvlan_stop(struct device_ctx *c)
{
	undo(c);
}

const struct device_type nic_ipvlan = {
	.name = "ipvlan",
	.validate = ipvlan_validate,
	.start = ipvlan_start,
	.stop = ipvlan_stop,
};
