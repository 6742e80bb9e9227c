/* DHCP, DNS and router advertisements of one bridge by one supervised dnsmasq. */
#ifndef LXMD_NETWORK_DHCP_H
#define LXMD_NETWORK_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/time.h"

struct lxmd;

/* Everything the configuration file is made of; strings were validated and are borrowed. */
struct dhcp_conf {
	const char *bridge;
	const char *dir;	 /* absolute path of networks/NAME: dnsmasq.{conf,pid,leases,log}, hosts/ */
	const char *user;	 /* NULL: chosen by dhcp_start() */
	const char *domain;	 /* "lxm" */
	const char *search;	 /* dns.search, or NULL */
	const char *dns_mode;	 /* managed, dynamic, none */
	const char *address4;	 /* of the bridge, without prefix; NULL: no IPv4 */
	const char *address6;
	const char *netmask4;	 /* "255.255.0.0" */
	const char *ranges4;	 /* "a-b,c-d" */
	const char *ranges6;	 /* only with stateful6 */
	const char *expiry4, *expiry6; /* "1h" */
	const char *gateway4;	 /* option 3, or NULL for the bridge's address */
	int prefix6;
	bool dhcp4, dhcp6, stateful6;
	uint32_t mtu;		 /* 0: do not tell */
};

/** The configuration file's text. Pure. */
void dhcp_conf_text(const struct dhcp_conf *c, struct lxm_buf *out);

/* ---- the process */

struct dhcp; /* a running server; owned by its network */

/**
 * Run dnsmasq for a bridge that is up: adopt the one that an earlier daemon left if its configuration is still
 * right, else end that one and start anew. It is watched and started again when it dies (with growing pauses).
 *
 * Returns when it serves; blocks for some ten milliseconds. Not on the loop thread. 0, -ENOENT naming the package
 * when the program is missing, or another -errno with the last words of the program.
 */
int dhcp_start(struct lxmd *d, const struct dhcp_conf *c, struct dhcp **dhcp_out, struct lxm_err *e);
/** Stop watching; the process goes on (lxmd ends, containers stay). NULL is fine. Not on the loop thread. */
void dhcp_release(struct dhcp *dhcp);
/** End the process, wait for it, remove its pid file. NULL is fine. Not on the loop thread. */
void dhcp_stop(struct dhcp *dhcp);
/** End a dnsmasq that an earlier daemon left for this directory; nothing there is fine. Returns true if there was one. */
bool dhcp_stop_stale(const char *dir);
/** Ask for a re-read of hosts/ soon (many calls become one). Any thread; NULL is fine. */
void dhcp_reload(struct dhcp *dhcp);

/* ---- hosts/: one file per NIC, which names its lease and may fix its addresses; kept over restarts */

struct dhcp_host {
	int64_t instance;	 /* id */
	const char *device;	 /* device name */
	const char *mac;	 /* lower case */
	const char *name;	 /* DNS name, or NULL: the NIC gets none */
	const char *ipv4, *ipv6; /* fixed addresses or NULL */
	bool by_mac;		 /* one lease for the MAC, whatever client id it is asked for under */
};

struct dhcp_hosts; /* the directory and what is in it, with its own lock */

/** @dirfd  of networks/NAME; borrowed for the call. Makes hosts/, reads what is there. Returns 0 or -errno. */
int dhcp_hosts_open(int dirfd, struct dhcp_hosts **out, struct lxm_err *e);
void dhcp_hosts_free(struct dhcp_hosts *h);
LXM_AUTO_PTR(dhcp_hosts_free, struct dhcp_hosts, dhcp_hosts_free)

/* Answers of dhcp_hosts_set() besides 0 (a new entry: dnsmasq sees it by itself). */
enum {
	DHCP_SAME = 1,	  /* nothing to do */
	DHCP_CHANGED = 2, /* replaced another content: dhcp_reload() is due */
};
/**
 * Write a NIC's entry, atomically. A name that another instance has is left out; a MAC or fixed address that
 * another NIC has is refused. Any thread. Returns 0, DHCP_SAME, DHCP_CHANGED, -EADDRINUSE or another -errno.
 */
int dhcp_hosts_set(struct dhcp_hosts *h, const struct dhcp_host *host, struct lxm_err *e);
/** Remove an entry; true if there was one (dhcp_reload() is due). */
bool dhcp_hosts_del(struct dhcp_hosts *h, int64_t instance, const char *device);
/** Remove the entries of instances that gone() says are no more. Returns how many. */
size_t dhcp_hosts_prune(struct dhcp_hosts *h, bool (*gone)(int64_t instance, void *arg), void *arg);
/** Call fn for each entry, with the lock held; the strings are borrowed. */
void dhcp_hosts_each(struct dhcp_hosts *h, void (*fn)(const struct dhcp_host *host, void *arg), void *arg);

/* ---- leases */

struct dhcp_lease {
	char address[46], mac[18], name[256]; /* mac "" for IPv6, name "" if none */
	int family;
	lxm_time expires_at; /* 0: for ever */
};

/** Current leases (at most 65,536). @dirfd of networks/NAME. Returns 0 or -errno; *v_out is the caller's to free(). */
int dhcp_leases(int dirfd, struct dhcp_lease **v_out, size_t *n_out, struct lxm_err *e);
/** Parse one line of the leases file. Returns 0 or -EINVAL (also for the duid line). */
int dhcp_lease_parse(const char *line, struct dhcp_lease *out);

#endif
