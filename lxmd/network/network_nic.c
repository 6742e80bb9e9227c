/*
 * What devices ask of networks: where a NIC plugs in, its host entry, its packet filter, and the end of its link.
 *
 * Called for every start and stop of an instance, so nothing here grows with the number of instances but the scan
 * of host entries in memory, and nothing waits for the kernel's slow deletion of links.
 */
#include <arpa/inet.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lxmd/network/bridge_conf.h"
#include "lxmd/network/firewall_link.h"
#include "lxmd/network/firewall_nic.h"
#include "lxmd/network/firewall_source.h"
#include "lxmd/network/network_priv.h"

#define REAP_MS 2000

/* Ports of a bridge as the kernel counts them now, or -errno. */
static int count_ports(const char *bridge)
{
	lxm_auto(nl_links) struct nl_links links = { 0 };
	lxm_auto(fd_close) int rtnl = nl_open();
	int index = (int)if_nametoindex(bridge), n = 0;
	size_t i;

	if (rtnl < 0 || nl_link_list(rtnl, 1u << 20, &links, NULL) < 0)
		return -EIO;
	for (i = 0; i < links.n; i++)
		n += links.v[i].master == index;
	return n;
}

/* The next name that no link has (lock held). Names come round after 4,096, long after a stopped instance's is gone. */
static void port_name(struct network *n, char out[IFNAMSIZ])
{
	int i;

	for (i = 0; i < 4096; i++) {
		(void)snprintf(out, IFNAMSIZ, "%.9s%03x", n->ports, n->next_port++ & 0xfff);
		if (!if_nametoindex(out))
			return;
	}
}

static int port_of(struct networks *ns, const char *name, struct network_port *out, unsigned int *ports_out,
		   struct lxm_err *e)
{
	struct network *n;
	int r = 0;

	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	if (!n) {
		r = lxm_err_set(e, ENOENT, "network '%s' not found", name);
	} else if (!n->up) {
		r = lxm_err_set(e, ENETDOWN, "network '%s' is unavailable: %s", name, n->why);
	} else {
		*out = (struct network_port){
			.mtu = n->mtu, .managed = true, .dhcp4 = n->dhcp4, .dhcp6 = n->dhcp6
		};
		(void)snprintf(out->bridge, sizeof(out->bridge), "%s", n->name);
		memcpy(out->gateway4, n->gateway4, sizeof(out->gateway4));
		memcpy(out->gateway6, n->gateway6, sizeof(out->gateway6));
		port_name(n, out->host);
		*ports_out = ++n->ports_at_most;
	}
	pthread_mutex_unlock(&ns->lock);
	return r;
}

int network_port_get(struct lxmd *d, const char *name, struct network_port *out, struct lxm_err *e)
{
	struct networks *ns = d->networks;
	struct network *n;
	unsigned int ports = 0;
	int real, r;

	r = port_of(ns, name, out, &ports, e);
	/* the estimate only grows; the real count, which looks at every link, is taken when it reaches the limit */
	if (r < 0 || ports <= NETWORK_MAX_PORTS)
		return r;
	real = count_ports(out->bridge);
	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	if (n && real >= 0)
		n->ports_at_most = (unsigned int)real + 1;
	pthread_mutex_unlock(&ns->lock);
	if (real >= NETWORK_MAX_PORTS)
		return lxm_err_set(e, EXFULL, "network '%s' is full: a bridge holds at most %d interfaces; create another "
					      "network for further instances", name, NETWORK_MAX_PORTS);
	return 0;
}

int network_port_get_parent(struct lxmd *d, const char *parent, struct network_port *out, struct lxm_err *e)
{
	char path[64];
	bool managed;

	pthread_mutex_lock(&d->networks->lock);
	managed = network_find(d->networks, parent) != NULL;
	pthread_mutex_unlock(&d->networks->lock);
	if (managed)
		return network_port_get(d, parent, out, e);
	if (strlen(parent) >= IFNAMSIZ || strchr(parent, '/') || !if_nametoindex(parent))
		return lxm_err_set(e, ENODEV, "no link '%s' on the host", parent);
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", parent);
	if (access(path, F_OK) < 0)
		return lxm_err_set(e, EINVAL, "link '%s' is not a bridge", parent);
	memset(out, 0, sizeof(*out));
	(void)snprintf(out->bridge, sizeof(out->bridge), "%s", parent);
	return 0;
}

bool network_is_managed(struct lxmd *d, const char *name)
{
	bool is;

	pthread_mutex_lock(&d->networks->lock);
	is = network_find(d->networks, name) != NULL;
	pthread_mutex_unlock(&d->networks->lock);
	return is;
}

static int host_check(const struct bridge_conf *c, const char *ipv4, const char *ipv6, struct lxm_err *e)
{
	struct in6_addr a6;
	uint32_t a4;

	if (ipv4 && (!c->has4 || !c->dhcp4))
		return lxm_err_set(e, EINVAL, "ipv4.address needs a network that gives IPv4 addresses out");
	if (ipv4 && (inet_pton(AF_INET, ipv4, &a4) != 1 || !bridge_conf_has_host4(c, ntohl(a4))))
		return lxm_err_set(e, EINVAL, "ipv4.address '%s' is not a host address of the network's subnet %s", ipv4,
				   c->subnet4);
	if (ipv6 && (!c->has6 || !c->dhcp6 || !c->stateful6))
		return lxm_err_set(e, EINVAL, "ipv6.address needs a network with ipv6.dhcp.stateful=true");
	if (ipv6 && (inet_pton(AF_INET6, ipv6, &a6) != 1 || !bridge_conf_has_host6(c, &a6)))
		return lxm_err_set(e, EINVAL, "ipv6.address '%s' is not a host address of the network's subnet %s", ipv6,
				   c->subnet6);
	return 0;
}

int network_host_check(struct lxmd *d, const char *name, const char *ipv4, const char *ipv6, struct lxm_err *e)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	struct network *n;
	int r;

	pthread_mutex_lock(&d->networks->lock);
	n = network_find(d->networks, name);
	r = n ? bridge_conf_parse(name, &n->config, &c, e)
	      : lxm_err_http(e, 404, ENOENT, "network '%s' not found", name);
	pthread_mutex_unlock(&d->networks->lock);
	return r < 0 ? r : host_check(&c, ipv4, ipv6, e);
}

int network_host_set(struct lxmd *d, const char *name, const struct dhcp_host *h, struct lxm_err *e)
{
	struct networks *ns = d->networks;
	struct network *n;
	int r;

	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	r = n ? dhcp_hosts_set(n->hosts, h, e) : lxm_err_set(e, ENOENT, "network '%s' not found", name);
	if (r == DHCP_CHANGED)
		dhcp_reload(n->dhcp);
	pthread_mutex_unlock(&ns->lock);
	return r < 0 ? r : 0;
}

void network_host_del(struct lxmd *d, const char *name, int64_t instance, const char *device)
{
	struct networks *ns = d->networks;
	struct network *n;

	pthread_mutex_lock(&ns->lock);
	n = network_find(ns, name);
	if (n && dhcp_hosts_del(n->hosts, instance, device))
		dhcp_reload(n->dhcp);
	pthread_mutex_unlock(&ns->lock);
}

int network_filter_set(struct lxmd *d, const struct fw_nic *nic, struct lxm_err *e)
{
	return fw_nic_set(d->networks->fw, nic, e);
}

void network_filter_unset(struct lxmd *d, const char *host)
{
	struct lxm_err e = { 0 };

	if (fw_nic_unset(d->networks->fw, host, &e) < 0)
		lxm_warn("%s", e.msg);
}

int network_source_guard(struct lxmd *d, const char *link, struct lxm_err *e)
{
	return fw_source_guard(d->networks->fw, link, e);
}

void network_source_unguard(struct lxmd *d, const char *link)
{
	struct lxm_err e = { 0 };

	if (fw_source_unguard(d->networks->fw, link, &e) < 0)
		lxm_warn("%s", e.msg);
}

int network_limit_set(struct lxmd *d, const char *link, uint64_t bits, uint32_t priority, struct lxm_err *e)
{
	return fw_link_set(d->networks->fw, link, bits, priority, e);
}

void network_filters_start(struct lxmd *d)
{
	struct lxm_err e = { 0 };

	if (fw_nics_apply(d->networks->fw, d->networks->n > 0, &e) < 0)
		lxm_error("%s", e.msg);
}

/* ---- links that should be gone */

/* Worker: delete what the end of its namespace did not. */
static void reap_links(void *arg)
{
	struct networks *ns = arg;
	lxm_auto(free) int *index = NULL;
	lxm_auto(fd_close) int rtnl = nl_open();
	struct lxm_err e = { 0 };
	char name[IFNAMSIZ];
	size_t i, n, left = 0;

	pthread_mutex_lock(&ns->lock);
	index = LXM_TAKE(ns->doomed, NULL);
	n = ns->ndoomed;
	ns->ndoomed = 0;
	pthread_mutex_unlock(&ns->lock);
	for (i = 0; i < n; i++)
		if (if_indextoname((unsigned int)index[i], name))
			index[left++] = index[i];
	if (left && rtnl >= 0 && nl_link_del_many(rtnl, index, left, &e) < 0)
		lxm_warn("delete %zu links of stopped instances: %s", left, e.msg);
}

/* Loop thread. */
static void on_reap(void *arg)
{
	struct networks *ns = arg;

	pthread_mutex_lock(&ns->lock);
	ns->reaper = 0;
	pthread_mutex_unlock(&ns->lock);
	worker_group_run(ns->jobs, reap_links, ns);
}

void network_link_reap(struct lxmd *d, const char *host)
{
	struct networks *ns = d->networks;
	/* by index: another link may have the name by then */
	int index = (int)if_nametoindex(host);

	if (!index)
		return;
	pthread_mutex_lock(&ns->lock);
	ns->doomed = lxm_realloc_n(ns->doomed, ns->ndoomed + 1, sizeof(*ns->doomed));
	ns->doomed[ns->ndoomed++] = index;
	if (!ns->reaper)
		ns->reaper = loop_timer(d->loop, REAP_MS, on_reap, ns);
	pthread_mutex_unlock(&ns->lock);
}
