/* What the network of a running instance looks like from inside, read through a socket that lives there. */
#ifndef LXMD_NETWORK_NETNS_STATE_H
#define LXMD_NETWORK_NETNS_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/base/err.h"
#include "lxmd/network/netlink.h"

/* The container decides how many links and addresses there are; beyond these the rest is left out. */
#define NET_STATE_MAX_LINKS 256
#define NET_STATE_MAX_ADDRS 1024

/* A snapshot: links by index, addresses in the kernel's order. Zeroed is empty. */
struct net_state {
	struct nl_links links;
	struct nl_addrs addrs;
};
void net_state_deinit(struct net_state *s);
LXM_AUTO_STRUCT(net_state, struct net_state, net_state_deinit)

/**
 * Dump links with statistics, and addresses.
 *
 * @rtnl_fd  NETLINK_ROUTE socket living in the instance's network namespace; borrowed, used by nobody else meanwhile
 * @out      emptied first
 *
 * Blocks for some microseconds, at most 2 s. Everything from the socket is untrusted. Returns 0 or -errno.
 */
int net_state_read(int rtnl_fd, struct net_state *out, struct lxm_err *e);

/*
 * The same with memory: the socket is subscribed to link and address events, and while none is waiting in it only
 * the counters are asked for again. One per running instance; no descriptor in any epoll, no wake-ups.
 */
struct net_cache;

/** Takes rtnl_fd (closed by net_cache_free()). */
int net_cache_new(int rtnl_fd, struct net_cache **out, struct lxm_err *e);
void net_cache_free(struct net_cache *c);
/**
 * Current state, borrowed until net_cache_unlock(). Any thread; holds the cache's lock meanwhile.
 *
 * @counters  also refresh the statistics (one more request)
 */
int net_cache_lock(struct net_cache *c, bool counters, const struct net_state **state_out, struct lxm_err *e);
void net_cache_unlock(struct net_cache *c);

#endif
