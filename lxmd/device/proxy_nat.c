/*
 * nat=true: the firewall turns packets for an address of the host round to the instance, which sees who sent them. It needs a fixed
 * address of the instance on a managed bridge. Worker threads.
 */
#include <arpa/inet.h>
#include <string.h>

#include "lxmd/device/proxy.h"
#include "lxmd/network/firewall_forward.h"
#include "lxmd/network/network.h"

/* The NIC that has the address, or any with a fixed one for 0.0.0.0 and [::]. */
static const struct lxm_dev *nic_find(const struct device_ctx *c, const struct proxy_end *to, const char **address)
{
	const char *key = proxy_end_family(to) == AF_INET ? "ipv4.address" : "ipv6.address";
	bool any = proxy_end_any(to);
	uint8_t want[16], has[16];

	if (!c->devices || inet_pton(proxy_end_family(to), to->address, want) != 1)
		return NULL;
	lxm_devs_each(dev, c->devices) {
		const char *fixed = lxm_kv_get(&dev->kv, key), *network = device_nic_network(&dev->kv);

		if (!lxm_streq(lxm_kv_get(&dev->kv, "type"), "nic") || lxm_empty(fixed) || !network || !network_is_managed(c->d, network) ||
		    inet_pton(proxy_end_family(to), fixed, has) != 1)
			continue;
		*address = fixed;
		if (any || memcmp(want, has, proxy_end_family(to) == AF_INET ? 4 : 16) == 0)
			return dev;
	}
	return NULL;
}

int proxy_nat_validate(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct lxm_err *e)
{
	const char *address;

	if (nic_find(c, to, &address))
		return 0;
	return lxm_err_set(e, EINVAL, "nat=true needs a NIC of a managed network whose %s is the address to connect to",
			   proxy_end_family(to) == AF_INET ? "ipv4.address" : "ipv6.address");
}

static bool fill(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct fw_forward *f)
{
	const struct lxm_dev *nic = nic_find(c, to, &f->to);

	if (!nic)
		return false;
	f->bridge = device_nic_network(&nic->kv);
	f->v6 = proxy_end_family(from) == AF_INET6;
	f->udp = from->type == FORWARD_UDP;
	f->from = proxy_end_any(from) ? NULL : from->address;
	f->from_ports = from->ports;
	f->to_ports = to->ports;
	f->n = from->n;
	f->to_n = to->n;
	return true;
}

int proxy_nat_set(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct lxm_err *e)
{
	struct fw_forward f = { 0 };

	if (!fill(c, from, to, &f))
		return lxm_err_set(e, EINVAL, "no NIC of the instance has the address '%s'", to->address);
	return network_forward_set(c->d, &f, e);
}

void proxy_nat_unset(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to)
{
	struct fw_forward f = { 0 };

	if (fill(c, from, to, &f))
		network_forward_unset(c->d, &f);
}
