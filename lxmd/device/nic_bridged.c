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
#include "lib/base/log.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"

#define ADDRESS_TRIES 16

/* The managed network's name, or NULL for a bridge that is not ours. */
const char *nic_managed(const struct device_ctx *c)
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
		.ipv4 = normal(AF_INET, nic_own(c, AF_INET), v4),
		.ipv6 = normal(AF_INET6, nic_own(c, AF_INET6), v6),
		.by_mac = nic_filtered(c),
	};

	return network_host_set(c->d, nic_managed(c), &h, e);
}

/* An address of its own for a NIC that may use no other and has none by configuration; entered with the host entry. */
static int own_ensure(struct device_ctx *c, int family, const char *mac, bool *changed, struct lxm_err *e)
{
	const char *key = family == AF_INET ? "ipv4.address" : "ipv6.address";
	const char *has = device_volatile(c, key);
	char address[INET6_ADDRSTRLEN];
	int r;

	if (!nic_wants_own(c, family)) {
		if (has) {
			device_volatile_set(c, key, "");
			*changed = true;
		}
		return 0;
	}
	/* kept as long as the network has room for it */
	if (has && network_host_check(c->d, nic_managed(c), family == AF_INET ? has : NULL, NULL, NULL) == 0)
		return 0;
	r = network_address_choose(c->d, nic_managed(c), family, mac, address, e);
	if (r == 0 && !lxm_streq(has ? has : "", address)) {
		device_volatile_set(c, key, address);
		*changed = true;
	}
	return r;
}

/* The NIC's MAC, with its host entry on a managed network. */
static int mac_ensure(struct device_ctx *c, char out[18], struct lxm_err *e)
{
	bool fixed_address = nic_fixed(c, "ipv4.address") || nic_fixed(c, "ipv6.address");
	bool changed = false;
	int i, r = nic_mac(c, nic_managed(c) ? host_enter : NULL, fixed_address, out, e);

	if (r < 0 || !nic_managed(c))
		return r;
	for (i = 0; i < ADDRESS_TRIES; i++) {
		r = own_ensure(c, AF_INET, out, &changed, e);
		if (r == 0)
			r = own_ensure(c, AF_INET6, out, &changed, e);
		if (r == 0 && changed)
			r = host_enter(c, out, e);
		if (r != -EADDRINUSE || fixed_address)
			break;
		device_volatile_set(c, "ipv4.address", "");
	}
	return r;
}

/* ---- validate, add, remove */

static int bridged_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *network = nic_get(c, "network");

	if (network && !network_is_managed(c->d, network))
		return lxm_err_http(e, 404, ENOENT, "network '%s' not found", network);
	return nic_port_check(c, nic_managed(c), e);
}

static int bridged_add(struct device_ctx *c, struct lxm_err *e)
{
	char mac[18];

	return mac_ensure(c, mac, e);
}

static void bridged_remove(struct device_ctx *c)
{
	const char *network = nic_managed(c);

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

static int describe(struct device_ctx *c, struct nic *n, struct plan_nic *out, struct lxm_err *e)
{
	int r = nic_resolve(c, n, e);

	if (r < 0)
		return r;
	*out = (struct plan_nic){
		.kind = PLAN_NIC_VETH,
		.flags = PLAN_NIC_NO_IPV6 |
			 (lxm_kv_bool(c->kv, "security.port_isolation", false) ? PLAN_NIC_ISOLATED : 0) |
			 (nic_filtered(c) ? PLAN_NIC_NO_LEARNING : 0) | (nic_has_vlans(c) ? PLAN_NIC_DOWN : 0),
		.host = n->host,
		.peer = n->peer,
		.parent = n->port.bridge,
		.mac = n->mac,
		.mtu = n->mtu,
		.txqlen = nic_txqlen(c),
	};
	return 0;
}

static int make(struct device_ctx *c, struct plan *plan, const struct device_live *live, struct lxm_err *e)
{
	struct plan_nic spec;
	struct nic n;
	int r = describe(c, &n, &spec, e);

	/* before the link is there: it never sends unfiltered */
	if (r == 0 && !c->replan)
		r = nic_filter_apply(c, n.host, n.mac, e);
	if (r < 0)
		return r;
	r = nic_make(c, &spec, plan, live, e);
	if (r < 0 && !c->replan)
		network_filter_unset(c->d, n.host);
	return r;
}

static int bridged_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	return make(c, plan, NULL, e);
}

static int bridged_started(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	const char *host = device_volatile(c, "host_name");
	char mac[18];
	int r = 0;

	if (!host)
		return 0;
	if (live->again && nic_filtered(c)) {
		r = mac_ensure(c, mac, e);
		if (r == 0)
			r = nic_filter_apply(c, host, mac, e);
	}
	return r < 0 ? r : nic_port_apply(c, host, live->again, e);
}

static void bridged_stop(struct device_ctx *c)
{
	const char *host = device_volatile(c, "host_name");

	if (!host)
		return;
	nic_port_end(c, host);
	network_link_reap(c->d, host);
	device_volatile_set(c, "host_name", "");
}

/* ---- while the instance runs */

static int bridged_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	return make(c, NULL, live, e);
}

static const char *const live_keys[] = { "ipv4.address", "ipv4.routes", "ipv4.routes.external", "ipv6.address", "ipv6.routes",
					 "ipv6.routes.external", "security.ipv4_filtering", "security.ipv6_filtering",
					 "security.mac_filtering", "security.port_isolation", "vlan", "vlan.tagged", NULL };

static int change(struct device_ctx *c, const struct lxm_kv *old, bool routes, struct lxm_err *e)
{
	const char *host = device_volatile(c, "host_name");
	char mac[18];
	int r = mac_ensure(c, mac, e);

	if (r == 0)
		r = nic_filter_apply(c, host, mac, e);
	return r < 0 ? r : nic_port_change(c, old, host, routes, e);
}

static int bridged_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
			      struct lxm_err *e)
{
	int r = change(c, old, true, e);

	if (r < 0) {
		struct device_ctx before = *c;
		struct lxm_err local = { 0 };

		before.kv = old;
		if (change(&before, c->kv, false, &local) < 0)
			lxm_warn("instance '%s': going back to the old device '%s': %s", c->instance_name, c->name, local.msg);
	}
	return r;
}

const struct device_type nic_bridged = {
	.name = "bridged",
	.validate = bridged_validate,
	.add = bridged_add,
	.remove = bridged_remove,
	.start = bridged_start,
	.started = bridged_started,
	.stop = bridged_stop,
	.hot_add = bridged_hot_add,
	.hot_update = bridged_hot_update,
	.live_keys = live_keys,
};
