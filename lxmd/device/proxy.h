/* What the files of proxy devices share. */
#ifndef LXMD_DEVICE_PROXY_H
#define LXMD_DEVICE_PROXY_H

#include <stdint.h>

#include "lib/wire/forward.h"
#include "lxmd/device/device_priv.h"

/* One parsed end, "tcp:10.0.0.1:80-90,443". */
struct proxy_end {
	uint32_t type; /* enum forward_type */
	char address[128];
	uint16_t ports[FORWARD_PORTS_MAX];
	size_t n;
};

/** Parse a value that its key's check has passed. Pure. Returns 0, or -EINVAL when it has too many ports. */
int proxy_end_parse(const char *value, struct proxy_end *out, struct lxm_err *e);
/** Is it 0.0.0.0 or [::]? */
bool proxy_end_any(const struct proxy_end *end);
/** AF_INET or AF_INET6 of a tcp or udp end. */
int proxy_end_family(const struct proxy_end *end);

/* ---- proxy_nat.c: nat=true, by the firewall of the network of the instance's NIC */

/** Check it against the instance's NICs. Returns 0 or -EINVAL. */
int proxy_nat_validate(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct lxm_err *e);
/** Begin to translate; what this device left before is replaced. Returns 0, -EADDRINUSE or another -errno. */
int proxy_nat_set(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct lxm_err *e);
/** End it. Nothing there is fine. */
void proxy_nat_unset(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to);

#endif
