/* What the files nic*.c share: one device_type for each nictype, and what all of them decide in the same way. */
#ifndef LXMD_DEVICE_NIC_PRIV_H
#define LXMD_DEVICE_NIC_PRIV_H

#include <net/if.h>

#include "lxmd/device/device_priv.h"

/* One nictype each; `name` is the nictype. nic.c finds the one that a device means and forwards to it. */
extern const struct device_type nic_bridged;

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
/** Name of the host end: host_name (-EEXIST if a link has it), else `proposed`. */
int nic_host_name(const struct device_ctx *c, const char *proposed, char out[IFNAMSIZ], struct lxm_err *e);
/** volatile.NAME.host_name ("" for none), and volatile.NAME.name unless the configuration names it. */
void nic_remember(struct device_ctx *c, const char *host, const char *inside);

/** Network namespace of a live instance; its init is the one of live->init_pidfd for certain. Returns fd or -errno. */
int nic_netns_open(const struct device_live *live, struct lxm_err *e);

#endif
