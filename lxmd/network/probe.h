/* Is an address taken on a link? */
#ifndef LXMD_NETWORK_PROBE_H
#define LXMD_NETWORK_PROBE_H

#include "lib/base/err.h"

/**
 * Ask the network behind a link for an address: ARP for IPv4, neighbour solicitation for IPv6.
 *
 * @addr  4 or 16 bytes
 *
 * Blocks for PROBE_MS where nobody answers, which is the good case. A link that is down or has no MAC has nobody.
 * Returns 0 (free), -EADDRINUSE (names address, link and the MAC that answered) or another -errno.
 */
int network_probe(const char *link, int family, const void *addr, struct lxm_err *e);

#define PROBE_MS 500

#endif
