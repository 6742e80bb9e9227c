/*
 * What holds the host end of a pair: its VLANs, who is behind it, how fast it gives. Parent, in the host's namespace; the pair has just been
 * made. lxmd (shape.c, nic_port.c) does the same, and again at each change: what is here serves reboots that nobody sees.
 */
#include "lxmd/monitor/mon.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "lxmd/monitor/netlink.h"

static int vlans_change(int nl, int index, uint16_t type, uint16_t first, uint16_t last, uint16_t flags, struct lxm_err *e)
{
	struct ifinfomsg head = { .ifi_family = AF_BRIDGE, .ifi_index = index };
	struct bridge_vlan_info v = { .flags = flags, .vid = first };
	struct rtattr *spec;
	struct nl_msg m;

	nl_begin_with(&m, type, 0, &head, sizeof(head));
	spec = nl_begin(&m, IFLA_AF_SPEC);
	if (first != last)
		v.flags |= BRIDGE_VLAN_INFO_RANGE_BEGIN;
	nl_put(&m, IFLA_BRIDGE_VLAN_INFO, &v, sizeof(v));
	if (first != last) {
		v = (struct bridge_vlan_info){ .flags = flags | BRIDGE_VLAN_INFO_RANGE_END, .vid = last };
		nl_put(&m, IFLA_BRIDGE_VLAN_INFO, &v, sizeof(v));
	}
	nl_end(&m, spec);
	return nl_talk(nl, &m, e);
}

/* The port is new: it is where the bridge puts its ports. */
static int vlans_set(int nl, int index, const struct plan_nic_port *n, struct lxm_err *e)
{
	const char *p = n->tagged;
	uint16_t first, last;
	int r = 0;

	if (n->untagged != PLAN_VLAN_BRIDGE)
		r = vlans_change(nl, index, RTM_DELLINK, 1, 4094, 0, e);
	if (r == 0 && n->untagged && n->untagged != PLAN_VLAN_BRIDGE)
		r = vlans_change(nl, index, RTM_SETLINK, (uint16_t)n->untagged, (uint16_t)n->untagged,
				 BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, e);
	while (r == 0 && plan_vlan_next(&p, &first, &last) > 0)
		r = vlans_change(nl, index, RTM_SETLINK, first, last, 0, e);
	return r;
}

/* Behind the VLANs: the bridge enters it in each of them. */
static int station_set(int nl, int index, const char *mac, struct lxm_err *e)
{
	struct ndmsg head = { .ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER };
	unsigned char raw[6];
	struct nl_msg m;
	int i;

	for (i = 0; i < 6; i++)
		raw[i] = (unsigned char)strtoul(mac + 3 * i, NULL, 16);
	nl_begin_with(&m, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof(head));
	nl_put(&m, NDA_LLADDR, raw, sizeof(raw));
	return nl_talk(nl, &m, e);
}

static int rate_set(int nl, int index, const struct plan_nic_port *n, struct lxm_err *e)
{
	struct tcmsg head = { .tcm_family = AF_UNSPEC, .tcm_ifindex = index, .tcm_parent = TC_H_ROOT, .tcm_handle = 0x10000 };
	struct tc_tbf_qopt opt = { .limit = n->queue };
	struct rtattr *options;
	struct nl_msg m;
	int r;

	opt.rate.linklayer = TC_LINKLAYER_ETHERNET;
	opt.rate.rate = n->rate > UINT32_MAX ? UINT32_MAX : (uint32_t)n->rate;
	nl_begin_with(&m, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof(head));
	nl_put_str(&m, TCA_KIND, "tbf");
	options = nl_begin(&m, TCA_OPTIONS);
	nl_put(&m, TCA_TBF_PARMS, &opt, sizeof(opt));
	nl_put_u32(&m, TCA_TBF_BURST, n->burst);
	if (n->rate > UINT32_MAX)
		nl_put(&m, TCA_TBF_RATE64, &n->rate, sizeof(n->rate));
	nl_end(&m, options);
	r = nl_talk(nl, &m, e);
	if (r != -ENOENT)
		return r;
	lxm_err_clear(e);
	return lxm_err_set(e, EOPNOTSUPP, "this kernel has no token bucket (module sch_tbf)");
}

static int set_up(int nl, int index, struct lxm_err *e)
{
	struct nl_msg m;

	nl_link(&m, RTM_NEWLINK, 0, index, IFF_UP);
	return nl_talk(nl, &m, e);
}

int nic_step_port(struct start *s, const struct plan_step *p, struct lxm_err *e)
{
	const struct plan_nic_port *n = &p->u.nic_port;
	int index = (int)if_nametoindex(n->link), r = 0;

	if (!index)
		return lxm_err_set(e, ENODEV, "there is no link '%s'", n->link);
	if (n->rate)
		r = lxm_err_wrap(e, rate_set(s->nl, index, n, e), "limit the rate of '%s'", n->link);
	if (r == 0 && n->flags & PLAN_PORT_VLANS)
		r = lxm_err_wrap(e, vlans_set(s->nl, index, n, e), "VLANs of '%s'", n->link);
	if (r == 0 && *n->mac)
		r = lxm_err_wrap(e, station_set(s->nl, index, n->mac, e), "name %s to the bridge", n->mac);
	if (r == 0 && n->flags & PLAN_PORT_UP)
		r = lxm_err_wrap(e, set_up(s->nl, index, e), "set '%s' up", n->link);
	return r;
}
