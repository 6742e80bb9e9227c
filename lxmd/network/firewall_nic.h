/* What single NICs may send: a table of the bridge family, with a fixed ruleset and sets keyed by link. */
#ifndef LXMD_NETWORK_FIREWALL_NIC_H
#define LXMD_NETWORK_FIREWALL_NIC_H

#include "lxmd/network/firewall.h"

/*
 * One NIC that is filtered; everything is borrowed. A filtered NIC always keeps to its MAC, sends no router
 * advertisements, redirects and frames to the bridge itself (STP, LLDP), and asks for leases under its MAC only, by DHCPv6 ten times a minute.
 */
struct fw_nic {
	const char *host; /* host end of the veth pair */
	const char *mac;  /* lower case: the only source, in Ethernet, ARP, NDP and DHCP headers */
	bool tagged;	  /* may send frames with one VLAN tag; not with v4 or v6 */
	bool v4, v6;	  /* keep to the addresses below, serve no DHCP, send nothing but ARP, IPv4 and IPv6 */
	const char *ipv4, *ipv6; /* its own; NULL: nothing of that family at all. Link-local IPv6 is the one of its MAC */
	const char *routes4, *routes6; /* "ADDRESS/BITS,...": networks behind it, or NULL */
};

/**
 * Begin to filter a NIC, or change how: one transaction, in force when this returns; the link need not exist yet.
 *
 * A table that somebody removed is made again, with everything that is filtered. Any thread, about a millisecond (20 where
 * something is taken away). Returns 0, -EINVAL (a name, MAC or address that is none) or another -errno; on failure all is as before.
 */
int fw_nic_set(struct firewall *fw, const struct fw_nic *nic, struct lxm_err *e);
/** End to filter a link; one that is not filtered is fine. The table goes with the last one. */
int fw_nic_unset(struct firewall *fw, const char *host, struct lxm_err *e);

/**
 * From here on fw_nic_set(), fw_nic_unset() and those of firewall_source.h only remember, until fw_nics_apply() puts everything in place in one
 * transaction: a daemon that starts repairs so what it finds, and takes away what belongs to links that are no more.
 */
void fw_nics_hold(struct firewall *fw);
/** @sweep  with nothing to filter, look for a table that an earlier daemon left; false saves loading nft for that. */
int fw_nics_apply(struct firewall *fw, bool sweep, struct lxm_err *e);

/** Elements of a NIC, each as "SET { ELEMENT }". Pure. Returns 0 or -EINVAL. */
int fw_nic_elements(const struct fw_nic *nic, struct lxm_strv *out, struct lxm_err *e);
/** The table without elements, as nft text. Pure. */
void fw_nics_text(const char *table, struct lxm_buf *out);

#endif
