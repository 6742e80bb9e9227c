/*
 * NICs that are given their addresses: checks, plan steps, and what has to be undone on the host.
 *
 * lxm-monitor removes routes and proxy neighbours when the instance ends. Where it was killed they stay, but for those
 * that vanish with a link: l3_clean() knows by a volatile key that they may be there.
 */
#include "lxmd/device/nic_l3.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/network/netlink.h"
#include "lxmd/network/probe.h"

#define MARK "last_state.routes" /* "LINK PARENT" */

static const struct {
	const char *prefix, *any;
	int family, bits;
} families[L3_FAMILIES] = {
	{ "ipv4", "0.0.0.0/0", AF_INET, 32 },
	{ "ipv6", "::/0", AF_INET6, 128 },
};

static const char *key_of(int family, const char *name, char out[40])
{
	(void)snprintf(out, 40, "%s.%s", families[family].prefix, name);
	return out;
}

const char *l3_get(const struct device_ctx *c, int family, const char *name)
{
	char key[40];

	return nic_fixed(c, key_of(family, name, key));
}

static void list_of(const struct device_ctx *c, int family, const char *name, struct lxm_strv *out)
{
	char key[40];

	nic_list(c, key_of(family, name, key), out);
}

/* ---- checks */

static int validate_family(const struct device_ctx *c, int f, bool prefixes, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv list = { 0 };
	struct nl_cidr a, b;
	size_t i, k;

	list_of(c, f, "address", &list);
	for (i = 0; i < list.n; i++) {
		if (nl_cidr_parse(list.v[i], &a) < 0 || a.family != families[f].family || (!prefixes && strchr(list.v[i], '/')))
			return lxm_err_set(e, EINVAL, "%s.address: '%.60s' is not an %s address%s", families[f].prefix, list.v[i],
					   f == L3_IP4 ? "IPv4" : "IPv6", prefixes ? "" : " without prefix");
		for (k = 0; k < i; k++)
			if (nl_cidr_parse(list.v[k], &b) == 0 && memcmp(a.addr, b.addr, sizeof(a.addr)) == 0)
				return lxm_err_set(e, EINVAL, "%s.address has '%.60s' twice", families[f].prefix, list.v[i]);
	}
	if (!list.n && l3_get(c, f, "routes"))
		return lxm_err_set(e, EINVAL, "%s.routes needs %s.address", families[f].prefix, families[f].prefix);
	return 0;
}

int l3_validate(const struct device_ctx *c, bool prefixes, struct lxm_err *e)
{
	int f, r = 0;

	for (f = 0; r == 0 && f < L3_FAMILIES; f++)
		r = validate_family(c, f, prefixes, e);
	return r;
}

static int need_sysctl(const char *family, const char *link, const char *key, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf now = { 0 };
	char path[96];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link, key);
	if (lxm_read_file(path, 16, &now) == 0 && now.len && now.data[0] == '1')
		return 0;
	return lxm_err_set(e, EINVAL, "the host has to have sysctl net.%s.conf.%s.%s=1", family, link, key);
}

static int parent_ready(const struct l3 *n, struct lxm_err *e)
{
	int r = 0;

	if (l3_get(n->c, L3_IP4, "address"))
		r = need_sysctl("ipv4", n->parent, "forwarding", e);
	if (r == 0 && l3_get(n->c, L3_IP6, "address"))
		r = need_sysctl("ipv6", n->parent, "forwarding", e);
	if (r == 0 && l3_get(n->c, L3_IP6, "address"))
		r = need_sysctl("ipv6", n->parent, "proxy_ndp", e);
	return r;
}

static bool routed_already(const struct nl_routes *routes, const struct nl_cidr *a)
{
	size_t len = a->family == AF_INET ? 4 : 16, i;

	for (i = 0; i < routes->n; i++) {
		const struct nl_route *r = &routes->v[i];

		if (r->family == a->family && r->prefixlen == (int)len * 8 && memcmp(r->dst, a->addr, len) == 0)
			return true;
	}
	return false;
}

int l3_ready(const struct l3 *n, bool probe, struct lxm_err *e)
{
	lxm_auto(nl_routes) struct nl_routes routes = { 0 };
	lxm_auto(fd_close) int rtnl = nl_open();
	int f, r = *n->parent ? parent_ready(n, e) : 0;
	char key[40];
	size_t i;

	if (r == 0)
		r = rtnl < 0 ? lxm_err_sys(e, "open netlink") : nl_route_list(rtnl, 1u << 20, &routes, e);
	for (f = 0; r == 0 && f < L3_FAMILIES; f++) {
		lxm_auto(strv) struct lxm_strv list = { 0 };
		struct nl_cidr a;

		list_of(n->c, f, "address", &list);
		for (i = 0; r == 0 && i < list.n; i++) {
			if (nl_cidr_parse(list.v[i], &a) < 0)
				continue;
			if (routed_already(&routes, &a))
				r = lxm_err_set(e, EADDRINUSE, "address '%s' is in use on this host", list.v[i]);
			else if (probe && *n->parent && lxm_kv_bool(n->c->kv, key_of(f, "neighbor_probe", key), true))
				r = network_probe(n->parent, a.family, a.addr, e);
		}
	}
	return r;
}

/* ---- plan */

static int add_addr(const struct l3 *n, uint32_t side, const char *link, const char *address, int bits, struct lxm_err *e)
{
	struct plan_step s = { .kind = PLAN_NIC_ADDR, .u.nic_addr = { .side = side, .link = link } };
	char text[80];

	(void)snprintf(text, sizeof(text), strchr(address, '/') ? "%.63s" : "%.50s/%d", address, bits);
	s.u.nic_addr.address = text;
	return plan_add(n->plan, &s, e);
}

static int add_route(const struct l3 *n, uint32_t side, const char *dst, const char *via, uint32_t table, struct lxm_err *e)
{
	struct plan_step s = { .kind = PLAN_NIC_ROUTE };

	s.u.nic_route = (struct plan_nic_route){
		.side = side, .link = side == PLAN_INSIDE ? n->inside : n->link, .dst = dst, .via = via, .table = table,
	};
	return plan_add(n->plan, &s, e);
}

/* A route of the host, also in the table that host_table names. */
static int add_host_route(const struct l3 *n, int f, const char *dst, const char *via, struct lxm_err *e)
{
	const char *table = l3_get(n->c, f, "host_table");
	int64_t number = 0;
	int r = add_route(n, PLAN_OUTSIDE, dst, via, 0, e);

	if (r == 0 && table && lxm_parse_i64(table, &number) == 0 && number && number != RT_TABLE_MAIN)
		r = add_route(n, PLAN_OUTSIDE, dst, via, (uint32_t)number, e);
	return r;
}

int l3_plan_default(const struct l3 *n, int f, const char *via, struct lxm_err *e)
{
	return add_route(n, PLAN_INSIDE, families[f].any, via, 0, e);
}

/* Inside, the gateway is reached by the link; everything else by the gateway. */
static int plan_gateway(const struct l3 *n, int f, struct lxm_err *e)
{
	char host[80];
	int r;

	(void)snprintf(host, sizeof(host), "%.50s/%d", n->host[f], families[f].bits);
	r = add_route(n, PLAN_INSIDE, host, "", 0, e);
	return r == 0 ? l3_plan_default(n, f, n->host[f], e) : r;
}

static int plan_family(const struct l3 *n, int f, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv list = { 0 }, routes = { 0 };
	struct plan_step proxy = { .kind = PLAN_NIC_PROXY, .u.nic_proxy = { .link = n->parent } };
	char text[80], key[40];
	size_t i;
	int r = 0;

	list_of(n->c, f, "address", &list);
	list_of(n->c, f, "routes", &routes);
	if (list.n && n->host[f])
		r = add_addr(n, PLAN_OUTSIDE, n->link, n->host[f], families[f].bits, e);
	for (i = 0; r == 0 && i < list.n; i++) {
		r = add_addr(n, PLAN_INSIDE, n->inside, list.v[i], *n->link ? families[f].bits : f == L3_IP4 ? 24 : 64, e);
		if (r < 0 || !*n->link)
			continue;
		(void)snprintf(text, sizeof(text), "%.50s/%d", list.v[i], families[f].bits);
		r = add_host_route(n, f, text, "", e);
		proxy.u.nic_proxy.address = list.v[i];
		if (r == 0 && *n->parent)
			r = plan_add(n->plan, &proxy, e);
	}
	for (i = 0; r == 0 && i < routes.n; i++)
		r = add_host_route(n, f, routes.v[i], list.v[0], e);
	if (r == 0 && list.n && n->host[f] && !lxm_streq(nic_get(n->c, key_of(f, "gateway", key)), "none"))
		r = plan_gateway(n, f, e);
	return r;
}

int l3_plan(const struct l3 *n, struct lxm_err *e)
{
	int f, r = 0;

	for (f = 0; r == 0 && f < L3_FAMILIES; f++)
		r = plan_family(n, f, e);
	return r;
}

/* ---- what may stay on the host */

void l3_remember(const struct l3 *n)
{
	char text[2 * IFNAMSIZ + 2];

	(void)snprintf(text, sizeof(text), "%s %s", n->link, n->parent);
	device_volatile_set(n->c, MARK, text);
}

static void clean_address(const struct device_ctx *c, int rtnl, int f, const char *address, int link, int parent)
{
	const char *table = l3_get(c, f, "host_table");
	struct nl_route_spec spec = { .oif = link };
	int64_t number = 0;

	if (nl_cidr_parse(address, &spec.dst) < 0)
		return;
	spec.dst.prefixlen = families[f].bits;
	if (link) {
		(void)nl_route_del(rtnl, &spec, NULL);
		if (table && lxm_parse_i64(table, &number) == 0 && number) {
			spec.table = (uint32_t)number;
			(void)nl_route_del(rtnl, &spec, NULL);
		}
	}
	if (parent)
		(void)nl_proxy_del(rtnl, parent, families[f].family, spec.dst.addr, NULL);
}

void l3_clean(struct device_ctx *c)
{
	const char *mark = device_volatile(c, MARK);
	lxm_auto(fd_close) int rtnl = -1;
	char link[IFNAMSIZ];
	size_t i;
	int f;

	if (!mark)
		return;
	rtnl = nl_open();
	(void)snprintf(link, sizeof(link), "%.*s", (int)strcspn(mark, " "), mark);
	mark += strcspn(mark, " ");
	mark += *mark == ' ';
	for (f = 0; rtnl >= 0 && f < L3_FAMILIES; f++) {
		lxm_auto(strv) struct lxm_strv list = { 0 };

		list_of(c, f, "address", &list);
		for (i = 0; i < list.n; i++)
			clean_address(c, rtnl, f, list.v[i], (int)if_nametoindex(link), (int)if_nametoindex(mark));
	}
	device_volatile_set(c, MARK, "");
}
