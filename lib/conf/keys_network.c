/* Keys of networks by type, and of what hangs on them. Rows are sorted by name. */
#include <string.h>

#include "lib/conf/checks.h"
#include "lib/conf/tables.h"

static int check_bridge_driver(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "native", e);
}

static int check_bridge_mode(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "standard|fan", e);
}

static int check_dns_mode(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "none|managed|dynamic", e);
}

static int check_fan(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "vxlan|ipip", e);
}

static int check_order(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "before|after", e);
}

static int check_acl(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "allow|reject|drop", e);
}

static int check_tunnel(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "vxlan|gre", e);
}

/* A time as dnsmasq takes it. */
static int check_lease(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strspn(value, "0123456789");

	if (lxm_streq(value, "infinite"))
		return 0;
	if (!n || n > 9 || (value[n] && (!strchr("smhdw", value[n]) || value[n + 1])))
		return lxm_err_set(e, EINVAL, "'%.40s' is not a time such as 30m, 1h, 7d or infinite", value);
	return 0;
}

/* clang-format off */
static const struct confkey bridge_keys[] = {
	{ "bgp.ipv4.nexthop",                     KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_ip4,           "Next hop announced for IPv4" },
	{ "bgp.ipv6.nexthop",                     KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_ip6,           "Next hop announced for IPv6" },
	{ "bgp.peers.*",                          KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          NULL,                "Peers that its prefixes are announced to" },
	{ "bridge.driver",                        KEY_TEXT, KEY_FIXED,            "native",      check_bridge_driver, "What makes the bridge" },
	{ "bridge.external_interfaces",           KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          NULL,                "Host links that join the bridge" },
	{ "bridge.hwaddr",                        KEY_TEXT, KEY_LIVE,             NULL,          check_mac,           "MAC address of the bridge" },
	{ "bridge.mode",                          KEY_TEXT, KEY_LIVE | KEY_LATER, "standard",    check_bridge_mode,   "standard or fan" },
	{ "bridge.mtu",                           KEY_UINT, KEY_LIVE,             "1500",        check_mtu,           "MTU of the bridge" },
	{ "dns.domain",                           KEY_TEXT, KEY_LIVE,             "lxm",         check_domain,        "Domain of instance names" },
	{ "dns.mode",                             KEY_TEXT, KEY_LIVE,             "managed",     check_dns_mode,      "Which names are answered: none, managed, dynamic" },
	{ "dns.search",                           KEY_TEXT, KEY_LIVE,             NULL,          check_hostname_list, "Search list given out by DHCP" },
	{ "dns.zone.forward",                     KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_hostname_list, "Zones of its names" },
	{ "dns.zone.reverse.ipv4",                KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_domain,        "Zone of its IPv4 addresses" },
	{ "dns.zone.reverse.ipv6",                KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_domain,        "Zone of its IPv6 addresses" },
	{ "fan.overlay_subnet",                   KEY_TEXT, KEY_LATER,            "240.0.0.0/8", check_net4,          "Overlay of a fan bridge" },
	{ "fan.type",                             KEY_TEXT, KEY_LATER,            "vxlan",       check_fan,           "Tunnels of a fan bridge" },
	{ "fan.underlay_subnet",                  KEY_TEXT, KEY_LATER,            NULL,          check_net4,          "Underlay of a fan bridge" },
	{ "ipv4.address",                         KEY_TEXT, KEY_LIVE,             "auto",        check_net4,          "Address and prefix of the bridge" },
	{ "ipv4.dhcp",                            KEY_BOOL, KEY_LIVE,             "true",        NULL,                "Give IPv4 addresses out" },
	{ "ipv4.dhcp.expiry",                     KEY_TEXT, KEY_LIVE,             "1h",          check_lease,         "Life of a lease" },
	{ "ipv4.dhcp.gateway",                    KEY_TEXT, KEY_LIVE,             NULL,          check_ip4,           "Gateway given out, unset: the bridge" },
	{ "ipv4.dhcp.ranges",                     KEY_TEXT, KEY_LIVE,             NULL,          check_range4_list,   "Addresses to give out, unset: all" },
	{ "ipv4.firewall",                        KEY_BOOL, KEY_LIVE,             "true",        NULL,                "Firewall rules for IPv4" },
	{ "ipv4.nat",                             KEY_BOOL, KEY_LIVE,             NULL,          NULL,                "Hide its IPv4 addresses behind the host" },
	{ "ipv4.nat.address",                     KEY_TEXT, KEY_LIVE,             NULL,          check_ip4,           "Address to hide behind" },
	{ "ipv4.nat.order",                       KEY_TEXT, KEY_LIVE | KEY_LATER, "before",      check_order,         "Before or after other rules" },
	{ "ipv4.ovn.ranges",                      KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_range4_list,   "Addresses for OVN routers" },
	{ "ipv4.routes",                          KEY_TEXT, KEY_LIVE,             NULL,          check_cidr4_list,    "Further subnets behind the bridge" },
	{ "ipv4.routing",                         KEY_BOOL, KEY_LIVE,             "true",        NULL,                "Forward IPv4" },
	{ "ipv6.address",                         KEY_TEXT, KEY_LIVE,             "auto",        check_net6,          "Address and prefix of the bridge" },
	{ "ipv6.dhcp",                            KEY_BOOL, KEY_LIVE,             "true",        NULL,                "Give more than the address out" },
	{ "ipv6.dhcp.expiry",                     KEY_TEXT, KEY_LIVE,             "1h",          check_lease,         "Life of a lease" },
	{ "ipv6.dhcp.ranges",                     KEY_TEXT, KEY_LIVE,             NULL,          check_range6_list,   "Addresses to give out, unset: all" },
	{ "ipv6.dhcp.stateful",                   KEY_BOOL, KEY_LIVE,             "false",       NULL,                "Give addresses out by DHCPv6" },
	{ "ipv6.firewall",                        KEY_BOOL, KEY_LIVE,             "true",        NULL,                "Firewall rules for IPv6" },
	{ "ipv6.nat",                             KEY_BOOL, KEY_LIVE,             NULL,          NULL,                "Hide its IPv6 addresses behind the host" },
	{ "ipv6.nat.address",                     KEY_TEXT, KEY_LIVE,             NULL,          check_ip6,           "Address to hide behind" },
	{ "ipv6.nat.order",                       KEY_TEXT, KEY_LIVE | KEY_LATER, "before",      check_order,         "Before or after other rules" },
	{ "ipv6.ovn.ranges",                      KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_range6_list,   "Addresses for OVN routers" },
	{ "ipv6.routes",                          KEY_TEXT, KEY_LIVE,             NULL,          check_cidr6_list,    "Further subnets behind the bridge" },
	{ "ipv6.routing",                         KEY_BOOL, KEY_LIVE,             "true",        NULL,                "Forward IPv6" },
	{ "raw.dnsmasq",                          KEY_BLOB, KEY_LIVE | KEY_LATER, NULL,          NULL,                "Lines added to the configuration of dnsmasq" },
	{ "security.acls",                        KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          NULL,                "ACLs for its instances" },
	{ "security.acls.default.egress.action",  KEY_TEXT, KEY_LIVE | KEY_LATER, "reject",      check_acl,           "What no rule matches, going out" },
	{ "security.acls.default.egress.logged",  KEY_BOOL, KEY_LIVE | KEY_LATER, "false",       NULL,                "Log what no rule matches, going out" },
	{ "security.acls.default.ingress.action", KEY_TEXT, KEY_LIVE | KEY_LATER, "reject",      check_acl,           "What no rule matches, coming in" },
	{ "security.acls.default.ingress.logged", KEY_BOOL, KEY_LIVE | KEY_LATER, "false",       NULL,                "Log what no rule matches, coming in" },
	{ "tunnel.*.group",                       KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_ip4,           "Multicast group of a VXLAN tunnel" },
	{ "tunnel.*.id",                          KEY_UINT, KEY_LIVE | KEY_LATER, NULL,          check_u32,           "Id of a tunnel" },
	{ "tunnel.*.interface",                   KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_link,          "Host link of a tunnel" },
	{ "tunnel.*.local",                       KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_ip4,           "Own address of a tunnel" },
	{ "tunnel.*.port",                        KEY_UINT, KEY_LIVE | KEY_LATER, NULL,          NULL,                "Port of a tunnel" },
	{ "tunnel.*.protocol",                    KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_tunnel,        "vxlan or gre" },
	{ "tunnel.*.remote",                      KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,          check_ip4,           "Other end of a tunnel" },
	{ "tunnel.*.ttl",                         KEY_UINT, KEY_LIVE | KEY_LATER, NULL,          NULL,                "TTL of a tunnel" },
	{ "user.*",                               KEY_BLOB, KEY_LIVE,             NULL,          NULL,                "For people and scripts" },
	{ "volatile.*",                           KEY_TEXT, KEY_DAEMON,           NULL,          NULL,                "What lxmd remembers of it" },
	{ "volatile.bridge.hwaddr",               KEY_TEXT, KEY_DAEMON,           NULL,          check_mac,           "MAC address that was chosen" },
};

static const struct confkey macvlan_keys[] = {
	{ "gvrp",                        KEY_BOOL, 0,            "false", NULL,       "Register the VLAN by GVRP" },
	{ "mtu",                         KEY_UINT, 0,            NULL,    check_mtu,  "MTU of new links" },
	{ "parent",                      KEY_TEXT, KEY_REQUIRED, NULL,    check_link, "Host link" },
	{ "user.*",                      KEY_BLOB, KEY_LIVE,     NULL,    NULL,       "For people and scripts" },
	{ "vlan",                        KEY_TEXT, 0,            NULL,    check_vlan, "VLAN of the host link" },
	{ "volatile.last_state.created", KEY_BOOL, KEY_DAEMON,   NULL,    NULL,       "Whether the VLAN link was made for it" },
};

static const struct confkey physical_keys[] = {
	{ "bgp.peers.*",                 KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    NULL,                "Peers that its prefixes are announced to" },
	{ "dns.nameservers",             KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_hostname_list, "Name servers of its uplink" },
	{ "gvrp",                        KEY_BOOL, 0,                    "false", NULL,                "Register the VLAN by GVRP" },
	{ "ipv4.gateway",                KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_net4,          "Gateway and prefix" },
	{ "ipv4.ovn.ranges",             KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_range4_list,   "Addresses for OVN routers" },
	{ "ipv4.routes",                 KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_cidr4_list,    "Subnets for OVN networks" },
	{ "ipv6.gateway",                KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_net6,          "Gateway and prefix" },
	{ "ipv6.ovn.ranges",             KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_range6_list,   "Addresses for OVN routers" },
	{ "ipv6.routes",                 KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_cidr6_list,    "Subnets for OVN networks" },
	{ "mtu",                         KEY_UINT, 0,                    NULL,    check_mtu,           "MTU of new links" },
	{ "parent",                      KEY_TEXT, KEY_REQUIRED,         NULL,    check_link,          "Host link" },
	{ "user.*",                      KEY_BLOB, KEY_LIVE,             NULL,    NULL,                "For people and scripts" },
	{ "vlan",                        KEY_TEXT, 0,                    NULL,    check_vlan,          "VLAN of the host link" },
	{ "volatile.last_state.created", KEY_BOOL, KEY_DAEMON,           NULL,    NULL,                "Whether the VLAN link was made for it" },
};

static const struct confkey acl_keys[] = {
	{ "user.*", KEY_BLOB, KEY_LIVE, NULL, NULL, "For people and scripts" },
};

static const struct confkey forward_keys[] = {
	{ "target_address", KEY_TEXT, KEY_LIVE, NULL, NULL, "Where ports that are not named go" },
	{ "user.*",         KEY_BLOB, KEY_LIVE, NULL, NULL, "For people and scripts" },
};

static const struct confkey zone_keys[] = {
	{ "dns.nameservers", KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,   check_hostname_list, "Name servers of the zone" },
	{ "network.nat",     KEY_BOOL, KEY_LIVE | KEY_LATER, "true", NULL,                "Addresses behind NAT as well" },
	{ "peers.*.address", KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,   NULL,                "Address of a peer that may transfer the zone" },
	{ "peers.*.key",     KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,   NULL,                "TSIG key of a peer" },
	{ "user.*",          KEY_BLOB, KEY_LIVE,             NULL,   NULL,                "For people and scripts" },
};
/* clang-format on */

const struct conftable conf_network_acl = { "network ACL", acl_keys, LXM_ARRAY_LEN(acl_keys) };
const struct conftable conf_network_forward = { "network forward", forward_keys, LXM_ARRAY_LEN(forward_keys) };
const struct conftable conf_network_zone = { "network zone", zone_keys, LXM_ARRAY_LEN(zone_keys) };

const struct conftable *conf_network(const char *type)
{
	static const struct conftable bridge = { "network", bridge_keys, LXM_ARRAY_LEN(bridge_keys) };
	static const struct conftable macvlan = { "macvlan network", macvlan_keys, LXM_ARRAY_LEN(macvlan_keys) };
	static const struct conftable physical = { "physical network", physical_keys, LXM_ARRAY_LEN(physical_keys) };

	if (lxm_streq(type, "bridge"))
		return &bridge;
	if (lxm_streq(type, "macvlan"))
		return &macvlan;
	return lxm_streq(type, "physical") ? &physical : NULL;
}
