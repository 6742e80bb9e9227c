/*
 * Making network interfaces. A veth pair is made by one message: host end named, enslaved and up, peer born in the container's
 * namespace under its final name and address (created and then moved it would cost 18 ms). The child sets the peers up:
 * their kernel answers ENOTCONN to that within the creation.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/base/fd.h"
#include "lxmd/monitor/netlink.h"

static void parse_mac(const char *text, unsigned char mac[6])
{
	int i;

	for (i = 0; i < 6; i++)
		mac[i] = (unsigned char)strtoul(text + 3 * i, NULL, 16);
}

static void put_mac(struct nl_msg *m, const char *text)
{
	unsigned char mac[6];

	if (!*text)
		return;
	parse_mac(text, mac);
	nl_put(m, IFLA_ADDRESS, mac, 6);
}

/* A bridge takes the lowest address of its ports as its own: with fe: in front a container's never is the lowest. */
static void put_host_mac(struct nl_msg *m, const struct plan_nic *n)
{
	unsigned char mac[6];

	if (!*n->host_mac && !*n->mac)
		return;
	parse_mac(*n->host_mac ? n->host_mac : n->mac, mac);
	if (!*n->host_mac)
		mac[0] = 0xfe;
	nl_put(m, IFLA_ADDRESS, mac, 6);
}

static void put_sizes(struct nl_msg *m, const struct plan_nic *n)
{
	if (n->mtu)
		nl_put_u32(m, IFLA_MTU, n->mtu);
	if (n->txqlen)
		nl_put_u32(m, IFLA_TXQLEN, n->txqlen);
}

static int parent_index(const struct plan_nic *n, struct lxm_err *e)
{
	unsigned int i = if_nametoindex(n->parent);

	return i ? (int)i : lxm_err_set(e, ENODEV, "there is no link '%s' on the host", n->parent);
}

static int veth_make(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	struct rtattr *info, *data, *peer;
	struct ifinfomsg none = { 0 };
	struct nl_msg m;
	int master = 0;

	if (*n->parent && (master = parent_index(n, e)) < 0)
		return master;
	nl_link(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, n->flags & PLAN_NIC_DOWN ? 0 : IFF_UP);
	nl_put_str(&m, IFLA_IFNAME, n->host);
	put_host_mac(&m, n);
	put_sizes(&m, n);
	if (master)
		nl_put_u32(&m, IFLA_MASTER, (uint32_t)master);
	info = nl_begin(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, "veth");
	data = nl_begin(&m, IFLA_INFO_DATA);
	peer = nl_begin(&m, VETH_INFO_PEER);
	nl_raw(&m, &none, sizeof(none));
	nl_put_str(&m, IFLA_IFNAME, n->peer);
	put_mac(&m, n->mac);
	put_sizes(&m, n);
	if (s->netns >= 0)
		nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)s->netns);
	nl_end(&m, peer);
	nl_end(&m, data);
	nl_end(&m, info);
	return nl_talk(s->nl, &m, e);
}

static int link_delete(int nl, const char *name)
{
	struct nl_msg m;

	nl_link(&m, RTM_DELLINK, 0, 0, 0);
	nl_put_str(&m, IFLA_IFNAME, name);
	return nl_talk(nl, &m, NULL);
}

static void sysctl(const char *family, const char *link, const char *key, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link, key);
	(void)lxm_write_str_at(AT_FDCWD, path, value);
}

/* Options of the bridge port and of IPv6 on the host end; they need the link to exist. */
static int veth_options(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	struct rtattr *info, *data;
	struct nl_msg m;

	if (n->flags & PLAN_NIC_NO_IPV6)
		sysctl("ipv6", n->host, "disable_ipv6", "1");
	if (n->flags & PLAN_NIC_ROUTER) {
		sysctl("ipv4", n->host, "forwarding", "1");
		sysctl("ipv4", n->host, "rp_filter", "1");
		sysctl("ipv6", n->host, "accept_ra", "0");
		sysctl("ipv6", n->host, "forwarding", "1");
	}
	if (!*n->parent || !(n->flags & (PLAN_NIC_ISOLATED | PLAN_NIC_NO_MCAST_FLOOD | PLAN_NIC_NO_LEARNING)))
		return 0;
	nl_link(&m, RTM_NEWLINK, 0, 0, 0);
	nl_put_str(&m, IFLA_IFNAME, n->host);
	info = nl_begin(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_SLAVE_KIND, "bridge");
	data = nl_begin(&m, IFLA_INFO_SLAVE_DATA);
	if (n->flags & PLAN_NIC_ISOLATED)
		nl_put_u8(&m, IFLA_BRPORT_ISOLATED, 1);
	if (n->flags & PLAN_NIC_NO_MCAST_FLOOD)
		nl_put_u8(&m, IFLA_BRPORT_MCAST_FLOOD, 0);
	if (n->flags & PLAN_NIC_NO_LEARNING)
		nl_put_u8(&m, IFLA_BRPORT_LEARNING, 0);
	nl_end(&m, data);
	nl_end(&m, info);
	return nl_talk(s->nl, &m, e);
}

static int veth_start(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	int r = veth_make(s, n, e);

	if (r == -EEXIST) {
		/* left by a reboot or by a monitor that was killed: the name is ours alone */
		lxm_err_clear(e);
		(void)link_delete(s->nl, n->host);
		r = veth_make(s, n, e);
	}
	if (r == 0)
		r = links_add(s, n, (int)if_nametoindex(n->host), e);
	if (r == 0)
		r = veth_options(s, n, e);
	return r;
}

/* The kernel's answer to a kind of link that it has no driver for. */
static int no_driver(int r, const char *kind, struct lxm_err *e)
{
	if (r != -EOPNOTSUPP)
		return r;
	lxm_err_clear(e);
	return lxm_err_set(e, EOPNOTSUPP, "the kernel of this host has no %s links: load its module '%s'", kind, kind);
}

/* macvlan in bridge mode or ipvlan, made right inside the container's namespace. */
static int vlan_make(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	uint16_t mode = n->flags & PLAN_NIC_L3S ? IPVLAN_MODE_L3S : IPVLAN_MODE_L2;
	bool mac = n->kind == PLAN_NIC_MACVLAN;
	struct rtattr *info, *data;
	struct nl_msg m;
	int parent = parent_index(n, e);

	if (parent < 0)
		return parent;
	nl_link(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0);
	nl_put_str(&m, IFLA_IFNAME, n->peer);
	nl_put_u32(&m, IFLA_LINK, (uint32_t)parent);
	put_sizes(&m, n);
	if (mac)
		put_mac(&m, n->mac);
	if (s->netns >= 0)
		nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)s->netns);
	info = nl_begin(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, mac ? "macvlan" : "ipvlan");
	data = nl_begin(&m, IFLA_INFO_DATA);
	if (mac)
		nl_put_u32(&m, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
	else
		nl_put(&m, IFLA_IPVLAN_MODE, &mode, sizeof(mode));
	nl_end(&m, data);
	nl_end(&m, info);
	return no_driver(nl_talk(s->nl, &m, e), mac ? "macvlan" : "ipvlan", e);
}

static int vlan_start(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	int r = vlan_make(s, n, e);

	return r < 0 ? r : links_add(s, n, 0, e);
}

/* One thing of a link by its index; what cannot be set down cannot be renamed or moved. */
static int link_set(int nl, int index, uint16_t attr, const void *data, size_t len, struct lxm_err *e)
{
	struct nl_msg m;

	nl_link(&m, RTM_NEWLINK, 0, index, 0);
	if (attr)
		nl_put(&m, attr, data, len);
	else
		((struct ifinfomsg *)NLMSG_DATA(&m.h))->ifi_change = IFF_UP;
	return nl_talk(nl, &m, e);
}

static void sizes_set(int nl, int index, const char *mac, uint32_t mtu, uint32_t txqlen, int *r, struct lxm_err *e)
{
	unsigned char raw[6];

	if (*r == 0 && *mac) {
		parse_mac(mac, raw);
		*r = link_set(nl, index, IFLA_ADDRESS, raw, 6, e);
	}
	if (*r == 0 && mtu)
		*r = link_set(nl, index, IFLA_MTU, &mtu, sizeof(mtu), e);
	if (*r == 0 && txqlen != PLAN_QUEUE_AS_IS)
		*r = link_set(nl, index, IFLA_TXQLEN, &txqlen, sizeof(txqlen), e);
}

static int link_move(int nl, int index, const char *name, int netns, struct lxm_err *e)
{
	struct nl_msg m;

	nl_link(&m, RTM_NEWLINK, 0, index, 0);
	nl_put_str(&m, IFLA_IFNAME, name);
	nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)netns);
	return nl_talk(nl, &m, e);
}

/* All that can fail comes before the move: a link in the namespace of a container that ends is lost if it is virtual. */
static int physical_start(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	int r, none = 0, index = parent_index(n, e);

	if (index < 0)
		return index;
	if (s->netns < 0)
		return lxm_err_set(e, EINVAL, "needs a network namespace");
	r = link_set(s->nl, index, 0, NULL, 0, e);
	sizes_set(s->nl, index, n->mac, n->mtu, n->txqlen ? n->txqlen : PLAN_QUEUE_AS_IS, &r, e);
	if (r == 0)
		r = link_move(s->nl, index, n->peer, s->netns, e);
	if (r < 0) {
		sizes_set(s->nl, index, n->host_mac, n->host_mtu, n->host_txqlen, &none, NULL);
		return r;
	}
	return links_add(s, n, 0, e);
}

int nic_move_back(int inside, const struct mon_link *l, int host_netns)
{
	int r = link_set(inside, l->index, 0, NULL, 0, NULL), none = 0;

	/* as it was before anybody sees it again; what cannot be set does not keep it from coming home */
	sizes_set(inside, l->index, l->mac, l->mtu, l->txqlen, &none, NULL);
	if (r == 0)
		r = link_move(inside, l->index, l->parent, host_netns, NULL);
	if (r == -EEXIST)
		r = link_move(inside, l->index, "dev%d", host_netns, NULL);
	return r;
}

int nic_make(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	int r;

	if (s->m->nlinks == MON_LINKS)
		return lxm_err_set(e, ENOSPC, "no more than %d network interfaces", MON_LINKS);
	switch (n->kind) {
	case PLAN_NIC_VETH:
		r = veth_start(s, n, e);
		break;
	case PLAN_NIC_PHYSICAL:
		r = physical_start(s, n, e);
		break;
	default:
		r = vlan_start(s, n, e);
		break;
	}
	return r < 0 ? lxm_err_wrap(e, r, "network interface '%s'", n->peer) : 0;
}

int nic_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	return nic_make(s, &p->u.nic, e);
}

static int set_up(const char *name, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return lxm_err_sys(e, "network interface '%s'", name);
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return lxm_err_sys(e, "set network interface '%s' up", name);
	return 0;
}

/* Child. */
int nic_step_up(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	return set_up(p->u.nic.peer, e);
}

int nic_loopback_up(struct lxm_err *e)
{
	return set_up("lo", e);
}
