/* Rates and VLANs of the host end of a veth pair, by rtnetlink. fd is a socket from nl_open(). */
#ifndef LXMD_NETWORK_SHAPE_H
#define LXMD_NETWORK_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/* A token bucket: bytes per second, its size, and how much may wait for it. */
struct shape_bucket {
	uint64_t rate;
	uint32_t burst, queue;
};
/** The bucket of a rate in bits per second: room for 50 ms, whole packets at least. Pure. */
struct shape_bucket shape_bucket_of(uint64_t bits);

/**
 * Hold what leaves by a link to a rate: for the host end of a pair, what the instance receives.
 *
 * @bits  per second; 0 takes the limit away
 *
 * Returns 0, -EOPNOTSUPP when the kernel has no sch_tbf, or another
 * -errno.
 */
int shape_rate(int fd, int index, uint64_t bits, struct lxm_err *e);

/** Length of a link's transmit queue. */
int shape_queue(int fd, int index, uint32_t packets, struct lxm_err *e);

/* What a bridge port takes and gives. */
struct shape_vlans {
	int untagged;	    /* what has no tag belongs there; 0: nowhere, -1: where the bridge puts it */
	const char *tagged; /* "10,20-29", or NULL */
};

/** Check a list of VLAN ids and ranges, 1 to 4094. Pure. Returns 0 or -EINVAL. */
int shape_vlan_list(const char *list, struct lxm_err *e);
/** Can ports of that bridge belong to VLANs? Returns 0 or -EINVAL. */
int shape_vlans_possible(const char *bridge, struct lxm_err *e);
/**
 * Exactly these VLANs for a port.
 *
 * @bridge  its name; it has to filter by VLAN (-EINVAL)
 *
 * Returns 0, -EOPNOTSUPP when the kernel cannot, or another -errno.
 */
int shape_vlans(int fd, const char *bridge, int index, const struct shape_vlans *v, struct lxm_err *e);

#endif
