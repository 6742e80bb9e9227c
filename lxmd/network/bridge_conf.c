/* A bridge's key/value configuration turned into numbers, with the checks that need more than one key. Pure. */
#include "lxmd/network/bridge_conf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/network/netlink.h"

void bridge_conf_deinit(struct bridge_conf *c)
{
	free(c->ranges4);
	free(c->ranges6);
	free(c->search);
	lxm_strv_deinit(&c->routes);
	memset(c, 0, sizeof(*c));
}

static int cidr_parse(int family, const char *s, void *address, int *prefix)
{
	char text[64];
	const char *slash = strchr(s, '/');
	int64_t n;

	if (!slash || (size_t)(slash - s) >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = '\0';
	if (inet_pton(family, text, address) != 1 || lxm_parse_i64(slash + 1, &n) < 0 || n < 0 ||
	    n > (family == AF_INET ? 32 : 128))
		return -EINVAL;
	*prefix = (int)n;
	return 0;
}

int cidr4_parse(const char *s, uint32_t *address, int *prefix)
{
	uint32_t raw;

	if (cidr_parse(AF_INET, s, &raw, prefix) < 0)
		return -EINVAL;
	*address = ntohl(raw);
	return 0;
}

int cidr6_parse(const char *s, struct in6_addr *address, int *prefix)
{
	return cidr_parse(AF_INET6, s, address, prefix);
}

static void text4(uint32_t address, char out[16])
{
	uint32_t raw = htonl(address);

	(void)inet_ntop(AF_INET, &raw, out, 16);
}

static uint32_t mask4(int prefix)
{
	return prefix ? UINT32_MAX << (32 - prefix) : 0;
}

/* The part of an address that a prefix covers. */
static struct in6_addr net6(const struct in6_addr *a, int prefix)
{
	struct in6_addr n = { 0 };
	int i;

	for (i = 0; i < 16; i++) {
		int bits = prefix - i * 8;

		n.s6_addr[i] = bits >= 8 ? a->s6_addr[i]
			       : bits > 0 ? (uint8_t)(a->s6_addr[i] & (0xff << (8 - bits)))
					  : 0;
	}
	return n;
}

bool bridge_conf_has_host4(const struct bridge_conf *c, uint32_t a)
{
	uint32_t mask = mask4(c->prefix4);

	return c->has4 && (a & mask) == (c->addr4 & mask) && a != c->addr4 && (a & ~mask) != 0 &&
	       (a & ~mask) != ~mask;
}

bool bridge_conf_has_host6(const struct bridge_conf *c, const struct in6_addr *a)
{
	struct in6_addr mine = net6(&c->addr6, c->prefix6), theirs = net6(a, c->prefix6);

	return c->has6 && memcmp(&mine, &theirs, sizeof(mine)) == 0 && memcmp(a, &c->addr6, sizeof(*a)) != 0;
}

/* One end of a range: inside the subnet. */
static int range_end(const struct bridge_conf *c, int family, const char *key, const char *s, void *raw,
		     struct lxm_err *e)
{
	bool ok = inet_pton(family, s, raw) == 1;

	if (ok && family == AF_INET) {
		uint32_t mask = mask4(c->prefix4), a;

		memcpy(&a, raw, 4);
		ok = (ntohl(a) & mask) == (c->addr4 & mask);
	} else if (ok) {
		struct in6_addr mine = net6(&c->addr6, c->prefix6), theirs = net6(raw, c->prefix6);

		ok = memcmp(&mine, &theirs, sizeof(mine)) == 0;
	}
	return ok ? 0
		  : lxm_err_set(e, EINVAL, "%s: '%s' is not in the subnet %s", key, s,
				family == AF_INET ? c->subnet4 : c->subnet6);
}

/* "a-b, c-d", each inside the subnet and in order; written again from numbers into *out. */
static int ranges_parse(const struct bridge_conf *c, int family, const char *key, const char *value, char **out,
			struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	lxm_auto(buf) struct lxm_buf text = { 0 };
	char end[2][INET6_ADDRSTRLEN];
	uint8_t raw[2][16];
	size_t i, k;
	int r;

	lxm_strv_split(&parts, value, ',');
	for (i = 0; i < parts.n; i++) {
		char *from = parts.v[i], *to = strchr(from, '-');

		if (!to)
			return lxm_err_set(e, EINVAL, "%s: '%s' must be FIRST-LAST", key, from);
		*to++ = '\0';
		from += strspn(from, " ");
		for (k = 0; k < 2; k++) {
			char *s = k ? to : from;

			s[strcspn(s, " ")] = '\0';
			r = range_end(c, family, key, s, raw[k], e);
			if (r < 0)
				return r;
			(void)inet_ntop(family, raw[k], end[k], sizeof(end[k]));
		}
		if (memcmp(raw[0], raw[1], family == AF_INET ? 4 : 16) > 0)
			return lxm_err_set(e, EINVAL, "%s: '%s' comes after '%s'", key, end[0], end[1]);
		lxm_buf_fmt(&text, "%s%s-%s", i ? "," : "", end[0], end[1]);
	}
	if (!text.len)
		return lxm_err_set(e, EINVAL, "%s: must be FIRST-LAST[,FIRST-LAST...]", key);
	*out = lxm_buf_take(&text);
	return 0;
}

static bool given(const char *value)
{
	return !lxm_empty(value) && !lxm_streq(value, "none");
}

/* An address as normal text into out; "" when the key is not set. */
static int address_get(const struct lxm_kv *kv, int family, const char *key, char *out, size_t size,
		       struct lxm_err *e)
{
	const char *value = lxm_kv_get(kv, key);
	uint8_t raw[16];

	out[0] = '\0';
	if (!given(value))
		return 0;
	if (inet_pton(family, value, raw) != 1)
		return lxm_err_set(e, EINVAL, "%s: '%s' is not an address", key, value);
	(void)inet_ntop(family, raw, out, (socklen_t)size);
	return 0;
}

/* Lease time in dnsmasq's words: seconds, or a number with s, m, h, d, w, or "infinite". */
static int expiry_get(const struct lxm_kv *kv, const char *key, char out[16], struct lxm_err *e)
{
	const char *value = lxm_kv_or(kv, key, "1h");
	size_t digits = strspn(value, "0123456789"), rest = strlen(value) - digits;

	if (!lxm_streq(value, "infinite") &&
	    (digits == 0 || digits > 9 || rest > 1 || (rest && !strchr("smhdw", value[digits]))))
		return lxm_err_set(e, EINVAL, "%s: '%s' must be a time such as 30m, 1h, 7d or infinite", key, value);
	(void)snprintf(out, 16, "%s", value);
	return 0;
}

/* Everything between the subnet's first and last host, the bridge's own address left out at the start. */
static char *default_ranges4(const struct bridge_conf *c)
{
	uint32_t net = c->addr4 & mask4(c->prefix4);
	char first[16], last[16];

	text4(net + 1 == c->addr4 ? net + 2 : net + 1, first);
	text4((net | ~mask4(c->prefix4)) - 1, last);
	return lxm_asprintf("%s-%s", first, last);
}

static char *default_ranges6(const struct bridge_conf *c)
{
	struct in6_addr first = net6(&c->addr6, c->prefix6), last = first;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	int i;

	for (i = c->prefix6; i < 128; i++)
		last.s6_addr[i / 8] |= (uint8_t)(0x80 >> (i % 8));
	first.s6_addr[15] |= 2;
	(void)inet_ntop(AF_INET6, &first, from, sizeof(from));
	(void)inet_ntop(AF_INET6, &last, to, sizeof(to));
	return lxm_asprintf("%s-%s", from, to);
}

static int parse4(struct bridge_conf *c, const struct lxm_kv *kv, struct lxm_err *e)
{
	const char *cidr = lxm_kv_get(kv, "ipv4.address"), *ranges = lxm_kv_get(kv, "ipv4.dhcp.ranges");
	uint32_t net;
	int r;

	if (!given(cidr))
		return 0;
	if (cidr4_parse(cidr, &c->addr4, &c->prefix4) < 0 || c->prefix4 < 8 || c->prefix4 > 30)
		return lxm_err_set(e, EINVAL, "ipv4.address: '%s' must be ADDRESS/PREFIX with a prefix of 8 to 30", cidr);
	net = c->addr4 & mask4(c->prefix4);
	if (c->addr4 == net || c->addr4 == (net | ~mask4(c->prefix4)))
		return lxm_err_set(e, EINVAL, "ipv4.address: '%s' is the subnet's own or broadcast address: give the "
					      "bridge a host address such as the first one", cidr);
	c->has4 = true;
	text4(c->addr4, c->address4);
	text4(mask4(c->prefix4), c->netmask4);
	text4(net, c->subnet4);
	(void)snprintf(c->subnet4 + strlen(c->subnet4), 4, "/%d", c->prefix4);
	c->nat4 = lxm_kv_bool(kv, "ipv4.nat", false);
	c->route4 = lxm_kv_bool(kv, "ipv4.routing", true);
	c->dhcp4 = lxm_kv_bool(kv, "ipv4.dhcp", true);
	c->firewall4 = lxm_kv_bool(kv, "ipv4.firewall", true);
	r = address_get(kv, AF_INET, "ipv4.nat.address", c->natsrc4, sizeof(c->natsrc4), e);
	if (r == 0)
		r = address_get(kv, AF_INET, "ipv4.dhcp.gateway", c->gateway4, sizeof(c->gateway4), e);
	if (r == 0)
		r = expiry_get(kv, "ipv4.dhcp.expiry", c->expiry4, e);
	if (r < 0)
		return r;
	if (!lxm_empty(ranges))
		return ranges_parse(c, AF_INET, "ipv4.dhcp.ranges", ranges, &c->ranges4, e);
	c->ranges4 = default_ranges4(c);
	return 0;
}

static int parse6(struct bridge_conf *c, const struct lxm_kv *kv, struct lxm_err *e)
{
	const char *cidr = lxm_kv_get(kv, "ipv6.address"), *ranges = lxm_kv_get(kv, "ipv6.dhcp.ranges");
	struct in6_addr net;
	int r;

	if (!given(cidr))
		return 0;
	if (cidr6_parse(cidr, &c->addr6, &c->prefix6) < 0 || c->prefix6 < 16 || c->prefix6 > 126)
		return lxm_err_set(e, EINVAL, "ipv6.address: '%s' must be ADDRESS/PREFIX with a prefix of 16 to 126", cidr);
	net = net6(&c->addr6, c->prefix6);
	if (memcmp(&net, &c->addr6, sizeof(net)) == 0)
		return lxm_err_set(e, EINVAL, "ipv6.address: '%s' is the subnet's own address: give the bridge a host "
					      "address such as the first one", cidr);
	c->has6 = true;
	(void)inet_ntop(AF_INET6, &c->addr6, c->address6, sizeof(c->address6));
	(void)inet_ntop(AF_INET6, &net, c->subnet6, INET6_ADDRSTRLEN);
	(void)snprintf(c->subnet6 + strlen(c->subnet6), 5, "/%d", c->prefix6);
	c->nat6 = lxm_kv_bool(kv, "ipv6.nat", false);
	c->route6 = lxm_kv_bool(kv, "ipv6.routing", true);
	c->dhcp6 = lxm_kv_bool(kv, "ipv6.dhcp", true);
	c->stateful6 = lxm_kv_bool(kv, "ipv6.dhcp.stateful", false);
	c->firewall6 = lxm_kv_bool(kv, "ipv6.firewall", true);
	r = address_get(kv, AF_INET6, "ipv6.nat.address", c->natsrc6, sizeof(c->natsrc6), e);
	if (r == 0)
		r = expiry_get(kv, "ipv6.dhcp.expiry", c->expiry6, e);
	if (r < 0)
		return r;
	if (c->dhcp6 && !c->stateful6 && c->prefix6 != 64)
		return lxm_err_set(e, EINVAL, "ipv6.address: '%s' needs a prefix of 64, or ipv6.dhcp.stateful=true", cidr);
	if (!c->stateful6)
		return 0;
	if (!lxm_empty(ranges))
		return ranges_parse(c, AF_INET6, "ipv6.dhcp.ranges", ranges, &c->ranges6, e);
	c->ranges6 = default_ranges6(c);
	return 0;
}

/* A DNS name or comma list of them: it ends up in dnsmasq's file. */
static int domain_check(const char *key, const char *s, const char *also, struct lxm_err *e)
{
	const char *p;

	for (p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.' && *p != '_' && !strchr(also, *p))
			return lxm_err_set(e, EINVAL, "%s: '%s' is not a domain name", key, s);
	return strlen(s) > 253 ? lxm_err_set(e, EINVAL, "%s: longer than 253 characters", key) : 0;
}

static int routes_get(const struct lxm_kv *kv, const char *key, const char *address, bool has, struct lxm_strv *out, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	size_t i;

	lxm_strv_split(&parts, lxm_kv_or(kv, key, ""), ',');
	if (parts.n && !has)
		return lxm_err_set(e, EINVAL, "%s needs %s: without it nothing of that family leads to the bridge", key, address);
	for (i = 0; i < parts.n; i++) {
		const char *p = parts.v[i] + strspn(parts.v[i], " ");

		if (*p && !lxm_strv_has(out, p))
			lxm_strv_add(out, p);
	}
	return 0;
}

int bridge_conf_parse(const char *bridge, const struct lxm_kv *kv, struct bridge_conf *out, struct lxm_err *e)
{
	const char *mac = lxm_kv_get(kv, "bridge.hwaddr"), *mtu = lxm_kv_get(kv, "bridge.mtu");
	const char *search = lxm_kv_get(kv, "dns.search"), *domain = lxm_kv_or(kv, "dns.domain", "lxm");
	struct bridge_conf c = { 0 };
	int64_t n = 0;
	int r;

	(void)snprintf(c.bridge, sizeof(c.bridge), "%s", bridge);
	if (!lxm_empty(mac) && nl_mac_parse(mac, c.mac) < 0)
		return lxm_err_set(e, EINVAL, "bridge.hwaddr: '%s' is not a unicast MAC address", mac);
	c.has_mac = !lxm_empty(mac);
	if (!lxm_empty(mtu) && (lxm_parse_i64(mtu, &n) < 0 || n < 68 || n > 65535))
		return lxm_err_set(e, EINVAL, "bridge.mtu: '%s' must be 68 to 65535", mtu);
	c.mtu = (uint32_t)n;
	r = domain_check("dns.domain", domain, "", e);
	if (r == 0 && !lxm_empty(search))
		r = domain_check("dns.search", search, ", ", e);
	if (r == 0)
		r = parse4(&c, kv, e);
	if (r == 0)
		r = parse6(&c, kv, e);
	if (r == 0)
		r = routes_get(kv, "ipv4.routes", "ipv4.address", c.has4, &c.routes, e);
	if (r == 0)
		r = routes_get(kv, "ipv6.routes", "ipv6.address", c.has6, &c.routes, e);
	if (r < 0) {
		bridge_conf_deinit(&c);
		return r;
	}
	(void)snprintf(c.domain, sizeof(c.domain), "%s", domain);
	(void)snprintf(c.dns_mode, sizeof(c.dns_mode), "%s", lxm_kv_or(kv, "dns.mode", "managed"));
	c.search = lxm_empty(search) ? NULL : lxm_strdup(search);
	*out = c;
	return 0;
}

void bridge_conf_firewall(const struct bridge_conf *c, struct fw_bridge *out)
{
	*out = (struct fw_bridge){
		.bridge = c->bridge,
		.subnet4 = c->has4 ? c->subnet4 : NULL,
		.subnet6 = c->has6 ? c->subnet6 : NULL,
		.nat4_address = c->natsrc4[0] ? c->natsrc4 : NULL,
		.nat6_address = c->natsrc6[0] ? c->natsrc6 : NULL,
		.nat4 = c->nat4,
		.nat6 = c->nat6,
		.route4 = c->route4,
		.route6 = c->route6,
		.dhcp4 = c->dhcp4,
		.dhcp6 = c->dhcp6,
		.dns = (c->has4 && c->firewall4) || (c->has6 && c->firewall6),
		.firewall4 = c->firewall4,
		.firewall6 = c->firewall6,
	};
}

void bridge_conf_dhcp(const struct bridge_conf *c, const char *dir, struct dhcp_conf *out)
{
	*out = (struct dhcp_conf){
		.bridge = c->bridge,
		.dir = dir,
		.domain = c->domain,
		.search = c->search,
		.dns_mode = c->dns_mode,
		.address4 = c->has4 ? c->address4 : NULL,
		.address6 = c->has6 ? c->address6 : NULL,
		.netmask4 = c->netmask4,
		.ranges4 = c->ranges4,
		.ranges6 = c->ranges6,
		.expiry4 = c->expiry4,
		.expiry6 = c->expiry6,
		.gateway4 = c->gateway4[0] ? c->gateway4 : NULL,
		.prefix6 = c->prefix6,
		.dhcp4 = c->dhcp4,
		.dhcp6 = c->dhcp6,
		.stateful6 = c->stateful6,
		.mtu = c->mtu,
	};
}
