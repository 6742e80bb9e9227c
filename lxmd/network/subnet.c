/*
 * Which subnet a new bridge gets.
 *
 * Taken is what lies on any link or in any routing table of this network namespace; other lxmd processes show up
 * there as well, since each puts its addresses on its bridge before it gives up the lock. A default route says
 * nothing about its range; a route such as 10.0.0.0/8 into a company's network does.
 */
#include "lxmd/network/subnet.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "lib/base/alloc.h"
#include "lib/base/str.h"
#include "lxmd/network/netlink.h"

#define HOST_MAX (1u << 20) /* most addresses or routes looked at */

void subnet_used_deinit(struct subnet_used *u)
{
	free(u->v);
	memset(u, 0, sizeof(*u));
}

static uint32_t host_bits(int prefix)
{
	return prefix >= 32 ? 0 : prefix <= 0 ? UINT32_MAX : UINT32_MAX >> prefix;
}

void subnet_used_add(struct subnet_used *u, uint32_t address, int prefix)
{
	if (prefix <= 0)
		return;
	if (u->n == u->cap) {
		u->cap = u->cap ? u->cap * 2 : 32;
		u->v = lxm_realloc_n(u->v, u->cap, sizeof(*u->v));
	}
	u->v[u->n].first = address & ~host_bits(prefix);
	u->v[u->n++].last = address | host_bits(prefix);
}

bool subnet_is_free(const struct subnet_used *u, uint32_t address, int prefix)
{
	uint32_t first = address & ~host_bits(prefix), last = address | host_bits(prefix);
	size_t i;

	for (i = 0; i < u->n; i++)
		if (first <= u->v[i].last && u->v[i].first <= last)
			return false;
	return true;
}

int subnet_choose4(const struct subnet_used *u, uint32_t seed, uint32_t *net_out, int *prefix_out,
		   struct lxm_err *e)
{
	/* base, prefix of the whole, prefix of one */
	static const struct {
		uint32_t base;
		int whole, one;
	} pools[] = {
		{ 0x0a000000, 8, 16 },
		{ 0x0a000000, 8, 24 },
		{ 0xac100000, 12, 24 },
		{ 0xc0a80000, 16, 24 },
	};
	size_t p;

	for (p = 0; p < LXM_ARRAY_LEN(pools); p++) {
		uint32_t n = 1u << (pools[p].one - pools[p].whole), i;

		for (i = 0; i < n; i++) {
			uint32_t net = pools[p].base | ((seed + i) % n) << (32 - pools[p].one);

			if (!subnet_is_free(u, net, pools[p].one))
				continue;
			*net_out = net;
			*prefix_out = pools[p].one;
			return 0;
		}
	}
	return lxm_err_set(e, EADDRNOTAVAIL,
			   "no free IPv4 subnet: every private range is on a link or in a route; set ipv4.address");
}

int subnet_used_read(int rtnl, struct subnet_used *out, struct lxm_err *e)
{
	lxm_auto(nl_addrs) struct nl_addrs addrs = { 0 };
	lxm_auto(nl_routes) struct nl_routes routes = { 0 };
	uint32_t a;
	size_t i;
	int r;

	r = nl_addr_list(rtnl, HOST_MAX, &addrs, e);
	if (r == 0)
		r = nl_route_list(rtnl, HOST_MAX, &routes, e);
	if (r < 0)
		return lxm_err_wrap(e, r, "look for used subnets");
	for (i = 0; i < addrs.n; i++) {
		if (addrs.v[i].family != AF_INET)
			continue;
		memcpy(&a, addrs.v[i].addr, sizeof(a));
		subnet_used_add(out, ntohl(a), addrs.v[i].prefixlen);
	}
	for (i = 0; i < routes.n; i++) {
		if (routes.v[i].family != AF_INET)
			continue;
		memcpy(&a, routes.v[i].dst, sizeof(a));
		subnet_used_add(out, ntohl(a), routes.v[i].prefixlen);
	}
	return 0;
}

int subnet_choose6(int rtnl, struct in6_addr *net_out, struct lxm_err *e)
{
	lxm_auto(nl_addrs) struct nl_addrs addrs = { 0 };
	struct in6_addr net;
	bool taken;
	size_t i;
	int r = nl_addr_list(rtnl, HOST_MAX, &addrs, e);

	if (r < 0)
		return lxm_err_wrap(e, r, "look for used subnets");
	do {
		memset(&net, 0, sizeof(net));
		net.s6_addr[0] = 0xfd;
		net.s6_addr[1] = 0x42;
		lxm_random(&net.s6_addr[2], 6);
		taken = false;
		for (i = 0; i < addrs.n; i++)
			taken |= addrs.v[i].family == AF_INET6 && memcmp(addrs.v[i].addr, &net, 8) == 0;
	} while (taken);
	*net_out = net;
	return 0;
}

int subnet_lock(void)
{
	int fd = open("/run/lxm-subnet.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
			;
	return fd;
}
