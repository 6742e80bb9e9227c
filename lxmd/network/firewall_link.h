/* What may come out of a link how fast, and with which priority: a table of the netdev family for each link that has a limit. */
#ifndef LXMD_NETWORK_FIREWALL_LINK_H
#define LXMD_NETWORK_FIREWALL_LINK_H

#include "lxmd/network/firewall.h"

/**
 * Hold what a link receives (for the host end of a pair: what the instance sends) to a rate, and give it a priority.
 *
 * @link      is there, and has a name of letters, digits, '.', '_' and '-' (-EINVAL)
 * @bits      per second, 0: no limit
 * @priority  skb->priority of every packet, 0: as it is
 *
 * Replaces what was there in one transaction; both 0 is fw_link_unset(). Returns 0 or -errno.
 */
int fw_link_set(struct firewall *fw, const char *link, uint64_t bits, uint32_t priority, struct lxm_err *e);
/** Take both away; a link without, or one that is gone, is fine. */
int fw_link_unset(struct firewall *fw, const char *link, struct lxm_err *e);

/** The transaction of fw_link_set(), as nft text. Pure. */
void fw_link_text(const char *link, uint64_t bits, uint32_t priority, struct lxm_buf *out);

#endif
