/*
 * Token buckets, transmit queues and VLANs of links.
 *
 * What an instance receives waits in a queue before its pair, as long as that is worth it; what it sends is not ours to keep
 * waiting, so its limit drops (firewall_link.c). Any thread of lxmd.
 */
#include "lxmd/network/shape.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <string.h>

#include "lib/base/fd.h"
#include "lib/base/str.h"
#include "lxmd/network/netlink.h"

#define BURST_MS  50
#define BURST_MIN 16384 /* some packets of a usual MTU */
#define QUEUE_MS  50
#define VLAN_LAST 4094

/* ---- rate */

static int rate_remove(int fd, int index, struct lxm_err *e)
{
	struct tcmsg t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = index, .tcm_parent = TC_H_ROOT, .tcm_handle = 0x10000 };
	struct lxm_err local = { 0 };
	struct nl_msg m;
	int r;

	nl_begin(&m, RTM_DELQDISC, 0, &t, sizeof(t));
	r = nl_talk(fd, &m, &local);
	/* ENOENT, EINVAL: the link's own queue, which was never ours */
	if (r == -ENOENT || r == -EINVAL || r == -ENODEV)
		return 0;
	if (r < 0 && e)
		*e = local;
	return r;
}

struct shape_bucket shape_bucket_of(uint64_t bits)
{
	uint64_t rate = bits / 8 ? bits / 8 : 1, burst = rate / 1000 * BURST_MS, queue;

	burst = burst < BURST_MIN ? BURST_MIN : burst > INT32_MAX ? INT32_MAX : burst;
	queue = burst + rate / 1000 * QUEUE_MS;
	return (struct shape_bucket){ rate, (uint32_t)burst, queue > INT32_MAX ? INT32_MAX : (uint32_t)queue };
}

int shape_rate(int fd, int index, uint64_t bits, struct lxm_err *e)
{
	struct tcmsg t = { .tcm_family = AF_UNSPEC, .tcm_ifindex = index, .tcm_parent = TC_H_ROOT, .tcm_handle = 0x10000 };
	struct shape_bucket b = shape_bucket_of(bits);
	struct tc_tbf_qopt opt = { 0 };
	struct nl_msg m;
	size_t nest;
	int r;

	if (!bits)
		return rate_remove(fd, index, e);
	/* ETHERNET rather than the default 0: the kernel computes then, instead of asking for a table */
	opt.rate.linklayer = TC_LINKLAYER_ETHERNET;
	opt.rate.rate = b.rate > UINT32_MAX ? UINT32_MAX : (uint32_t)b.rate;
	opt.limit = b.queue;
	nl_begin(&m, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &t, sizeof(t));
	nl_put_str(&m, TCA_KIND, "tbf");
	nest = nl_nest(&m, TCA_OPTIONS);
	nl_put(&m, TCA_TBF_PARMS, &opt, sizeof(opt));
	nl_put_u32(&m, TCA_TBF_BURST, b.burst);
	if (b.rate > UINT32_MAX)
		nl_put(&m, TCA_TBF_RATE64, &b.rate, sizeof(b.rate));
	nl_nest_end(&m, nest);
	r = nl_talk(fd, &m, e);
	if (r == -ENOENT)
		return lxm_err_set(e, EOPNOTSUPP, "this kernel has no token bucket (module sch_tbf): limits.ingress cannot be kept");
	return r < 0 ? lxm_err_wrap(e, r, "limit the rate") : 0;
}

int shape_queue(int fd, int index, uint32_t packets, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	struct nl_msg m;
	int r;

	nl_begin(&m, RTM_NEWLINK, 0, &i, sizeof(i));
	nl_put_u32(&m, IFLA_TXQLEN, packets);
	r = nl_talk(fd, &m, e);
	return r < 0 ? lxm_err_wrap(e, r, "set the length of the transmit queue") : 0;
}

/* ---- VLANs */

/* "10" or "20-29". */
static int parse_range(const char *text, uint64_t *first, uint64_t *last)
{
	lxm_auto(strv) struct lxm_strv ends = { 0 };

	/* the split would not tell of an end that is missing */
	lxm_strv_split(&ends, text, '-');
	if (*text == '-' || lxm_ends(text, "-") || ends.n < 1 || ends.n > 2 || lxm_parse_u64(ends.v[0], first) < 0 || lxm_parse_u64(ends.v[ends.n - 1], last) < 0)
		return -EINVAL;
	return *first >= 1 && *first <= *last && *last <= VLAN_LAST ? 0 : -EINVAL;
}

static int each_range(const char *list, int (*fn)(void *arg, uint64_t first, uint64_t last, struct lxm_err *e), void *arg, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	uint64_t first, last;
	size_t i;
	int r = 0;

	lxm_strv_split(&parts, list, ',');
	for (i = 0; i < parts.n && r == 0; i++) {
		const char *p = parts.v[i] + strspn(parts.v[i], " ");

		if (parse_range(p, &first, &last) < 0)
			return lxm_err_set(e, EINVAL, "'%.40s' is not a VLAN id from 1 to %d or a range of them", p, VLAN_LAST);
		r = fn ? fn(arg, first, last, e) : 0;
	}
	return r;
}

int shape_vlan_list(const char *list, struct lxm_err *e)
{
	return each_range(list, NULL, NULL, e);
}

struct vlan_job {
	int fd, index;
};

static int vlan_change(const struct vlan_job *j, uint16_t type, uint64_t first, uint64_t last, uint16_t flags, struct lxm_err *e)
{
	struct ifinfomsg i = { .ifi_family = AF_BRIDGE, .ifi_index = j->index };
	struct bridge_vlan_info v = { .flags = flags, .vid = (uint16_t)first };
	struct nl_msg m;
	size_t nest;

	nl_begin(&m, type, 0, &i, sizeof(i));
	nest = nl_nest(&m, IFLA_AF_SPEC);
	if (first != last)
		v.flags |= BRIDGE_VLAN_INFO_RANGE_BEGIN;
	nl_put(&m, IFLA_BRIDGE_VLAN_INFO, &v, sizeof(v));
	if (first != last) {
		v = (struct bridge_vlan_info){ .flags = flags | BRIDGE_VLAN_INFO_RANGE_END, .vid = (uint16_t)last };
		nl_put(&m, IFLA_BRIDGE_VLAN_INFO, &v, sizeof(v));
	}
	nl_nest_end(&m, nest);
	return nl_talk(j->fd, &m, e);
}

static int vlan_tagged(void *arg, uint64_t first, uint64_t last, struct lxm_err *e)
{
	return vlan_change(arg, RTM_SETLINK, first, last, 0, e);
}

/* A number in /sys/class/net/BRIDGE/bridge, 0 if it has none. */
static uint64_t bridge_number(const char *bridge, const char *file)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	uint64_t n = 0;
	char path[96];

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/bridge/%s", bridge, file);
	if (lxm_read_file(path, 16, &text) == 0 && text.len) {
		text.data[strcspn(text.data, "\n")] = '\0';
		(void)lxm_parse_u64(text.data, &n);
	}
	return n;
}

int shape_vlans_possible(const char *bridge, struct lxm_err *e)
{
	if (bridge_number(bridge, "vlan_filtering") == 1)
		return 0;
	return lxm_err_set(e, EINVAL, "VLANs need a bridge that filters by them: bridge '%s' has vlan_filtering off", bridge);
}

int shape_vlans(int fd, const char *bridge, int index, const struct shape_vlans *v, struct lxm_err *e)
{
	struct vlan_job j = { fd, index };
	uint64_t untagged = v->untagged < 0 ? bridge_number(bridge, "default_pvid") : (uint64_t)v->untagged;
	int r = shape_vlans_possible(bridge, e);

	if (r < 0)
		return r;
	r = vlan_change(&j, RTM_DELLINK, 1, VLAN_LAST, 0, e);
	if (r == 0 && untagged)
		r = vlan_change(&j, RTM_SETLINK, untagged, untagged, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, e);
	if (r == 0 && v->tagged)
		r = each_range(v->tagged, vlan_tagged, &j, e);
	return r < 0 ? lxm_err_wrap(e, r, "VLANs of a port of '%s'", bridge) : 0;
}
