/*
 * NICs of type routed: a veth pair whose ends are in no common network. The instance has its addresses alone and everything
 * behind the host end, the host has routes to them; with a parent the host answers for them there.
 */
#include "lxmd/device/nic_l3.h"

#include "lxmd/network/network.h"

static int routed_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	static const char *const gateways[] = { "ipv4.gateway", "ipv6.gateway" };
	int r = nic_check_vlan(c, e);
	size_t i;

	for (i = 0; r == 0 && i < LXM_ARRAY_LEN(gateways); i++)
		if (nic_fixed(c, gateways[i]) && !lxm_streq(nic_get(c, gateways[i]), "auto"))
			r = lxm_err_set(e, EINVAL, "%s must be auto or none", gateways[i]);
	return r == 0 ? l3_validate(c, false, e) : r;
}

static int routed_add(struct device_ctx *c, struct lxm_err *e)
{
	char mac[18];

	return nic_mac(c, NULL, false, mac, e);
}

static void undo(struct device_ctx *c)
{
	l3_clean(c);
	nic_parent_put(c);
}

static int routed_plan(struct l3 *n, struct lxm_err *e)
{
	struct plan_step step = { .kind = PLAN_NIC };
	struct device_ctx *c = n->c;
	char mac[18];
	int r = nic_mac(c, NULL, false, mac, e);

	if (r == 0 && nic_get(c, "parent"))
		r = nic_parent_get(c, n->parent, e);
	if (r == 0)
		r = nic_host_name(c, NULL, mac, n->link, e);
	if (r == 0 && !c->replan)
		r = l3_ready(n, true, e);
	if (r < 0)
		return r;
	nic_name(c, n->inside);
	n->host[L3_IP4] = lxm_kv_or(c->kv, "ipv4.host_address", "169.254.0.1");
	n->host[L3_IP6] = lxm_kv_or(c->kv, "ipv6.host_address", "fe80::1");
	step.u.nic = (struct plan_nic){
		.kind = PLAN_NIC_VETH,
		.flags = PLAN_NIC_ROUTER,
		.host = n->link,
		.peer = n->inside,
		.mac = mac,
		.mtu = nic_mtu(c, 0),
		.txqlen = nic_txqlen(c),
	};
	/* before the link is there: it never sends unfiltered. IPv4 has rp_filter */
	r = c->replan ? 0 : network_source_guard(c->d, n->link, e);
	if (r < 0)
		return r;
	r = plan_add(n->plan, &step, e);
	if (r == 0)
		r = l3_plan(n, e);
	if (r < 0 && !c->replan)
		network_source_unguard(c->d, n->link);
	return r;
}

static int routed_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct l3 n = { .c = c, .plan = plan };
	int r = routed_plan(&n, e);

	if (r < 0 && !c->replan)
		undo(c);
	if (r < 0)
		return r;
	l3_remember(&n);
	nic_remember(c, n.link, n.inside);
	return 0;
}

/* A later lxmd says again what is guarded. */
static int routed_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const char *host = device_volatile(c, "host_name");

	return live->again && host ? network_source_guard(c->d, host, e) : 0;
}

static void routed_stop(struct device_ctx *c)
{
	const char *host = device_volatile(c, "host_name");

	if (host) {
		network_source_unguard(c->d, host);
		network_link_reap(c->d, host);
	}
	undo(c);
	device_volatile_set(c, "host_name", "");
}

const struct device_type nic_routed = {
	.name = "routed",
	.validate = routed_validate,
	.add = routed_add,
	.start = routed_start,
	.started = routed_started,
	.stop = routed_stop,
};
