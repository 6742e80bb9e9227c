/* What the files nic*.c share: one device_type for each nictype, and what all of them decide in the same way. */
#ifndef LXMD_DEVICE_NIC_PRIV_H
#define LXMD_DEVICE_NIC_PRIV_H

#include <net/if.h>

#include "lxmd/device/device_priv.h"

/*
 * One nictype each; `name` is the nictype. nic.c finds the one that a device means and forwards to it. A kind with hot_add can also be
 * removed while the instance runs: nic.c takes the link back, then the kind's stop() is called.
 */
extern const struct device_type nic_bridged, nic_ipvlan, nic_macvlan, nic_p2p, nic_physical, nic_routed;

/** A property, NULL if missing or "". */
const char *nic_get(const struct device_ctx *c, const char *key);
/** The same, NULL also for "none": there shall be none. */
const char *nic_fixed(const struct device_ctx *c, const char *key);

/** Reserve a MAC where it has to be alone (-EADDRINUSE: somebody has it). */
typedef int (*nic_enter_fn)(const struct device_ctx *c, const char *mac, struct lxm_err *e);

/**
 * The NIC's MAC in lower case: hwaddr, else the one of volatile.NAME.hwaddr, else a new one that is remembered there.
 *
 * @enter  called with it; a new MAC is tried again while this says -EADDRINUSE and `fixed_address` is false. May be NULL.
 */
int nic_mac(struct device_ctx *c, nic_enter_fn enter, bool fixed_address, char out[18], struct lxm_err *e);

/** Name of the link inside: `name`, else the one chosen earlier, else the first free of eth0, eth1, ... */
void nic_name(const struct device_ctx *c, char out[IFNAMSIZ]);
/** Property mtu, or dflt (0: the kernel's choice). */
uint32_t nic_mtu(const struct device_ctx *c, uint32_t dflt);
/** Add the parts of a comma list; "none" is none. */
void nic_list(const struct device_ctx *c, const char *key, struct lxm_strv *out);
/** vlan and gvrp need a parent, gvrp a vlan. */
int nic_check_vlan(const struct device_ctx *c, struct lxm_err *e);
/** Property queue.tx.length, 0: the kernel's choice. */
uint32_t nic_txqlen(const struct device_ctx *c);
/**
 * Name of the host end of a pair: host_name (-EEXIST if a link has it and keeps it), else as instances.nic.host_name says.
 *
 * @proposed  a free name, for "random"; NULL or "": one is chosen
 */
int nic_host_name(const struct device_ctx *c, const char *proposed, const char *mac, char out[IFNAMSIZ], struct lxm_err *e);
/** volatile.NAME.host_name ("" for none), and volatile.NAME.name unless the configuration names it. */
void nic_remember(struct device_ctx *c, const char *host, const char *inside);

/**
 * The link of the host to build on: parent, or "PARENT.VLAN", which is made if need be and remembered (also for nic_parent_put()).
 *
 * Returns 0, -ENODEV naming it, or another -errno.
 */
int nic_parent_get(struct device_ctx *c, char out[IFNAMSIZ], struct lxm_err *e);
void nic_parent_put(struct device_ctx *c);

/**
 * Have the instance get that link, and remember its names.
 *
 * @plan  the start plan that it becomes a step of; NULL: the instance runs
 * @live  it gets the link at once, through its monitor; NULL with a plan
 */
int nic_make(struct device_ctx *c, const struct plan_nic *n, struct plan *plan, const struct device_live *live, struct lxm_err *e);
/** Take the link back from a running instance; one that is gone is fine. */
int nic_hot_drop(const struct device_ctx *c, const struct device_live *live, struct lxm_err *e);

/** Netlink and the index of a link that has to be there. Returns a descriptor or -errno. */
int nic_link_open(const char *link, int *index_out, struct lxm_err *e);

/**
 * Limits and queue of the host end of a pair: limits.ingress, .egress, .max, .priority (else the instance's
 * limits.network.priority) and queue.tx.length. nic.c calls these for every kind that remembers a host end.
 *
 * @link  the host end
 * @live  it may have had others before; false: it is new, and only what is wanted is done
 *
 * Returns 0 or -errno; what was done by then stays.
 */
int nic_limits_apply(const struct device_ctx *c, const char *link, bool live, struct lxm_err *e);
/** What the host end of a pair lets through to the instance, in bits per second; 0: all. */
uint64_t nic_limits_ingress(const struct device_ctx *c);
/** What does not end with the link. Never fails. */
void nic_limits_end(const struct device_ctx *c, const char *link);

/* ---- nic_port.c: what a bridged NIC has on its bridge */

/** The managed network's name, or NULL for a bridge that is not ours. */
const char *nic_managed(const struct device_ctx *c);
/** Is one of security.*_filtering on? */
bool nic_filtered(const struct device_ctx *c);
/** Must it have an address of that family reserved that the configuration does not name? */
bool nic_wants_own(const struct device_ctx *c, int family);
/** Its fixed address: by configuration, or reserved for it; NULL for none. */
const char *nic_own(const struct device_ctx *c, int family);
bool nic_has_vlans(const struct device_ctx *c);
/** What the properties of a bridged NIC need of each other and of the network (NULL: not managed). Returns 0 or -EINVAL. */
int nic_port_check(const struct device_ctx *c, const char *network, struct lxm_err *e);
/** Filter what comes from `host`, or end that: as configured. */
int nic_filter_apply(const struct device_ctx *c, const char *host, const char *mac, struct lxm_err *e);
/** Isolation, VLANs, routes of a port that is new (or, `again`, that may be as it was); a link left down goes up. */
int nic_port_apply(const struct device_ctx *c, const char *host, bool again, struct lxm_err *e);
/** The same for one that had the properties `old`. On failure part of it is done, but the routes, which are last, are as before. */
int nic_port_change(const struct device_ctx *c, const struct lxm_kv *old, const char *host, bool routes, struct lxm_err *e);
/**
 * The step by which the monitor makes what a reboot from inside would lose where no lxmd lives: rate to the instance; of a bridged NIC its
 * VLANs and its station. Nothing where nothing is configured.
 *
 * @host     the host end
 * @bridged  it is a port of a bridge
 */
int nic_port_plan(const struct device_ctx *c, const char *host, bool bridged, struct plan *plan, struct lxm_err *e);
/** Filters and routes go. Never fails. */
void nic_port_end(const struct device_ctx *c, const char *host);

/** Network namespace of a live instance; its init is the one of live->init_pidfd for certain. Returns fd or -errno. */
int nic_netns_open(const struct device_live *live, struct lxm_err *e);

#endif
