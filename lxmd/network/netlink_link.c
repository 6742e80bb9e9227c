/*
 * Links, addresses and routes over rtnetlink: reading them, and the few changes lxmd makes to its own.
 *
 * Any thread of lxmd with CAP_NET_ADMIN. The parsers also see a container's namespace and trust nothing there:
 * names may hold any byte, addresses any scope.
 */
#include "lxmd/network/netlink.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/if_link.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"

/* Bounds on what the host itself may answer: far above any real host. */
#define NL_HOST_MAX_BYTES (256u << 20)
/* Link group that only a batch of doomed links is in, between two messages. */
#define NL_GROUP_DOOMED 0x6c786d00u

void nl_links_deinit(struct nl_links *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}

void nl_addrs_deinit(struct nl_addrs *a)
{
	free(a->v);
	memset(a, 0, sizeof(*a));
}

void nl_routes_deinit(struct nl_routes *r)
{
	free(r->v);
	memset(r, 0, sizeof(*r));
}

static void link_stats(const struct rtattr *a, struct nl_link *out)
{
	struct rtnl_link_stats64 s = { 0 };
	size_t n = nl_attr_len(a);

	if (!n)
		return;
	memcpy(&s, RTA_DATA(a), n < sizeof(s) ? n : sizeof(s));
	out->rx_bytes = s.rx_bytes;
	out->tx_bytes = s.tx_bytes;
	out->rx_packets = s.rx_packets;
	out->tx_packets = s.tx_packets;
	out->rx_errors = s.rx_errors;
	out->tx_errors = s.tx_errors;
	out->rx_dropped = s.rx_dropped;
	out->tx_dropped = s.tx_dropped;
}

int nl_link_parse(const struct nlmsghdr *h, struct nl_link *out)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	const struct rtattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return -EINVAL;
	nl_attrs(h, sizeof(*i), tb, IFLA_MAX);
	if (!tb[IFLA_IFNAME])
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->index = i->ifi_index;
	out->flags = i->ifi_flags;
	out->arptype = i->ifi_type;
	nl_attr_str(tb[IFLA_IFNAME], out->name, sizeof(out->name));
	nl_attr_str(tb[IFLA_IFALIAS], out->alias, sizeof(out->alias));
	out->master = (int)nl_attr_uint(tb[IFLA_MASTER], 0);
	out->peer_index = (int)nl_attr_uint(tb[IFLA_LINK], 0);
	out->mtu = (uint32_t)nl_attr_uint(tb[IFLA_MTU], 0);
	out->txqlen = (uint32_t)nl_attr_uint(tb[IFLA_TXQLEN], 0);
	out->group = (uint32_t)nl_attr_uint(tb[IFLA_GROUP], 0);
	out->operstate = (uint8_t)nl_attr_uint(tb[IFLA_OPERSTATE], 0);
	if (nl_attr_len(tb[IFLA_ADDRESS]) == sizeof(out->mac)) {
		memcpy(out->mac, RTA_DATA(tb[IFLA_ADDRESS]), sizeof(out->mac));
		out->has_mac = true;
	}
	nl_attrs_nested(tb[IFLA_LINKINFO], info, IFLA_INFO_MAX);
	nl_attr_str(info[IFLA_INFO_KIND], out->kind, sizeof(out->kind));
	link_stats(tb[IFLA_STATS64], out);
	return 0;
}

int nl_addr_parse(const struct nlmsghdr *h, struct nl_addr *out)
{
	const struct ifaddrmsg *i = NLMSG_DATA(h);
	const struct rtattr *tb[IFA_MAX + 1], *a;
	size_t want;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return -EINVAL;
	nl_attrs(h, sizeof(*i), tb, IFA_MAX);
	/* on a point-to-point link IFA_ADDRESS is the other end; IPv6 has no IFA_LOCAL otherwise */
	a = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	want = i->ifa_family == AF_INET ? 4 : i->ifa_family == AF_INET6 ? 16 : 0;
	if (!want || nl_attr_len(a) != want || i->ifa_prefixlen > want * 8)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->index = (int)i->ifa_index;
	out->family = i->ifa_family;
	out->prefixlen = i->ifa_prefixlen;
	out->scope = i->ifa_scope;
	out->flags = (uint32_t)nl_attr_uint(tb[IFA_FLAGS], i->ifa_flags);
	memcpy(out->addr, RTA_DATA(a), want);
	return 0;
}

static int route_parse(const struct nlmsghdr *h, struct nl_route *out)
{
	const struct rtmsg *i = NLMSG_DATA(h);
	const struct rtattr *tb[RTA_MAX + 1];
	size_t n;

	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return -EINVAL;
	nl_attrs(h, sizeof(*i), tb, RTA_MAX);
	memset(out, 0, sizeof(*out));
	out->family = i->rtm_family;
	out->prefixlen = i->rtm_dst_len;
	out->table = (uint32_t)nl_attr_uint(tb[RTA_TABLE], i->rtm_table);
	out->oif = (int)nl_attr_uint(tb[RTA_OIF], 0);
	n = nl_attr_len(tb[RTA_DST]);
	if (n > sizeof(out->dst))
		return -EINVAL;
	if (n)
		memcpy(out->dst, RTA_DATA(tb[RTA_DST]), n);
	return 0;
}

/* Room for one more of at most max; false when full. */
#define LIST_GROW(l, max)                                                          \
	({                                                                         \
		bool room_ = (l)->n < (max);                                       \
		if (room_ && (l)->n == (l)->cap) {                                 \
			(l)->cap = (l)->cap ? (l)->cap * 2 : 16;                   \
			(l)->v = lxm_realloc_n((l)->v, (l)->cap, sizeof(*(l)->v)); \
		}                                                                  \
		room_;                                                             \
	})

struct list_job {
	void *out;
	size_t max;
};

static int on_link(const struct nlmsghdr *h, void *arg)
{
	struct list_job *job = arg;
	struct nl_links *l = job->out;

	if (LIST_GROW(l, job->max) && nl_link_parse(h, &l->v[l->n]) == 0)
		l->n++;
	return 0;
}

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	struct list_job *job = arg;
	struct nl_addrs *l = job->out;

	if (LIST_GROW(l, job->max) && nl_addr_parse(h, &l->v[l->n]) == 0)
		l->n++;
	return 0;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	struct list_job *job = arg;
	struct nl_routes *l = job->out;

	if (LIST_GROW(l, job->max) && route_parse(h, &l->v[l->n]) == 0)
		l->n++;
	return 0;
}

int nl_link_list(int fd, size_t max, struct nl_links *out, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	struct list_job job = { .out = out, .max = max };
	struct nl_msg m;

	out->n = 0;
	nl_begin(&m, RTM_GETLINK, 0, &i, sizeof(i));
	return nl_dump(fd, &m, NL_HOST_MAX_BYTES, on_link, &job, e);
}

int nl_addr_list(int fd, size_t max, struct nl_addrs *out, struct lxm_err *e)
{
	struct ifaddrmsg i = { .ifa_family = AF_UNSPEC };
	struct list_job job = { .out = out, .max = max };
	struct nl_msg m;

	out->n = 0;
	nl_begin(&m, RTM_GETADDR, 0, &i, sizeof(i));
	return nl_dump(fd, &m, NL_HOST_MAX_BYTES, on_addr, &job, e);
}

int nl_route_list(int fd, size_t max, struct nl_routes *out, struct lxm_err *e)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct list_job job = { .out = out, .max = max };
	size_t i;
	int r = 0;

	out->n = 0;
	for (i = 0; i < LXM_ARRAY_LEN(families) && r == 0; i++) {
		struct rtmsg rt = { .rtm_family = (unsigned char)families[i] };
		struct nl_msg m;

		nl_begin(&m, RTM_GETROUTE, 0, &rt, sizeof(rt));
		r = nl_dump(fd, &m, NL_HOST_MAX_BYTES, on_route, &job, e);
	}
	return r;
}

int nl_link_get(int fd, const char *name, struct nl_link *out, struct lxm_err *e)
{
	lxm_auto(nl_links) struct nl_links all = { 0 };
	unsigned int index = strlen(name) < IFNAMSIZ ? if_nametoindex(name) : 0;
	size_t i;
	int r;

	if (!index)
		return lxm_err_set(e, ENODEV, "no link '%s'", name);
	r = nl_link_list(fd, 1u << 20, &all, e);
	if (r < 0)
		return r;
	for (i = 0; i < all.n; i++)
		if (lxm_streq(all.v[i].name, name)) {
			*out = all.v[i];
			return 0;
		}
	return lxm_err_set(e, ENODEV, "no link '%s'", name);
}

int nl_bridge_add(int fd, const struct nl_bridge_spec *spec, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	struct nl_msg m;
	size_t info, data;

	nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof(i));
	nl_put_str(&m, IFLA_IFNAME, spec->name);
	if (spec->mac)
		nl_put(&m, IFLA_ADDRESS, spec->mac, 6);
	if (spec->mtu)
		nl_put_u32(&m, IFLA_MTU, spec->mtu);
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, "bridge");
	data = nl_nest(&m, IFLA_INFO_DATA);
	nl_put_u32(&m, IFLA_BR_FORWARD_DELAY, 0);
	if (spec->vlan_filtering)
		nl_put_u8(&m, IFLA_BR_VLAN_FILTERING, 1);
	nl_nest_end(&m, data);
	nl_nest_end(&m, info);
	return nl_talk(fd, &m, e);
}

int nl_bridge_snooping(int fd, int index, bool on, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	struct nl_msg m;
	size_t info, data;

	nl_begin(&m, RTM_NEWLINK, 0, &i, sizeof(i));
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, "bridge");
	data = nl_nest(&m, IFLA_INFO_DATA);
	nl_put_u8(&m, IFLA_BR_MCAST_SNOOPING, on);
	nl_nest_end(&m, data);
	nl_nest_end(&m, info);
	return nl_talk(fd, &m, e);
}

/* A change to one link: header with flags, then at most one attribute. */
static int link_set(int fd, int index, unsigned int flags, unsigned int change, uint16_t attr, const void *data,
		    size_t n, struct lxm_err *e)
{
	struct ifinfomsg i = {
		.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = flags, .ifi_change = change
	};
	struct nl_msg m;

	nl_begin(&m, RTM_NEWLINK, 0, &i, sizeof(i));
	if (attr)
		nl_put(&m, attr, data, n);
	return nl_talk(fd, &m, e);
}

int nl_link_up(int fd, int index, bool up, struct lxm_err *e)
{
	return link_set(fd, index, up ? IFF_UP : 0, IFF_UP, 0, NULL, 0, e);
}

int nl_link_mtu(int fd, int index, uint32_t mtu, struct lxm_err *e)
{
	return link_set(fd, index, 0, 0, IFLA_MTU, &mtu, sizeof(mtu), e);
}

int nl_link_mac(int fd, int index, const uint8_t mac[6], struct lxm_err *e)
{
	return link_set(fd, index, 0, 0, IFLA_ADDRESS, mac, 6, e);
}

int nl_link_alias(int fd, int index, const char *alias, struct lxm_err *e)
{
	return link_set(fd, index, 0, 0, IFLA_IFALIAS, alias, strnlen(alias, NL_ALIAS_MAX - 1), e);
}

int nl_link_rename(int fd, int index, const char *name, struct lxm_err *e)
{
	return link_set(fd, index, 0, 0, IFLA_IFNAME, name, strlen(name) + 1, e);
}

int nl_link_master(int fd, int index, int master, struct lxm_err *e)
{
	return link_set(fd, index, 0, 0, IFLA_MASTER, &master, sizeof(master), e);
}

int nl_port_set(int fd, int index, bool isolated, bool learning, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	struct nl_msg m;
	size_t info, data;

	nl_begin(&m, RTM_NEWLINK, 0, &i, sizeof(i));
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_SLAVE_KIND, "bridge");
	data = nl_nest(&m, IFLA_INFO_SLAVE_DATA);
	nl_put_u8(&m, IFLA_BRPORT_ISOLATED, isolated);
	nl_put_u8(&m, IFLA_BRPORT_LEARNING, learning);
	nl_nest_end(&m, data);
	nl_nest_end(&m, info);
	return nl_talk(fd, &m, e);
}

int nl_port_station(int fd, int index, const uint8_t mac[6], bool add, struct lxm_err *e)
{
	struct ndmsg n = { .ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER };
	struct lxm_err local = { 0 };
	struct nl_msg m;
	int r;

	nl_begin(&m, add ? RTM_NEWNEIGH : RTM_DELNEIGH, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &n, sizeof(n));
	nl_put(&m, NDA_LLADDR, mac, 6);
	r = nl_talk(fd, &m, &local);
	if (r < 0 && (add || r != -ENOENT) && e)
		*e = local;
	return !add && r == -ENOENT ? 0 : r;
}

int nl_link_del(int fd, int index, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	struct lxm_err local = { 0 };
	struct nl_msg m;
	int r;

	nl_begin(&m, RTM_DELLINK, 0, &i, sizeof(i));
	r = nl_talk(fd, &m, &local);
	if (r < 0 && r != -ENODEV && e)
		*e = local;
	return r == -ENODEV ? 0 : r;
}

int nl_link_del_many(int fd, const int *index, size_t n, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC };
	uint32_t group = NL_GROUP_DOOMED;
	struct lxm_err local = { 0 };
	struct nl_msg m;
	size_t k;
	int r;

	if (n == 0)
		return 0;
	if (n == 1)
		return nl_link_del(fd, index[0], e);
	for (k = 0; k < n; k++)
		(void)link_set(fd, index[k], 0, 0, IFLA_GROUP, &group, sizeof(group), NULL);
	nl_begin(&m, RTM_DELLINK, 0, &i, sizeof(i));
	nl_put_u32(&m, IFLA_GROUP, group);
	r = nl_talk(fd, &m, &local);
	if (r < 0 && r != -ENODEV && e)
		*e = local;
	return r == -ENODEV ? 0 : r;
}

static int addr_change(int fd, uint16_t type, uint16_t flags, int index, int family, const void *addr,
		       int prefixlen, struct lxm_err *e)
{
	struct ifaddrmsg i = { .ifa_family = (uint8_t)family,
			       .ifa_prefixlen = (uint8_t)prefixlen,
			       .ifa_index = (uint32_t)index };
	size_t n = family == AF_INET ? 4 : 16;
	struct nl_msg m;

	nl_begin(&m, type, flags, &i, sizeof(i));
	nl_put(&m, IFA_LOCAL, addr, n);
	nl_put(&m, IFA_ADDRESS, addr, n);
	if (type == RTM_NEWADDR && family == AF_INET6)
		nl_put_u32(&m, IFA_FLAGS, IFA_F_NODAD);
	if (type == RTM_NEWADDR && family == AF_INET && prefixlen < 31) {
		uint32_t brd;

		memcpy(&brd, addr, 4);
		brd |= htonl(prefixlen ? UINT32_MAX >> prefixlen : UINT32_MAX);
		nl_put(&m, IFA_BROADCAST, &brd, sizeof(brd));
	}
	return nl_talk(fd, &m, e);
}

int nl_addr_add(int fd, int index, int family, const void *addr, int prefixlen, struct lxm_err *e)
{
	return addr_change(fd, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, family, addr, prefixlen, e);
}

int nl_addr_del(int fd, int index, int family, const void *addr, int prefixlen, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	int r = addr_change(fd, RTM_DELADDR, 0, index, family, addr, prefixlen, &local);

	if (r < 0 && r != -EADDRNOTAVAIL && e)
		*e = local;
	return r == -EADDRNOTAVAIL ? 0 : r;
}
