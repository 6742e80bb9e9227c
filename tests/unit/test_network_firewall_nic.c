/* lxmd/network/firewall_nic, firewall_link, shape: what a NIC's properties become, and what never reaches a ruleset. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lxmd/network/firewall_link.h"
#include "lxmd/network/firewall_nic.h"
#include "lxmd/network/shape.h"

#define MAC "00:16:3e:01:02:03"

static bool has(const struct fw_nic *nic, const char *element)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };

	CU_ASSERT(fw_nic_elements(nic, &v, NULL) == 0);
	return lxm_strv_has(&v, element);
}

static size_t count(const struct fw_nic *nic)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };

	CU_ASSERT(fw_nic_elements(nic, &v, NULL) == 0);
	return v.n;
}

static void a_mac_is_known_in_all_its_forms(void)
{
	const struct fw_nic nic = { .host = "veth1", .mac = "00:16:3E:01:02:03" };

	CU_ASSERT(has(&nic, "links { \"veth1\" }"));
	CU_ASSERT(has(&nic, "mac { \"veth1\" . " MAC " }"));
	CU_ASSERT(has(&nic, "chaddr { \"veth1\" . 0x00163e010203 }"));
	CU_ASSERT(has(&nic, "lladdr { \"veth1\" . 0x010100163e010203 }"));
	CU_ASSERT(has(&nic, "lladdr { \"veth1\" . 0x020100163e010203 }"));
	CU_ASSERT_EQUAL(count(&nic), 5);
}

static void addresses_bring_their_own(void)
{
	const struct fw_nic nic = { .host = "veth1", .mac = MAC, .v4 = true, .v6 = true, .ipv4 = "10.0.0.5", .ipv6 = "fd42::5" };
	const struct fw_nic none = { .host = "veth1", .mac = MAC, .v4 = true, .v6 = true, .routes4 = "10.0.0.0/8" };

	CU_ASSERT(has(&nic, "own4 { \"veth1\" . 10.0.0.5 }"));
	CU_ASSERT(has(&nic, "own6 { \"veth1\" . fd42::5 }"));
	CU_ASSERT(has(&nic, "target6 { \"veth1\" . 0xfd420000000000000000000000000005 }"));
	/* the one that a kernel makes of the MAC */
	CU_ASSERT(has(&nic, "own6 { \"veth1\" . fe80::216:3eff:fe01:203 }"));
	CU_ASSERT(has(&nic, "target6 { \"veth1\" . 0xfe8000000000000002163efffe010203 }"));
	CU_ASSERT(has(&none, "none4 { \"veth1\" }") && has(&none, "none6 { \"veth1\" }"));
	CU_ASSERT(!has(&none, "net4 { \"veth1\" . 10.0.0.0/8 }"));
}

static void networks_do_not_overlap(void)
{
	struct fw_nic nic = { .host = "veth1", .mac = MAC, .v4 = true, .v6 = true, .ipv4 = "10.0.0.5", .ipv6 = "fd42::5" };
	size_t before = count(&nic);

	nic.routes4 = "10.1.2.0/24, 10.1.0.0/16,10.1.0.0/16,10.2.0.0/16,";
	CU_ASSERT_EQUAL(count(&nic), before + 2);
	CU_ASSERT(has(&nic, "net4 { \"veth1\" . 10.1.0.0/16 }") && has(&nic, "net4 { \"veth1\" . 10.2.0.0/16 }"));
	nic.routes4 = "10.1.2.3/31";
	CU_ASSERT(has(&nic, "net4 { \"veth1\" . 10.1.2.2/31 }"));
	nic.routes4 = NULL;
	nic.routes6 = "fd43::/63,fd44::7/128";
	CU_ASSERT(has(&nic, "nettarget6 { \"veth1\" . 0xfd430000000000000000000000000000-0xfd43000000000001ffffffffffffffff }"));
	CU_ASSERT(has(&nic, "nettarget6 { \"veth1\" . 0xfd440000000000000000000000000007 }"));
}

static void what_is_none_is_refused(void)
{
	static const char *const names[] = { "", "a\"b", "veth*", "a b", "a;b", "a{b", "a\nb", "0123456789abcdef" };
	static const struct fw_nic bad[] = {
		{ .host = "v", .mac = "00:16:3e:01:02" },
		{ .host = "v", .mac = MAC, .v4 = true, .ipv4 = "10.0.0.5 }" },
		{ .host = "v", .mac = MAC, .v6 = true, .ipv6 = "10.0.0.5" },
		{ .host = "v", .mac = MAC, .v4 = true, .ipv4 = "10.0.0.5", .routes4 = "fd42::/64" },
		{ .host = "v", .mac = MAC, .v4 = true, .ipv4 = "10.0.0.5", .routes4 = "10.0.0.0/33" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		lxm_auto(strv) struct lxm_strv v = { 0 };

		CU_ASSERT(fw_nic_elements(&(struct fw_nic){ .host = names[i], .mac = MAC }, &v, NULL) == -EINVAL);
		CU_ASSERT(fw_link_set(NULL, names[i], 1, 1, NULL) == -EINVAL);
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		lxm_auto(strv) struct lxm_strv v = { 0 };

		CU_ASSERT(fw_nic_elements(&bad[i], &v, NULL) == -EINVAL);
	}
}

static void a_limit_is_one_table_of_its_link(void)
{
	lxm_auto(buf) struct lxm_buf t = { 0 }, none = { 0 };

	fw_link_text("veth-1", 10000000, 0x20007, &t);
	CU_ASSERT(lxm_starts(t.data, "table netdev lxm_veth_2d1\ndelete table netdev lxm_veth_2d1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "limit rate over 1250000 bytes/second burst 131072 bytes drop"));
	CU_ASSERT_PTR_NOT_NULL(strstr(t.data, "meta priority set 2:7"));
	fw_link_text("veth1", 0, 0, &none);
	CU_ASSERT_PTR_NULL(strstr(none.data, "chain"));
}

static void vlans_are_numbers_and_ranges(void)
{
	static const char *const bad[] = { "0", "4095", "5-3", "1-2-3", "x", "-", "5-", "-5", "1,x" };
	size_t i;

	CU_ASSERT(shape_vlan_list("1,7, 20-29,4094", NULL) == 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT(shape_vlan_list(bad[i], NULL) == -EINVAL);
}

UNIT_MAIN("network/firewall_nic", { "a MAC is known in all its forms", a_mac_is_known_in_all_its_forms },
	  { "addresses bring their own", addresses_bring_their_own },
	  { "networks do not overlap", networks_do_not_overlap },
	  { "what is none is refused", what_is_none_is_refused },
	  { "a limit is one table of its link", a_limit_is_one_table_of_its_link },
	  { "VLANs are numbers and ranges", vlans_are_numbers_and_ranges })
