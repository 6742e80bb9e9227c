/* Looking whether somebody on a link has an address already. Worker threads. */
#include "lxmd/network/probe.h"

#include <arpa/inet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netpacket/packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/auto.h"
#include "lib/base/time.h"
#include "lxmd/network/netlink.h"

struct arp_packet {
	struct arphdr head;
	uint8_t from_mac[6], from[4], to_mac[6], to[4];
} __attribute__((packed));

struct ns_packet {
	struct nd_neighbor_solicit ns;
	uint8_t opt_type, opt_len, opt_mac[6];
} __attribute__((packed));

static int taken(const char *link, int family, const void *addr, struct lxm_err *e)
{
	char text[INET6_ADDRSTRLEN];

	(void)inet_ntop(family, addr, text, sizeof(text));
	return lxm_err_set(e, EADDRINUSE, "address '%s' is in use in the network of '%s'", text, link);
}

/* Waits for a packet that `is` knows. 1, 0 at the end of the time. */
static int wait_for(int fd, bool (*is)(const uint8_t *p, size_t n, const void *addr), const void *addr)
{
	int64_t until = lxm_mono_ms() + PROBE_MS, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t buf[512];

	while ((left = until - lxm_mono_ms()) > 0) {
		ssize_t n;

		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return 0;
		if (n > 0 && is(buf, (size_t)n, addr))
			return 1;
	}
	return 0;
}

static bool is_arp_of(const uint8_t *p, size_t n, const void *addr)
{
	struct arp_packet a;

	if (n < sizeof(a))
		return false;
	memcpy(&a, p, sizeof(a));
	return a.head.ar_op == htons(ARPOP_REPLY) && memcmp(a.from, addr, 4) == 0;
}

static int probe4(const struct nl_link *l, const void *addr, struct lxm_err *e)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = l->index, .sll_halen = 6 };
	lxm_auto(fd_close) int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ARP));
	struct arp_packet a = { .head = { .ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETH_P_IP), .ar_hln = 6, .ar_pln = 4,
					  .ar_op = htons(ARPOP_REQUEST) } };

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return lxm_err_sys(e, "open a packet socket");
	/* no sender address: nobody learns a wrong one */
	memcpy(a.from_mac, l->mac, 6);
	memcpy(a.to, addr, 4);
	memset(to.sll_addr, 0xff, 6);
	if (sendto(fd, &a, sizeof(a), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 0;
	return wait_for(fd, is_arp_of, addr) ? taken(l->name, AF_INET, addr, e) : 0;
}

static bool is_advert_of(const uint8_t *p, size_t n, const void *addr)
{
	struct nd_neighbor_advert na;

	if (n < sizeof(na))
		return false;
	memcpy(&na, p, sizeof(na));
	return na.nd_na_type == ND_NEIGHBOR_ADVERT && memcmp(&na.nd_na_target, addr, 16) == 0;
}

static int probe6(const struct nl_link *l, const void *addr, struct lxm_err *e)
{
	lxm_auto(fd_close) int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	struct ns_packet q = { .ns = { .nd_ns_type = ND_NEIGHBOR_SOLICIT }, .opt_type = ND_OPT_SOURCE_LINKADDR, .opt_len = 1 };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_scope_id = (uint32_t)l->index };
	struct icmp6_filter filter;
	int hops = 255;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : lxm_err_sys(e, "open an ICMPv6 socket");
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &filter);
	(void)setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter));
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
	(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, l->name, (socklen_t)strlen(l->name));
	memcpy(&q.ns.nd_ns_target, addr, 16);
	memcpy(q.opt_mac, l->mac, 6);
	/* the group that a node with that address listens to */
	(void)inet_pton(AF_INET6, "ff02::1:ff00:0", &to.sin6_addr);
	memcpy(to.sin6_addr.s6_addr + 13, (const uint8_t *)addr + 13, 3);
	if (sendto(fd, &q, sizeof(q), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 0;
	return wait_for(fd, is_advert_of, addr) ? taken(l->name, AF_INET6, addr, e) : 0;
}

int network_probe(const char *link, int family, const void *addr, struct lxm_err *e)
{
	lxm_auto(fd_close) int rtnl = nl_open();
	struct nl_link l;
	int r = rtnl < 0 ? lxm_err_sys(e, "open netlink") : nl_link_get(rtnl, link, &l, e);

	if (r < 0)
		return r;
	if (!l.has_mac || !(l.flags & IFF_UP) || l.arptype != ARPHRD_ETHER)
		return 0;
	return family == AF_INET ? probe4(&l, addr, e) : probe6(&l, addr, e);
}
