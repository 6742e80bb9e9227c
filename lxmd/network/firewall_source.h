/* Forged IPv6 sources of routed NICs: what rp_filter does for IPv4. */
#ifndef LXMD_NETWORK_FIREWALL_SOURCE_H
#define LXMD_NETWORK_FIREWALL_SOURCE_H

#include "lxmd/network/firewall.h"

/**
 * From here on the host drops what comes from that link under a source to which none of its routes by that link leads. The link need
 * not exist yet, and may be guarded already.
 *
 * One table of the family ip6 with a fixed rule and a set of links; one that somebody removed comes back whole. Between
 * fw_nics_hold() and fw_nics_apply() it is remembered only. Any thread. Returns 0 or -errno with all as before.
 */
int fw_source_guard(struct firewall *fw, const char *link, struct lxm_err *e);
/** End that; a link that is not guarded is fine. The table goes with the last one. */
int fw_source_unguard(struct firewall *fw, const char *link, struct lxm_err *e);

#endif
