/* rtnetlink: requests are built in a caller's buffer, replies are walked with every length checked. */
#ifndef LXMD_NETWORK_NETLINK_H
#define LXMD_NETWORK_NETLINK_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lib/base/err.h"

/* One request under construction; zeroed by nl_begin(). Too much content sets `full` and nl_talk() refuses it. */
struct nl_msg {
	size_t len;
	bool full;
	union {
		struct nlmsghdr h; /* for alignment; the message starts here */
		char data[2048];
	};
};

/* ---- building */

/** Start a request: header plus `body` bytes copied from hdr (ifinfomsg, ifaddrmsg, ...). NLM_F_REQUEST is added. */
void nl_begin(struct nl_msg *m, uint16_t type, uint16_t flags, const void *hdr, size_t body);
void nl_put(struct nl_msg *m, uint16_t attr, const void *data, size_t n);
void nl_put_u8(struct nl_msg *m, uint16_t attr, uint8_t v);
void nl_put_u16(struct nl_msg *m, uint16_t attr, uint16_t v);
void nl_put_u32(struct nl_msg *m, uint16_t attr, uint32_t v);
void nl_put_str(struct nl_msg *m, uint16_t attr, const char *s);
/** Open a nested attribute; returns its offset for nl_nest_end(). */
size_t nl_nest(struct nl_msg *m, uint16_t attr);
void nl_nest_end(struct nl_msg *m, size_t at);
/** Bytes without an attribute around them (the ifinfomsg inside VETH_INFO_PEER). */
void nl_put_raw(struct nl_msg *m, const void *data, size_t n);

/* ---- talking */

/** A NETLINK_ROUTE socket of the caller's network namespace with extended acks and a receive time-out. Returns fd or -1. */
int nl_open(void);

/**
 * Send one request and wait for its acknowledgement.
 *
 * @fd  socket from nl_open(); no other thread may use it meanwhile
 *
 * The kernel's extended message, if any, becomes part of e. Returns 0 or -errno.
 */
int nl_talk(int fd, struct nl_msg *m, struct lxm_err *e);

/** Called for each message of a dump; return <0 to give up (nl_dump() returns it), 0 to go on. */
typedef int (*nl_dump_fn)(const struct nlmsghdr *h, void *arg);

/**
 * Send one dump request and hand over each reply.
 *
 * @max_bytes  what all replies together may occupy; -EMSGSIZE beyond (a container decides how many addresses it has)
 *
 * Only messages that the kernel sent (port 0) with the request's sequence number count: a process with
 * CAP_NET_ADMIN in the socket's namespace may send others. An interrupted dump (NLM_F_DUMP_INTR) is still handed
 * over. Returns 0 or -errno (-ETIMEDOUT after 2 s without an answer).
 */
int nl_dump(int fd, struct nl_msg *m, size_t max_bytes, nl_dump_fn fn, void *arg, struct lxm_err *e);

/* ---- walking */

/** Fill tb[0..max] with the attributes behind a header of hdr_len bytes; a malformed rest is ignored. */
void nl_attrs(const struct nlmsghdr *h, size_t hdr_len, const struct rtattr **tb, uint16_t max);
/** The same for the inside of a nested attribute (a may be NULL: nothing found). */
void nl_attrs_nested(const struct rtattr *a, const struct rtattr **tb, uint16_t max);
size_t nl_attr_len(const struct rtattr *a);
/** Integer of 1, 2, 4 or 8 bytes; dflt if absent or of another size. */
uint64_t nl_attr_uint(const struct rtattr *a, uint64_t dflt);
/** Copy a string attribute into out (always terminated); "" if absent. */
void nl_attr_str(const struct rtattr *a, char *out, size_t size);

/* ---- links, addresses and routes of the host; each opens nothing: fd is a socket from nl_open() */

#define NL_ALIAS_MAX 256

struct nl_link {
	int index, master, peer_index; /* 0: none */
	unsigned int flags;	       /* IFF_* */
	uint32_t mtu, txqlen, group;
	uint16_t arptype; /* ARPHRD_* */
	uint8_t operstate; /* IF_OPER_* */
	uint8_t mac[6];
	bool has_mac;
	char name[IFNAMSIZ];
	char kind[16];		  /* "bridge", "veth", ... ; "" for hardware */
	char alias[NL_ALIAS_MAX]; /* ifalias, "" if none */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	uint64_t rx_errors, tx_errors, rx_dropped, tx_dropped;
};

struct nl_addr {
	int index;     /* of the link */
	int family;    /* AF_INET, AF_INET6 */
	int prefixlen;
	uint8_t scope; /* RT_SCOPE_* */
	uint32_t flags; /* IFA_F_* */
	uint8_t addr[16];
};

struct nl_route {
	int family, prefixlen, oif;
	uint32_t table;
	uint8_t dst[16];
};

struct nl_links {
	struct nl_link *v; /* owned */
	size_t n, cap;
};
struct nl_addrs {
	struct nl_addr *v; /* owned */
	size_t n, cap;
};
struct nl_routes {
	struct nl_route *v; /* owned */
	size_t n, cap;
};

void nl_links_deinit(struct nl_links *l);
void nl_addrs_deinit(struct nl_addrs *a);
void nl_routes_deinit(struct nl_routes *r);
LXM_AUTO_STRUCT(nl_links, struct nl_links, nl_links_deinit)
LXM_AUTO_STRUCT(nl_addrs, struct nl_addrs, nl_addrs_deinit)
LXM_AUTO_STRUCT(nl_routes, struct nl_routes, nl_routes_deinit)

/** Decode one RTM_NEWLINK/RTM_NEWADDR message. Returns 0 or -EINVAL. */
int nl_link_parse(const struct nlmsghdr *h, struct nl_link *out);
int nl_addr_parse(const struct nlmsghdr *h, struct nl_addr *out);

/** All links (at most `max` are kept, the rest is counted nowhere). Return 0 or -errno. */
int nl_link_list(int fd, size_t max, struct nl_links *out, struct lxm_err *e);
int nl_addr_list(int fd, size_t max, struct nl_addrs *out, struct lxm_err *e);
/** Routes of all tables, both families. */
int nl_route_list(int fd, size_t max, struct nl_routes *out, struct lxm_err *e);
/** One link by name. Returns 0, -ENODEV (e filled) or another -errno. */
int nl_link_get(int fd, const char *name, struct nl_link *out, struct lxm_err *e);

struct nl_bridge_spec {
	const char *name;
	const uint8_t *mac;	/* 6 bytes, or NULL for the kernel's choice */
	uint32_t mtu;		/* 0: default */
	bool vlan_filtering;
};
/** Create a bridge (down). -EEXIST if the name is taken. */
int nl_bridge_add(int fd, const struct nl_bridge_spec *spec, struct lxm_err *e);
/** Turn multicast snooping of a bridge on or off. */
int nl_bridge_snooping(int fd, int index, bool on, struct lxm_err *e);

/** Change one thing of a link, by index; up and down, MTU, address, alias, name, bridge. Return 0 or -errno. */
int nl_link_up(int fd, int index, bool up, struct lxm_err *e);
int nl_link_mtu(int fd, int index, uint32_t mtu, struct lxm_err *e);
int nl_link_mac(int fd, int index, const uint8_t mac[6], struct lxm_err *e);
int nl_link_alias(int fd, int index, const char *alias, struct lxm_err *e);
int nl_link_rename(int fd, int index, const char *name, struct lxm_err *e);
int nl_link_master(int fd, int index, int master /* 0: none */, struct lxm_err *e);
/** Of a bridge port: no frames to other isolated ports; whether the bridge learns from what it sends who is behind it. */
int nl_port_set(int fd, int index, bool isolated, bool learning, struct lxm_err *e);
/** Who is behind a port that the bridge does not learn from; adding one that is there and removing one that is not are fine. */
int nl_port_station(int fd, int index, const uint8_t mac[6], bool add, struct lxm_err *e);
/** Delete by index; a link that is gone is fine. */
int nl_link_del(int fd, int index, struct lxm_err *e);
/** Delete many links in one go (through a link group of our own): one grace period in the kernel, not n. */
int nl_link_del_many(int fd, const int *index, size_t n, struct lxm_err *e);

/** Add or remove an address; adding one that is there and removing one that is not are fine. IPv6 skips DAD. */
int nl_addr_add(int fd, int index, int family, const void *addr, int prefixlen, struct lxm_err *e);
int nl_addr_del(int fd, int index, int family, const void *addr, int prefixlen, struct lxm_err *e);

/* An address with its prefix; without one it is a host's. */
struct nl_cidr {
	int family, prefixlen;
	uint8_t addr[16];
};
/** "10.0.0.0/8", "fd42::1". Returns 0 or -EINVAL. */
int nl_cidr_parse(const char *text, struct nl_cidr *out);

struct nl_route_spec {
	struct nl_cidr dst;
	const uint8_t *via; /* gateway of the same family, or NULL */
	int oif;
	uint32_t table; /* 0: main */
};
/** -EEXIST if there is such a route already. */
int nl_route_add(int fd, const struct nl_route_spec *r, struct lxm_err *e);
/** The route by that link; one that is gone is fine. */
int nl_route_del(int fd, const struct nl_route_spec *r, struct lxm_err *e);
/** Stop answering for an address on a link (proxy neighbour); one that is gone is fine. */
int nl_proxy_del(int fd, int index, int family, const void *addr, struct lxm_err *e);
/** Create a VLAN link on top of another one, up. -EOPNOTSUPP names the kernel module. */
int nl_vlan_add(int fd, const char *name, int parent, uint16_t id, bool gvrp, struct lxm_err *e);

/** "00:16:3e:01:02:03" into mac. Returns 0 or -EINVAL (also for multicast and all-zero addresses). */
int nl_mac_parse(const char *s, uint8_t mac[6]);
/** The last half of the IPv6 address that a kernel makes of a MAC (modified EUI-64). */
void nl_mac_eui64(const uint8_t mac[6], uint8_t out[8]);
/** mac as text into out (18 bytes). Returns out. */
char *nl_mac_str(const uint8_t mac[6], char out[18]);

#endif
