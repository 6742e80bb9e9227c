/* Choosing subnets that nobody on this host uses. */
#ifndef LXMD_NETWORK_SUBNET_H
#define LXMD_NETWORK_SUBNET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"

/* IPv4 ranges that are taken, in host byte order. Zeroed is empty. */
struct subnet_used {
	struct subnet_range {
		uint32_t first, last;
	} *v; /* owned */
	size_t n, cap;
};
void subnet_used_deinit(struct subnet_used *u);
LXM_AUTO_STRUCT(subnet_used, struct subnet_used, subnet_used_deinit)

/** Add ADDRESS/PREFIX (host byte order); a default route (prefix 0) takes nothing. */
void subnet_used_add(struct subnet_used *u, uint32_t address, int prefix);
bool subnet_is_free(const struct subnet_used *u, uint32_t address, int prefix);

/**
 * Choose a free subnet: a /16 of 10.0.0.0/8 starting to look at `seed`, else a /24 of 10/8, 172.16/12 or 192.168/16.
 *
 * Pure. Returns 0 with network address and prefix length, or -EADDRNOTAVAIL.
 */
int subnet_choose4(const struct subnet_used *u, uint32_t seed, uint32_t *net_out, int *prefix_out,
		   struct lxm_err *e);

/** What the host's addresses and routes take. @rtnl socket from nl_open(). Returns 0 or -errno. */
int subnet_used_read(int rtnl, struct subnet_used *out, struct lxm_err *e);

/** A random unique local prefix (fd42:x:x:x::/64) that no address of the host is in. */
int subnet_choose6(int rtnl, struct in6_addr *net_out, struct lxm_err *e);

/**
 * The lock that lxmd processes of one host hold from choosing a subnet until it is on a link. Blocks.
 *
 * Returns a descriptor to close, or -1 when the place for it cannot be written (then nothing is locked).
 */
int subnet_lock(void);

#endif
