/*
 * Addresses for NICs that are held to one and were not given one by name. Any thread.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lxmd/network/bridge_conf.h"
#include "lxmd/network/network_priv.h"

/* Who has what, in host byte order. */
struct taken {
	uint32_t *v;
	size_t n, cap;
};

static void taken_deinit(struct taken *t)
{
	free(t->v);
}
LXM_AUTO_STRUCT(taken, struct taken, taken_deinit)

static void taken_add(struct taken *t, const char *address)
{
	uint32_t raw;

	if (!address || inet_pton(AF_INET, address, &raw) != 1)
		return;
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->v = lxm_realloc_n(t->v, t->cap, sizeof(*t->v));
	}
	t->v[t->n++] = ntohl(raw);
}

static void on_host(const struct dhcp_host *host, void *arg)
{
	taken_add(arg, host->ipv4);
}

static int cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Once it is sorted. */
static bool is_taken(const struct taken *t, uint32_t address)
{
	return t->n && bsearch(&address, t->v, t->n, sizeof(*t->v), cmp);
}

/* The lease that this MAC has, or "". Leases of others are taken. */
static void read_leases(int dirfd, const char *mac, struct taken *t, char own[INET6_ADDRSTRLEN])
{
	lxm_auto(free) struct dhcp_lease *v = NULL;
	size_t i, count = 0;

	own[0] = '\0';
	if (dhcp_leases(dirfd, &v, &count, NULL) < 0)
		return;
	for (i = 0; i < count; i++) {
		if (v[i].family == AF_INET && strcmp(v[i].mac, mac) == 0)
			(void)snprintf(own, INET6_ADDRSTRLEN, "%s", v[i].address);
		else
			taken_add(t, v[i].address);
	}
}

/* From a random place on, the first one in FIRST-LAST that is free. */
static bool free_in(const struct bridge_conf *c, const char *range, const struct taken *t, char out[INET6_ADDRSTRLEN])
{
	char first[16];
	uint32_t a, b, k, start, raw;
	const char *dash = strchr(range, '-');

	if (!dash)
		return false;
	(void)snprintf(first, sizeof(first), "%.*s", (int)(dash - range), range);
	if (inet_pton(AF_INET, first, &a) != 1 || inet_pton(AF_INET, dash + 1, &b) != 1)
		return false;
	a = ntohl(a);
	b = ntohl(b);
	lxm_random(&start, sizeof(start));
	for (k = 0; a <= b && k <= b - a; k++) {
		uint32_t candidate = a + (uint32_t)(((uint64_t)start + k) % ((uint64_t)b - a + 1));

		if (!bridge_conf_has_host4(c, candidate) || is_taken(t, candidate))
			continue;
		raw = htonl(candidate);
		return inet_ntop(AF_INET, &raw, out, INET6_ADDRSTRLEN) != NULL;
	}
	return false;
}

/* `t` has the addresses of host entries. */
static int choose4(const char *network, int dirfd, const struct bridge_conf *c, struct taken *t, const char *mac, char out[INET6_ADDRSTRLEN],
		   struct lxm_err *e)
{
	lxm_auto(strv) struct lxm_strv ranges = { 0 };
	char own[INET6_ADDRSTRLEN];
	uint32_t raw;
	size_t i;

	out[0] = '\0';
	if (!c->has4)
		return 0;
	if (!c->dhcp4)
		return lxm_err_set(e, EINVAL, "security.ipv4_filtering needs a network that gives IPv4 addresses out, or ipv4.address=none");
	read_leases(dirfd, mac, t, own);
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), cmp);
	if (own[0] && inet_pton(AF_INET, own, &raw) == 1) {
		raw = ntohl(raw);
		if (bridge_conf_has_host4(c, raw) && !is_taken(t, raw)) {
			(void)snprintf(out, INET6_ADDRSTRLEN, "%s", own);
			return 0;
		}
	}
	lxm_strv_split(&ranges, c->ranges4 ? c->ranges4 : "", ',');
	for (i = 0; i < ranges.n; i++)
		if (free_in(c, ranges.v[i], t, out))
			return 0;
	return lxm_err_set(e, EADDRNOTAVAIL, "network '%s' has no free IPv4 address", network);
}

/* What a kernel makes of the MAC (EUI-64): found by itself where the network only advertises, reserved where it gives out. */
static int choose6(const struct bridge_conf *c, const char *mac, char out[INET6_ADDRSTRLEN], struct lxm_err *e)
{
	struct in6_addr a = c->addr6;
	uint8_t m[6];

	out[0] = '\0';
	if (!c->has6)
		return 0;
	if (c->prefix6 > 64 || nl_mac_parse(mac, m) < 0)
		return lxm_err_set(e, EINVAL, "security.ipv6_filtering needs ipv6.address: the network's prefix is longer than 64 bits");
	/* bits between the prefix and the last half are the bridge's own: 0 unless somebody wanted them */
	nl_mac_eui64(m, &a.s6_addr[8]);
	(void)inet_ntop(AF_INET6, &a, out, INET6_ADDRSTRLEN);
	return 0;
}

int network_address_choose(struct lxmd *d, const char *name, int family, const char *mac, char out[INET6_ADDRSTRLEN], struct lxm_err *e)
{
	lxm_auto(bridge_conf) struct bridge_conf c = { 0 };
	lxm_auto(taken) struct taken t = { 0 };
	lxm_auto(fd_close) int dirfd = -1;
	struct network *n;
	int r;

	pthread_mutex_lock(&d->networks->lock);
	n = network_find(d->networks, name);
	r = n ? bridge_conf_parse(name, &n->config, &c, e) : lxm_err_http(e, 404, ENOENT, "network '%s' not found", name);
	if (r == 0 && family == AF_INET && c.has4 && c.dhcp4) {
		dhcp_hosts_each(n->hosts, on_host, &t);
		dirfd = fcntl(n->dirfd, F_DUPFD_CLOEXEC, 3);
	}
	pthread_mutex_unlock(&d->networks->lock);
	if (r < 0)
		return r;
	/* leases are read from the disk, without the lock; two that choose the same one meet when it is entered */
	return family == AF_INET ? choose4(name, dirfd, &c, &t, mac, out, e) : choose6(&c, mac, out, e);
}
