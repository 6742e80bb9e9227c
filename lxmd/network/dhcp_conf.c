/*
 * Text in and out of dnsmasq: its configuration file, and the leases that it writes.
 *
 * Pure functions but for reading the leases. Every value in the configuration was validated by the network's type;
 * names of leases come from containers and are only shown.
 */
#include "lxmd/network/dhcp.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/network/netlink.h"

#define LEASES_MAX	 65536
#define LEASES_MAX_BYTES (32u << 20)

static void text_ipv4(const struct dhcp_conf *c, struct lxm_buf *t)
{
	lxm_auto(strv) struct lxm_strv ranges = { 0 };
	size_t i;

	lxm_buf_fmt(t, "listen-address=%s\n", c->address4);
	if (!c->dhcp4)
		return;
	/* no-ping: an ICMP probe would delay every first offer by seconds; authoritative: a container that comes
	 * back with an old address is told at once */
	lxm_buf_str(t, "no-ping\ndhcp-authoritative\ndhcp-no-override\ndhcp-rapid-commit\n");
	lxm_strv_split(&ranges, c->ranges4, ',');
	for (i = 0; i < ranges.n; i++) {
		char *dash = strchr(ranges.v[i], '-');

		*dash = ',';
		lxm_buf_fmt(t, "dhcp-range=%s,%s,%s\n", ranges.v[i], c->netmask4, c->expiry4);
	}
	if (c->gateway4)
		lxm_buf_fmt(t, "dhcp-option-force=3,%s\n", c->gateway4);
	if (c->mtu)
		lxm_buf_fmt(t, "dhcp-option-force=26,%u\n", c->mtu);
	if (c->search)
		lxm_buf_fmt(t, "dhcp-option-force=119,%s\n", c->search);
}

static void text_ipv6(const struct dhcp_conf *c, struct lxm_buf *t)
{
	lxm_auto(strv) struct lxm_strv ranges = { 0 };
	size_t i;

	lxm_buf_fmt(t, "listen-address=%s\nenable-ra\n", c->address6);
	if (!c->dhcp6) {
		lxm_buf_fmt(t, "dhcp-range=::,constructor:%s,ra-only\n", c->bridge);
		return;
	}
	if (!c->stateful6) {
		lxm_buf_fmt(t, "dhcp-range=::,constructor:%s,ra-stateless,ra-names\n", c->bridge);
		return;
	}
	lxm_strv_split(&ranges, c->ranges6, ',');
	for (i = 0; i < ranges.n; i++) {
		char *dash = strchr(ranges.v[i], '-');

		*dash = ',';
		lxm_buf_fmt(t, "dhcp-range=%s,%d,%s\n", ranges.v[i], c->prefix6, c->expiry6);
	}
}

void dhcp_conf_text(const struct dhcp_conf *c, struct lxm_buf *t)
{
	lxm_buf_fmt(t, "# Written by lxmd for network %s; changes are lost.\n", c->bridge);
	lxm_buf_fmt(t, "user=%s\ngroup=nogroup\n", c->user);
	lxm_buf_str(t, "strict-order\nbind-interfaces\nexcept-interface=lo\nno-hosts\nlog-facility=-\n"
		       "quiet-dhcp\nquiet-dhcp6\nquiet-ra\ndhcp-lease-max=65536\n");
	lxm_buf_fmt(t, "interface=%s\n", c->bridge);
	lxm_buf_fmt(t, "pid-file=%s/dnsmasq.pid\ndhcp-leasefile=%s/dnsmasq.leases\ndhcp-hostsdir=%s/hosts\n", c->dir,
		    c->dir, c->dir);
	if (!lxm_streq(c->dns_mode, "none")) {
		lxm_buf_fmt(t, "domain=%s\nlocal=/%s/\ninterface-name=_gateway.%s,%s\n", c->domain, c->domain,
			    c->domain, c->bridge);
	}
	/* managed: only names that lxmd gave; a container cannot take another one's by asking for it */
	if (lxm_streq(c->dns_mode, "managed"))
		lxm_buf_str(t, "dhcp-ignore-names=tag:!known\n");
	else if (lxm_streq(c->dns_mode, "none"))
		lxm_buf_str(t, "dhcp-ignore-names\n");
	lxm_buf_str(t, "dhcp-ignore-names=tag:unnamed\n");
	if (c->address4)
		text_ipv4(c, t);
	if (c->address6)
		text_ipv6(c, t);
}

/* IPv4: "EXPIRY MAC ADDRESS NAME CLIENT-ID"; IPv6: "EXPIRY IAID ADDRESS NAME DUID", name "*" if there is none. */
int dhcp_lease_parse(const char *line, struct dhcp_lease *out)
{
	char who[64], address[64], name[256];
	uint8_t raw[16], mac[6];
	long long expiry;

	memset(out, 0, sizeof(*out));
	if (sscanf(line, "%lld %63s %63s %255s", &expiry, who, address, name) != 4 || expiry < 0)
		return -EINVAL;
	if (inet_pton(AF_INET, address, raw) == 1)
		out->family = AF_INET;
	else if (inet_pton(AF_INET6, address, raw) == 1)
		out->family = AF_INET6;
	else
		return -EINVAL;
	(void)inet_ntop(out->family, raw, out->address, sizeof(out->address));
	if (out->family == AF_INET && nl_mac_parse(who, mac) == 0)
		(void)nl_mac_str(mac, out->mac);
	if (strcmp(name, "*"))
		(void)snprintf(out->name, sizeof(out->name), "%s", name);
	out->expires_at = (lxm_time)expiry * 1000;
	return 0;
}

int dhcp_leases(int dirfd, struct dhcp_lease **v_out, size_t *n_out, struct lxm_err *e)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	struct dhcp_lease *v = NULL;
	size_t n = 0, cap = 0;
	char *line, *save = NULL;
	int r;

	r = lxm_read_file_at(dirfd, "dnsmasq.leases", LEASES_MAX_BYTES, &text);
	if (r < 0 && r != -ENOENT)
		return lxm_err_set(e, -r, "read leases: %s", strerror(-r));
	for (line = text.data ? strtok_r(text.data, "\n", &save) : NULL; line && n < LEASES_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			v = lxm_realloc_n(v, cap, sizeof(*v));
		}
		if (dhcp_lease_parse(line, &v[n]) == 0)
			n++;
	}
	*v_out = v;
	*n_out = n;
	return 0;
}
