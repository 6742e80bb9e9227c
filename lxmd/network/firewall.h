/* nftables in-process: one table per managed bridge with a fixed ruleset; what varies lies in sets and maps. */
#ifndef LXMD_NETWORK_FIREWALL_H
#define LXMD_NETWORK_FIREWALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/* What is kept between transactions; NIC filters are in firewall_nic.h. */
struct firewall;

/* What the ruleset of one bridge needs; all strings were validated and are borrowed. */
struct fw_bridge {
	const char *bridge;  /* interface name */
	const char *mac;     /* of the bridge */
	const char *ports;   /* what the names of its ports begin with, "veth1a2b3" */
	const char *subnet4; /* "10.1.0.0/16", or NULL without IPv4 */
	const char *subnet6; /* "fd42::/64", or NULL without IPv6 */
	const char *nat4_address, *nat6_address; /* SNAT source, NULL: masquerade */
	bool nat4, nat6;     /* translate what leaves the subnet */
	bool route4, route6; /* forward at all; false: rejected */
	bool dhcp4, dhcp6;   /* DHCP is served here */
	bool dns;
	bool firewall4, firewall6; /* accept rules for DHCP, DNS and forwarding */
};

/**
 * Make the context. It asks nothing of the kernel: without nf_tables, or without the library, the first transaction fails, which makes
 * that network unavailable and not the daemon.
 *
 * @seed  differs between daemons of one host: names the table of NIC filters
 */
struct firewall *fw_new(uint32_t seed);
void fw_free(struct firewall *fw);

/**
 * Run one transaction of nft text made by this room.
 *
 * @out  receives what nft prints; may be NULL. @out_flags NFT_CTX_OUTPUT_*
 *
 * Any thread. Returns 0 or -errno with the first line of what nft says; -ENOENT: something named is not there.
 */
int fw_run(struct firewall *fw, const char *text, unsigned int out_flags, struct lxm_buf *out, struct lxm_err *e);

/** Name of the table of a bridge ("lxm_" and the name, characters outside [A-Za-z0-9_] as _XX) into out. */
void fw_table_name(const char *bridge, char *out, size_t size);
/** The whole transaction that (re)makes a bridge's tables, as nft text. Pure. */
void fw_bridge_text(const struct fw_bridge *b, struct lxm_buf *out);

/** Put the ruleset of a bridge in place, replacing an older one in the same transaction. */
int fw_bridge_apply(struct firewall *fw, const struct fw_bridge *b, struct lxm_err *e);
/** Remove what fw_bridge_apply() made; nothing there is fine. */
int fw_bridge_remove(struct firewall *fw, const char *bridge, struct lxm_err *e);
/** 1 if the bridge's table is there, 0 if not, -errno. */
int fw_bridge_present(struct firewall *fw, const char *bridge, struct lxm_err *e);

/**
 * Chains of other people's tables that drop forwarded packets by policy ("ip filter FORWARD, ..."): our accept
 * rules cannot overrule them. Text into out, empty when there is none. Returns 0 or -errno.
 */
int fw_foreign_drops(struct firewall *fw, struct lxm_buf *out, struct lxm_err *e);

LXM_AUTO_PTR(fw_free, struct firewall, fw_free)

#endif
