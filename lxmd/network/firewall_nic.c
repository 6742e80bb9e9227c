/*
 * Filters of single NICs against an instance whose root is an attacker: it owns its end of the pair and sends whatever it likes.
 *
 * All filtered links of a daemon share one table of the bridge family. Its ruleset is fixed and what differs lies in sets keyed by
 * link, because adding an element costs 0.1 ms whatever is there already, while a rule or chain makes the kernel wait for a grace
 * period. Frames of links that are not filtered pay one lookup. The table is seen before all others at the hook, and an accept
 * here ends this table's look at a frame and nobody else's: no other table can let through what this one drops.
 *
 * The rules say what may pass. What cannot be read (too short, in fragments, behind headers that nobody needs) is not waved
 * through: a rule whose load fails does not match, so nothing is accepted by a rule that says "not". `meta protocol` is what the
 * receiver goes by, also behind a VLAN tag; `ether type` would be the tag.
 *
 * What was put into the sets is remembered, so that it can be taken out again and so that a table which somebody removed comes back
 * whole. Any thread.
 */
#include "lxmd/network/firewall_nic.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/network/firewall_priv.h"
#include "lxmd/network/netlink.h"

void fw_nics_init(struct firewall *fw, uint32_t seed)
{
	pthread_mutex_init(&fw->nics_lock, NULL);
	/* no bridge's table has an underscore there: fw_table_name() writes it as _5f */
	(void)snprintf(fw->nics_table, sizeof(fw->nics_table), "lxm_nics_%08x", seed);
	(void)snprintf(fw->routed_table, sizeof(fw->routed_table), "lxm_routed_%08x", seed);
}

void fw_nics_deinit(struct firewall *fw)
{
	size_t i;

	for (i = 0; i < fw->n; i++) {
		free(fw->known[i].host);
		lxm_strv_deinit(&fw->known[i].elements);
	}
	free(fw->known);
	lxm_strv_deinit(&fw->routed);
	pthread_mutex_destroy(&fw->nics_lock);
}

/* ---- the ruleset */

/* Offsets of @th in bits: DHCP has giaddr at byte 24 and chaddr at 28 behind 8 of UDP; NDP has the target at byte 8 and the first
 * option at 24 (router solicitations at 8). An option is type, length in eights, link-layer address. */
static const char sets[] =
	"\tset links {\n\t\ttype ifname\n\t}\n"
	"\tset tagged {\n\t\ttype ifname\n\t}\n"
	"\tset v4 {\n\t\ttype ifname\n\t}\n"
	"\tset v6 {\n\t\ttype ifname\n\t}\n"
	"\tset none4 {\n\t\ttype ifname\n\t}\n"
	"\tset none6 {\n\t\ttype ifname\n\t}\n"
	"\tset mac {\n\t\ttype ifname . ether_addr\n\t}\n"
	"\tset chaddr {\n\t\ttypeof iifname . @th,288,48\n\t}\n"
	"\tset lladdr {\n\t\ttypeof iifname . @th,192,64\n\t}\n"
	"\tset own4 {\n\t\ttype ifname . ipv4_addr\n\t}\n"
	"\tset own6 {\n\t\ttype ifname . ipv6_addr\n\t}\n"
	"\tset target6 {\n\t\ttypeof iifname . @th,64,128\n\t}\n"
	"\tset net4 {\n\t\ttype ifname . ipv4_addr\n\t\tflags interval\n\t}\n"
	"\tset net6 {\n\t\ttype ifname . ipv6_addr\n\t\tflags interval\n\t}\n"
	"\tset nettarget6 {\n\t\ttypeof iifname . @th,64,128\n\t\tflags interval\n\t}\n"
	"\tset asks6 {\n\t\ttype ifname\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 1h\n\t}\n";

/* Proxied, reversed and oddly sized ARP is nobody's; an address may be probed for only by who may have it. */
static const char chain_arp[] =
	"\tchain from_arp {\n"
	"\t\tmeta protocol arp iifname @none4 drop\n"
	"\t\tmeta protocol arp arp htype != 1 drop\n"
	"\t\tmeta protocol arp arp ptype != 0x0800 drop\n"
	"\t\tmeta protocol arp arp hlen != 6 drop\n"
	"\t\tmeta protocol arp arp plen != 4 drop\n"
	"\t\tmeta protocol arp arp operation != { request, reply } drop\n"
	"\t\tmeta protocol arp iifname . arp saddr ether != @mac drop\n"
	"\t\tiifname != @v4 accept\n"
	"\t\tmeta protocol arp arp operation request arp saddr ip 0.0.0.0 iifname . arp daddr ip @own4 accept\n"
	"\t\tmeta protocol arp iifname . arp saddr ip @own4 accept\n"
	"\t\tmeta protocol arp iifname . arp saddr ip @net4 accept\n"
	"\t\tdrop\n\t}\n";

/* A lease is asked for under the NIC's own MAC, without a relay, and in one piece: or one instance could take them all. */
static const char chain_ip4[] =
	"\tchain dhcp4 {\n"
	"\t\tmeta protocol ip ip frag-off & 0x3fff != 0 drop\n"
	"\t\tmeta protocol ip udp dport 67 @th,256,32 != 0 drop\n"
	"\t\tmeta protocol ip udp dport 67 iifname . @th,288,48 @chaddr return\n"
	"\t\tdrop\n\t}\n"
	"\tchain from_ip4 {\n"
	"\t\tmeta protocol ip iifname @none4 drop\n"
	"\t\tmeta protocol ip udp dport 67 jump dhcp4\n"
	"\t\tiifname != @v4 accept\n"
	"\t\tmeta protocol ip udp sport 67 drop\n"
	"\t\tmeta protocol ip udp dport 68 drop\n"
	"\t\tmeta protocol ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n"
	"\t\tmeta protocol ip iifname . ip saddr @own4 accept\n"
	"\t\tmeta protocol ip iifname . ip saddr @net4 accept\n"
	"\t\tdrop\n\t}\n";

/* Leases of DHCPv6 hang on identifiers that a client makes up and that lie anywhere in its message; dnsmasq keeps so many of both families
 * for a whole network. What can be bounded is how many a NIC asks for while one lasts. */
#define ASKS6 "10/minute burst 30 packets"

/* Solicitations and advertisements: plain, with at most one option, and that one the NIC's own MAC (or, from ::, the random
 * number of duplicate address detection). A first fragment has to show what it carries: TCP, UDP, SCTP, UDP-Lite, ESP, AH, GRE.
 * Protocols are numbers: names would need the host's /etc/protocols. */
static const char chain_ip6[] =
	"\tchain ndp {\n"
	"\t\tmeta protocol ip6 ip6 nexthdr != 58 drop\n"
	"\t\tmeta protocol ip6 icmpv6 type 133 ip6 length 8 return\n"
	"\t\tmeta protocol ip6 icmpv6 type 133 ip6 length 16 iifname . @th,64,64 @lladdr return\n"
	"\t\tmeta protocol ip6 icmpv6 type 133 drop\n"
	"\t\tmeta protocol ip6 icmpv6 type 136 jump target\n"
	"\t\tmeta protocol ip6 icmpv6 type 135 ip6 saddr :: jump target\n"
	"\t\tmeta protocol ip6 ip6 length 24 return\n"
	"\t\tmeta protocol ip6 ip6 length != 32 drop\n"
	"\t\tmeta protocol ip6 icmpv6 type 135 ip6 saddr :: @th,192,16 0x0e01 return\n"
	"\t\tmeta protocol ip6 icmpv6 type 135-136 iifname . @th,192,64 @lladdr return\n"
	"\t\tdrop\n\t}\n"
	"\tchain target {\n"
	"\t\tiifname != @v6 return\n"
	"\t\tmeta protocol ip6 icmpv6 type 135-136 iifname . @th,64,128 @target6 return\n"
	"\t\tmeta protocol ip6 icmpv6 type 135-136 iifname . @th,64,128 @nettarget6 return\n"
	"\t\tdrop\n\t}\n"
	"\tchain fragment {\n"
	"\t\tmeta protocol ip6 frag frag-off != 0 return\n"
	"\t\tmeta protocol ip6 icmpv6 type { 1, 2, 3, 4, 128, 129 } return\n"
	"\t\tmeta protocol ip6 meta l4proto { 6, 17, 132, 136, 50, 51, 47 } return\n"
	"\t\tdrop\n\t}\n"
	"\tchain from_ip6 {\n"
	"\t\tmeta protocol ip6 iifname @none6 drop\n"
	"\t\tmeta protocol ip6 exthdr frag exists jump fragment\n"
	"\t\tmeta protocol ip6 icmpv6 type { 134, 137, 138 } drop\n"
	"\t\tmeta protocol ip6 icmpv6 type { 133, 135, 136 } jump ndp\n"
	"\t\tmeta protocol ip6 udp dport 547 update @asks6 { iifname limit rate over " ASKS6 " } drop\n"
	"\t\tiifname != @v6 accept\n"
	"\t\tmeta protocol ip6 udp sport 547 drop\n"
	"\t\tmeta protocol ip6 udp dport 546 drop\n"
	"\t\tmeta protocol ip6 ip6 saddr :: icmpv6 type { 131, 133, 135, 143 } accept\n"
	"\t\tmeta protocol ip6 iifname . ip6 saddr @own6 accept\n"
	"\t\tmeta protocol ip6 iifname . ip6 saddr @net6 accept\n"
	"\t\tdrop\n\t}\n";

/* What is addressed to the bridge as such skips prerouting, and its source would be learned all the same. LLDP skips even this:
 * a filtered port does not learn. */
static const char chain_base[] =
	"\tchain checks {\n"
	"\t\tiifname . ether saddr != @mac drop\n"
	"\t\tether type { 0x8100, 0x88a8, 0x9100, 0x9200 } iifname != @tagged drop\n"
	"\t\tmeta protocol { 0x8100, 0x88a8, 0x9100, 0x9200 } drop\n"
	"\t\tmeta protocol vmap { arp : goto from_arp, ip : goto from_ip4, ip6 : goto from_ip6 }\n"
	"\t\tiifname @v4 drop\n"
	"\t\tiifname @v6 drop\n\t}\n"
	"\tchain frames {\n"
	"\t\ttype filter hook prerouting priority -300; policy accept;\n"
	"\t\tiifname @links goto checks\n\t}\n"
	"\tchain local {\n"
	"\t\ttype filter hook input priority -300; policy accept;\n"
	"\t\tether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 iifname @links drop\n\t}\n";

void fw_nics_text(const char *table, struct lxm_buf *out)
{
	lxm_buf_fmt(out, "table bridge %s {\n%s%s%s%s%s}\n", table, sets, chain_arp, chain_ip4, chain_ip6, chain_base);
}

/* ---- elements of one NIC */

static void mask(uint8_t *a, size_t n, int bits, uint8_t rest)
{
	size_t i;

	for (i = 0; i < n; i++, bits -= 8) {
		uint8_t m = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));

		a[i] = (uint8_t)((a[i] & m) | (rest & ~m));
	}
}

static bool covers(const struct nl_cidr *big, const struct nl_cidr *small, size_t n)
{
	struct nl_cidr s = *small;

	if (small->prefixlen < big->prefixlen)
		return false;
	mask(s.addr, n, big->prefixlen, 0);
	return memcmp(s.addr, big->addr, n) == 0;
}

static void element(struct lxm_strv *out, const char *set, const char *host, const char *value)
{
	lxm_strv_take(out, value ? lxm_asprintf("%s { \"%s\" . %s }", set, host, value) : lxm_asprintf("%s { \"%s\" }", set, host));
}

static void target(struct lxm_strv *out, const char *host, const uint8_t addr[16])
{
	char text[35] = "0x";

	lxm_hex(text + 2, addr, 16);
	element(out, "target6", host, text);
}

static void net_elements(struct lxm_strv *out, int family, const char *host, const struct nl_cidr *c)
{
	size_t n = family == AF_INET ? 4 : 16;
	char text[INET6_ADDRSTRLEN], first[33], last[33];
	lxm_auto(free) char *value = NULL, *range = NULL;
	struct nl_cidr end = *c;

	(void)inet_ntop(family, c->addr, text, sizeof(text));
	value = lxm_asprintf("%s/%d", text, c->prefixlen);
	element(out, family == AF_INET ? "net4" : "net6", host, value);
	if (family == AF_INET)
		return;
	mask(end.addr, n, c->prefixlen, 0xff);
	lxm_hex(first, c->addr, n);
	lxm_hex(last, end.addr, n);
	range = c->prefixlen == 128 ? lxm_asprintf("0x%s", first) : lxm_asprintf("0x%s-0x%s", first, last);
	element(out, "nettarget6", host, range);
}

/* Networks that lie in one another would overlap as elements, which the kernel refuses. */
static int nets(struct lxm_strv *out, int family, const char *host, const char *list, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv parts = { 0 };
	lxm_auto(free) struct nl_cidr *v = NULL;
	size_t i, k, n = family == AF_INET ? 4 : 16;

	lxm_strv_split(&parts, list ? list : "", ',');
	v = lxm_realloc_n(NULL, parts.n + 1, sizeof(*v));
	for (i = 0; i < parts.n; i++) {
		const char *p = parts.v[i] + strspn(parts.v[i], " ");

		if (nl_cidr_parse(p, &v[i]) < 0 || v[i].family != family)
			return lxm_err_set(e, EINVAL, "'%.60s' is no network", p);
		mask(v[i].addr, n, v[i].prefixlen, 0);
	}
	for (i = 0; i < parts.n; i++) {
		bool covered = false;

		for (k = 0; k < parts.n && !covered; k++)
			covered = k != i && covers(&v[k], &v[i], n) && (v[k].prefixlen < v[i].prefixlen || k < i);
		if (!covered)
			net_elements(out, family, host, &v[i]);
	}
	return 0;
}

static void link_local(const uint8_t m[6], uint8_t a[16])
{
	memset(a, 0, 16);
	a[0] = 0xfe;
	a[1] = 0x80;
	nl_mac_eui64(m, a + 8);
}

static int elements4(const struct fw_nic *nic, struct lxm_strv *out, struct lxm_err *e)
{
	uint8_t a[4];

	if (!nic->v4)
		return 0;
	element(out, "v4", nic->host, NULL);
	if (!nic->ipv4) {
		element(out, "none4", nic->host, NULL);
		return 0;
	}
	if (inet_pton(AF_INET, nic->ipv4, a) != 1)
		return lxm_err_set(e, EINVAL, "'%.60s' is no IPv4 address", nic->ipv4);
	element(out, "own4", nic->host, nic->ipv4);
	return nets(out, AF_INET, nic->host, nic->routes4, e);
}

static int elements6(const struct fw_nic *nic, const uint8_t mac[6], struct lxm_strv *out, struct lxm_err *e)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t a[16];

	if (!nic->v6)
		return 0;
	element(out, "v6", nic->host, NULL);
	if (!nic->ipv6) {
		element(out, "none6", nic->host, NULL);
		return 0;
	}
	if (inet_pton(AF_INET6, nic->ipv6, a) != 1)
		return lxm_err_set(e, EINVAL, "'%.60s' is no IPv6 address", nic->ipv6);
	element(out, "own6", nic->host, nic->ipv6);
	target(out, nic->host, a);
	link_local(mac, a);
	element(out, "own6", nic->host, inet_ntop(AF_INET6, a, text, sizeof(text)));
	target(out, nic->host, a);
	return nets(out, AF_INET6, nic->host, nic->routes6, e);
}

bool fw_link_name_ok(const char *host)
{
	const char *p;

	for (p = host; isalnum((unsigned char)*p) || (*p && strchr("._-", *p)); p++)
		;
	return *host && !*p && p - host < IFNAMSIZ;
}

int fw_nic_elements(const struct fw_nic *nic, struct lxm_strv *out, struct lxm_err *e)
{
	char hex[13], text[19], value[19];
	uint8_t mac[6];
	int r;

	if (!fw_link_name_ok(nic->host))
		return lxm_err_set(e, EINVAL, "'%.20s' is no name of a link that can be filtered", nic->host);
	if (nl_mac_parse(nic->mac, mac) < 0)
		return lxm_err_set(e, EINVAL, "'%.20s' is no MAC address", nic->mac);
	lxm_hex(hex, mac, sizeof(mac));
	element(out, "links", nic->host, NULL);
	element(out, "mac", nic->host, nl_mac_str(mac, text));
	(void)snprintf(value, sizeof(value), "0x%s", hex);
	element(out, "chaddr", nic->host, value);
	/* source and target link-layer address */
	(void)snprintf(value, sizeof(value), "0x0101%s", hex);
	element(out, "lladdr", nic->host, value);
	(void)snprintf(value, sizeof(value), "0x0201%s", hex);
	element(out, "lladdr", nic->host, value);
	if (nic->tagged)
		element(out, "tagged", nic->host, NULL);
	r = elements4(nic, out, e);
	return r < 0 ? r : elements6(nic, mac, out, e);
}

/* ---- what is in force */

static struct fw_known *find(struct firewall *fw, const char *host)
{
	size_t i;

	for (i = 0; i < fw->n; i++)
		if (lxm_streq(fw->known[i].host, host))
			return &fw->known[i];
	return NULL;
}

static void elements_text(struct lxm_buf *t, const char *verb, const char *table, const struct lxm_strv *v, const struct lxm_strv *without)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (!without || !lxm_strv_has(without, v->v[i]))
			lxm_buf_fmt(t, "%s element bridge %s %s\n", verb, table, v->v[i]);
}

/* The whole table, with `host` having `elements` instead of what is known of it; no table when nothing is left. */
static int rewrite(struct firewall *fw, const char *host, const struct lxm_strv *elements, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf t = { 0 };
	const char *n = fw->nics_table;
	bool any = elements && elements->n;
	size_t i;
	int r;

	for (i = 0; i < fw->n; i++)
		any |= !lxm_streq(fw->known[i].host, host);
	lxm_buf_fmt(&t, "table bridge %s\ndelete table bridge %s\n", n, n);
	if (any) {
		fw_nics_text(n, &t);
		for (i = 0; i < fw->n; i++)
			if (!lxm_streq(fw->known[i].host, host))
				elements_text(&t, "add", n, &fw->known[i].elements, NULL);
		if (elements)
			elements_text(&t, "add", n, elements, NULL);
	}
	r = fw_run(fw, t.data, 0, NULL, e);
	if (r == 0)
		fw->made = any;
	return r;
}

/* From what is known of the host to `elements` (nics_lock held). */
static int replace(struct firewall *fw, const char *host, const struct lxm_strv *elements, struct lxm_err *e)
{
	static const struct lxm_strv nothing;
	const struct fw_known *old = find(fw, host);
	lxm_auto(buf) struct lxm_buf t = { 0 };
	int r;

	if (fw->held)
		return 0;
	if (!fw->made || (old && fw->n == 1 && !elements->n))
		return rewrite(fw, host, elements, e);
	elements_text(&t, "delete", fw->nics_table, old ? &old->elements : &nothing, elements);
	elements_text(&t, "add", fw->nics_table, elements, old ? &old->elements : NULL);
	if (!t.len)
		return 0;
	r = fw_run(fw, t.data, 0, NULL, e);
	if (r != -ENOENT)
		return r;
	/* somebody removed the table, or elements of it */
	lxm_err_clear(e);
	return rewrite(fw, host, elements, e);
}

static void remember(struct firewall *fw, const char *host, struct lxm_strv *elements)
{
	struct fw_known *k = find(fw, host);

	if (!k) {
		fw->known = lxm_realloc_n(fw->known, fw->n + 1, sizeof(*fw->known));
		k = &fw->known[fw->n++];
		*k = (struct fw_known){ .host = lxm_strdup(host) };
	}
	lxm_strv_deinit(&k->elements);
	k->elements = *elements;
	memset(elements, 0, sizeof(*elements));
}

static void forget(struct firewall *fw, struct fw_known *k)
{
	free(k->host);
	lxm_strv_deinit(&k->elements);
	*k = fw->known[--fw->n];
}

int fw_nic_set(struct firewall *fw, const struct fw_nic *nic, struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv elements = { 0 };
	int r = fw_nic_elements(nic, &elements, e);

	pthread_mutex_lock(&fw->nics_lock);
	if (r == 0)
		r = replace(fw, nic->host, &elements, e);
	if (r == 0)
		remember(fw, nic->host, &elements);
	pthread_mutex_unlock(&fw->nics_lock);
	return r < 0 ? lxm_err_wrap(e, r, "filter of link '%s'", nic->host) : 0;
}

int fw_nic_unset(struct firewall *fw, const char *host, struct lxm_err *e)
{
	static const struct lxm_strv nothing;
	struct fw_known *k;
	int r = 0;

	pthread_mutex_lock(&fw->nics_lock);
	k = find(fw, host);
	if (k)
		r = replace(fw, host, &nothing, e);
	if (k && r == 0)
		forget(fw, k);
	pthread_mutex_unlock(&fw->nics_lock);
	return r < 0 ? lxm_err_wrap(e, r, "end filter of link '%s'", host) : 0;
}

void fw_nics_hold(struct firewall *fw)
{
	pthread_mutex_lock(&fw->nics_lock);
	fw->held = true;
	pthread_mutex_unlock(&fw->nics_lock);
}

int fw_nics_apply(struct firewall *fw, bool sweep, struct lxm_err *e)
{
	int r = 0;

	pthread_mutex_lock(&fw->nics_lock);
	fw->held = false;
	if (fw->n || sweep)
		r = rewrite(fw, "", NULL, e);
	if (r == 0 && (fw->routed.n || sweep))
		r = fw_sources_apply(fw, e);
	pthread_mutex_unlock(&fw->nics_lock);
	return r < 0 ? lxm_err_wrap(e, r, "filters of network interfaces") : 0;
}
