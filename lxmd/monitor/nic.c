/*
 * Network interfaces. A veth pair is made by one message: host end named, enslaved and up, peer born in the container's
 * namespace under its final name and address (created and then moved it would cost 18 ms). The child sets the peers up:
 * their kernel answers ENOTCONN to that within the creation.
 */
#include "lxmd/monitor/mon.h"

#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
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
	nl_link(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP);
	nl_put_str(&m, IFLA_IFNAME, n->host);
	put_host_mac(&m, n);
	if (n->mtu)
		nl_put_u32(&m, IFLA_MTU, n->mtu);
	if (master)
		nl_put_u32(&m, IFLA_MASTER, (uint32_t)master);
	info = nl_begin(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, "veth");
	data = nl_begin(&m, IFLA_INFO_DATA);
	peer = nl_begin(&m, VETH_INFO_PEER);
	nl_raw(&m, &none, sizeof(none));
	nl_put_str(&m, IFLA_IFNAME, n->peer);
	put_mac(&m, n->mac);
	if (n->mtu)
		nl_put_u32(&m, IFLA_MTU, n->mtu);
	if (s->netns >= 0)
		nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)s->netns);
	nl_end(&m, peer);
	nl_end(&m, data);
	nl_end(&m, info);
	return nl_talk(s->nl, &m, e);
}

static int link_delete(int nl, const char *name, struct lxm_err *e)
{
	struct nl_msg m;

	nl_link(&m, RTM_DELLINK, 0, 0, 0);
	nl_put_str(&m, IFLA_IFNAME, name);
	return nl_talk(nl, &m, e);
}

/* Options of the bridge port and of IPv6 on the host end; they need the link to exist. */
static int veth_options(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	struct rtattr *info, *data;
	struct nl_msg m;
	char path[96];

	if (n->flags & PLAN_NIC_NO_IPV6) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", n->host);
		(void)lxm_write_str_at(AT_FDCWD, path, "1");
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
		(void)link_delete(s->nl, n->host, NULL);
		r = veth_make(s, n, e);
	}
	if (r == 0)
		r = veth_options(s, n, e);
	return r;
}

/* macvlan in bridge mode or ipvlan in l2 mode, made right inside the container's namespace. */
static int vlan_start(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	bool mac = n->kind == PLAN_NIC_MACVLAN;
	struct rtattr *info, *data;
	struct nl_msg m;
	uint16_t mode = IPVLAN_MODE_L2;
	int parent = parent_index(n, e);

	if (parent < 0)
		return parent;
	nl_link(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0);
	nl_put_str(&m, IFLA_IFNAME, n->peer);
	nl_put_u32(&m, IFLA_LINK, (uint32_t)parent);
	if (n->mtu)
		nl_put_u32(&m, IFLA_MTU, n->mtu);
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
	return nl_talk(s->nl, &m, e);
}

/* A link moves between namespaces under a new name; only a link that is down can be renamed. */
static int physical_move(int nl, const char *from, const char *to, const char *mac, uint32_t mtu, int netns, struct lxm_err *e)
{
	struct nl_msg m;
	int r;

	nl_link(&m, RTM_NEWLINK, 0, 0, 0);
	((struct ifinfomsg *)NLMSG_DATA(&m.h))->ifi_change = IFF_UP;
	nl_put_str(&m, IFLA_IFNAME, from);
	r = nl_talk(nl, &m, e);
	if (r < 0)
		return r;
	nl_link(&m, RTM_NEWLINK, 0, (int)if_nametoindex(from), 0);
	nl_put_str(&m, IFLA_IFNAME, to);
	put_mac(&m, mac);
	if (mtu)
		nl_put_u32(&m, IFLA_MTU, mtu);
	nl_put_u32(&m, IFLA_NET_NS_FD, (uint32_t)netns);
	return nl_talk(nl, &m, e);
}

static int physical_start(struct start *s, const struct plan_nic *n, struct lxm_err *e)
{
	int r;

	if (s->netns < 0)
		return lxm_err_set(e, EINVAL, "needs a network namespace");
	r = physical_move(s->nl, n->parent, n->peer, n->mac, n->mtu, s->netns, e);
	/* kept alive so that the link can be given back under its own name */
	if (r == 0 && s->m->held_netns < 0)
		s->m->held_netns = fcntl(s->netns, F_DUPFD_CLOEXEC, 0);
	return r;
}

int nic_step_make(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_nic *n = &p->u.nic;
	int r;

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

/* In the container's network namespace: the host's is the target. */
static void physical_return(struct mon *m, const struct plan_nic *n)
{
	lxm_auto(fd_close) int nl = -1;

	if (m->held_netns < 0 || setns(m->held_netns, CLONE_NEWNET) < 0)
		return;
	nl = nl_open(NULL);
	if (nl >= 0)
		(void)physical_move(nl, n->peer, n->parent, "", 0, m->own_netns, NULL);
	(void)setns(m->own_netns, CLONE_NEWNET);
}

void nic_clean(struct mon *m, const struct plan_view *plan)
{
	lxm_auto(fd_close) int nl = -1;
	struct plan_step p;
	size_t pos = 0;

	while (plan_next(plan, &pos, &p)) {
		if (p.kind != PLAN_NIC)
			continue;
		if (p.u.nic.kind == PLAN_NIC_PHYSICAL)
			physical_return(m, &p.u.nic);
		if (p.u.nic.kind != PLAN_NIC_VETH)
			continue;
		if (nl < 0)
			nl = nl_open(NULL);
		if (nl >= 0)
			(void)link_delete(nl, p.u.nic.host, NULL);
	}
	auto_fd_close(&m->held_netns);
}
