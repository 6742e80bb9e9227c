/* NICs that are given their addresses by lxm: what types routed and ipvlan share. */
#ifndef LXMD_DEVICE_NIC_L3_H
#define LXMD_DEVICE_NIC_L3_H

#include "lxmd/device/nic_priv.h"

/* A NIC in the making: a plan under construction and the names of its links. */
struct l3 {
	struct device_ctx *c;
	struct plan *plan;
	char inside[IFNAMSIZ];
	char link[IFNAMSIZ];	/* of the host, that routes to the addresses go by: the pair's host end, or lo */
	char parent[IFNAMSIZ];	/* that answers for the addresses, "" for none */
	const char *host[2];	/* addresses of `link` itself, NULL for none; gateways inside where gateway=auto */
};

/* The families; index of l3.host. */
enum { L3_IP4, L3_IP6, L3_FAMILIES };

/** Property "ipv4.NAME" or "ipv6.NAME", NULL if there is none or "none". */
const char *l3_get(const struct device_ctx *c, int family, const char *name);

/**
 * Check addresses (well formed, each once), routes and tables.
 *
 * @prefixes  addresses may have a prefix length
 */
int l3_validate(const struct device_ctx *c, bool prefixes, struct lxm_err *e);

/**
 * May the NIC start? The parent forwards (and answers for IPv6 neighbours), and nobody has the addresses: no route of this
 * host leads to them (-EADDRINUSE), and on the parent nobody answers where neighbor_probe says to ask.
 */
int l3_ready(const struct l3 *n, bool probe, struct lxm_err *e);

/** Steps for addresses inside, routes to them on the host, and proxy neighbours. */
int l3_plan(const struct l3 *n, struct lxm_err *e);
/** One route inside: to everything of that family, via "" is by the link alone. */
int l3_plan_default(const struct l3 *n, int family, const char *via, struct lxm_err *e);

/** Note what l3_clean() may have to remove; it does so once, also after a crash. */
void l3_remember(const struct l3 *n);
void l3_clean(struct device_ctx *c);

#endif
