/*
 * Network type `bridge`: a Linux bridge with addresses, NAT, and dnsmasq.
 *
 * bridge_start() makes the host equal to the configuration from whatever state it finds, so that creating, editing,
 * adopting after a crash and repairing are one code path. A link is taken for ours only by its mark (ifalias) or,
 * when a crash came between creating and marking it, by the MAC that is derived from directory and name.
 *
 * Multicast snooping is off: without a querier it does nothing, and with one that an instance plays it would let
 * that instance decide who receives multicast. What keeps large bridges quiet is in firewall.c.
 *
 * Worker threads, with the networks' `change` lock held.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <dirent.h>
#include <string.h>
#include <linux/if_addr.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/conf/tables.h"
#include "lxmd/network/bridge_conf.h"
#include "lxmd/network/bridge_routes.h"
#include "lxmd/network/netlink.h"
#include "lxmd/network/network_priv.h"
#include "lxmd/network/subnet.h"

/* ---- configuration */

static int fill4(int rtnl, bool create, struct lxm_kv *config, struct lxm_err *e)
{
	lxm_auto(subnet_used) struct subnet_used used = { 0 };
	const char *value = lxm_kv_get(config, "ipv4.address");
	uint32_t net, raw, seed;
	char text[INET_ADDRSTRLEN];
	int prefix, r;

	if (!lxm_streq(value, "auto") && !(create && lxm_empty(value)))
		return 0;
	r = subnet_used_read(rtnl, &used, e);
	lxm_random(&seed, sizeof(seed));
	if (r == 0)
		r = subnet_choose4(&used, seed, &net, &prefix, e);
	if (r < 0)
		return r;
	raw = htonl(net + 1);
	(void)inet_ntop(AF_INET, &raw, text, sizeof(text));
	lxm_kv_setf(config, "ipv4.address", "%s/%d", text, prefix);
	if (lxm_empty(lxm_kv_get(config, "ipv4.nat")))
		lxm_kv_set(config, "ipv4.nat", "true");
	return 0;
}

static int fill6(int rtnl, bool create, struct lxm_kv *config, struct lxm_err *e)
{
	const char *value = lxm_kv_get(config, "ipv6.address");
	char text[INET6_ADDRSTRLEN];
	struct in6_addr net;
	int r;

	if (!lxm_streq(value, "auto") && !(create && lxm_empty(value)))
		return 0;
	if (access("/proc/sys/net/ipv6/conf/all", F_OK) < 0) {
		lxm_kv_set(config, "ipv6.address", "none");
		return 0;
	}
	r = subnet_choose6(rtnl, &net, e);
	if (r < 0)
		return r;
	net.s6_addr[15] = 1;
	(void)inet_ntop(AF_INET6, &net, text, sizeof(text));
	lxm_kv_setf(config, "ipv6.address", "%s/64", text);
	if (lxm_empty(lxm_kv_get(config, "ipv6.nat")))
		lxm_kv_set(config, "ipv6.nat", "true");
	return 0;
}

static int bridge_fill(struct lxmd *d, bool create, struct lxm_kv *config, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = nl_open();
	int r;

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	r = fill4(rtnl, create, config, e);
	return r < 0 ? r : fill6(rtnl, create, config, e);
}

static int bridge_validate(const char *name, const struct lxm_kv *config, struct lxm_err *e)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	lxm_auto(kv) struct lxm_kv filled = { 0 };
	int r = conf_check(conf_network("bridge"), config, e);

	if (r < 0)
		return r;
	/* stand-ins, so that the rest can be checked before anything is chosen */
	lxm_kv_copy(&filled, config);
	if (lxm_streq(lxm_kv_get(config, "ipv4.address"), "auto"))
		lxm_kv_set(&filled, "ipv4.address", "10.0.0.1/16");
	if (lxm_streq(lxm_kv_get(config, "ipv6.address"), "auto"))
		lxm_kv_set(&filled, "ipv6.address", "fd42::1/64");
	return bridge_conf_parse(name, &filled, &c, e);
}

/* ---- sysctls */

static int sysctl_set(const char *value, struct lxm_err *e, const char *fmt, const char *name)
{
	char path[128];
	int r;

	(void)snprintf(path, sizeof(path), fmt, name);
	r = lxm_write_str_at(AT_FDCWD, path, value);
	return r < 0 ? lxm_err_set(e, -r, "write '%s': %s", path, strerror(-r)) : 0;
}

/* Turning on IPv6 forwarding makes the host deaf to router advertisements on links with accept_ra=1, and throws
 * away routes learned there: 2 means "also while forwarding" and keeps them as they are. */
static void keep_accepting_ra(void)
{
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	const struct dirent *de;

	while (dir && (de = readdir(dir))) {
		lxm_auto(buf) struct lxm_buf now = { 0 };
		char path[320];

		if (de->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", de->d_name);
		if (lxm_read_file(path, 16, &now) == 0 && now.len && now.data[0] == '1')
			(void)lxm_write_str_at(AT_FDCWD, path, "2");
	}
	if (dir)
		(void)closedir(dir);
}

static bool sysctl_is_on(const char *path)
{
	lxm_auto(buf) struct lxm_buf now = { 0 };

	return lxm_read_file(path, 16, &now) == 0 && now.len && now.data[0] == '1';
}

/* Forwarding has to be on for the uplink as well, which only the host-wide switch can do without naming it. */
static int forwarding_on(const struct bridge_conf *c, struct lxm_err *e)
{
	static const char all4[] = "/proc/sys/net/ipv4/ip_forward", all6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	int r = 0;

	if (c->has4 && c->route4 && !sysctl_is_on(all4))
		r = sysctl_set("1", e, "%s", all4);
	if (r == 0 && c->has6 && c->route6 && !sysctl_is_on(all6)) {
		keep_accepting_ra();
		r = sysctl_set("1", e, "%s", all6);
	}
	return r;
}

static int bridge_sysctls(const struct bridge_conf *c, struct lxm_err *e)
{
	const char *b = c->bridge;
	int r;

	if (access("/proc/sys/net/ipv6/conf/all", F_OK) == 0) {
		r = sysctl_set(c->has6 ? "0" : "1", e, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", b);
		if (r == 0)
			r = sysctl_set("0", e, "/proc/sys/net/ipv6/conf/%s/accept_ra", b);
		if (r == 0)
			r = sysctl_set("0", e, "/proc/sys/net/ipv6/conf/%s/autoconf", b);
		if (r == 0)
			r = sysctl_set("0", e, "/proc/sys/net/ipv6/conf/%s/accept_dad", b);
		if (r < 0)
			return r;
	}
	r = forwarding_on(c, e);
	if (r == 0 && c->has4)
		r = sysctl_set(c->route4 ? "1" : "0", e, "/proc/sys/net/ipv4/conf/%s/forwarding", b);
	return r;
}

/* ---- the link */

/* Stable, so that containers' ARP entries and dnsmasq's DUID survive a reboot of the host. */
static void bridge_mac(const struct network *n, uint8_t mac[6])
{
	uint32_t h = network_hash(n);

	mac[0] = 0x00;
	mac[1] = 0x16;
	mac[2] = 0x3e;
	mac[3] = (uint8_t)(h >> 16);
	mac[4] = (uint8_t)(h >> 8);
	mac[5] = (uint8_t)h;
}

static bool link_is_ours(const struct network *n, const struct nl_link *l)
{
	char mark[NL_ALIAS_MAX];
	uint8_t mac[6];

	network_mark(n->d, mark);
	bridge_mac(n, mac);
	return lxm_streq(l->kind, "bridge") &&
	       (lxm_streq(l->alias, mark) || (!l->alias[0] && memcmp(l->mac, mac, 6) == 0));
}

/*
 * A bridge takes the least MTU of its ports, any instance's NIC that is, unless its own was changed once: only a change counts for the
 * kernel, so it goes by way of another value.
 */
static int mtu_ensure(int rtnl, int index, uint32_t mtu, struct lxm_err *e)
{
	int r = nl_link_mtu(rtnl, index, mtu < 65535 ? mtu + 1 : mtu - 1, e);

	return r < 0 ? r : nl_link_mtu(rtnl, index, mtu, e);
}

/* The bridge, made if it is missing. *made_out tells. */
static int link_ensure(int rtnl, const struct network *n, const struct bridge_conf *c, struct nl_link *l,
		       bool *made_out, struct lxm_err *e)
{
	struct nl_bridge_spec spec = { .name = n->name, .mtu = c->mtu };
	char mark[NL_ALIAS_MAX];
	uint8_t mac[6];
	int r;

	if (c->has_mac)
		memcpy(mac, c->mac, 6);
	else
		bridge_mac(n, mac);
	spec.mac = mac;
	network_mark(n->d, mark);
	*made_out = if_nametoindex(n->name) == 0;
	if (*made_out) {
		r = nl_bridge_add(rtnl, &spec, e);
		if (r < 0)
			return lxm_err_wrap(e, r, "create bridge");
	}
	r = nl_link_get(rtnl, n->name, l, e);
	if (r < 0)
		return r;
	if (!*made_out && !link_is_ours(n, l))
		return lxm_err_set(e, EEXIST, "a link '%s' exists on the host and does not belong to this daemon", n->name);
	if (!lxm_streq(l->alias, mark))
		r = nl_link_alias(rtnl, l->index, mark, e);
	if (r == 0 && memcmp(l->mac, mac, 6))
		r = nl_link_mac(rtnl, l->index, mac, e);
	if (r == 0)
		r = mtu_ensure(rtnl, l->index, c->mtu ? c->mtu : 1500, e);
	if (r == 0)
		r = nl_bridge_snooping(rtnl, l->index, false, e);
	return r;
}

static bool addr_wanted(const struct bridge_conf *c, const struct nl_addr *a)
{
	uint32_t raw = htonl(c->addr4);

	if (a->family == AF_INET)
		return c->has4 && a->prefixlen == c->prefix4 && memcmp(a->addr, &raw, 4) == 0;
	return c->has6 && a->prefixlen == c->prefix6 && memcmp(a->addr, &c->addr6, 16) == 0;
}

/* Exactly the configured addresses, link-local ones aside. */
static int addrs_ensure(int rtnl, int index, const struct bridge_conf *c, bool adopted, struct lxm_err *e)
{
	lxm_auto(nl_addrs) struct nl_addrs have = { 0 };
	bool got4 = false, got6 = false;
	uint32_t raw = htonl(c->addr4);
	size_t i;
	int r = nl_addr_list(rtnl, 1u << 20, &have, e);

	for (i = 0; i < have.n && r == 0; i++) {
		const struct nl_addr *a = &have.v[i];

		if (a->index != index || (a->family == AF_INET6 && a->scope == RT_SCOPE_LINK))
			continue;
		if (addr_wanted(c, a)) {
			got4 |= a->family == AF_INET;
			got6 |= a->family == AF_INET6;
			continue;
		}
		if (adopted)
			lxm_info("repair: remove an address that is not configured from bridge '%s'", c->bridge);
		r = nl_addr_del(rtnl, index, a->family, a->addr, a->prefixlen, e);
	}
	if (r == 0 && c->has4 && !got4)
		r = nl_addr_add(rtnl, index, AF_INET, &raw, c->prefix4, e);
	if (r == 0 && c->has6 && !got6)
		r = nl_addr_add(rtnl, index, AF_INET6, &c->addr6, c->prefix6, e);
	return r < 0 ? lxm_err_wrap(e, r, "addresses of bridge") : 0;
}

/* A bridge that somebody deleted under running instances lost its ports, not they their links. */
static void ports_rejoin(int rtnl, const struct network *n, int index)
{
	lxm_auto(nl_links) struct nl_links links = { 0 };
	size_t i;

	if (nl_link_list(rtnl, 1u << 20, &links, NULL) < 0)
		return;
	for (i = 0; i < links.n; i++) {
		const struct nl_link *l = &links.v[i];

		if (l->master || !lxm_streq(l->kind, "veth") || !lxm_starts(l->name, n->ports))
			continue;
		lxm_info("repair: link '%s' joins bridge '%s' again", l->name, n->name);
		(void)nl_link_master(rtnl, l->index, index, NULL);
	}
}

static int link_start(struct network *n, const struct bridge_conf *c, bool *made_out, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = nl_open();
	struct nl_link l;
	int r;

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	r = link_ensure(rtnl, n, c, &l, made_out, e);
	if (r == 0)
		r = bridge_sysctls(c, e);
	if (r == 0)
		r = nl_link_up(rtnl, l.index, true, e);
	if (r == 0)
		r = addrs_ensure(rtnl, l.index, c, !*made_out && !n->up, e);
	if (r == 0)
		r = bridge_routes_ensure(rtnl, n, l.index, *made_out, &c->routes, e);
	if (r == 0 && *made_out)
		ports_rejoin(rtnl, n, l.index);
	return r;
}

/* ---- firewall, DHCP */

static int firewall_start(struct network *n, const struct bridge_conf *c, struct lxm_err *e)
{
	struct networks *ns = n->d->networks;
	lxm_auto(buf) struct lxm_buf drops = { 0 };
	lxm_auto(free) char *text = NULL;
	struct fw_bridge fb;
	uint8_t raw[6];
	char mac[18];
	int r;

	bridge_mac(n, raw);
	bridge_conf_firewall(c, &fb);
	fb.ports = n->ports;
	fb.mac = nl_mac_str(c->has_mac ? c->mac : raw, mac);
	r = fw_bridge_apply(ns->fw, &fb, e);
	if (r < 0)
		return r;
	if (fw_foreign_drops(ns->fw, &drops, NULL) == 0 && drops.len)
		text = lxm_asprintf("chain %s drops forwarded packets by default: instances on '%s' may not reach "
				    "other networks until an accept rule for that bridge is added there",
				    drops.data, n->name);
	network_warn(n->d, n->name, "Firewall of the host drops forwarded packets", text);
	return 0;
}

static void dhcp_end(struct network *n)
{
	struct networks *ns = n->d->networks;
	struct dhcp *dhcp;

	pthread_mutex_lock(&ns->lock);
	dhcp = LXM_TAKE(n->dhcp, NULL);
	pthread_mutex_unlock(&ns->lock);
	if (dhcp)
		dhcp_stop(dhcp);
	else if (dhcp_stop_stale(n->dir))
		lxm_info("repair: ended a dnsmasq left for network '%s'", n->name);
}

/* Always anew: dhcp_start() itself goes on with a process whose configuration is unchanged. */
static int dhcp_begin(struct network *n, const struct bridge_conf *c, bool made, struct lxm_err *e)
{
	struct networks *ns = n->d->networks;
	struct dhcp *old, *fresh = NULL;
	struct dhcp_conf dc;
	int r;

	pthread_mutex_lock(&ns->lock);
	old = LXM_TAKE(n->dhcp, NULL);
	pthread_mutex_unlock(&ns->lock);
	/* sockets of a process that served an earlier bridge are bound to a link that is gone */
	if (made)
		dhcp_stop(old);
	else
		dhcp_release(old);
	if (made || (!c->has4 && !c->has6))
		(void)dhcp_stop_stale(n->dir);
	if (!c->has4 && !c->has6)
		return 0;
	bridge_conf_dhcp(c, n->dir, &dc);
	r = dhcp_start(n->d, &dc, &fresh, e);
	pthread_mutex_lock(&ns->lock);
	n->dhcp = fresh;
	pthread_mutex_unlock(&ns->lock);
	return r;
}

/* ---- the type */

static void remember(struct network *n, const struct bridge_conf *c)
{
	pthread_mutex_lock(&n->d->networks->lock);
	n->dhcp4 = c->has4 && c->dhcp4;
	n->dhcp6 = c->has6 && c->dhcp6;
	n->mtu = c->mtu;
	n->gateway4[0] = n->gateway6[0] = '\0';
	if (c->has4)
		(void)snprintf(n->gateway4, sizeof(n->gateway4), "%s/%d", c->address4, c->prefix4);
	if (c->has6)
		(void)snprintf(n->gateway6, sizeof(n->gateway6), "%s/%d", c->address6, c->prefix6);
	pthread_mutex_unlock(&n->d->networks->lock);
}

static int bridge_start(struct network *n, struct lxm_err *e)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	bool made = false;
	int r;

	r = bridge_conf_parse(n->name, &n->config, &c, e);
	if (r == 0)
		r = link_start(n, &c, &made, e);
	if (r == 0)
		r = firewall_start(n, &c, e);
	if (r == 0)
		r = dhcp_begin(n, &c, made, e);
	if (r == 0)
		remember(n, &c);
	return r;
}

static void bridge_release(struct network *n)
{
	struct networks *ns = n->d->networks;
	struct dhcp *dhcp;

	pthread_mutex_lock(&ns->lock);
	dhcp = LXM_TAKE(n->dhcp, NULL);
	pthread_mutex_unlock(&ns->lock);
	dhcp_release(dhcp);
}

static int bridge_stop(struct network *n, struct lxm_err *e)
{
	struct networks *ns = n->d->networks;
	lxm_auto(fd_close) int rtnl = nl_open();
	struct nl_link l;
	bool there;
	int r = 0;

	if (rtnl < 0)
		return lxm_err_sys(e, "open netlink");
	dhcp_end(n);
	there = nl_link_get(rtnl, n->name, &l, NULL) == 0;
	/* a link of that name that is somebody else's has a table that is theirs as well */
	if (there && !link_is_ours(n, &l))
		return 0;
	r = fw_bridge_remove(ns->fw, n->name, e);
	if (there) {
		int r2 = nl_link_del(rtnl, l.index, r < 0 ? NULL : e);

		lxm_strv_deinit(&n->routes);
		if (r == 0)
			r = r2;
	}
	return r < 0 ? lxm_err_wrap(e, r, "stop network '%s'", n->name) : 0;
}

const struct network_type network_bridge = {
	.name = "bridge",
	.flags = NETWORK_CAN_DHCP | NETWORK_CAN_RENAME | NETWORK_HAS_PORTS,
	.fill = bridge_fill,
	.validate = bridge_validate,
	.start = bridge_start,
	.release = bridge_release,
	.stop = bridge_stop,
};
