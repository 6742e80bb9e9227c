/*
 * Reading an instance's links and addresses through a rtnetlink socket that lives in its network namespace.
 *
 * lxmd never enters the namespace: the monitor made the socket there and passed it on, and a dump through it shows
 * that namespace. Its root may make thousands of links and addresses and may send messages to the socket, so answers
 * are bounded in number and bytes, and only the kernel's count (see nl_dump()).
 *
 * The cache subscribes the same socket to link and address events. It reads none of them as data: one look without
 * waiting tells whether any came since the last dump, and then everything is asked for again. A list of many
 * instances costs one such look each, plus one small request where counters are wanted.
 */
#include "lxmd/network/netns_state.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/if_link.h>

#include "lib/base/alloc.h"

#define STATE_MAX_BYTES (4u << 20)
#define DRAIN_MAX	256 /* datagrams looked at in one go; more count as "something changed" */

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

struct net_cache {
	pthread_mutex_t lock;
	int fd;
	bool valid;		/* guarded by lock */
	struct net_state state; /* guarded by lock */
};

void net_state_deinit(struct net_state *s)
{
	nl_links_deinit(&s->links);
	nl_addrs_deinit(&s->addrs);
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	struct nl_links *l = arg;

	if (l->n == NET_STATE_MAX_LINKS)
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 4;
		l->v = lxm_realloc_n(l->v, l->cap, sizeof(*l->v));
	}
	l->n += nl_link_parse(h, &l->v[l->n]) == 0;
	return 0;
}

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	struct nl_addrs *a = arg;

	if (a->n == NET_STATE_MAX_ADDRS)
		return 0;
	if (a->n == a->cap) {
		a->cap = a->cap ? a->cap * 2 : 8;
		a->v = lxm_realloc_n(a->v, a->cap, sizeof(*a->v));
	}
	a->n += nl_addr_parse(h, &a->v[a->n]) == 0;
	return 0;
}

/* A dump beyond the bound keeps what came until then: the container made it so, its owner still wants an answer. */
static int bounded(int r, struct lxm_err *e)
{
	if (r != -EMSGSIZE)
		return r;
	lxm_err_clear(e);
	return 0;
}

int net_state_read(int rtnl_fd, struct net_state *out, struct lxm_err *e)
{
	struct ifinfomsg li = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg ai = { .ifa_family = AF_UNSPEC };
	struct timeval tv = { .tv_sec = 2 };
	struct nl_msg m;
	int r;

	(void)setsockopt(rtnl_fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	out->links.n = out->addrs.n = 0;
	nl_begin(&m, RTM_GETLINK, 0, &li, sizeof(li));
	/* without VFs and per-family statistics: a third of the bytes */
	nl_put_u32(&m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = bounded(nl_dump(rtnl_fd, &m, STATE_MAX_BYTES, on_link, &out->links, e), e);
	if (r < 0)
		return lxm_err_wrap(e, r, "read links of instance");
	nl_begin(&m, RTM_GETADDR, 0, &ai, sizeof(ai));
	r = bounded(nl_dump(rtnl_fd, &m, STATE_MAX_BYTES, on_addr, &out->addrs, e), e);
	return r < 0 ? lxm_err_wrap(e, r, "read addresses of instance") : 0;
}

int net_cache_new(int rtnl_fd, struct net_cache **out, struct lxm_err *e)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR };
	struct net_cache *c;
	size_t i;

	for (i = 0; i < LXM_ARRAY_LEN(groups); i++)
		if (setsockopt(rtnl_fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
			return lxm_err_sys(e, "subscribe to network events of instance");
	c = lxm_alloc(sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	c->fd = rtnl_fd;
	*out = c;
	return 0;
}

void net_cache_free(struct net_cache *c)
{
	if (!c)
		return;
	(void)close(c->fd);
	net_state_deinit(&c->state);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Empty the socket without waiting; true if anything was in it or events were lost. */
static bool events_waiting(int fd)
{
	bool any = false;
	char byte;
	int i;

	for (i = 0; i < DRAIN_MAX; i++) {
		ssize_t n = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return any;
		any = true;
		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			return true;
	}
	return true;
}

/* One RTM_NEWSTATS message: new counters for a link we know. */
static int on_stats(const struct nlmsghdr *h, void *arg)
{
	const struct if_stats_msg *i = NLMSG_DATA(h);
	const struct rtattr *tb[IFLA_STATS_MAX + 1];
	struct rtnl_link_stats64 s = { 0 };
	struct nl_links *links = arg;
	size_t k, n;

	if (h->nlmsg_type != RTM_NEWSTATS || h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return 0;
	nl_attrs(h, sizeof(*i), tb, IFLA_STATS_MAX);
	n = nl_attr_len(tb[IFLA_STATS_LINK_64]);
	if (!n)
		return 0;
	memcpy(&s, RTA_DATA(tb[IFLA_STATS_LINK_64]), n < sizeof(s) ? n : sizeof(s));
	for (k = 0; k < links->n; k++) {
		struct nl_link *l = &links->v[k];

		if (l->index != (int)i->ifindex)
			continue;
		l->rx_bytes = s.rx_bytes;
		l->tx_bytes = s.tx_bytes;
		l->rx_packets = s.rx_packets;
		l->tx_packets = s.tx_packets;
		l->rx_errors = s.rx_errors;
		l->tx_errors = s.tx_errors;
		l->rx_dropped = s.rx_dropped;
		l->tx_dropped = s.tx_dropped;
	}
	return 0;
}

static int counters_read(struct net_cache *c, struct lxm_err *e)
{
	struct if_stats_msg i = { .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) };
	struct nl_msg m;

	nl_begin(&m, RTM_GETSTATS, 0, &i, sizeof(i));
	return bounded(nl_dump(c->fd, &m, STATE_MAX_BYTES, on_stats, &c->state.links, e), e);
}

int net_cache_lock(struct net_cache *c, bool counters, const struct net_state **state_out, struct lxm_err *e)
{
	int r = 0;

	pthread_mutex_lock(&c->lock);
	/* looked at before the dump: a change during it leaves an event for the next time */
	if (events_waiting(c->fd))
		c->valid = false;
	if (!c->valid)
		r = net_state_read(c->fd, &c->state, e);
	else if (counters)
		r = counters_read(c, e);
	if (r < 0) {
		c->valid = false;
		pthread_mutex_unlock(&c->lock);
		return r;
	}
	c->valid = true;
	*state_out = &c->state;
	return 0;
}

void net_cache_unlock(struct net_cache *c)
{
	pthread_mutex_unlock(&c->lock);
}
