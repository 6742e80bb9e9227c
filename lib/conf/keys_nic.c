/* Keys of network devices by nictype. Rows are sorted by name. */
#include <string.h>

#include "lib/conf/checks.h"
#include "lib/conf/devices.h"

static int check_nictype(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "bridged|macvlan|ipvlan|p2p|physical|routed|sriov", e);
}

/* The name goes into rules of the firewall and paths of /sys. */
static int check_host_name(const char *key, const char *value, struct lxm_err *e)
{
	size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (n < 2 || value[n] || n > 15 || value[0] == '.' || value[0] == '-')
		return lxm_err_set(e, EINVAL, "'%.40s' is no name for a link on the host: use 2 to 15 letters, digits, '.', '_' and '-'", value);
	return 0;
}

static int check_acl(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "allow|reject|drop", e);
}

static int check_ipvlan(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "l2|l3s", e);
}

/* clang-format off */
static const struct confkey bridged_keys[] = {
	{ "boot.priority",                        KEY_UINT, KEY_VM,               NULL,    NULL,             "Boot order" },
	{ "host_name",                            KEY_TEXT, 0,                    NULL,    check_host_name, "Name of the link on the host" },
	{ "hwaddr",                               KEY_TEXT, 0,                    NULL,    check_mac,        "MAC address" },
	{ "ipv4.address",                         KEY_TEXT, KEY_LIVE,             NULL,    check_ip4,        "Fixed address by DHCP" },
	{ "ipv4.routes",                          KEY_TEXT, KEY_LIVE,             NULL,    check_cidr4_list, "Routes to it on the host" },
	{ "ipv4.routes.external",                 KEY_TEXT, KEY_LIVE,             NULL,    check_cidr4_list, "Routes to announce" },
	{ "ipv6.address",                         KEY_TEXT, KEY_LIVE,             NULL,    check_ip6,        "Fixed address by DHCP" },
	{ "ipv6.routes",                          KEY_TEXT, KEY_LIVE,             NULL,    check_cidr6_list, "Routes to it on the host" },
	{ "ipv6.routes.external",                 KEY_TEXT, KEY_LIVE,             NULL,    check_cidr6_list, "Routes to announce" },
	{ "limits.egress",                        KEY_TEXT, KEY_LIVE,             NULL,    check_rate,       "Rate out of the instance" },
	{ "limits.ingress",                       KEY_TEXT, KEY_LIVE,             NULL,    check_rate,       "Rate into the instance" },
	{ "limits.max",                           KEY_TEXT, KEY_LIVE,             NULL,    check_rate,       "Rate in both directions" },
	{ "limits.priority",                      KEY_UINT, KEY_LIVE,             NULL,    check_u32,        "Priority of its packets" },
	{ "maas.subnet.ipv4",                     KEY_TEXT, KEY_LATER,            NULL,    NULL,             "MAAS subnet" },
	{ "maas.subnet.ipv6",                     KEY_TEXT, KEY_LATER,            NULL,    NULL,             "MAAS subnet" },
	{ "mtu",                                  KEY_UINT, 0,                    NULL,    check_mtu,        "MTU" },
	{ "name",                                 KEY_TEXT, 0,                    NULL,    check_link,       "Name of the link inside" },
	{ "network",                              KEY_TEXT, 0,                    NULL,    check_link,       "Managed network to join" },
	{ "nictype",                              KEY_TEXT, 0,                    NULL,    check_nictype,    "bridged, macvlan, ipvlan, p2p, physical, routed, sriov" },
	{ "parent",                               KEY_TEXT, 0,                    NULL,    check_link,       "Bridge to join" },
	{ "queue.tx.length",                      KEY_UINT, KEY_LIVE,             NULL,    check_u32,        "Length of the queue" },
	{ "security.acls",                        KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    NULL,             "ACLs" },
	{ "security.acls.default.egress.action",  KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_acl,        "What no rule matches, going out" },
	{ "security.acls.default.egress.logged",  KEY_BOOL, KEY_LIVE | KEY_LATER, NULL,    NULL,             "Log what no rule matches, going out" },
	{ "security.acls.default.ingress.action", KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_acl,        "What no rule matches, coming in" },
	{ "security.acls.default.ingress.logged", KEY_BOOL, KEY_LIVE | KEY_LATER, NULL,    NULL,             "Log what no rule matches, coming in" },
	{ "security.ipv4_filtering",              KEY_BOOL, KEY_LIVE,             "false", NULL,             "Drop packets from other IPv4 addresses" },
	{ "security.ipv6_filtering",              KEY_BOOL, KEY_LIVE,             "false", NULL,             "Drop packets from other IPv6 addresses" },
	{ "security.mac_filtering",               KEY_BOOL, KEY_LIVE,             "false", NULL,             "Drop packets from other MAC addresses" },
	{ "security.port_isolation",              KEY_BOOL, KEY_LIVE,             "false", NULL,             "Keep it from other isolated ports" },
	{ "type",                                 KEY_TEXT, KEY_REQUIRED,         NULL,    NULL,             "Type of the device" },
	{ "vlan",                                 KEY_TEXT, KEY_LIVE,             NULL,    check_vlan,       "Untagged VLAN" },
	{ "vlan.tagged",                          KEY_TEXT, KEY_LIVE,             NULL,    NULL,             "Tagged VLANs" },
};

static const struct confkey ipvlan_keys[] = {
	{ "boot.priority",   KEY_UINT, KEY_VM,               NULL,   NULL,          "Boot order" },
	{ "host_name",       KEY_TEXT, 0,                    NULL,   check_host_name, "Name of the link on the host" },
	{ "ipv4.address",    KEY_TEXT, 0,                    NULL,   NULL,          "Fixed addresses" },
	{ "ipv4.gateway",    KEY_TEXT, 0,                    "auto", NULL,          "Add a default route" },
	{ "ipv4.host_table", KEY_UINT, 0,                    NULL,   NULL,          "Routing table besides the main one, with mode l3s" },
	{ "ipv6.address",    KEY_TEXT, 0,                    NULL,   NULL,          "Fixed addresses" },
	{ "ipv6.gateway",    KEY_TEXT, 0,                    "auto", NULL,          "Add a default route" },
	{ "ipv6.host_table", KEY_UINT, 0,                    NULL,   NULL,          "Routing table besides the main one, with mode l3s" },
	{ "limits.egress",   KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,   check_rate,    "Rate out of the instance" },
	{ "limits.ingress",  KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,   check_rate,    "Rate into the instance" },
	{ "limits.max",      KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,   check_rate,    "Rate in both directions" },
	{ "limits.priority", KEY_UINT, KEY_LIVE | KEY_LATER, NULL,   check_u32,     "Priority of its packets" },
	{ "mode",            KEY_TEXT, 0,                    "l3s",  check_ipvlan,  "l2 or l3s" },
	{ "mtu",             KEY_UINT, 0,                    NULL,   check_mtu,     "MTU" },
	{ "name",            KEY_TEXT, 0,                    NULL,   check_link,    "Name of the link inside" },
	{ "nictype",         KEY_TEXT, 0,                    NULL,   check_nictype, "bridged, macvlan, ipvlan, p2p, physical, routed, sriov" },
	{ "parent",          KEY_TEXT, KEY_REQUIRED,         NULL,   check_link,    "Host link" },
	{ "queue.tx.length", KEY_UINT, KEY_LIVE,             NULL,   check_u32,     "Length of the queue" },
	{ "type",            KEY_TEXT, KEY_REQUIRED,         NULL,   NULL,          "Type of the device" },
	{ "vlan",            KEY_TEXT, 0,                    NULL,   check_vlan,    "VLAN of the host link" },
};

static const struct confkey macvlan_keys[] = {
	{ "boot.priority",   KEY_UINT, KEY_VM,               NULL,    NULL,          "Boot order" },
	{ "gvrp",            KEY_BOOL, KEY_LIVE,             "false", NULL,          "Register the VLAN by GVRP" },
	{ "host_name",       KEY_TEXT, 0,                    NULL,    check_host_name, "Name of the link on the host" },
	{ "hwaddr",          KEY_TEXT, 0,                    NULL,    check_mac,     "MAC address" },
	{ "limits.egress",   KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_rate,    "Rate out of the instance" },
	{ "limits.ingress",  KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_rate,    "Rate into the instance" },
	{ "limits.max",      KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_rate,    "Rate in both directions" },
	{ "limits.priority", KEY_UINT, KEY_LIVE | KEY_LATER, NULL,    check_u32,     "Priority of its packets" },
	{ "mtu",             KEY_UINT, 0,                    NULL,    check_mtu,     "MTU" },
	{ "name",            KEY_TEXT, 0,                    NULL,    check_link,    "Name of the link inside" },
	{ "network",         KEY_TEXT, 0,                    NULL,    check_link,    "Managed network to join" },
	{ "nictype",         KEY_TEXT, 0,                    NULL,    check_nictype, "bridged, macvlan, ipvlan, p2p, physical, routed, sriov" },
	{ "parent",          KEY_TEXT, 0,                    NULL,    check_link,    "Host link" },
	{ "queue.tx.length", KEY_UINT, KEY_LIVE,             NULL,    check_u32,     "Length of the queue" },
	{ "type",            KEY_TEXT, KEY_REQUIRED,         NULL,    NULL,          "Type of the device" },
	{ "vlan",            KEY_TEXT, 0,                    NULL,    check_vlan,    "VLAN of the host link" },
};

static const struct confkey p2p_keys[] = {
	{ "boot.priority",   KEY_UINT, KEY_VM,               NULL, NULL,             "Boot order" },
	{ "host_name",       KEY_TEXT, 0,                    NULL, check_host_name, "Name of the link on the host" },
	{ "hwaddr",          KEY_TEXT, 0,                    NULL, check_mac,        "MAC address" },
	{ "ipv4.routes",     KEY_TEXT, KEY_LIVE,             NULL, check_cidr4_list, "Routes to it on the host" },
	{ "ipv6.routes",     KEY_TEXT, KEY_LIVE,             NULL, check_cidr6_list, "Routes to it on the host" },
	{ "limits.egress",   KEY_TEXT, KEY_LIVE,             NULL, check_rate,       "Rate out of the instance" },
	{ "limits.ingress",  KEY_TEXT, KEY_LIVE,             NULL, check_rate,       "Rate into the instance" },
	{ "limits.max",      KEY_TEXT, KEY_LIVE,             NULL, check_rate,       "Rate in both directions" },
	{ "limits.priority", KEY_UINT, KEY_LIVE,             NULL, check_u32,        "Priority of its packets" },
	{ "mtu",             KEY_UINT, 0,                    NULL, check_mtu,        "MTU" },
	{ "name",            KEY_TEXT, 0,                    NULL, check_link,       "Name of the link inside" },
	{ "nictype",         KEY_TEXT, 0,                    NULL, check_nictype,    "bridged, macvlan, ipvlan, p2p, physical, routed, sriov" },
	{ "queue.tx.length", KEY_UINT, KEY_LIVE,             NULL, check_u32,        "Length of the queue" },
	{ "type",            KEY_TEXT, KEY_REQUIRED,         NULL, NULL,             "Type of the device" },
};

static const struct confkey routed_keys[] = {
	{ "boot.priority",       KEY_UINT, KEY_VM,               NULL,          NULL,             "Boot order" },
	{ "gvrp",                KEY_BOOL, KEY_LIVE,             "false",       NULL,             "Register the VLAN by GVRP" },
	{ "host_name",           KEY_TEXT, 0,                    NULL,          check_host_name, "Name of the link on the host" },
	{ "hwaddr",              KEY_TEXT, 0,                    NULL,          check_mac,        "MAC address" },
	{ "ipv4.address",        KEY_TEXT, 0,                    NULL,          NULL,             "Fixed addresses" },
	{ "ipv4.gateway",        KEY_TEXT, 0,                    "auto",        NULL,             "Add a default route" },
	{ "ipv4.host_address",   KEY_TEXT, 0,                    "169.254.0.1", check_ip4,        "Host end" },
	{ "ipv4.host_table",     KEY_UINT, 0,                    NULL,          NULL,             "Routing table" },
	{ "ipv4.neighbor_probe", KEY_BOOL, 0,                    "true",        NULL,             "Look whether an address is taken" },
	{ "ipv4.routes",         KEY_TEXT, 0,                    NULL,          check_cidr4_list, "Routes to it on the host" },
	{ "ipv6.address",        KEY_TEXT, 0,                    NULL,          NULL,             "Fixed addresses" },
	{ "ipv6.gateway",        KEY_TEXT, 0,                    "auto",        NULL,             "Add a default route" },
	{ "ipv6.host_address",   KEY_TEXT, 0,                    "fe80::1",     check_ip6,        "Host end" },
	{ "ipv6.host_table",     KEY_UINT, 0,                    NULL,          NULL,             "Routing table" },
	{ "ipv6.neighbor_probe", KEY_BOOL, 0,                    "true",        NULL,             "Look whether an address is taken" },
	{ "ipv6.routes",         KEY_TEXT, 0,                    NULL,          check_cidr6_list, "Routes to it on the host" },
	{ "limits.egress",       KEY_TEXT, KEY_LIVE,             NULL,          check_rate,       "Rate out of the instance" },
	{ "limits.ingress",      KEY_TEXT, KEY_LIVE,             NULL,          check_rate,       "Rate into the instance" },
	{ "limits.max",          KEY_TEXT, KEY_LIVE,             NULL,          check_rate,       "Rate in both directions" },
	{ "limits.priority",     KEY_UINT, KEY_LIVE,             NULL,          check_u32,        "Priority of its packets" },
	{ "mtu",                 KEY_UINT, 0,                    NULL,          check_mtu,        "MTU" },
	{ "name",                KEY_TEXT, 0,                    NULL,          check_link,       "Name of the link inside" },
	{ "nictype",             KEY_TEXT, 0,                    NULL,          check_nictype,    "bridged, macvlan, ipvlan, p2p, physical, routed, sriov" },
	{ "parent",              KEY_TEXT, 0,                    NULL,          check_link,       "Host link" },
	{ "queue.tx.length",     KEY_UINT, KEY_LIVE,             NULL,          check_u32,        "Length of the queue" },
	{ "type",                KEY_TEXT, KEY_REQUIRED,         NULL,          NULL,             "Type of the device" },
	{ "vlan",                KEY_TEXT, 0,                    NULL,          check_vlan,       "VLAN of the host link" },
};

static const struct confkey sriov_keys[] = {
	{ "boot.priority",          KEY_UINT, KEY_VM,               NULL,    NULL,          "Boot order" },
	{ "gvrp",                   KEY_BOOL, KEY_LIVE | KEY_LATER, "false", NULL,          "Register the VLAN by GVRP" },
	{ "host_name",              KEY_TEXT, 0,                    NULL,    check_host_name, "Name of the link on the host" },
	{ "hwaddr",                 KEY_TEXT, 0,                    NULL,    check_mac,     "MAC address" },
	{ "limits.egress",          KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_rate,    "Rate out of the instance" },
	{ "limits.ingress",         KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_rate,    "Rate into the instance" },
	{ "limits.max",             KEY_TEXT, KEY_LIVE | KEY_LATER, NULL,    check_rate,    "Rate in both directions" },
	{ "limits.priority",        KEY_UINT, KEY_LIVE | KEY_LATER, NULL,    check_u32,     "Priority of its packets" },
	{ "mtu",                    KEY_UINT, 0,                    NULL,    check_mtu,     "MTU" },
	{ "name",                   KEY_TEXT, 0,                    NULL,    check_link,    "Name of the link inside" },
	{ "network",                KEY_TEXT, 0,                    NULL,    check_link,    "Managed network to join" },
	{ "nictype",                KEY_TEXT, 0,                    NULL,    check_nictype, "bridged, macvlan, ipvlan, p2p, physical, routed, sriov" },
	{ "parent",                 KEY_TEXT, 0,                    NULL,    check_link,    "Host link" },
	{ "queue.tx.length",        KEY_UINT, KEY_LIVE | KEY_LATER, NULL,    check_u32,     "Length of the queue" },
	{ "security.mac_filtering", KEY_BOOL, 0,                    "false", NULL,          "Refuse other MAC addresses" },
	{ "type",                   KEY_TEXT, KEY_REQUIRED,         NULL,    NULL,          "Type of the device" },
	{ "vlan",                   KEY_TEXT, 0,                    NULL,    check_vlan,    "VLAN of the host link" },
};
/* clang-format on */

/* physical has the keys of macvlan */
const struct devtype devtypes_nic[] = {
	DEVTYPE("bridged nic device", "bridged", 0, bridged_keys),
	DEVTYPE("ipvlan nic device", "ipvlan", 0, ipvlan_keys),
	DEVTYPE("macvlan nic device", "macvlan", 0, macvlan_keys),
	DEVTYPE("p2p nic device", "p2p", 0, p2p_keys),
	DEVTYPE("physical nic device", "physical", 0, macvlan_keys),
	DEVTYPE("routed nic device", "routed", 0, routed_keys),
	DEVTYPE("sriov nic device", "sriov", DEV_LATER, sriov_keys),
};
const size_t devtypes_nic_n = LXM_ARRAY_LEN(devtypes_nic);
