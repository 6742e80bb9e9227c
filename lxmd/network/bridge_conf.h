/* The configuration of a managed bridge as numbers and texts, checked as a whole. */
#ifndef LXMD_NETWORK_BRIDGE_CONF_H
#define LXMD_NETWORK_BRIDGE_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lxmd/network/dhcp.h"
#include "lxmd/network/firewall.h"

/* Zeroed is empty. The strings that firewall and dnsmasq get are made from parsed numbers, not copied from a client. */
struct bridge_conf {
	char bridge[16];
	uint32_t mtu; /* 0: default */
	bool has_mac;
	uint8_t mac[6];

	bool has4, nat4, route4, dhcp4, firewall4;
	uint32_t addr4; /* host byte order */
	int prefix4;
	char address4[16], subnet4[20], netmask4[16], gateway4[16], natsrc4[16];
	char *ranges4; /* owned; "a-b,c-d" */
	char expiry4[16];

	bool has6, nat6, route6, dhcp6, stateful6, firewall6;
	struct in6_addr addr6;
	int prefix6;
	char address6[46], subnet6[50], natsrc6[46];
	char *ranges6; /* owned */
	char expiry6[16];

	char domain[256], dns_mode[16];
	char *search; /* owned, or NULL */

	struct lxm_strv routes; /* subnets behind it, of both families */
};
void bridge_conf_deinit(struct bridge_conf *c);
LXM_AUTO_STRUCT(bridge_conf, struct bridge_conf, bridge_conf_deinit)

/**
 * Read a bridge's configuration.
 *
 * @bridge  the network's name, checked
 * @kv      keys and single values were checked against the table; "auto" must have become an address
 *
 * Checks what hangs together: host part, prefix lengths, ranges inside the subnet, DHCP without an address.
 * Pure. Returns 0 or -EINVAL naming key and remedy.
 */
int bridge_conf_parse(const char *bridge, const struct lxm_kv *kv, struct bridge_conf *out, struct lxm_err *e);

/** What firewall and DHCP are to be told; borrows from c. @dir networks/NAME */
void bridge_conf_firewall(const struct bridge_conf *c, struct fw_bridge *out);
void bridge_conf_dhcp(const struct bridge_conf *c, const char *dir, struct dhcp_conf *out);

/** True if an address lies in the bridge's subnet and is neither its own, network nor broadcast address. */
bool bridge_conf_has_host4(const struct bridge_conf *c, uint32_t address);
bool bridge_conf_has_host6(const struct bridge_conf *c, const struct in6_addr *address);

/** "10.1.0.1/16" into address (host byte order) and prefix length. Returns 0 or -EINVAL. */
int cidr4_parse(const char *s, uint32_t *address, int *prefix);
int cidr6_parse(const char *s, struct in6_addr *address, int *prefix);

#endif
