/* lxmd/network/bridge_conf: what a bridge's keys mean together, and the texts for firewall and dnsmasq made of them. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/network/bridge_conf.h"

/* Parse with ipv4.address=10.5.0.1/16 and one more pair. */
static int parse(const char *key, const char *value, struct bridge_conf *c, struct lxm_err *e)
{
	lxm_auto(kv) struct lxm_kv kv = { 0 };

	lxm_kv_set(&kv, "ipv4.address", "10.5.0.1/16");
	lxm_kv_set(&kv, "ipv6.address", "fd42:1:2:3::1/64");
	if (key)
		lxm_kv_set(&kv, key, value);
	return bridge_conf_parse("br0", &kv, c, e);
}

static bool refused(const char *key, const char *value)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	struct lxm_err e = { 0 };

	/* the text names the key */
	return parse(key, value, &c, &e) == -EINVAL && strstr(e.msg, key);
}

static void addresses_become_numbers_and_texts(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };

	CU_ASSERT_FATAL(parse(NULL, NULL, &c, NULL) == 0);
	CU_ASSERT(c.has4 && c.addr4 == 0x0a050001 && c.prefix4 == 16);
	CU_ASSERT_STRING_EQUAL(c.subnet4, "10.5.0.0/16");
	CU_ASSERT_STRING_EQUAL(c.netmask4, "255.255.0.0");
	CU_ASSERT_STRING_EQUAL(c.ranges4, "10.5.0.2-10.5.255.254");
	CU_ASSERT_STRING_EQUAL(c.subnet6, "fd42:1:2:3::/64");
	CU_ASSERT(c.dhcp4 && c.route4 && c.firewall4 && !c.nat4);
}

static void the_range_starts_at_one_when_the_bridge_is_elsewhere(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };

	CU_ASSERT_FATAL(parse("ipv4.address", "192.168.7.254/24", &c, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(c.ranges4, "192.168.7.1-192.168.7.254");
}

static void bad_values_are_refused_by_key(void)
{
	CU_ASSERT(refused("ipv4.address", "10.5.0.0/16"));
	CU_ASSERT(refused("ipv4.address", "10.5.255.255/16"));
	CU_ASSERT(refused("ipv4.address", "10.5.0.1"));
	CU_ASSERT(refused("ipv4.address", "10.5.0.1/31"));
	CU_ASSERT(refused("ipv4.address", "10.5.0.1/7"));
	CU_ASSERT(refused("ipv6.address", "fd42::1/80"));
	CU_ASSERT(refused("ipv6.address", "fd42::/64"));
	CU_ASSERT(refused("ipv4.dhcp.ranges", "10.6.0.1-10.6.0.9"));
	CU_ASSERT(refused("ipv4.dhcp.ranges", "10.5.0.9-10.5.0.1"));
	CU_ASSERT(refused("ipv4.dhcp.ranges", "10.5.0.9"));
	CU_ASSERT(refused("ipv4.dhcp.expiry", "1h\nconf-file=/x"));
	CU_ASSERT(refused("ipv4.dhcp.expiry", "soon"));
	CU_ASSERT(refused("ipv4.dhcp.expiry", "h"));
	CU_ASSERT(refused("ipv4.dhcp.gateway", "10.5.0.1,x"));
	CU_ASSERT(refused("ipv4.nat.address", "1.2.3.4 accept"));
	CU_ASSERT(refused("dns.domain", "lxm\nserver=/x/"));
	CU_ASSERT(refused("dns.search", "a.b, c;d"));
	CU_ASSERT(refused("bridge.hwaddr", "01:00:00:00:00:00"));
	CU_ASSERT(refused("bridge.mtu", "67"));
}

static void hosts_are_inside_and_not_the_bridge(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };

	CU_ASSERT_FATAL(parse(NULL, NULL, &c, NULL) == 0);
	CU_ASSERT(bridge_conf_has_host4(&c, 0x0a050009));
	CU_ASSERT_FALSE(bridge_conf_has_host4(&c, 0x0a050001));
	CU_ASSERT_FALSE(bridge_conf_has_host4(&c, 0x0a050000));
	CU_ASSERT_FALSE(bridge_conf_has_host4(&c, 0x0a05ffff));
	CU_ASSERT_FALSE(bridge_conf_has_host4(&c, 0x0a060001));
}

static void ranges_are_written_again_from_numbers(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };

	CU_ASSERT_FATAL(parse("ipv4.dhcp.ranges", "10.5.0.9-10.5.0.20, 10.5.1.1-10.5.1.1", &c, NULL) == 0);
	CU_ASSERT_STRING_EQUAL(c.ranges4, "10.5.0.9-10.5.0.20,10.5.1.1-10.5.1.1");
}

static void dnsmasq_is_told_what_was_configured(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	lxm_auto(buf) struct lxm_buf t = { 0 };
	struct dhcp_conf d;

	CU_ASSERT_FATAL(parse("dns.search", "a.example,b.example", &c, NULL) == 0);
	bridge_conf_dhcp(&c, "/x/networks/br0", &d);
	d.user = "dnsmasq";
	dhcp_conf_text(&d, &t);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\nuser=dnsmasq\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\ndhcp-range=10.5.0.2,10.5.255.254,255.255.0.0,1h\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\ndhcp-range=::,constructor:br0,ra-stateless,ra-names\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\ndhcp-hostsdir=/x/networks/br0/hosts\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\ndhcp-option-force=119,a.example,b.example\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\nno-ping\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "\ndhcp-ignore-names=tag:!known\n"));
}

static void without_ipv6_nothing_of_it_is_served(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	lxm_auto(buf) struct lxm_buf t = { 0 };
	struct dhcp_conf d;

	CU_ASSERT_FATAL(parse("ipv6.address", "none", &c, NULL) == 0);
	bridge_conf_dhcp(&c, "/x", &d);
	d.user = "nobody";
	dhcp_conf_text(&d, &t);
	CU_ASSERT_PTR_NULL(strstr(t.data, "enable-ra"));
	CU_ASSERT_PTR_NULL(strstr(t.data, "::"));
}

static void the_ruleset_translates_only_what_leaves(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	lxm_auto(buf) struct lxm_buf t = { 0 };
	struct fw_bridge f;

	CU_ASSERT_FATAL(parse("ipv4.nat", "true", &c, NULL) == 0);
	bridge_conf_firewall(&c, &f);
	f.mac = "00:16:3e:01:02:03";
	f.ports = "veth12345";
	fw_bridge_text(&f, &t);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "ip saddr 10.5.0.0/16 ip daddr != 10.5.0.0/16 masquerade\n"));
	CU_ASSERT_PTR_NULL(strstr(t.data, "ip6 daddr !="));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "iifname != \"veth12345*\" accept\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "udp dport 67 ether daddr set 00:16:3e:01:02:03\n"));
	/* the bridge family's table keeps its NIC filters */
	CU_ASSERT_PTR_NULL(strstr(t.data, "delete table bridge"));
}

static void without_routing_forwarding_is_rejected(void)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	lxm_auto(buf) struct lxm_buf t = { 0 };
	struct fw_bridge f;

	CU_ASSERT_FATAL(parse("ipv4.routing", "false", &c, NULL) == 0);
	bridge_conf_firewall(&c, &f);
	f.mac = "00:16:3e:01:02:03";
	f.ports = "veth12345";
	fw_bridge_text(&f, &t);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "meta nfproto ipv4 iifname \"br0\" reject\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "meta nfproto ipv6 iifname \"br0\" accept\n"));
}

static void table_names_are_identifiers_and_differ(void)
{
	char a[80], b[80];

	fw_table_name("lxm-br.0", a, sizeof(a));
	CU_ASSERT_STRING_EQUAL(a, "lxm_lxm_2dbr_2e0");
	fw_table_name("lxm_br.0", b, sizeof(b));
	CU_ASSERT_STRING_NOT_EQUAL(a, b);
}

UNIT_MAIN("network/bridge_conf", { "addresses become numbers and texts", addresses_become_numbers_and_texts },
	  { "the range starts at 1 when the bridge is elsewhere", the_range_starts_at_one_when_the_bridge_is_elsewhere },
	  { "bad values are refused by key", bad_values_are_refused_by_key },
	  { "hosts are inside and not the bridge", hosts_are_inside_and_not_the_bridge },
	  { "ranges are written again from numbers", ranges_are_written_again_from_numbers },
	  { "dnsmasq is told what was configured", dnsmasq_is_told_what_was_configured },
	  { "without IPv6 nothing of it is served", without_ipv6_nothing_of_it_is_served },
	  { "the ruleset translates only what leaves", the_ruleset_translates_only_what_leaves },
	  { "without routing forwarding is rejected", without_routing_forwarding_is_rejected },
	  { "table names are identifiers and differ", table_names_are_identifiers_and_differ })
