/* NICs of type p2p: a veth pair whose host end stands alone, with routes to it. */
#include <string.h>

#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"

static const char *const route_keys[] = { "ipv4.routes", "ipv6.routes", NULL };

static int p2p_add(struct device_ctx *c, struct lxm_err *e)
{
	char mac[18];

	return nic_mac(c, NULL, false, mac, e);
}

/* Names and numbers of the pair; the strings live in `b`. */
struct pair {
	char mac[18], host[IFNAMSIZ], inside[IFNAMSIZ];
};

static int pair_resolve(struct device_ctx *c, struct pair *b, struct plan_nic *n, struct lxm_err *e)
{
	int r = nic_mac(c, NULL, false, b->mac, e);

	if (r == 0)
		r = nic_host_name(c, NULL, b->mac, b->host, e);
	if (r < 0)
		return r;
	nic_name(c, b->inside);
	*n = (struct plan_nic){
		.kind = PLAN_NIC_VETH,
		.host = b->host,
		.peer = b->inside,
		.mac = b->mac,
		.mtu = nic_mtu(c, 0),
		.txqlen = nic_txqlen(c),
	};
	return 0;
}

static int make(struct device_ctx *c, struct pair *b, struct plan *plan, const struct device_live *live, struct lxm_err *e)
{
	struct plan_nic n;
	int r = pair_resolve(c, b, &n, e);

	return r < 0 ? r : nic_make(c, &n, plan, live, e);
}

static int p2p_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv routes = { 0 };
	struct pair b;
	size_t i;
	int r = make(c, &b, plan, NULL, e);

	for (i = 0; route_keys[i]; i++)
		nic_list(c, route_keys[i], &routes);
	for (i = 0; r == 0 && i < routes.n; i++)
		r = plan_add(plan, &(struct plan_step){ PLAN_NIC_ROUTE, .u.nic_route = { .side = PLAN_OUTSIDE, .link = b.host, .dst = routes.v[i] } }, e);
	if (r < 0 && !c->replan)
		device_volatile_set(c, "host_name", "");
	return r;
}

static void p2p_stop(struct device_ctx *c)
{
	const char *host = device_volatile(c, "host_name");

	if (!host)
		return;
	network_link_reap(c->d, host);
	device_volatile_set(c, "host_name", "");
}

/* Routes that `kv` names, added or removed. On failure those added are removed. */
static int routes_change(const struct device_ctx *c, const struct lxm_kv *kv, const char *host, bool add, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv routes = { 0 };
	struct nl_route_spec spec = { 0 };
	lxm_auto(fd_close) int rtnl = nic_link_open(host, &spec.oif, e);
	struct device_ctx other = *c;
	size_t i;
	int r = 0;

	other.kv = kv;
	for (i = 0; route_keys[i]; i++)
		nic_list(&other, route_keys[i], &routes);
	if (rtnl < 0)
		return rtnl;
	for (i = 0; r == 0 && i < routes.n; i++) {
		r = nl_cidr_parse(routes.v[i], &spec.dst);
		if (r == 0)
			r = add ? nl_route_add(rtnl, &spec, e) : nl_route_del(rtnl, &spec, e);
		if (r < 0)
			(void)lxm_err_wrap(e, r, "route to %s", routes.v[i]);
	}
	for (i--; r < 0 && add && i-- > 0;)
		if (nl_cidr_parse(routes.v[i], &spec.dst) == 0)
			(void)nl_route_del(rtnl, &spec, NULL);
	return r;
}

static int p2p_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	struct pair b;
	int r = make(c, &b, NULL, live, e);

	if (r < 0)
		return r;
	r = routes_change(c, c->kv, b.host, true, e);
	if (r < 0) {
		(void)nic_hot_drop(c, live, NULL);
		device_volatile_set(c, "host_name", "");
	}
	return r;
}

static int p2p_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live, struct lxm_err *e)
{
	const char *host = device_volatile(c, "host_name");
	int r;

	r = routes_change(c, old, host, false, e);
	if (r == 0)
		r = routes_change(c, c->kv, host, true, e);
	if (r < 0)
		(void)routes_change(c, old, host, true, NULL);
	return r;
}

const struct device_type nic_p2p = {
	.name = "p2p",
	.add = p2p_add,
	.start = p2p_start,
	.stop = p2p_stop,
	.hot_add = p2p_hot_add,
	.hot_update = p2p_hot_update,
	.live_keys = route_keys,
};
