/*
 * nat=true: the firewall turns packets for an address of the host round to the instance, which sees who sent them. It needs a fixed
 * address of the instance on a managed bridge. Worker threads.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
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

static bool bridges_filter(void)
{
	lxm_auto(buf) struct lxm_buf v4 = { 0 }, v6 = { 0 };

	(void)lxm_read_file("/proc/sys/net/bridge/bridge-nf-call-iptables", 16, &v4);
	(void)lxm_read_file("/proc/sys/net/bridge/bridge-nf-call-ip6tables", 16, &v6);
	return (v4.data && *v4.data == '1') || (v6.data && *v6.data == '1');
}

/*
 * Where br_netfilter has the firewall see frames that are bridged, what an instance sends to itself by way of the host's address is
 * turned round there, and a bridge sends nothing back to the port it came from unless told to.
 */
static void allow_hairpin(const struct device_ctx *c, const struct lxm_dev *nic)
{
	lxm_auto(free) char *path = NULL;
	struct device_ctx n = *c;
	const char *host;

	n.name = nic->name;
	host = device_volatile(&n, "host_name");
	if (!host || !bridges_filter())
		return;
	path = lxm_asprintf("/sys/class/net/%s/brport/hairpin_mode", host);
	if (lxm_write_str_at(AT_FDCWD, path, "1") < 0)
		lxm_warn("instance '%s': it does not reach itself by way of proxy '%s': no hairpin mode on '%s'", c->instance_name, c->name, host);
}

int proxy_nat_set(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to, struct lxm_err *e)
{
	struct fw_forward f = { 0 };
	const char *address;
	int r;

	if (!fill(c, from, to, &f))
		return lxm_err_set(e, EINVAL, "no NIC of the instance has the address '%s'", to->address);
	r = network_forward_set(c->d, &f, e);
	if (r == 0)
		allow_hairpin(c, nic_find(c, to, &address));
	return r;
}

void proxy_nat_unset(const struct device_ctx *c, const struct proxy_end *from, const struct proxy_end *to)
{
	struct fw_forward f = { 0 };

	if (fill(c, from, to, &f))
		network_forward_unset(c->d, &f);
}
