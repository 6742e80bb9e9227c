/* What the files of lxmd/network share and nobody else sees. */
#ifndef LXMD_NETWORK_NETWORK_PRIV_H
#define LXMD_NETWORK_NETWORK_PRIV_H

#include <pthread.h>

#include "db/network.h"
#include "lxmd/core/daemon.h"
#include "lxmd/core/loop.h"
#include "lxmd/core/workers.h"
#include "lxmd/network/firewall.h"
#include "lxmd/network/network.h"

/*
 * One managed network. `change` of struct networks is held by whoever starts, stops or edits it; `lock` guards the
 * fields against readers, so a changer holds both while it writes them.
 */
struct network {
	struct lxmd *d;
	const struct network_type *type;
	int64_t id;
	char *name, *description; /* owned */
	struct lxm_kv config;
	char *dir;		  /* owned; absolute path of networks/NAME */
	int dirfd;		  /* the same, open */
	struct dhcp_hosts *hosts; /* owned; kept while the object lives */
	struct dhcp *dhcp;	  /* owned; NULL while none runs */
	bool up;
	bool dhcp4, dhcp6;
	uint32_t mtu; /* 0: default */
	char gateway4[32], gateway6[64]; /* "10.1.0.1/16", "" without */
	struct lxm_strv routes;		 /* ipv4.routes and ipv6.routes in force; only under `change` */
	char why[300];			 /* not up because of */
	unsigned int ports_at_most; /* upper estimate of the ports in use, see network_port_get() */
	char ports[IFNAMSIZ];	    /* "veth" and 5 hex digits: names of its ports begin so */
	uint32_t next_port;	    /* 3 more digits of the next one */
};

struct networks {
	struct lxmd *d;
	pthread_mutex_t change; /* one change at a time; taken before lock */
	pthread_mutex_t lock;	/* short; nothing blocks under it but small files */
	struct network **v;	/* guarded by lock, n of them, sorted by name */
	size_t n;
	struct firewall *fw;	/* NULL where the kernel has no nf_tables; fixed after the start */
	int *doomed;		/* guarded by lock, ndoomed of them: indexes of host links that should go by themselves */
	size_t ndoomed;
	struct vlans *vlans;	/* has a lock of its own */
	bool names_by_mac;	/* atomic: instances.nic.host_name */
	loop_timer_id reaper;	/* guarded by lock */
	struct worker_group *jobs; /* that reap links */
};

extern const struct network_type network_bridge, network_macvlan, network_physical;

/** The row for a type name ("" is bridge), or NULL. */
const struct network_type *network_type_find(const char *name);
/** By name, or NULL; lock held. */
struct network *network_find(struct networks *ns, const char *name);
/** Object for a row: makes and opens its directory, loads its host entries. Not yet in the list. */
int network_object(struct lxmd *d, const struct db_network *row, struct network **out, struct lxm_err *e);
/** Free the object; whatever runs goes on. */
void network_object_free(struct network *n);
LXM_AUTO_PTR(network_object_free, struct network, network_object_free)
/** 32 bits out of directory and name: what must be stable and differ between daemons is derived from it. */
uint32_t network_hash(const struct network *n);
void networks_insert(struct networks *ns, struct network *n);
/** Take it out of the list; the caller has it then. */
void networks_remove(struct networks *ns, struct network *n);

/** type->start() with its outcome noted: up or why not, and the warning raised or resolved. `change` held. */
int network_bring_up(struct network *n, struct lxm_err *e);
/** Text that marks links of this daemon (ifalias). */
void network_mark(const struct lxmd *d, char out[NL_ALIAS_MAX]);
struct vlans *vlans_new(void);
void vlans_free(struct vlans *vs);
/** Remove VLAN links of this daemon that no NIC uses. */
void vlans_remove_strays(struct lxmd *d, const struct nl_links *links);
/** Raise or resolve (message NULL) a warning about a network; failures are logged. */
void network_warn(struct lxmd *d, const char *name, const char *type, const char *message);

#endif
