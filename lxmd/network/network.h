/* Networks: managed ones (bridges, uplinks) from the database, and the host's other links as they are. */
#ifndef LXMD_NETWORK_NETWORK_H
#define LXMD_NETWORK_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/kv.h"
#include "lib/base/str.h"
#include "lxmd/network/dhcp.h"
#include "lxmd/network/netlink.h"

struct lxmd;
struct networks; /* d->networks */
struct network;	 /* one managed network, internal */

/* A bridge's port numbers are 10 bits wide and 0 is none. */
#define NETWORK_MAX_PORTS 1023

/* What one network type can do; rows in network.c. */
enum network_flags {
	NETWORK_CAN_DHCP = 1 << 0,   /* leases, static addresses */
	NETWORK_CAN_RENAME = 1 << 1,
	NETWORK_HAS_PORTS = 1 << 2,  /* NICs become ports of a bridge named by the network */
};

struct network_type {
	const char *name; /* "bridge" */
	unsigned int flags; /* enum network_flags */
	/**
	 * Put defaults in, and an address where the configuration says "auto". Called under subnet_lock().
	 * @create  also fill in keys that are missing altogether
	 */
	int (*fill)(struct lxmd *d, bool create, struct lxm_kv *config, struct lxm_err *e);
	/** Check keys and values, alone and together; "auto" is fine. Pure. */
	int (*validate)(const char *name, const struct lxm_kv *config, struct lxm_err *e);
	/** Make the kernel's and dnsmasq's state equal to the configuration; safe to repeat, adopts what is there. */
	int (*start)(struct network *n, struct lxm_err *e);
	/** Let go without touching it: the daemon ends. */
	void (*release)(struct network *n);
	/** Remove every trace from the host. */
	int (*stop)(struct network *n, struct lxm_err *e);
};

/* One network as the API shows it: managed, or a host link that is not ours. */
struct network_info {
	char *name, *type, *description; /* owned */
	bool managed;
	const char *status; /* "Created", "Unavailable"; "" for unmanaged ones */
	struct lxm_kv config;
	struct lxm_strv used_by; /* URLs */
};
void network_info_deinit(struct network_info *i);
LXM_AUTO_STRUCT(network_info, struct network_info, network_info_deinit)

/* What a NIC needs to know of where it plugs in. */
struct network_port {
	char bridge[IFNAMSIZ];
	char host[IFNAMSIZ]; /* a free name for the host end; "": the network has none to propose */
	uint32_t mtu;	   /* 0: default */
	bool managed;
	bool dhcp4, dhcp6; /* leases are ours to give */
	char gateway4[32]; /* "10.1.0.1/16" or "" */
	char gateway6[64];
};

struct network_lease {
	char *hostname, *hwaddr, *address; /* owned */
	const char *type;		   /* static, dynamic, gateway */
};
struct network_leases {
	struct network_lease *v;
	size_t n;
};
void network_leases_deinit(struct network_leases *l);
LXM_AUTO_STRUCT(network_leases, struct network_leases, network_leases_deinit)

struct network_state {
	struct nl_link link;
	struct nl_addrs addrs; /* of this link only */
	bool is_bridge;
	char bridge_id[32]; /* "8000.00163e010203" */
	bool stp, vlan_filtering;
	uint64_t forward_delay;
	uint32_t vlan_default;
	struct lxm_strv ports;
};
void network_state_deinit(struct network_state *s);
LXM_AUTO_STRUCT(network_state, struct network_state, network_state_deinit)

/* ---- life of the room */

/**
 * Bring up every managed network, adopting what an earlier daemon left and repairing (with one log line each)
 * what differs. One that cannot come up gets a warning and is unavailable; the daemon goes on.
 *
 * Called once after the database is open. Returns 0, or -errno only when the room itself cannot work.
 */
int networks_start(struct lxmd *d, struct lxm_err *e);
/** What the server's configuration says about NICs, at every change of it. Any thread. */
void network_configure(struct lxmd *d, const struct lxm_kv *config);
/** Does instances.nic.host_name say that host ends are named by MAC? Any thread; cheap. */
bool network_names_by_mac(const struct lxmd *d);
/** Take every managed network off the host until the next start; only when no instance runs. Before networks_stop(). */
void networks_leave_host(struct lxmd *d);
/** Let go of everything; bridges and dnsmasq stay for the containers that live on. */
void networks_stop(struct lxmd *d);

/* ---- changes; each takes the network's own lock, may block, any thread */

/** -EEXIST if the name is taken by a network or a host link. config "auto" is filled in before it is stored. */
int network_create(struct lxmd *d, const char *name, const char *type, const char *description,
		   const struct lxm_kv *config, struct lxm_err *e);
/** Replace description and config; live, undone when it fails. */
int network_update(struct lxmd *d, const char *name, const char *description, const struct lxm_kv *config,
		   struct lxm_err *e);
/** Only while nobody uses it (-EBUSY). */
int network_rename(struct lxmd *d, const char *name, const char *new_name, struct lxm_err *e);
int network_delete(struct lxmd *d, const char *name, struct lxm_err *e);
/** A free name for a first bridge: lxmbr0, lxmbr1, ... unused on the host and in the database. */
int network_free_name(struct lxmd *d, char out[IFNAMSIZ], struct lxm_err *e);

/* ---- looking */

/** All, managed first, then host links (not our veths), by name. */
int network_list(struct lxmd *d, struct network_info **v_out, size_t *n_out, struct lxm_err *e);
/** -ENOENT if neither a network nor a link has that name. */
int network_get(struct lxmd *d, const char *name, struct network_info *out, struct lxm_err *e);
int network_get_state(struct lxmd *d, const char *name, struct network_state *out, struct lxm_err *e);
/** Managed bridges only (-ENOENT, -EOPNOTSUPP). */
int network_get_leases(struct lxmd *d, const char *name, struct network_leases *out, struct lxm_err *e);

/* ---- for devices */

/** Where a NIC of this managed network plugs in. -ENOENT, -ENETDOWN when it is unavailable, -EXFULL when its ports are used up. */
int network_port_get(struct lxmd *d, const char *name, struct network_port *out, struct lxm_err *e);
/** The same for an existing bridge on the host, managed or not (nictype=bridged, parent=). -ENODEV, -EINVAL (not a bridge). */
int network_port_get_parent(struct lxmd *d, const char *parent, struct network_port *out, struct lxm_err *e);
/**
 * Is that a managed network whose NICs are no ports of a bridge? Cheap.
 *
 * @keys_out  receives what they inherit: nictype, parent, vlan, gvrp, mtu; may be NULL
 */
bool network_uplink(struct lxmd *d, const char *name, struct lxm_kv *keys_out);
/** True if a managed network has that name. Cheap. */
bool network_is_managed(struct lxmd *d, const char *name);
/** May a NIC of this network have these fixed addresses (NULL: none)? -EINVAL with the reason, -ENOENT. */
int network_host_check(struct lxmd *d, const char *name, const char *ipv4, const char *ipv6, struct lxm_err *e);
/**
 * An address for a NIC that may use only one and was given none: IPv4 out of what DHCP gives out (the lease that the MAC has, else
 * one that nobody has now), IPv6 as the MAC makes it in the network's subnet.
 *
 * @out  "" where the network has none of that family. Reserve it with network_host_set(), which says -EADDRINUSE if another was
 *       faster.
 *
 * Returns 0, -ENOENT, -EINVAL (the network gives none out), -EADDRNOTAVAIL (all are taken).
 */
int network_address_choose(struct lxmd *d, const char *name, int family, const char *mac, char out[INET6_ADDRSTRLEN], struct lxm_err *e);
/** Enter a NIC into the network's DHCP and DNS; refuses a MAC or fixed address that another NIC has (-EADDRINUSE). */
int network_host_set(struct lxmd *d, const char *name, const struct dhcp_host *h, struct lxm_err *e);
void network_host_del(struct lxmd *d, const char *name, int64_t instance, const char *device);
struct fw_nic;
/** Filter what a NIC sends (security.*_filtering), or change how; see lxmd/network/firewall_nic.h. */
int network_filter_set(struct lxmd *d, const struct fw_nic *nic, struct lxm_err *e);
/* A VLAN link on top of a host link, and the NIC that wants it. */
struct network_vlan {
	const char *parent;
	unsigned int id;
	bool gvrp;
	int64_t instance;
	const char *device;
};
/**
 * The link "PARENT.ID", made if it is missing. The caller remembers its name in volatile.DEVICE.last_state.vlan.
 *
 * Returns 0, -ENODEV (no parent), -EINVAL (the name is too long), -EOPNOTSUPP (names the kernel module) or another -errno.
 */
int network_vlan_get(struct lxmd *d, const struct network_vlan *v, char link_out[IFNAMSIZ], struct lxm_err *e);
/** That NIC does without; with its last user a link that was made goes. Never fails. */
void network_vlan_put(struct lxmd *d, int64_t instance, const char *device);
#define NETWORK_VLAN_KEY "last_state.vlan"

/** End that; a link that is not filtered is fine. */
void network_filter_unset(struct lxmd *d, const char *host);
/** Drop forged IPv6 sources that come from a routed link; see lxmd/network/firewall_source.h. */
int network_source_guard(struct lxmd *d, const char *link, struct lxm_err *e);
/** End that; a link that is not guarded is fine. */
void network_source_unguard(struct lxmd *d, const char *link);
/** Rate (bits per second) and priority of what comes out of a link, 0: none; see lxmd/network/firewall_link.h. */
int network_limit_set(struct lxmd *d, const char *link, uint64_t bits, uint32_t priority, struct lxm_err *e);
/** Once, when all running instances have been adopted and said what is filtered: the kernel has exactly that from here on. */
void network_filters_start(struct lxmd *d);
/** Make sure that a host link is gone soon: normally it dies with its namespace; what is left after 2 s is deleted in one batch. */
void network_link_reap(struct lxmd *d, const char *host);

#endif
