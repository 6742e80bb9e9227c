/* Ports of the host that lead to instances by translation (proxy devices with nat=true): maps in a table of the bridge. */
#ifndef LXMD_NETWORK_FIREWALL_FORWARD_H
#define LXMD_NETWORK_FIREWALL_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct firewall;
struct lxmd;

/* Everything was validated and is borrowed. */
struct fw_forward {
	const char *bridge;
	const char *from; /* address of the host, NULL: any that it has but loopback */
	const char *to;	  /* of the instance */
	bool v6, udp;
	const uint16_t *from_ports, *to_ports;
	size_t n, to_n; /* to_n: n, or 1 */
	const char *net4, *net6; /* the bridge's addresses with prefix, "10.1.0.1/16"; NULL: none. network_forward_set() fills them in */
};

/** The transaction that makes the table of a bridge where it is missing, and its rules anew; elements stay. Pure. */
void fw_forward_table_text(const struct fw_forward *f, struct lxm_buf *out);
/** The commands that create the elements of a forward, or (create false) remove them if they are just these. Pure. */
void fw_forward_text(const struct fw_forward *f, bool create, struct lxm_buf *out);

/** Begin to translate. Returns 0, -EADDRINUSE when a port leads somewhere else already, or another -errno; then nothing has changed. */
int fw_forward_set(struct firewall *fw, const struct fw_forward *f, struct lxm_err *e);
/** End it. -errno when it is not there. */
int fw_forward_unset(struct firewall *fw, const struct fw_forward *f, struct lxm_err *e);

/** The same for devices, on the daemon's firewall; set replaces what is there if it is the very same. Any thread. */
int network_forward_set(struct lxmd *d, struct fw_forward *f, struct lxm_err *e);
void network_forward_unset(struct lxmd *d, const struct fw_forward *f);

#endif
