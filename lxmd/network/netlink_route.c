/* Routes, proxy neighbours and VLAN links of the host, over rtnetlink. Any thread of lxmd. */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/if_vlan.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lxmd/network/netlink.h"

static size_t raw_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

int nl_cidr_parse(const char *text, struct nl_cidr *out)
{
	const char *slash = strchrnul(text, '/');
	struct nl_cidr c = { .family = AF_INET };
	char address[64];
	int64_t bits;

	if ((size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	if (inet_pton(AF_INET, address, c.addr) != 1) {
		c.family = AF_INET6;
		if (inet_pton(AF_INET6, address, c.addr) != 1)
			return -EINVAL;
	}
	bits = 8 * (int64_t)raw_len(c.family);
	if (*slash && (lxm_parse_i64(slash + 1, &bits) < 0 || bits < 0 || bits > 8 * (int64_t)raw_len(c.family)))
		return -EINVAL;
	c.prefixlen = (int)bits;
	*out = c;
	return 0;
}

static int route_change(int fd, uint16_t type, uint16_t flags, const struct nl_route_spec *r, struct lxm_err *e)
{
	struct rtmsg head = {
		.rtm_family = (unsigned char)r->dst.family,
		.rtm_dst_len = (unsigned char)r->dst.prefixlen,
		.rtm_table = r->table > 255 ? RT_TABLE_UNSPEC : r->table ? (unsigned char)r->table : RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = r->via || r->dst.family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg m;

	/* a deletion by family, destination, table and link: whatever else the route says */
	if (type == RTM_DELROUTE) {
		head.rtm_protocol = RTPROT_UNSPEC;
		head.rtm_scope = RT_SCOPE_NOWHERE;
	}
	nl_begin(&m, type, flags, &head, sizeof(head));
	if (r->dst.prefixlen)
		nl_put(&m, RTA_DST, r->dst.addr, raw_len(r->dst.family));
	if (r->via)
		nl_put(&m, RTA_GATEWAY, r->via, raw_len(r->dst.family));
	if (r->table)
		nl_put_u32(&m, RTA_TABLE, r->table);
	nl_put_u32(&m, RTA_OIF, (uint32_t)r->oif);
	return nl_talk(fd, &m, e);
}

int nl_route_add(int fd, const struct nl_route_spec *r, struct lxm_err *e)
{
	return route_change(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r, e);
}

int nl_route_del(int fd, const struct nl_route_spec *r, struct lxm_err *e)
{
	struct lxm_err local = { 0 };
	int rc = route_change(fd, RTM_DELROUTE, 0, r, &local);

	if (rc == -ESRCH || rc == -ENODEV)
		return 0;
	if (rc < 0 && e)
		*e = local;
	return rc;
}

int nl_proxy_del(int fd, int index, int family, const void *addr, struct lxm_err *e)
{
	struct ndmsg head = { .ndm_family = (uint8_t)family, .ndm_ifindex = index, .ndm_flags = NTF_PROXY };
	struct lxm_err local = { 0 };
	struct nl_msg m;
	int r;

	nl_begin(&m, RTM_DELNEIGH, 0, &head, sizeof(head));
	nl_put(&m, NDA_DST, addr, raw_len(family));
	r = nl_talk(fd, &m, &local);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && e)
		*e = local;
	return r;
}

int nl_vlan_add(int fd, const char *name, int parent, uint16_t id, bool gvrp, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct ifla_vlan_flags flags = { .flags = gvrp ? VLAN_FLAG_GVRP : 0, .mask = VLAN_FLAG_GVRP };
	struct nl_msg m;
	size_t info, data;
	int r;

	nl_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof(i));
	nl_put_str(&m, IFLA_IFNAME, name);
	nl_put_u32(&m, IFLA_LINK, (uint32_t)parent);
	info = nl_nest(&m, IFLA_LINKINFO);
	nl_put_str(&m, IFLA_INFO_KIND, "vlan");
	data = nl_nest(&m, IFLA_INFO_DATA);
	nl_put_u16(&m, IFLA_VLAN_ID, id);
	if (gvrp)
		nl_put(&m, IFLA_VLAN_FLAGS, &flags, sizeof(flags));
	nl_nest_end(&m, data);
	nl_nest_end(&m, info);
	r = nl_talk(fd, &m, e);
	if (r == -EOPNOTSUPP && e) {
		lxm_err_clear(e);
		r = lxm_err_set(e, EOPNOTSUPP, "the kernel of this host has no VLAN links%s: load its module '8021q'",
				gvrp ? " with GVRP" : "");
	}
	return r;
}
