/*
 * The bridge's side of a bridged NIC: what it may send, whom it reaches, and the routes that lead to it.
 *
 * Filters stand before the link is there. The rest needs the link and comes when the instance has just started; a port that
 * belongs to VLANs is down until then, so that it is never in the wrong one. Worker threads.
 */
#include <arpa/inet.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/device/nic_priv.h"
#include "lxmd/network/firewall_nic.h"
#include "lxmd/network/network.h"
#include "lxmd/network/shape.h"

static bool on(const struct device_ctx *c, const char *key)
{
	return lxm_kv_bool(c->kv, key, false);
}

bool nic_filtered(const struct device_ctx *c)
{
	return on(c, "security.mac_filtering") || on(c, "security.ipv4_filtering") || on(c, "security.ipv6_filtering");
}

bool nic_wants_own(const struct device_ctx *c, int family)
{
	bool v4 = family == AF_INET;

	return on(c, v4 ? "security.ipv4_filtering" : "security.ipv6_filtering") && nic_managed(c) &&
	       !nic_get(c, v4 ? "ipv4.address" : "ipv6.address");
}

const char *nic_own(const struct device_ctx *c, int family)
{
	const char *key = family == AF_INET ? "ipv4.address" : "ipv6.address";

	return nic_get(c, key) ? nic_fixed(c, key) : nic_wants_own(c, family) ? device_volatile(c, key) : NULL;
}

bool nic_has_vlans(const struct device_ctx *c)
{
	return nic_get(c, "vlan") || nic_get(c, "vlan.tagged");
}

/* ---- checks */

static int check_unmanaged(const struct device_ctx *c, struct lxm_err *e)
{
	static const char *const keys[][2] = { { "ipv4.address", "security.ipv4_filtering" }, { "ipv6.address", "security.ipv6_filtering" } };
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(keys); i++) {
		if (nic_get(c, keys[i][0]) && !on(c, keys[i][1]))
			return lxm_err_set(e, EINVAL, "%s needs a managed network (network=NAME), which gives it out, or %s=true, which holds the "
						      "instance to it", keys[i][0], keys[i][1]);
		if (!nic_get(c, keys[i][0]) && on(c, keys[i][1]))
			return lxm_err_set(e, EINVAL, "%s needs %s (or none): the bridge is not managed and gives none out", keys[i][1], keys[i][0]);
	}
	return 0;
}

int nic_port_check(const struct device_ctx *c, const char *network, struct lxm_err *e)
{
	const char *v4 = nic_fixed(c, "ipv4.address"), *v6 = nic_fixed(c, "ipv6.address"), *tagged = nic_get(c, "vlan.tagged");
	char none[INET6_ADDRSTRLEN];
	int r = network ? 0 : check_unmanaged(c, e);

	if (r == 0 && tagged)
		r = lxm_err_wrap(e, shape_vlan_list(tagged, e), "vlan.tagged");
	if (r == 0 && tagged && (on(c, "security.ipv4_filtering") || on(c, "security.ipv6_filtering")))
		r = lxm_err_set(e, EINVAL, "vlan.tagged and filtering by address exclude each other: nobody looks at addresses behind a tag");
	/* can the network give one out? */
	if (r == 0 && nic_wants_own(c, AF_INET))
		r = network_address_choose(c->d, network, AF_INET, "00:16:3e:00:00:00", none, e);
	if (r == 0 && nic_wants_own(c, AF_INET6))
		r = network_address_choose(c->d, network, AF_INET6, "00:16:3e:00:00:00", none, e);
	return r == 0 && network && (v4 || v6) ? network_host_check(c->d, network, v4, v6, e) : r;
}

/* ---- filters */

/* Both keys of a family as one list, to be freed; NULL for nothing. */
static char *routes_of(const struct lxm_kv *kv, int family)
{
	const char *a = lxm_kv_or(kv, family == AF_INET ? "ipv4.routes" : "ipv6.routes", "");
	const char *b = lxm_kv_or(kv, family == AF_INET ? "ipv4.routes.external" : "ipv6.routes.external", "");

	return *a || *b ? lxm_asprintf("%s,%s", a, b) : NULL;
}

int nic_filter_apply(const struct device_ctx *c, const char *host, const char *mac, struct lxm_err *e)
{
	lxm_auto(free) char *routes4 = routes_of(c->kv, AF_INET), *routes6 = routes_of(c->kv, AF_INET6);
	const struct fw_nic f = {
		.host = host,
		.mac = mac,
		.tagged = nic_get(c, "vlan.tagged") != NULL,
		.v4 = on(c, "security.ipv4_filtering"),
		.v6 = on(c, "security.ipv6_filtering"),
		.ipv4 = nic_own(c, AF_INET),
		.ipv6 = nic_own(c, AF_INET6),
		.routes4 = routes4,
		.routes6 = routes6,
	};

	if (nic_filtered(c))
		return network_filter_set(c->d, &f, e);
	network_filter_unset(c->d, host);
	return 0;
}

/* ---- routes */

static void routes_list(const struct lxm_kv *kv, struct lxm_strv *out)
{
	lxm_auto(free) char *v4 = routes_of(kv, AF_INET), *v6 = routes_of(kv, AF_INET6);
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, v4 ? v4 : "", ',');
	lxm_strv_split(&parts, v6 ? v6 : "", ',');
	for (i = 0; i < parts.n; i++) {
		const char *p = parts.v[i] + strspn(parts.v[i], " ");

		if (*p && !lxm_strv_has(out, p))
			lxm_strv_add(out, p);
	}
}

static int route(int rtnl, const char *text, int bridge, bool add, struct lxm_err *e)
{
	struct nl_route_spec r = { .oif = bridge };

	if (nl_cidr_parse(text, &r.dst) < 0)
		return lxm_err_set(e, EINVAL, "'%.60s' is no network", text);
	return add ? nl_route_add(rtnl, &r, e) : nl_route_del(rtnl, &r, e);
}

/*
 * Those of `now` that are not in `old` come, then those of `old` that are not in `now` go. A route that is there already is somebody
 * else's, unless this is done `again`. On failure all is as before.
 */
static int routes_change(int rtnl, const struct lxm_kv *old, const struct lxm_kv *now, int bridge, bool again, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv a = { 0 }, b = { 0 };
	struct lxm_err local = { 0 };
	size_t i;
	int r = 0;

	if (old)
		routes_list(old, &a);
	if (now)
		routes_list(now, &b);
	for (i = 0; i < b.n && r == 0; i++) {
		if (lxm_strv_has(&a, b.v[i]))
			continue;
		r = route(rtnl, b.v[i], bridge, true, e);
		if (r == -EEXIST && again) {
			lxm_err_clear(e);
			r = 0;
		}
		if (r < 0) {
			lxm_err_wrap(e, r, "route to %s", b.v[i]);
			while (i-- > 0)
				if (!lxm_strv_has(&a, b.v[i]))
					(void)route(rtnl, b.v[i], bridge, false, NULL);
			return r;
		}
	}
	for (i = 0; i < a.n; i++)
		if (!lxm_strv_has(&b, a.v[i]) && route(rtnl, a.v[i], bridge, false, &local) < 0)
			lxm_warn("route to %s: %s", a.v[i], local.msg);
	return 0;
}

/* ---- the port */

static const char *bridge_of(const struct device_ctx *c)
{
	const char *name = device_nic_network(c->kv);

	return name ? name : "";
}

static struct shape_vlans vlans_of(const struct device_ctx *c)
{
	const char *vlan = nic_get(c, "vlan");
	struct shape_vlans v = { .untagged = -1, .tagged = nic_get(c, "vlan.tagged") };
	int64_t id = 0;

	if (vlan) {
		(void)lxm_parse_i64(vlan, &id);
		v.untagged = (int)id;
	}
	return v;
}

static int vlans_apply(const struct device_ctx *c, int rtnl, int index, struct lxm_err *e)
{
	struct shape_vlans v = vlans_of(c);

	return shape_vlans(rtnl, bridge_of(c), index, &v, e);
}

/* Without blanks, as the plan has it; "" for none. Owned by the caller. */
static char *tagged_list(const char *tagged)
{
	lxm_auto(buf) struct lxm_buf b = { 0 };

	for (; tagged && *tagged; tagged++)
		if (*tagged != ' ')
			lxm_buf_chr(&b, *tagged);
	return lxm_buf_take(&b);
}

int nic_port_plan(const struct device_ctx *c, const char *host, bool bridged, struct plan *plan, struct lxm_err *e)
{
	struct shape_bucket b = shape_bucket_of(nic_limits_ingress(c));
	bool vlans = bridged && nic_has_vlans(c), filtered = bridged && nic_filtered(c);
	struct shape_vlans v = vlans_of(c);
	lxm_auto(free) char *tagged = tagged_list(vlans ? v.tagged : NULL);
	struct plan_nic_port port = { .link = host, .tagged = tagged };
	int r = vlans ? shape_vlans_possible(bridge_of(c), e) : 0;

	if (r < 0)
		return r;
	if (vlans) {
		port.flags = PLAN_PORT_VLANS | PLAN_PORT_UP;
		port.untagged = v.untagged < 0 ? PLAN_VLAN_BRIDGE : (uint32_t)v.untagged;
	}
	if (filtered)
		port.mac = nic_get(c, "hwaddr") ? nic_get(c, "hwaddr") : device_volatile(c, "hwaddr");
	if (nic_limits_ingress(c)) {
		port.rate = b.rate;
		port.burst = b.burst;
		port.queue = b.queue;
	}
	return vlans || filtered || port.rate ? plan_add(plan, &(struct plan_step){ PLAN_NIC_PORT, .u.nic_port = port }, e) : 0;
}

/*
 * Isolation and who is behind the port. A bridge learns that from LLDP frames too, which no filter of the kernel sees: of a port
 * that is filtered it is told, and learns nothing.
 */
static int station_apply(const struct device_ctx *c, int rtnl, int index, struct lxm_err *e)
{
	const char *mac = nic_get(c, "hwaddr") ? nic_get(c, "hwaddr") : device_volatile(c, "hwaddr");
	bool filtered = nic_filtered(c);
	uint8_t raw[6];
	int r = nl_port_set(rtnl, index, on(c, "security.port_isolation"), !filtered, e);

	if (r < 0 || !mac || nl_mac_parse(mac, raw) < 0)
		return r;
	r = nl_port_station(rtnl, index, raw, filtered, e);
	return r < 0 ? lxm_err_wrap(e, r, "name %s to the bridge", mac) : 0;
}

int nic_port_apply(const struct device_ctx *c, const char *host, bool again, struct lxm_err *e)
{
	lxm_auto(free) char *routes4 = routes_of(c->kv, AF_INET), *routes6 = routes_of(c->kv, AF_INET6);
	lxm_auto(fd_close) int rtnl = -1;
	int index, r = 0;

	if (!again && !nic_has_vlans(c) && !nic_filtered(c) && !routes4 && !routes6)
		return 0;
	rtnl = nic_link_open(host, &index, e);
	if (rtnl < 0)
		return rtnl;
	if (nic_has_vlans(c))
		r = vlans_apply(c, rtnl, index, e);
	/* for each of its VLANs */
	if (r == 0 && (again || nic_filtered(c)))
		r = station_apply(c, rtnl, index, e);
	/* again: the plan of a reboot may have known VLANs that are gone */
	if (r == 0 && (again || nic_has_vlans(c)))
		r = nl_link_up(rtnl, index, true, e);
	return r < 0 ? r : routes_change(rtnl, NULL, c->kv, (int)if_nametoindex(bridge_of(c)), again, e);
}

int nic_port_change(const struct device_ctx *c, const struct lxm_kv *old, const char *host, bool routes, struct lxm_err *e)
{
	int index, r = 0;
	lxm_auto(fd_close) int rtnl = nic_link_open(host, &index, e);
	struct device_ctx before = *c;

	before.kv = old;
	if (rtnl < 0)
		return rtnl;
	if (nic_has_vlans(c) || nic_has_vlans(&before))
		r = vlans_apply(c, rtnl, index, e);
	if (r == 0)
		r = station_apply(c, rtnl, index, e);
	return r < 0 || !routes ? r : routes_change(rtnl, old, c->kv, (int)if_nametoindex(bridge_of(c)), false, e);
}

void nic_port_end(const struct device_ctx *c, const char *host)
{
	lxm_auto(free) char *routes4 = routes_of(c->kv, AF_INET), *routes6 = routes_of(c->kv, AF_INET6);
	int bridge = (int)if_nametoindex(bridge_of(c));

	network_filter_unset(c->d, host);
	if ((routes4 || routes6) && bridge) {
		lxm_auto(fd_close) int rtnl = nl_open();
		struct lxm_err e = { 0 };

		if (rtnl >= 0)
			(void)routes_change(rtnl, c->kv, NULL, bridge, false, &e);
	}
}
