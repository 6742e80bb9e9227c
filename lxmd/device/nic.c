/*
 * Network interfaces: a veth pair whose host end is a port of a bridge, managed (network=) or not (parent=).
 *
 * lxmd decides names, MAC and MTU; lxm-monitor makes the pair in the start plan, so that the end inside appears in
 * the instance's namespace at once. The host end dies with that namespace: stopping only makes sure of it later.
 * On a managed network the NIC has an entry in DHCP and DNS from the moment it is added until it is removed, which
 * is also what keeps its MAC and fixed addresses from being given twice.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/device/device_priv.h"
#include "lxmd/network/firewall.h"
#include "lxmd/network/network.h"

#define MAC_TRIES 16

/* ---- properties */

static const char *get(const struct device_ctx *c, const char *key)
{
	const char *value = lxm_kv_get(c->kv, key);

	return lxm_empty(value) ? NULL : value;
}

/* Fixed address, or NULL: "none" means that there shall be none. */
static const char *fixed(const struct device_ctx *c, const char *key)
{
	const char *value = get(c, key);

	return lxm_streq(value, "none") ? NULL : value;
}

/* The managed network's name, or NULL for a bridge that is not ours. */
static const char *managed(const struct device_ctx *c)
{
	const char *name = device_nic_network(c->kv);

	if (get(c, "network"))
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

static int host_enter(const struct device_ctx *c, const char *network, const char *mac, struct lxm_err *e)
{
	lxm_auto(free) char *name = dns_name(c);
	char v4[INET6_ADDRSTRLEN], v6[INET6_ADDRSTRLEN];
	struct dhcp_host h = {
		.instance = c->instance,
		.device = c->name,
		.mac = mac,
		.name = name,
		.ipv4 = normal(AF_INET, fixed(c, "ipv4.address"), v4),
		.ipv6 = normal(AF_INET6, fixed(c, "ipv6.address"), v6),
	};

	return network_host_set(c->d, network, &h, e);
}

/* A MAC nobody on the network has, entered there. */
static int mac_choose(struct device_ctx *c, const char *network, char out[18], struct lxm_err *e)
{
	uint8_t mac[6] = { 0x00, 0x16, 0x3e };
	int i, r = 0;

	for (i = 0; i < MAC_TRIES; i++) {
		lxm_random(mac + 3, 3);
		(void)nl_mac_str(mac, out);
		r = network ? host_enter(c, network, out, e) : 0;
		if (r != -EADDRINUSE || fixed(c, "ipv4.address") || fixed(c, "ipv6.address"))
			break;
	}
	if (r == 0)
		device_volatile_set(c, "hwaddr", out);
	return r;
}

/* The NIC's MAC in lower case, chosen and remembered if need be, and its host entry. */
static int mac_ensure(struct device_ctx *c, char out[18], struct lxm_err *e)
{
	const char *network = managed(c), *given = get(c, "hwaddr");
	uint8_t mac[6];

	if (!given)
		given = device_volatile(c, "hwaddr");
	if (!given)
		return mac_choose(c, network, out, e);
	if (nl_mac_parse(given, mac) < 0)
		return lxm_err_set(e, EINVAL, "'%s' is not a unicast MAC address", given);
	(void)nl_mac_str(mac, out);
	return network ? host_enter(c, network, out, e) : 0;
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
	const char *v4 = fixed(c, "ipv4.address"), *v6 = fixed(c, "ipv6.address");

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

static int nic_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *type = lxm_kv_or(c->kv, "nictype", "bridged");

	if (strcmp(type, "bridged"))
		return lxm_err_http(e, 400, EOPNOTSUPP, "nictype '%s' is not supported yet: use bridged, or network=NAME", type);
	if (get(c, "network") && !network_is_managed(c->d, get(c, "network")))
		return lxm_err_http(e, 404, ENOENT, "network '%s' not found", get(c, "network"));
	return check_fixed(c, managed(c), e);
}

static int nic_add(struct device_ctx *c, struct lxm_err *e)
{
	char mac[18];

	return mac_ensure(c, mac, e);
}

static void nic_remove(struct device_ctx *c)
{
	const char *network = managed(c);

	if (network)
		network_host_del(c->d, network, c->instance, c->name);
	device_volatile_set(c, "hwaddr", "");
	device_volatile_set(c, "name", "");
	device_volatile_set(c, "host_name", "");
}

/* ---- start, stop */

/* Everything that an interface is made of. */
struct nic {
	struct network_port port;
	char mac[18], host[IFNAMSIZ], peer[IFNAMSIZ];
	uint32_t mtu;
};

/* Does another of the instance's NICs have that name inside, given or chosen earlier? */
static bool name_taken(const struct device_ctx *c, const char *name)
{
	struct device_ctx other = *c;

	if (!c->devices)
		return false;
	lxm_devs_each(dev, c->devices) {
		other.name = dev->name;
		other.kv = &dev->kv;
		if (lxm_streq(dev->name, c->name) || !lxm_streq(get(&other, "type"), "nic"))
			continue;
		if (lxm_streq(get(&other, "name") ? get(&other, "name") : device_volatile(&other, "name"), name))
			return true;
	}
	return false;
}

/* The first free one of eth0, eth1, ... */
static void name_choose(const struct device_ctx *c, char out[IFNAMSIZ])
{
	int i = 0;

	do
		(void)snprintf(out, IFNAMSIZ, "eth%d", i++);
	while (name_taken(c, out));
}

static int nic_resolve(struct device_ctx *c, struct nic *n, struct lxm_err *e)
{
	const char *network = get(c, "network"), *peer = get(c, "name"), *mtu = get(c, "mtu");
	int64_t number = 0;
	int r;

	memset(n, 0, sizeof(*n));
	r = network ? network_port_get(c->d, network, &n->port, e)
		    : network_port_get_parent(c->d, lxm_kv_or(c->kv, "parent", ""), &n->port, e);
	if (r == 0)
		r = mac_ensure(c, n->mac, e);
	if (r < 0)
		return r;
	(void)snprintf(n->host, sizeof(n->host), "%s", get(c, "host_name") ? get(c, "host_name") : n->port.host);
	if (get(c, "host_name") && if_nametoindex(n->host))
		return lxm_err_set(e, EEXIST, "a link '%s' exists on the host already", n->host);
	if (!peer)
		peer = device_volatile(c, "name");
	if (peer)
		(void)snprintf(n->peer, sizeof(n->peer), "%s", peer);
	else
		name_choose(c, n->peer);
	n->mtu = n->port.mtu;
	if (mtu && lxm_parse_i64(mtu, &number) == 0)
		n->mtu = (uint32_t)number;
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
		f.ipv4 = fixed(c, "ipv4.address");
	if (v6)
		f.ipv6 = fixed(c, "ipv6.address");
	return network_filter_set(c->d, &f, e);
}

static void remember(struct device_ctx *c, const struct nic *n)
{
	device_volatile_set(c, "host_name", n->host);
	if (!get(c, "name"))
		device_volatile_set(c, "name", n->peer);
}

static int nic_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
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
	remember(c, &n);
	return 0;
}

static void nic_stop(struct device_ctx *c)
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

/* Network namespace of a live init. The pid is certain while the pidfd says that it has not ended. */
static int netns_open(const struct device_live *live, struct lxm_err *e)
{
	struct pollfd p = { .fd = live->init_pidfd, .events = POLLIN };
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)live->init_pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return lxm_err_sys(e, "open network namespace of the instance");
	if (poll(&p, 1, 0) != 0) {
		(void)close(fd);
		return lxm_err_set(e, ESRCH, "the instance has stopped");
	}
	return fd;
}

static int nic_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	lxm_auto(fd_close) int ns = netns_open(live, e);
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
	remember(c, &n);
	return 0;
}

static int nic_hot_remove(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
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
		nic_stop(c);
	return r;
}

/* Fixed addresses and filters change in place; everything else needs the interface made anew. */
static int nic_hot_update(struct device_ctx *c, const struct lxm_kv *old, const struct device_live *live,
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

const struct device_type device_nic = {
	.name = "nic",
	.flags = DEVICE_HOT_ADD | DEVICE_HOT_REMOVE | DEVICE_HOT_UPDATE,
	.validate = nic_validate,
	.add = nic_add,
	.remove = nic_remove,
	.start = nic_start,
	.stop = nic_stop,
	.hot_add = nic_hot_add,
	.hot_remove = nic_hot_remove,
	.hot_update = nic_hot_update,
};
