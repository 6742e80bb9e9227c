/*
 * Bridged NICs: a veth pair whose host end is a port of a bridge, managed (network=) or not (parent=).
 *
 * The host end dies with the instance's namespace: stopping only makes sure of it later.
 * On a managed network the NIC has an entry in DHCP and DNS from the moment it is added until it is removed, which
 * is also what keeps its MAC and fixed addresses from being given twice.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/firewall.h"
#include "lxmd/network/network.h"

/* The managed network's name, or NULL for a bridge that is not ours. */
static const char *managed(const struct device_ctx *c)
{
	const char *name = device_nic_network(c->kv);

	if (nic_get(c, "network"))
		return name;
	return name && network_is_managed(c->d, name) ? name : NULL;
}

/* A DNS label for the instance: its name, with the project behind it where that is not the default one. */
static char *dns_name(const struct device_ctx *c)
{
	lxm_auto(free) char *name = NULL;
	const char *p;

	if (lxm_streq(c->project, "default"))
		return lxm_strdup(c->instance_name);
	name = lxm_asprintf("%s-%s", c->instance_name, c->project);
	for (p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-')
			return NULL;
	return strlen(name) > 63 ? NULL : LXM_TAKE(name, NULL);
}

/* ---- MAC and host entry */

/* An address as everybody writes it, so that twins are found; NULL stays NULL. */
static const char *normal(int family, const char *address, char out[INET6_ADDRSTRLEN])
{
	uint8_t raw[16];

	if (!address || inet_pton(family, address, raw) != 1)
		return NULL;
	return inet_ntop(family, raw, out, INET6_ADDRSTRLEN);
}

static int host_enter(const struct device_ctx *c, const char *mac, struct lxm_err *e)
{
	lxm_auto(free) char *name = dns_name(c);
	char v4[INET6_ADDRSTRLEN], v6[INET6_ADDRSTRLEN];
	struct dhcp_host h = {
		.instance = c->instance,
		.device = c->name,
		.mac = mac,
		.name = name,
		.ipv4 = normal(AF_INET, nic_fixed(c, "ipv4.address"), v4),
		.ipv6 = normal(AF_INET6, nic_fixed(c, "ipv6.address"), v6),
	};

	return network_host_set(c->d, managed(c), &h, e);
}

/* The NIC's MAC, with its host entry on a managed network. */
static int mac_ensure(struct device_ctx *c, char out[18], struct lxm_err *e)
{
	bool fixed_address = nic_fixed(c, "ipv4.address") || nic_fixed(c, "ipv6.address");

	return nic_mac(c, managed(c) ? host_enter : NULL, fixed_address, out, e);
}

/* ---- validate, add, remove */

static bool filtered(const struct device_ctx *c)
{
	return lxm_kv_bool(c->kv, "security.mac_filtering", false) ||
	       lxm_kv_bool(c->kv, "security.ipv4_filtering", false) ||
	       lxm_kv_bool(c->kv, "security.ipv6_filtering", false);
}

static int check_fixed(const struct device_ctx *c, const char *network, struct lxm_err *e)
{
	const char *v4 = nic_fixed(c, "ipv4.address"), *v6 = nic_fixed(c, "ipv6.address");

	if (!v4 && lxm_kv_bool(c->kv, "security.ipv4_filtering", false))
		return lxm_err_set(e, EINVAL, "security.ipv4_filtering needs ipv4.address");
	if (!v6 && lxm_kv_bool(c->kv, "security.ipv6_filtering", false))
		return lxm_err_set(e, EINVAL, "security.ipv6_filtering needs ipv6.address");
	if (!network && (v4 || v6))
		return lxm_err_set(e, EINVAL, "ipv4.address and ipv6.address need a managed network (network=NAME), which gives them out");
	if (!network && filtered(c))
		return lxm_err_set(e, EINVAL, "security.*_filtering needs a managed network (network=NAME)");
	return v4 || v6 ? network_host_check(c->d, network, v4, v6, e) : 0;
}

static int bridged_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *network = nic_get(c, "network");

	if (network && !network_is_managed(c->d, network))
		return lxm_err_http(e, 404, ENOENT, "network '%s' not found", network);
	return check_fixed(c, managed(c), e);
}

static int bridged_add(struct device_ctx *c, struct lxm_err *e)
{
	char mac[18];

	return mac_ensure(c, mac, e);
}

static void bridged_remove(struct device_ctx *c)
{
	const char *network = managed(c);

	if (network)
		network_host_del(c->d, network, c->instance, c->name);
}

/* ---- start, stop */

/* Everything that an interface is made of. */
struct nic {
	struct network_port port;
	char mac[18], host[IFNAMSIZ], peer[IFNAMSIZ];
	uint32_t mtu;
};

static int nic_resolve(struct device_ctx *c, struct nic *n, struct lxm_err *e)
{
	const char *network = nic_get(c, "network");
	int r;

	memset(n, 0, sizeof(*n));
	r = network ? network_port_get(c->d, network, &n->port, e)
		    : network_port_get_parent(c->d, lxm_kv_or(c->kv, "parent", ""), &n->port, e);
	if (r == 0)
		r = mac_ensure(c, n->mac, e);
	if (r == 0)
		r = nic_host_name(c, n->port.host, n->mac, n->host, e);
	if (r < 0)
		return r;
	nic_name(c, n->peer);
	n->mtu = nic_mtu(c, n->port.mtu);
	return 0;
}

static int filter_set(struct device_ctx *c, const struct nic *n, struct lxm_err *e)
{
	bool v6 = lxm_kv_bool(c->kv, "security.ipv6_filtering", false);
	struct fw_nic f = { .bridge = n->port.bridge, .host = n->host };

	if (!filtered(c))
		return 0;
	/* a spoofed MAC defeats address filters: they imply its own */
	f.mac = n->mac;
	if (lxm_kv_bool(c->kv, "security.ipv4_filtering", false))
		f.ipv4 = nic_fixed(c, "ipv4.address");
	if (v6)
		f.ipv6 = nic_fixed(c, "ipv6.address");
	return network_filter_set(c->d, &f, e);
}

static int bridged_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct plan_step step = { .kind = PLAN_NIC };
	struct nic n;
	int r;

	r = nic_resolve(c, &n, e);
	if (r < 0)
		return r;
	step.u.nic = (struct plan_nic){
		.kind = PLAN_NIC_VETH,
		.flags = PLAN_NIC_NO_IPV6 |
			 (lxm_kv_bool(c->kv, "security.port_isolation", false) ? PLAN_NIC_ISOLATED : 0),
		.host = n.host,
		.peer = n.peer,
		.parent = n.port.bridge,
		.mac = n.mac,
		.mtu = n.mtu,
	};
	r = filter_set(c, &n, e);
	if (r == 0)
		r = plan_add(plan, &step, e);
	if (r < 0) {
		if (filtered(c))
			network_filter_unset(c->d, n.port.bridge, n.host);
		return r;
	}
	nic_remember(c, n.host, n.peer);
	return 0;
}

static void bridged_stop(struct device_ctx *c)
{
	const char *host = device_volatile(c, "host_name"), *name = device_nic_network(c->kv);

	if (!host)
		return;
	if (filtered(c) && name)
		network_filter_unset(c->d, name, host);
	network_link_reap(c->d, host);
	device_volatile_set(c, "host_name", "");
}

/* ---- while the instance runs */

static int bridged_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(fd_close) int ns = nic_netns_open(live, e);
	lxm_auto(fd_close) int rtnl = nl_open();
	struct nl_veth_spec spec = { .netns_fd = ns };
	uint8_t mac[6];
	struct nic n;
	int r;

	if (ns < 0)
		return ns;
	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	r = nic_resolve(c, &n, e);
	if (r == 0)
		r = filter_set(c, &n, e);
	if (r < 0)
		return r;
	(void)nl_mac_parse(n.mac, mac);
	spec.host = n.host;
	spec.peer = n.peer;
	spec.peer_mac = mac;
	spec.mtu = n.mtu;
	spec.master = (int)if_nametoindex(n.port.bridge);
	r = nl_veth_add(rtnl, &spec, e);
	if (r == 0 && lxm_kv_bool(c->kv, "security.port_isolation", false))
		r = nl_port_isolate(rtnl, (int)if_nametoindex(n.host), e);
	if (r < 0) {
		network_filter_unset(c->d, n.port.bridge, n.host);
		if (if_nametoindex(n.host))
			(void)nl_link_del(rtnl, (int)if_nametoindex(n.host), NULL);
		return lxm_err_wrap(e, r, "add interface '%s'", n.peer);
	}
	nic_remember(c, n.host, n.peer);
	return 0;
}

static int bridged_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const char *host = device_volatile(c, "host_name");
	lxm_auto(fd_close) int rtnl = nl_open();
	int index, r = 0;

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	index = host ? (int)if_nametoindex(host) : 0;
	if (index)
		r = nl_link_del(rtnl, index, e);
	if (r == 0)
		bridged_stop(c);
	return r;
}

/* Fixed addresses and filters change in place; everything else needs the interface made anew. */
static int bridged_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
			      struct lxm_err *e)
{
	static const char *const live_keys[] = { "ipv4.address", "ipv6.address", "security.mac_filtering",
						 "security.ipv4_filtering", "security.ipv6_filtering" };
	lxm_auto(kv) struct lxm_kv a = { 0 }, b = { 0 };
	const char *host = device_volatile(c, "host_name"), *network = managed(c);
	struct nic n = { 0 };
	size_t i;
	int r;

	lxm_kv_copy(&a, old);
	lxm_kv_copy(&b, c->kv);
	for (i = 0; i < LXM_ARRAY_LEN(live_keys); i++) {
		(void)lxm_kv_del(&a, live_keys[i]);
		(void)lxm_kv_del(&b, live_keys[i]);
	}
	if (!lxm_kv_eq(&a, &b) || !host || !network)
		return lxm_err_set(e, EOPNOTSUPP, "the change needs the interface made anew");
	r = mac_ensure(c, n.mac, e);
	if (r < 0)
		return r;
	(void)snprintf(n.port.bridge, sizeof(n.port.bridge), "%s", network);
	(void)snprintf(n.host, sizeof(n.host), "%s", host);
	network_filter_unset(c->d, network, host);
	return filter_set(c, &n, e);
}

const struct device_type nic_bridged = {
	.name = "bridged",
	.validate = bridged_validate,
	.add = bridged_add,
	.remove = bridged_remove,
	.start = bridged_start,
	.stop = bridged_stop,
	.hot_add = bridged_hot_add,
	.hot_remove = bridged_hot_remove,
	.hot_update = bridged_hot_update,
};
