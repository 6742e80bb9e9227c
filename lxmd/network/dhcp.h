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
	const char *dir;	 /* absolute path of networks/NAME: leases, hosts/, dnsmasq.conf, dnsmasq.pid */
	const char *domain;	 /* "lxm" */
	const char *search;	 /* dns.search, or NULL */
	const char *dns_mode;	 /* managed, dynamic, none */
	const char *address4;	 /* of the bridge, without prefix; NULL: no IPv4 */
	const char *address6;
	const char *ranges4;	 /* "a-b,c-d", or NULL: the whole subnet */
	const char *ranges6;
	const char *expiry4, *expiry6; /* "1h" */
	const char *gateway4;	 /* option 3, or NULL for the bridge's address */
	uint32_t subnet4;	 /* network address, host byte order */
	int prefix4, prefix6;
	bool dhcp4, dhcp6, stateful6;
	uint32_t mtu;
};

/* One NIC's entry in hosts/: names the lease, and fixes its address where wished. */
struct dhcp_host {
	int64_t instance;   /* id */
	const char *device; /* device name, part of the file's name (encoded) */
	const char *mac;
	const char *name;   /* DNS name */
	const char *ipv4, *ipv6; /* fixed addresses or NULL */
};

struct dhcp_lease {
	char address[46], mac[18], name[256];
	int family;
	lxm_time expires_at; /* 0: for ever */
};

struct dhcp; /* a running server; owned by its network */

/** The configuration file's text. Pure. */
void dhcp_conf_text(const struct dhcp_conf *c, struct lxm_buf *out);

/**
 * Run dnsmasq for a bridge that is up: adopt the one that an earlier daemon left if its configuration is still
 * right, else end that one and start anew. It is watched and started again when it dies (with growing pauses).
 *
 * Blocks for some milliseconds; any thread. A missing program is -ENOENT naming the package.
 */
int dhcp_start(struct lxmd *d, const struct dhcp_conf *c, struct dhcp **dhcp_out, struct lxm_err *e);
/** Stop watching; the process goes on (lxmd ends, containers stay). */
void dhcp_release(struct dhcp *dhcp);
/** End the process, wait for it, remove its pid file. NULL is fine. */
void dhcp_stop(struct dhcp *dhcp);
/** End a dnsmasq that an earlier daemon left for this directory; nothing there is fine. */
void dhcp_stop_stale(const char *dir);
/** Ask for a re-read of hosts/ soon (many calls become one). Any thread. */
void dhcp_reload(struct dhcp *dhcp);

/** Write a NIC's entry atomically below dirfd (networks/NAME); dnsmasq sees it by inotify. 1 if unchanged, 0 written, -errno. */
int dhcp_host_set(int dirfd, const struct dhcp_host *h, struct lxm_err *e);
/** Remove it; true if there was one (dhcp_reload() is due then). */
bool dhcp_host_del(int dirfd, int64_t instance, const char *device);
/** Call fn for each entry's owner; fn returns true to have the entry removed. Returns how many were removed or -errno. */
int dhcp_host_prune(int dirfd, bool (*gone)(int64_t instance, void *arg), void *arg, struct lxm_err *e);
/** True if some other NIC's entry has this MAC or fixed address (text as written by dhcp_host_set()). */
bool dhcp_host_taken(int dirfd, const struct dhcp_host *h, struct lxm_buf *by);

/** Current leases (at most 65,536). Returns 0 or -errno; *v_out is the caller's to free(). */
int dhcp_leases(int dirfd, struct dhcp_lease **v_out, size_t *n_out, struct lxm_err *e);
/** Parse one line of the leases file. Returns 0 or -EINVAL (also for the duid line). */
int dhcp_lease_parse(const char *line, struct dhcp_lease *out);

#endif
