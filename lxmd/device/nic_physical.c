/*
 * NICs of type physical: a link of the host moves into the instance and comes home when that ends, under its old name and
 * with its old MAC, MTU and length of the queue.
 *
 * lxm-monitor gives it back, whatever ends the instance. Where the monitor itself was killed the kernel brings real
 * hardware home under the name that it had inside, which is mended here by the MAC; virtual links (veth, VLAN, dummy) die
 * with the namespace.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/network.h"
#include "lxmd/network/shape.h"

static int physical_validate(const struct device_ctx *c, bool instance, struct lxm_err *e)
{
	const char *parent = nic_get(c, "parent");

	if (parent && network_is_managed(c->d, parent))
		return lxm_err_set(e, EINVAL, "'%s' is a managed network and no link to give away", parent);
	return nic_check_vlan(c, e);
}

/* Which link it is; volatile.NAME.host_name stays free, since the host has no end of it. */
#define LENT "last_state.parent"

struct names {
	char parent[IFNAMSIZ], inside[IFNAMSIZ], mac[18];
};

/* What the link has at home, beside its names; nothing to be restored: 0 and PLAN_QUEUE_AS_IS. */
struct sizes {
	uint32_t mtu, txqlen;
};

static void describe(const struct device_ctx *c, struct names *b, struct sizes host, struct plan_nic *n)
{
	nic_name(c, b->inside);
	*n = (struct plan_nic){
		.kind = PLAN_NIC_PHYSICAL,
		.peer = b->inside,
		.parent = b->parent,
		.mac = nic_get(c, "hwaddr"),
		.mtu = nic_mtu(c, 0),
		.txqlen = nic_txqlen(c),
		.host_mac = b->mac,
		.host_mtu = host.mtu,
		.host_txqlen = host.txqlen,
	};
}

/* The link as it is now goes into volatile keys, and into the plan for the way back. What nic_parent_put() undoes. */
static int resolve(struct device_ctx *c, struct names *b, struct plan_nic *n, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = nl_open();
	struct nl_link l;
	char mtu[16], txqlen[16];
	int r = rtnl < 0 ? lxm_err_sys(e, "open netlink") : nic_parent_get(c, b->parent, e);

	if (r == 0)
		r = nl_link_get(rtnl, b->parent, &l, e);
	if (r < 0)
		return r;
	*b->mac = 0;
	if (l.has_mac)
		(void)nl_mac_str(l.mac, b->mac);
	(void)snprintf(mtu, sizeof(mtu), "%u", l.mtu);
	(void)snprintf(txqlen, sizeof(txqlen), "%u", l.txqlen);
	device_volatile_set(c, "last_state.hwaddr", b->mac);
	device_volatile_set(c, "last_state.mtu", mtu);
	device_volatile_set(c, "last_state.txqlen", txqlen);
	describe(c, b, (struct sizes){ l.mtu, l.txqlen }, n);
	return 0;
}

static void forget(struct device_ctx *c)
{
	device_volatile_set(c, LENT, "");
	device_volatile_set(c, "last_state.hwaddr", "");
	device_volatile_set(c, "last_state.mtu", "");
	device_volatile_set(c, "last_state.txqlen", "");
	nic_parent_put(c);
}

static struct sizes remembered(const struct device_ctx *c)
{
	const char *mtu = device_volatile(c, "last_state.mtu"), *txqlen = device_volatile(c, "last_state.txqlen");
	int64_t m = 0, q = PLAN_QUEUE_AS_IS;

	(void)lxm_parse_i64(mtu ? mtu : "", &m);
	(void)lxm_parse_i64(txqlen ? txqlen : "", &q);
	return (struct sizes){ (uint32_t)m, (uint32_t)q };
}

/* The link is inside: it is given away again as it was before. */
static void resolve_lent(const struct device_ctx *c, struct names *b, struct plan_nic *n)
{
	const char *mac = device_volatile(c, "last_state.hwaddr");

	(void)snprintf(b->parent, sizeof(b->parent), "%s", device_volatile(c, LENT));
	(void)snprintf(b->mac, sizeof(b->mac), "%s", mac ? mac : "");
	describe(c, b, remembered(c), n);
}

static int make(struct device_ctx *c, struct plan *plan, const struct device_live *live, struct lxm_err *e)
{
	struct plan_nic n;
	struct names b;
	int r = resolve(c, &b, &n, e);

	if (r == 0)
		r = nic_make(c, &n, plan, live, e);
	if (r < 0) {
		forget(c);
		return r;
	}
	device_volatile_set(c, LENT, b.parent);
	return 0;
}

static int physical_start(struct device_ctx *c, struct plan *plan, struct lxm_err *e)
{
	struct plan_step step = { .kind = PLAN_NIC };
	struct names b;

	if (!c->replan || !device_volatile(c, LENT))
		return make(c, plan, NULL, e);
	resolve_lent(c, &b, &step.u.nic);
	return plan_add(plan, &step, e);
}

/* Hardware that the kernel brought home: it has the name that it had inside, or devN where that was taken. */
static bool is_it(const struct device_ctx *c, const struct nl_link *l, const char *mac)
{
	const char *given = nic_get(c, "hwaddr");
	char inside[IFNAMSIZ], text[18];

	nic_name(c, inside);
	if (!l->has_mac || (!lxm_streq(l->name, inside) && strncmp(l->name, "dev", 3) != 0))
		return false;
	(void)nl_mac_str(l->mac, text);
	return lxm_streq(text, mac) || (given && strcasecmp(text, given) == 0);
}

static int settle(int rtnl, const struct nl_link *l, const char *name, const char *mac, struct sizes host, struct lxm_err *e)
{
	uint8_t raw[6];
	int r = 0;

	if (!lxm_streq(l->name, name)) {
		lxm_info("repair: link '%s' is '%s' again", l->name, name);
		r = nl_link_up(rtnl, l->index, false, e);
		if (r == 0)
			r = nl_link_rename(rtnl, l->index, name, e);
	}
	if (r == 0 && mac && nl_mac_parse(mac, raw) == 0 && memcmp(raw, l->mac, 6) != 0)
		r = nl_link_mac(rtnl, l->index, raw, e);
	if (r == 0 && host.mtu && l->mtu != host.mtu)
		r = nl_link_mtu(rtnl, l->index, host.mtu, e);
	if (r == 0 && host.txqlen != PLAN_QUEUE_AS_IS && l->txqlen != host.txqlen)
		r = shape_queue(rtnl, l->index, host.txqlen, e);
	return r;
}

/* Once the monitor is gone: what it could not do. */
static void bring_home(struct device_ctx *c, const char *name)
{
	const char *mac = device_volatile(c, "last_state.hwaddr");
	lxm_auto(nl_links) struct nl_links links = { 0 };
	lxm_auto(fd_close) int rtnl = nl_open();
	const struct nl_link *found = NULL;
	struct lxm_err e = { 0 };
	size_t i;

	if (rtnl < 0 || nl_link_list(rtnl, 1u << 20, &links, NULL) < 0)
		return;
	for (i = 0; i < links.n; i++)
		if (lxm_streq(links.v[i].name, name))
			found = &links.v[i];
	for (i = 0; !found && mac && i < links.n; i++)
		if (is_it(c, &links.v[i], mac))
			found = &links.v[i];
	if (!found)
		lxm_warn("instance '%s': link '%s' did not come home: virtual links end with the namespace they are in",
			 c->instance_name, name);
	else if (settle(rtnl, found, name, mac, remembered(c), &e) < 0)
		lxm_warn("instance '%s': give link '%s' back: %s", c->instance_name, name, e.msg);
}

static void physical_stop(struct device_ctx *c)
{
	const char *name = device_volatile(c, LENT);

	if (!name)
		return;
	bring_home(c, name);
	forget(c);
}

static int physical_hot_add(struct device_ctx *c, const struct device_live *live, struct lxm_err *e)
{
	return make(c, NULL, live, e);
}

const struct device_type nic_physical = {
	.name = "physical",
	.validate = physical_validate,
	.start = physical_start,
	.stop = physical_stop,
	.hot_add = physical_hot_add,
};
