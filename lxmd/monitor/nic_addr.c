/*
 * Addresses, routes and proxy neighbours. Those inside are set by the child, in its own namespace, when its links are up;
 * those on the host by the parent, which removes the ones that do not vanish with a link.
 */
#include "lxmd/monitor/mon.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/monitor/netlink.h"

/* Checked by the plan: "ADDRESS/BITS", or the address alone. */
struct prefix {
	unsigned char family, bits, raw[16];
};

static struct prefix prefix_of(const char *text)
{
	const char *slash = strchrnul(text, '/');
	struct prefix p = { .family = AF_INET };
	char address[64];

	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	if (inet_pton(AF_INET, address, p.raw) != 1) {
		p.family = AF_INET6;
		(void)inet_pton(AF_INET6, address, p.raw);
	}
	p.bits = *slash ? (unsigned char)atoi(slash + 1) : p.family == AF_INET ? 32 : 128;
	return p;
}

static size_t raw_len(const struct prefix *p)
{
	return p->family == AF_INET ? 4 : 16;
}

static int link_index(const char *name, struct lxm_err *e)
{
	unsigned int i = if_nametoindex(name);

	return i ? (int)i : lxm_err_set(e, ENODEV, "there is no link '%s'", name);
}

static int addr_set(int nl, const struct plan_nic_addr *a, struct lxm_err *e)
{
	struct prefix p = prefix_of(a->address);
	struct ifaddrmsg head = { .ifa_family = p.family, .ifa_prefixlen = p.bits };
	struct nl_msg m;
	int index = link_index(a->link, e);

	if (index < 0)
		return index;
	head.ifa_index = (uint32_t)index;
	nl_begin_with(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof(head));
	nl_put(&m, IFA_LOCAL, p.raw, raw_len(&p));
	nl_put(&m, IFA_ADDRESS, p.raw, raw_len(&p));
	if (p.family == AF_INET6)
		nl_put_u32(&m, IFA_FLAGS, IFA_F_NODAD);
	return nl_talk(nl, &m, e);
}

static int route_change(int nl, uint16_t type, uint16_t flags, const struct plan_nic_route *r, struct lxm_err *e)
{
	struct prefix dst = prefix_of(r->dst), via = prefix_of(*r->via ? r->via : "0.0.0.0");
	struct rtmsg head = { .rtm_family = dst.family, .rtm_dst_len = dst.bits, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
			      .rtm_scope = *r->via || dst.family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK, .rtm_type = RTN_UNICAST };
	struct nl_msg m;
	int index = link_index(r->link, e);

	if (index < 0)
		return index;
	if (r->table)
		head.rtm_table = r->table < 256 ? (unsigned char)r->table : RT_TABLE_UNSPEC;
	nl_begin_with(&m, type, flags, &head, sizeof(head));
	if (dst.bits)
		nl_put(&m, RTA_DST, dst.raw, raw_len(&dst));
	if (*r->via)
		nl_put(&m, RTA_GATEWAY, via.raw, raw_len(&via));
	if (r->table)
		nl_put_u32(&m, RTA_TABLE, r->table);
	nl_put_u32(&m, RTA_OIF, (uint32_t)index);
	return nl_talk(nl, &m, e);
}

static int proxy_change(int nl, uint16_t type, uint16_t flags, const struct plan_nic_proxy *x, struct lxm_err *e)
{
	struct prefix p = prefix_of(x->address);
	struct ndmsg head = { .ndm_family = p.family, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_PROXY };
	struct nl_msg m;

	head.ndm_ifindex = link_index(x->link, e);
	if (head.ndm_ifindex < 0)
		return head.ndm_ifindex;
	nl_begin_with(&m, type, flags, &head, sizeof(head));
	nl_put(&m, NDA_DST, p.raw, raw_len(&p));
	return nl_talk(nl, &m, e);
}

static uint32_t side_of(const struct plan_step *p)
{
	return p->kind == PLAN_NIC_ADDR ? p->u.nic_addr.side : p->kind == PLAN_NIC_ROUTE ? p->u.nic_route.side : PLAN_OUTSIDE;
}

static int step(int nl, const struct plan_step *p, struct lxm_err *e)
{
	int r;

	switch (p->kind) {
	case PLAN_NIC_ADDR:
		r = addr_set(nl, &p->u.nic_addr, e);
		return r < 0 ? lxm_err_wrap(e, r, "address %s of '%s'", p->u.nic_addr.address, p->u.nic_addr.link) : 0;
	case PLAN_NIC_ROUTE:
		r = route_change(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &p->u.nic_route, e);
		return r < 0 ? lxm_err_wrap(e, r, "route to %s by '%s'", p->u.nic_route.dst, p->u.nic_route.link) : 0;
	default:
		r = proxy_change(nl, RTM_NEWNEIGH, NLM_F_CREATE, &p->u.nic_proxy, e);
		return r < 0 ? lxm_err_wrap(e, r, "answer for %s on '%s'", p->u.nic_proxy.address, p->u.nic_proxy.link) : 0;
	}
}

int nic_step_outside(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	int r;

	if (side_of(p) != PLAN_OUTSIDE)
		return 0;
	r = step(s->nl, p, e);
	if (r == 0)
		s->m->outside++;
	return r;
}

/* Child. */
int nic_step_inside(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	if (side_of(p) != PLAN_INSIDE)
		return 0;
	if (s->nl < 0)
		s->nl = nl_open(e);
	return s->nl < 0 ? s->nl : step(s->nl, p, e);
}

void nic_addr_clean(struct mon *m, const struct plan_view *plan)
{
	lxm_auto(fd_close) int nl = -1;
	struct plan_step p;
	size_t pos = 0;

	while (m->outside && plan_next(plan, &pos, &p)) {
		if (p.kind < PLAN_NIC_ADDR || p.kind > PLAN_NIC_PROXY || side_of(&p) != PLAN_OUTSIDE)
			continue;
		m->outside--;
		if (nl < 0)
			nl = nl_open(NULL);
		if (nl >= 0 && p.kind == PLAN_NIC_ROUTE)
			(void)route_change(nl, RTM_DELROUTE, 0, &p.u.nic_route, NULL);
		if (nl >= 0 && p.kind == PLAN_NIC_PROXY)
			(void)proxy_change(nl, RTM_DELNEIGH, 0, &p.u.nic_proxy, NULL);
	}
}
